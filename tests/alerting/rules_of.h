// Rules of: rules made by hand, for tests.
//
// Threads: pure functions.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "alerting/rule_file.h"
#include "base/check.h"
#include "collector/promql/parser.h"
#include "collector/promql/print.h"

namespace tallymill::alerting {

inline std::shared_ptr<const promql::Node> parsed(const std::string& text) {
  auto node = promql::parse(text);
  TM_CHECK(node.has_value());
  return std::shared_ptr<const promql::Node>(std::move(*node));
}

using Texts = std::vector<std::pair<std::string, std::string>>;

inline std::vector<Templated> templated(const Texts& texts) {
  std::vector<Templated> all;
  for (const auto& [name, text] : texts) {
    auto compiled = Template::parse(text);
    TM_CHECK(compiled.has_value());
    all.push_back({name, text, std::move(*compiled)});
  }
  return all;
}

inline Rule alerting_rule(std::string name, const std::string& expr, const Texts& labels = {},
                          const Texts& annotations = {}) {
  Rule rule;
  rule.name = std::move(name);
  rule.node = parsed(expr);
  rule.expr = promql::text(*rule.node);
  rule.labels = templated(labels);
  rule.annotations = templated(annotations);
  return rule;
}

inline Rule recording_rule(std::string name, const std::string& expr, const Texts& labels = {}) {
  Rule rule = alerting_rule(std::move(name), expr, labels);
  rule.kind = Rule::Kind::recording;
  return rule;
}

inline collector::Labels labels_of(const Texts& texts) {
  return collector::Labels::of(collector::Labels::Pairs(texts.begin(), texts.end()));
}

}  // namespace tallymill::alerting
