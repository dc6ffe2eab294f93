// Inhibition: which alerts are not told because another one fires that says more.
//
// A rule: while an alert fires that fits all of `source`, those that fit all of `target` and have
// the same values of the `equal` labels are not told. As in Alertmanager an alert that fits both
// sides is not inhibited by one that does too, itself among them.
//
// Threads: any.
// Source: Alertmanager 0.25, inhibit_rules.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "alerting/outbox.h"
#include "collector/query.h"

namespace tallymill::alerting {

struct InhibitRule {
  std::vector<collector::Matcher> source;
  std::vector<collector::Matcher> target;
  std::vector<std::string> equal = {};
};

class Inhibition {
 public:
  explicit Inhibition(std::vector<InhibitRule> rules) : rules_(std::move(rules)) {}

  // What this alert is now; only sources are kept.
  void note(const StoredAlert& alert);
  void forget(const StoredAlert& alert);
  [[nodiscard]] bool inhibits(const collector::Labels& alert) const {
    return inhibitor(alert).has_value();
  }
  // The alert that does; nothing: none.
  [[nodiscard]] std::optional<collector::Labels> inhibitor(const collector::Labels& alert) const;

 private:
  using Whose = std::tuple<std::string, std::string, std::string, collector::Labels>;
  const std::vector<InhibitRule> rules_;
  mutable std::mutex firing_mutex_;            // guards firing_
  std::map<Whose, collector::Labels> firing_;  // sources
};

}  // namespace tallymill::alerting
