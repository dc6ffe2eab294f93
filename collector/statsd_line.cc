#include "collector/statsd_line.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "base/text.h"
#include "collector/labels_check.h"
#include "collector/number.h"

namespace tallymill::collector {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool read_type(std::string_view text, StatsdType& type) {
  using enum StatsdType;
  if (text.size() == 2) {
    type = timing;
    return text == "ms";
  }
  if (text.size() != 1) return false;
  switch (text[0]) {
    case 'c':
      type = counter;
      return true;
    case 'g':
      type = gauge;
      return true;
    case 'h':
    case 'd':
      type = histogram;
      return true;
    case 's':
      type = set;
      return true;
    default:
      return false;
  }
}

std::string made_name(std::string_view from, bool colons) {
  std::string name;
  if (is_digit(from.front())) name += '_';
  for (const char c : from) name += is_letter(c) || is_digit(c) || (colons && c == ':') ? c : '_';
  return name;
}

std::optional<StatsdFault> read_into(StatsdLine& read, std::string_view line) {
  using enum StatsdFault;
  if (line.size() > limits::statsd_line_bytes) return too_long;
  if (line.starts_with("_e{") || line.starts_with("_sc|")) return not_a_metric;
  read.name = take_until(line, ':');
  if (read.name.empty()) return no_name;
  read.values = take_until(line, '|');
  if (read.values.empty()) return no_value;
  if (!read_type(take_until(line, '|'), read.type)) return bad_type;
  while (!line.empty()) {
    const std::string_view section = take_until(line, '|');
    if (section.starts_with('@')) {
      const auto rate = parse_number(section.substr(1));
      if (!rate || !(*rate >= limits::statsd_min_rate && *rate <= 1)) return bad_rate;
      read.rate = *rate;
    } else if (section.starts_with('#')) {
      read.tags = section.substr(1);
    } else if (section.empty() || !is_letter(section.front())) {
      return bad_section;
    }
  }
  return std::nullopt;
}

}  // namespace

std::string_view name_of(StatsdFault fault) {
  constexpr std::string_view names[statsd_faults] = {
      "too_long", "no_name",     "no_value",     "bad_value",  "negative_counter", "bad_type",
      "bad_rate", "bad_section", "not_a_metric", "bad_labels", "other_type",       "no_room"};
  return names[static_cast<std::size_t>(fault)];
}

std::expected<StatsdLine, StatsdFault> read_statsd_line(std::string_view line) {
  std::expected<StatsdLine, StatsdFault> read;  // filled where it is returned, and not copied
  if (const auto fault = read_into(*read, line)) read = std::unexpected(*fault);
  return read;
}

std::expected<Labels, StatsdFault> statsd_labels(std::string_view name, std::string_view tags) {
  Labels::Pairs pairs = {{std::string(metric_name), made_name(name, true)}};
  while (!tags.empty()) {
    std::string_view value = take_until(tags, ',');
    const bool has_value = value.find(':') != std::string_view::npos;
    const std::string_view tag = take_until(value, ':');
    if (tag.empty()) continue;
    if (pairs.size() == limits::series_labels) return std::unexpected(StatsdFault::bad_labels);
    std::string label = made_name(tag, false);
    if (label.starts_with("__") || label == "le") label.insert(0, "exported_");
    std::string text(has_value ? value : "true");
    clean_text(text, text.size());
    pairs.emplace_back(std::move(label), std::move(text));
  }
  Labels labels = Labels::of(std::move(pairs));
  std::vector<Label> settled;
  for (const Label& label : labels) settled.push_back(label);
  if (settle(settled) != LabelFault::none) return std::unexpected(StatsdFault::bad_labels);
  return labels;
}

}  // namespace tallymill::collector
