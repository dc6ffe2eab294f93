#include "alerting/backtest_notices.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "collector/stable_sort.h"

namespace tallymill::alerting {
namespace {

constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

std::vector<Notice> notices_of(const Backtest& result) {
  std::vector<Notice> all;
  for (const Firing& one : result.firings) {
    Notice notice{.alert = {.state = AlertState::firing,
                            .labels = one.labels,
                            .value = one.value,
                            .active_ms = one.pending_ms,
                            .fired_ms = one.fired_ms},
                  .at_ms = one.fired_ms};
    all.push_back(notice);
    if (one.ended_ms == 0) continue;
    notice.alert.state = AlertState::inactive;
    notice.alert.resolved_ms = notice.at_ms = one.ended_ms;
    all.push_back(std::move(notice));
  }
  collector::stable_sort(all, [](const Notice& a, const Notice& b) { return a.at_ms < b.at_ms; });
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i].id = static_cast<std::int64_t>(i) + 1;
    all[i].key = std::to_string(i);
  }
  return all;
}

// A sink that takes all at once, on a clock of its own.
class Taker {
 public:
  Taker(const std::vector<Notice>& notices, const Route& route, SinkCount& count)
      : notices_(notices), grouping_(route), count_(count) {}

  void run(std::int64_t until_ms) {
    for (std::int64_t now = next(); now <= until_ms; now = next()) {
      for (; come_ < notices_.size() && notices_[come_].at_ms <= now; ++come_)
        waiting_.emplace(notices_[come_].id, Waiting{&notices_[come_], now});
      while (tell(now)) {
      }
      while (const auto reminder = grouping_.reminder(now)) {
        grouping_.taken(*reminder, now);
        ++count_.reminders;
      }
    }
  }

 private:
  struct Waiting {
    const Notice* notice;
    std::int64_t hold_ms;
  };

  std::int64_t next() const {
    std::int64_t at = come_ < notices_.size() ? notices_[come_].at_ms : never;
    for (const auto& [id, one] : waiting_) at = std::min(at, one.hold_ms);
    return std::min(at, grouping_.next_reminder().value_or(never));
  }

  // Whether there was a message.
  bool tell(std::int64_t now) {
    std::vector<Outbox::Due> due;
    std::map<collector::Labels, std::int64_t> first;  // of an alert only the earliest is due
    for (const auto& [id, one] : waiting_)
      if (first.emplace(one.notice->alert.labels, id).second && one.hold_ms <= now)
        due.push_back({.notice = *one.notice});
    if (due.empty()) return false;
    const Grouping::Plan plan = grouping_.plan(std::move(due), now);
    for (const auto& [id, until] : plan.holds) waiting_.at(id).hold_ms = until;
    for (const Message& message : plan.messages) {
      grouping_.taken(message, now);
      for (const Notice& notice : message.notices) waiting_.erase(notice.id);
      ++count_.messages;
    }
    // Those behind an alert's first are looked at when that is held, too.
    for (auto& [id, one] : waiting_)
      if (one.hold_ms <= now && first.at(one.notice->alert.labels) != id)
        if (const auto at = waiting_.find(first.at(one.notice->alert.labels)); at != waiting_.end())
          one.hold_ms = std::max(one.hold_ms, at->second.hold_ms);
    return !plan.messages.empty();
  }

  const std::vector<Notice>& notices_;
  Grouping grouping_;
  SinkCount& count_;
  std::size_t come_ = 0;  // so many have come
  std::map<std::int64_t, Waiting> waiting_;
};

}  // namespace

SinkCount count_messages(const Backtest& result, const std::string& sink, const Route& route) {
  SinkCount count{.sink = sink};
  const std::vector<Notice> notices = notices_of(result);
  Taker(notices, route, count).run(result.to_ms);
  return count;
}

std::vector<SinkCount> count_messages(const Backtest& result, const SinksConfig* sinks) {
  std::vector<SinkCount> all;
  if (sinks == nullptr) {
    all.push_back(count_messages(result, "", {.repeat = std::chrono::hours(4)}));
    return all;
  }
  for (const SinkConfig& sink : sinks->sinks) {
    if (sink.kind == SinkConfig::Kind::alertmanager) continue;
    const bool plain = sink.kind == SinkConfig::Kind::publish;
    all.push_back(count_messages(result, sink.name, plain ? Route() : sink.route));
  }
  return all;
}

}  // namespace tallymill::alerting
