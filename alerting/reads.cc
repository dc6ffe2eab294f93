#include "alerting/reads.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace tallymill::alerting {
namespace {

using promql::Node;

// How far back and ahead of its moment an expression looks.
struct Span {
  std::int64_t back_ms = 0;
  std::int64_t ahead_ms = 0;
  std::int64_t longest_ms = 0;
  bool fixed = false;  // by `@`
};

Span joined(Span a, const Span& b) {
  a.back_ms = std::max(a.back_ms, b.back_ms);
  a.ahead_ms = std::max(a.ahead_ms, b.ahead_ms);
  a.longest_ms = std::max(a.longest_ms, b.longest_ms);
  a.fixed = a.fixed || b.fixed;
  return a;
}

Span shifted(Span span, const promql::Shift& shift) {
  span.back_ms = std::max<std::int64_t>(0, span.back_ms + shift.offset_ms);
  span.ahead_ms = std::max<std::int64_t>(0, span.ahead_ms - shift.offset_ms);
  span.fixed = span.fixed || shift.at.has_value();
  return span;
}

Span span_of(const Node& node, const promql::EvaluateOptions& options) {
  if (const auto* selector = std::get_if<promql::Selector>(&node.is)) {
    const std::int64_t length =
        selector->range_ms == 0 ? options.lookback.count() : selector->range_ms;
    return shifted({.back_ms = length, .longest_ms = length}, selector->shift);
  }
  Span all;
  promql::for_each_child(node,
                         [&](const Node& child) { all = joined(all, span_of(child, options)); });
  if (const auto* subquery = std::get_if<promql::Subquery>(&node.is)) {
    all.back_ms += subquery->range_ms;
    all.longest_ms += subquery->range_ms;
    return shifted(all, subquery->shift);
  }
  return all;
}

void gather(const Node& node, std::vector<std::vector<promql::Matcher>>& selectors) {
  if (const auto* selector = std::get_if<promql::Selector>(&node.is))
    selectors.push_back(selector->matchers);
  promql::for_each_child(node, [&](const Node& child) { gather(child, selectors); });
}

bool is_plain(const Templated& text) { return text.text.find("{{") == std::string::npos; }

bool asks(const Templated& text) {
  return !is_plain(text) && text.text.find("query") != std::string::npos;
}

// The names that the series of a rule have.
std::vector<std::string_view> names_of(const Rule& rule) {
  if (rule.kind == Rule::Kind::recording) return {rule.name};
  return {"ALERTS", "ALERTS_FOR_STATE"};
}

// The value that a label of its series has for certain; nothing: it may have any.
std::optional<std::string_view> known_label(const Rule& rule, std::string_view name) {
  const bool is_alert = rule.kind == Rule::Kind::alerting;
  if (is_alert && name == "alertname") return rule.name;
  const auto found = std::ranges::find(rule.labels, name, &Templated::name);
  if (found == rule.labels.end() || (is_alert && !is_plain(*found))) return std::nullopt;
  return found->text;
}

}  // namespace

Reads reads_of(const Rule& rule, const promql::EvaluateOptions& options) {
  Reads reads;
  Span span;
  const auto add = [&](const Node& node) {
    span = joined(span, span_of(node, options));
    gather(node, reads.selectors);
  };
  add(*rule.node);
  if (rule.resolve_node != nullptr) add(*rule.resolve_node);
  reads.back_ms = span.back_ms;
  reads.span_ms = span.longest_ms;
  reads.moment_by_moment = span.fixed || span.ahead_ms > 0;
  reads.anything = rule.kind == Rule::Kind::alerting && std::ranges::any_of(rule.labels, asks);
  return reads;
}

bool may_read(const Reads& reads, const Rule& producer) {
  if (reads.anything) return true;
  const auto fits = [&](const std::vector<promql::Matcher>& selector, std::string_view metric) {
    return std::ranges::all_of(selector, [&](const promql::Matcher& matcher) {
      if (matcher.name() == collector::metric_name) return matcher.fits(metric);
      const auto value = known_label(producer, matcher.name());
      return !value || matcher.fits(*value);
    });
  };
  for (const std::string_view metric : names_of(producer))
    for (const auto& selector : reads.selectors)
      if (fits(selector, metric)) return true;
  return false;
}

bool may_give(const Rule& rule, const collector::Labels& labels) {
  const auto names = names_of(rule);
  if (std::ranges::find(names, labels.metric()) == names.end()) return false;
  if (rule.kind == Rule::Kind::alerting && labels.get("alertname") != rule.name) return false;
  return std::ranges::all_of(rule.labels, [&](const Templated& label) {
    const auto value = known_label(rule, label.name);
    return !value || labels.get(label.name) == *value;
  });
}

}  // namespace tallymill::alerting
