#include "collector/promql/label_functions.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <optional>
#include <set>

#include "base/limits.h"
#include "collector/labels_check.h"

namespace tallymill::promql {
namespace {

Result<Rows> distinct(Rows&& rows) {
  if (auto merged = merge_equal(rows); !merged) return std::unexpected(std::move(merged).error());
  return std::move(rows);
}

// Each time that $1$1 is put in the place of a value, it is twice as long.
Status set_label(Row& row, const std::string& name, std::string_view value) {
  LabelsBuilder builder(row.labels);
  builder.set(name, value);
  row.labels = builder.build();
  if (row.labels.packed().size() <= limits::series_labels_bytes) return {};
  return fail(Errc::too_big, fmt::format("the labels of an element have at most {} bytes",
                                         limits::series_labels_bytes));
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// As much of the text's front as Go would take for a group's name.
std::size_t name_size(std::string_view text) {
  static const RE2 letters("[_\\pL\\p{Nd}]*");
  re2::StringPiece rest(text.data(), text.size());
  return RE2::Consume(&rest, letters) ? text.size() - rest.size() : 0;
}

// $1, ${1}, $name, ${name}: as Go's Expand. A group that is not there is empty; $$ is one $.
class Template {
 public:
  explicit Template(std::string_view text) : text_(text) {}

  // Cut when it is too long to be a label's value.
  std::string expanded(const RE2& expression, std::span<const re2::StringPiece> groups) const {
    std::string result;
    std::string_view rest = text_;
    while (!rest.empty() && result.size() <= limits::series_labels_bytes) {
      const std::size_t plain = std::min(rest.find('$'), rest.size());
      result += rest.substr(0, plain);
      rest.remove_prefix(plain);
      if (rest.empty()) break;
      if (rest.starts_with("$$")) {
        result += '$';
        rest.remove_prefix(2);
        continue;
      }
      const std::string_view name = take_name(rest);
      if (name.empty()) {
        result += '$';  // malformed: it stands for itself
        rest.remove_prefix(1);
        continue;
      }
      const auto group = index_of(expression, name);
      if (group && *group < groups.size())
        result.append(groups[*group].data(), groups[*group].size());
    }
    return result;
  }

 private:
  // The name behind the sign, which is taken off with it; empty when there is none.
  static std::string_view take_name(std::string_view& rest) {
    const bool braced = rest.size() > 1 && rest[1] == '{';
    const std::size_t begin = braced ? 2 : 1;
    const std::size_t end = begin + name_size(rest.substr(begin));
    if (end == begin || (braced && (end >= rest.size() || rest[end] != '}'))) return {};
    const std::string_view name = rest.substr(begin, end - begin);
    rest.remove_prefix(end + (braced ? 1 : 0));
    return name;
  }
  static std::optional<std::size_t> index_of(const RE2& expression, std::string_view name) {
    const bool number = std::ranges::all_of(name, is_digit) && (name.size() == 1 || name[0] != '0');
    if (number && name.size() < 4) return static_cast<std::size_t>(std::stoul(std::string(name)));
    const auto& names = expression.NamedCapturingGroups();
    const auto at = names.find(std::string(name));
    if (at == names.end()) return std::nullopt;
    return static_cast<std::size_t>(at->second);
  }
  std::string_view text_;
};

}  // namespace

Result<Rows> label_replaced(Rows&& rows, std::span<const std::string> arguments,
                            const Allowance& allowance) {
  const std::string& destination = arguments[0];
  const std::string& source = arguments[2];
  const RE2 expression("^(?:" + arguments[3] + ")$", RE2::Quiet);
  if (!expression.ok())
    return fail(Errc::bad_params,
                fmt::format("invalid regular expression in label_replace(): {}", arguments[3]));
  if (!collector::is_label_name(destination))
    return fail(Errc::bad_params,
                fmt::format("invalid destination label name in label_replace(): {}", destination));
  const Template replacement(arguments[1]);
  std::vector<re2::StringPiece> groups(
      static_cast<std::size_t>(expression.NumberOfCapturingGroups()) + 1);
  for (Row& row : rows) {
    // An expression may take long over each of them.
    if (auto still = allowance.check(); !still) return std::unexpected(std::move(still).error());
    const std::string_view value = row.labels.get(source);
    const re2::StringPiece text(value.data(), value.size());
    if (!expression.Match(text, 0, text.size(), RE2::UNANCHORED, groups.data(),
                          static_cast<int>(groups.size())))
      continue;
    if (auto set = set_label(row, destination, replacement.expanded(expression, groups)); !set)
      return std::unexpected(std::move(set).error());
  }
  return distinct(std::move(rows));
}

Result<Rows> label_joined(Rows&& rows, std::span<const std::string> arguments) {
  if (!collector::is_label_name(arguments[0]))
    return fail(Errc::bad_params,
                fmt::format("invalid destination label name in label_join(): {}", arguments[0]));
  const auto sources = arguments.subspan(2);
  for (const std::string& source : sources)
    if (!collector::is_label_name(source))
      return fail(Errc::bad_params,
                  fmt::format("invalid source label name in label_join(): {}", source));
  for (Row& row : rows) {
    std::string joined;
    for (std::size_t i = 0; i < sources.size() && joined.size() <= limits::series_labels_bytes; ++i)
      joined += (i == 0 ? "" : arguments[1]) + std::string(row.labels.get(sources[i]));
    if (auto set = set_label(row, arguments[0], joined); !set)
      return std::unexpected(std::move(set).error());
  }
  return distinct(std::move(rows));
}

Labels labels_of_absent(const Node& argument) {
  const auto* selector = std::get_if<Selector>(&argument.is);
  if (selector == nullptr) return {};
  LabelsBuilder builder;
  std::set<std::string_view> seen;
  for (const Matcher& matcher : selector->matchers) {
    if (matcher.name() == collector::metric_name) continue;
    // What is asked for twice, or not by its value, is unknown.
    const bool once = matcher.kind() == Matcher::Kind::equal && !seen.contains(matcher.name());
    builder.set(matcher.name(), once ? std::string_view(matcher.value()) : std::string_view());
    if (once) seen.insert(matcher.name());
  }
  return builder.build();
}

}  // namespace tallymill::promql
