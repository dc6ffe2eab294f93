#include "alerting/inhibition.h"

#include <algorithm>

namespace tallymill::alerting {
namespace {

bool fits(const std::vector<collector::Matcher>& all, const collector::Labels& labels) {
  return std::ranges::all_of(
      all, [&](const collector::Matcher& one) { return one.fits(labels.get(one.name())); });
}

}  // namespace

void Inhibition::note(const StoredAlert& alert) {
  const bool fires = alert.alert.state == AlertState::firing && !is_over(alert.alert);
  const bool is_source = fires && std::ranges::any_of(rules_, [&](const InhibitRule& rule) {
                           return fits(rule.source, alert.alert.labels);
                         });
  if (!is_source) return forget(alert);
  const std::lock_guard lock(firing_mutex_);
  firing_[{alert.file, alert.group, alert.rule, alert.alert.labels}] = alert.alert.labels;
}

void Inhibition::forget(const StoredAlert& alert) {
  if (rules_.empty()) return;
  const std::lock_guard lock(firing_mutex_);
  firing_.erase({alert.file, alert.group, alert.rule, alert.alert.labels});
}

std::optional<collector::Labels> Inhibition::inhibitor(const collector::Labels& alert) const {
  if (rules_.empty()) return std::nullopt;
  const std::lock_guard lock(firing_mutex_);
  for (const InhibitRule& rule : rules_) {
    if (!fits(rule.target, alert)) continue;
    const bool both = fits(rule.source, alert);
    for (const auto& [whose, source] : firing_) {
      if (!fits(rule.source, source) || (both && fits(rule.target, source))) continue;
      if (std::ranges::all_of(rule.equal, [&](const std::string& name) {
            return source.get(name) == alert.get(name);
          }))
        return source;
    }
  }
  return std::nullopt;
}

}  // namespace tallymill::alerting
