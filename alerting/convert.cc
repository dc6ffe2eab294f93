#include "alerting/convert.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/duration.h"
#include "base/utf8.h"

namespace tallymill::alerting {
namespace {

// REQUIRES: it is UTF-8.
std::uint32_t rune_of(std::string_view character) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(character[i]); };
  if (character.size() == 1) return byte(0);
  std::uint32_t rune = byte(0) & (0xffU >> (character.size() + 1));
  for (std::size_t i = 1; i < character.size(); ++i) rune = rune << 6 | (byte(i) & 0x3fU);
  return rune;
}

// What a reader would refuse, or take for the end of a line.
bool needs_escape(std::uint32_t rune) {
  return rune < 0x20 || (rune >= 0x7f && rune < 0xa0) || rune == 0x2028 || rune == 0x2029 ||
         rune == 0xfeff || rune == 0xfffe || rune == 0xffff;
}

bool is_simple(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0 || needs_escape(rune_of(text.substr(0, length)))) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string in_single_quotes(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') quoted += c;
    quoted += c;
  }
  return quoted + "'";
}

void add_map(std::string& yaml, std::string_view key, const std::vector<Templated>& texts) {
  if (texts.empty()) return;
  yaml += fmt::format("    {}:\n", key);
  for (const Templated& one : texts)
    yaml += fmt::format("      {}: {}\n", yaml_quoted(one.name), yaml_quoted(one.text));
}

void add_duration(std::string& yaml, std::string_view key, std::chrono::milliseconds length) {
  if (length.count() != 0) yaml += fmt::format("    {}: {}\n", key, duration_text(length.count()));
}

void add_rule(std::string& yaml, const Rule& rule) {
  const bool records = rule.kind == Rule::Kind::recording;
  yaml += fmt::format("  - {}: {}\n    expr: {}\n", records ? "record" : "alert",
                      yaml_quoted(rule.name), yaml_quoted(rule.expr));
  add_duration(yaml, "for", rule.hold);
  add_duration(yaml, "keep_firing_for", rule.keep_firing);
  add_map(yaml, "labels", rule.labels);
  add_map(yaml, "annotations", rule.annotations);
}

void add_warnings(std::vector<std::string>& warnings, const RuleGroup& group, const Rule& rule) {
  const auto warn = [&](std::string_view key, std::string_view so) {
    warnings.push_back(
        fmt::format("{}:{}: '{}': {} is left out: {}", group.file, rule.line, rule.name, key, so));
  };
  if (!rule.resolve_expr.empty())
    warn("resolve_expr", "Prometheus resolves as soon as the expression has no row");
  if (rule.no_data != Rule::NoData::keep)
    warn("no_data", "Prometheus resolves when the input is gone");
  if (rule.on_arrival) warn("on_arrival", "Prometheus judges at its interval only");
}

}  // namespace

Converted to_prometheus(std::span<const RuleGroup> groups) {
  Converted made{.yaml = groups.empty() ? "groups: []\n" : "groups:\n", .warnings = {}};
  for (const RuleGroup& group : groups) {
    made.yaml += fmt::format("- name: {}\n", yaml_quoted(group.name));
    if (group.interval.count() != 0)
      made.yaml += fmt::format("  interval: {}\n", duration_text(group.interval.count()));
    if (group.limit != 0) made.yaml += fmt::format("  limit: {}\n", group.limit);
    made.yaml += group.rules.empty() ? "  rules: []\n" : "  rules:\n";
    for (const Rule& rule : group.rules) {
      add_rule(made.yaml, rule);
      add_warnings(made.warnings, group, rule);
    }
  }
  return made;
}

std::string yaml_quoted(std::string_view text) {
  if (is_simple(text)) return in_single_quotes(text);
  std::string quoted = "\"";
  while (!text.empty()) {
    const std::size_t length = std::max<std::size_t>(utf8_length(text), 1);
    const std::string_view character = text.substr(0, length);
    const std::uint32_t rune = rune_of(character);
    if (rune == '\n')
      quoted += "\\n";
    else if (rune == '"' || rune == '\\')
      quoted.append("\\").append(character);
    else if (needs_escape(rune))
      quoted += rune < 0x100 ? fmt::format("\\x{:02x}", rune) : fmt::format("\\u{:04x}", rune);
    else
      quoted += character;
    text.remove_prefix(length);
  }
  return quoted + "\"";
}

}  // namespace tallymill::alerting
