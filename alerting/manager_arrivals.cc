#include "alerting/manager.h"

namespace tallymill::alerting {

std::vector<OnArrivalRule> Manager::on_arrival() const {
  const Lock lock(mutex_);
  std::vector<OnArrivalRule> all;
  for (std::size_t group = 0; group < entries_.size(); ++group) {
    const std::vector<Rule>& rules = entries_[group]->group->rules().rules;
    for (std::size_t rule = 0; rule < rules.size(); ++rule)
      if (rules[rule].on_arrival) all.push_back({loads_, group, rule, rules[rule].node});
  }
  return all;
}

// At a moment of its own between two evaluations of its group: a series of the rules has one sample
// at a time, and they are stored in the order of their times.
Tried Manager::begin(const OnArrivalRule& rule, const TakeArrivals& take) {
  Lock lock(mutex_);
  if (stopping_ || rule.load != loads_) return Tried::gone;
  const std::shared_ptr<Entry> entry = entries_[rule.group];
  const std::int64_t at_ms = now_ms();
  if (paused_ || entry->runs || entry->due_ms <= at_ms || at_ms <= entry->judged_ms)
    return Tried::later;
  entry->runs = true;
  take_out(entry);
  lock.unlock();
  const auto happened = entry->group->begin(at_ms, rule.rule, take());
  if (!happened.empty() && listener_.judged) listener_.judged(*entry->group, at_ms, happened);
  const Group::Counts counts = entry->group->counts();
  lock.lock();
  entry->judged_ms = at_ms;
  entry->runs = false;
  put_back(entry);
  count(*entry, counts);
  changed_.notify_all();
  return Tried::done;
}

}  // namespace tallymill::alerting
