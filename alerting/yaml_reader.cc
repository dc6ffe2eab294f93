#include "alerting/yaml_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "alerting/limits.h"
#include "base/duration.h"

namespace tallymill::alerting {
namespace {

using Kind = YamlNode::Kind;

std::string_view name_of(const YamlNode& node) {
  switch (node.kind) {
    case Kind::null:
      return "nothing";
    case Kind::scalar:
      return "a text";
    case Kind::list:
      return "a list";
    case Kind::map:
      return "a map";
  }
  std::unreachable();
}

bool is_merge(const YamlNode& key) { return key.plain && key.text == "<<"; }

// The whole of `text` as a number of this base; nothing when it is none, or too large.
std::optional<std::int64_t> digits(std::string_view text, int base, bool negative) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value, base);
  constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (text.empty() || read.ec != std::errc{} || read.ptr != end || value > most)
    return std::nullopt;
  return negative ? -static_cast<std::int64_t>(value) : static_cast<std::int64_t>(value);
}

std::optional<double> decimal(std::string_view text) {
  if (text.starts_with('+') && !text.substr(1).starts_with('-')) text.remove_prefix(1);
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value);
  const bool begins = text.find_first_not_of("0123456789.-+eE") == std::string_view::npos;
  if (text.empty() || !begins || read.ec != std::errc{} || read.ptr != end) return std::nullopt;
  return value;
}

// Without a fraction, as YAML 1.1 writes them. REQUIRES: without '_'.
std::optional<std::int64_t> plain_whole(std::string_view rest) {
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  if (rest.starts_with('-') || rest.starts_with('+')) return std::nullopt;
  if (rest.starts_with("0x") || rest.starts_with("0X")) return digits(rest.substr(2), 16, negative);
  if (rest.starts_with("0b") || rest.starts_with("0B")) return digits(rest.substr(2), 2, negative);
  if (rest.starts_with("0o") || rest.starts_with("0O")) return digits(rest.substr(2), 8, negative);
  const bool octal = rest.size() > 1 && rest.front() == '0';
  return digits(rest, octal ? 8 : 10, negative);
}

// The same, and what Go makes of a fraction: its whole part.
std::optional<std::int64_t> whole(std::string text) {
  std::erase(text, '_');
  if (const auto value = plain_whole(text)) return value;
  if (text == "-.inf" || text == "-.Inf" || text == "-.INF")
    return std::numeric_limits<std::int64_t>::min();
  const auto value = decimal(text);
  if (!value || *value >= 0x1p63) return std::nullopt;
  return *value <= -0x1p63 ? std::numeric_limits<std::int64_t>::min()
                           : static_cast<std::int64_t>(*value);
}

std::optional<double> real_of(std::string text) {
  std::erase(text, '_');
  if (const auto value = plain_whole(text)) return static_cast<double>(*value);
  std::string_view rest = text;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (rest == ".inf" || rest == ".Inf" || rest == ".INF") return negative ? -infinity : infinity;
  if (text == ".nan" || text == ".NaN" || text == ".NAN")
    return std::numeric_limits<double>::quiet_NaN();
  return decimal(text);
}

}  // namespace

const YamlEntry* YamlFields::entry(std::string_view name) const {
  const auto found =
      std::ranges::find_if(entries_, [&](const YamlEntry& one) { return one.key->text == name; });
  return found == entries_.end() ? nullptr : &*found;
}

const YamlNode* YamlFields::find(std::string_view name) const {
  const YamlEntry* const found = entry(name);
  return found == nullptr || found->value->kind == Kind::null ? nullptr : found->value;
}

const YamlNode& YamlFields::place(std::string_view name) const {
  const YamlEntry* const found = entry(name);
  if (found == nullptr) return of_;
  return found->value->kind == Kind::null ? *found->key : *found->value;
}

void YamlReader::wrong(const YamlNode& at, std::string_view what, Errc code) {
  if (!fault_) fault_ = Error{code, fmt::format("{}:{}:{}: {}", file_, at.line, at.column, what)};
}

bool YamlReader::count(const YamlNode& at, std::size_t bytes) {
  bytes_ += bytes + 1;
  if (bytes_ > limits::rule_file_bytes)
    wrong(at, fmt::format("more than {} bytes with what aliases repeat", limits::rule_file_bytes),
          Errc::too_big);
  return ok();
}

void YamlReader::merge(const YamlNode& from, std::vector<YamlEntry>& into,
                       std::set<std::string_view>& seen, int depth) {
  if (depth >= limits::yaml_merge_depth)
    return wrong(from, fmt::format("merged more than {} deep", limits::yaml_merge_depth),
                 Errc::too_big);
  if (from.kind != Kind::map) return wrong(from, "only a map, or a list of maps, can be merged");
  for (const YamlEntry& one : entries(from, depth + 1))
    if (seen.insert(one.key->text).second) into.push_back(one);
}

std::vector<YamlEntry> YamlReader::entries(const YamlNode& node, int depth) {
  std::vector<YamlEntry> found;
  if (node.kind == Kind::null) return found;
  if (node.kind != Kind::map) {
    wrong(node, fmt::format("expected names with values, this is {}", name_of(node)));
    return found;
  }
  std::set<std::string_view> seen;
  const YamlNode* merged = nullptr;
  for (std::size_t i = 0; i + 1 < node.items.size() && ok(); i += 2) {
    const YamlNode& key = *node.items[i];
    const YamlNode& value = *node.items[i + 1];
    if (!count(key, key.text.size())) break;
    if (key.kind == Kind::list || key.kind == Kind::map)
      wrong(key, fmt::format("expected a name, this is {}", name_of(key)));
    else if (!seen.insert(key.text).second)
      wrong(key, fmt::format("'{}' is there twice", key.text));
    else if (is_merge(key))
      merged = &value;
    else if (key.kind != Kind::null)
      found.push_back({&key, &value});
  }
  if (merged == nullptr) return found;
  if (merged->kind != Kind::list) {
    merge(*merged, found, seen, depth);
    return found;
  }
  for (std::size_t i = 0; i < merged->items.size() && ok(); ++i)
    merge(*merged->items[i], found, seen, depth);
  return found;
}

YamlFields YamlReader::fields(const YamlNode& node, std::initializer_list<std::string_view> known) {
  std::vector<YamlEntry> found = entries(node);
  for (const YamlEntry& one : found)
    if (std::ranges::find(known, one.key->text) == known.end())
      wrong(*one.key, fmt::format("unknown key '{}'", one.key->text));
  if (!ok()) found.clear();
  return {node, std::move(found)};
}

std::vector<const YamlNode*> YamlReader::list(const YamlNode& node, std::string_view of) {
  std::vector<const YamlNode*> found = every(node, of);
  std::erase_if(found, [](const YamlNode* one) { return one->kind == Kind::null; });
  return found;
}

std::vector<const YamlNode*> YamlReader::every(const YamlNode& node, std::string_view of) {
  if (node.kind != Kind::null && node.kind != Kind::list)
    wrong(node, fmt::format("expected a list of {}, this is {}", of, name_of(node)));
  if (node.kind != Kind::list || !count(node, node.items.size())) return {};
  return node.items;
}

std::string YamlReader::text(const YamlNode& node) {
  if (node.kind == Kind::null) return {};
  if (node.kind != Kind::scalar)
    wrong(node, fmt::format("expected a text, this is {}", name_of(node)));
  else if (node.tag.ends_with(":binary"))
    wrong(node, "expected a text, this is binary");
  return count(node, node.text.size()) ? node.text : std::string();
}

std::string YamlReader::raw(const YamlFields& fields, std::string_view name) {
  const YamlEntry* const found = fields.entry(name);
  if (found == nullptr || !count(*found->value, found->value->text.size())) return {};
  return found->value->text;
}

std::vector<YamlText> YamlReader::texts(const YamlNode& node) {
  std::vector<YamlText> found;
  for (const YamlEntry& one : entries(node)) {
    if (!ok()) break;
    found.push_back({one.key->text, text(*one.value), one.key, one.value});
  }
  return found;
}

std::int64_t YamlReader::integer(const YamlNode& node) {
  const bool may = node.kind == Kind::scalar && (node.plain || node.tag.ends_with(":int"));
  const auto value = may ? whole(node.text) : std::nullopt;
  if (!value) wrong(node, "expected a whole number");
  return value.value_or(0);
}

double YamlReader::number(const YamlNode& node) {
  const auto value = node.kind == Kind::scalar && node.plain ? decimal(node.text) : std::nullopt;
  if (!value) wrong(node, "expected a number");
  return value.value_or(0);
}

double YamlReader::real(const YamlNode& node) {
  if (node.kind == Kind::null) return 0;
  const bool may = node.kind == Kind::scalar &&
                   (node.plain || node.tag.ends_with(":float") || node.tag.ends_with(":int"));
  const auto value = may ? real_of(node.text) : std::nullopt;
  if (!value) wrong(node, "expected a number");
  return value.value_or(0);
}

bool YamlReader::truth(const YamlNode& node) {
  if (node.kind != Kind::scalar || (node.text != "true" && node.text != "false"))
    wrong(node, "expected true or false");
  return node.text == "true";
}

std::chrono::milliseconds YamlReader::duration(const YamlNode& node) {
  const auto ms = config_duration_ms(text(node));
  if (!ms) wrong(node, ms.error().message);
  return std::chrono::milliseconds(ms.value_or(0));
}

Result<std::int64_t> config_duration_ms(std::string_view text) {
  if (text == "0") return 0;
  return duration_ms(text);
}

}  // namespace tallymill::alerting
