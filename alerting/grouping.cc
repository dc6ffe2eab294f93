#include "alerting/grouping.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/sha256.h"

namespace tallymill::alerting {
namespace {

// A notice's own key where it is alone: then message and alert are one to whoever looks for either.
std::string key_of_all(const std::vector<Notice>& notices) {
  if (notices.size() == 1) return notices.front().key;
  std::string all;
  for (const Notice& notice : notices) all += notice.key + '\n';
  return sha256_hex(all).substr(0, 32);
}

}  // namespace

collector::Labels Grouping::group_of(const collector::Labels& alert) const {
  if (route_.by_all) return alert;
  return alert.only([&](const collector::Label& label) {
    return std::ranges::find(route_.group_by, label.name) != route_.group_by.end();
  });
}

void Grouping::restore(std::span<const Outbox::Held> held) {
  for (const Outbox::Held& one : held) {
    Group& group = groups_[group_of(one.notice.alert.labels)];
    if (one.told_ms == 0) {
      group.busy_ms = std::max(group.busy_ms, std::max<std::int64_t>(one.due_ms, 1));
      continue;
    }
    group.told_ms = std::max(group.told_ms, one.told_ms);
    group.standing[one.notice.alert.labels] = one.notice;
  }
}

Message Grouping::message_of(const collector::Labels& group, std::vector<Notice> notices) const {
  Message message{.key = key_of_all(notices),
                  .group_key = "{}:" + group.text(),
                  .group_labels = group,
                  .notices = std::move(notices)};
  const auto found = groups_.find(group);
  if (found == groups_.end()) return message;
  for (const auto& [labels, notice] : found->second.standing) {
    const bool is_new = std::ranges::any_of(
        message.notices, [&](const Notice& one) { return one.alert.labels == labels; });
    if (is_new) continue;
    if (message.standing.size() < limits::sink_message_standing)
      message.standing.push_back(notice);
    else
      ++message.left_out;
  }
  return message;
}

std::int64_t Grouping::ready(Group& group, std::int64_t at_ms) const {
  if (group.ready_ms == 0) {
    const std::int64_t after_last = group.told_ms + route_.interval.count();
    const bool known = group.told_ms != 0 && (!group.standing.empty() || at_ms < after_last);
    group.ready_ms = known ? std::max(after_last, at_ms) : at_ms + route_.wait.count();
  }
  return group.ready_ms;
}

Grouping::Plan Grouping::plan(std::vector<Outbox::Due> due, std::int64_t now_ms) {
  Plan plan;
  std::map<std::string, std::vector<Notice>> claimed;
  std::map<collector::Labels, std::vector<Notice>> fresh;
  std::vector<collector::Labels> order;
  for (Outbox::Due& one : due) {
    if (!one.message.empty()) {
      claimed[one.message].push_back(std::move(one.notice));
      continue;
    }
    const collector::Labels name = group_of(one.notice.alert.labels);
    Group& group = groups_[name];
    const std::int64_t id = one.notice.id;
    if (group.busy_ms != 0) {
      plan.holds.emplace_back(id, std::max(group.busy_ms, now_ms) + 1);
    } else if (const std::int64_t at = ready(group, one.notice.at_ms); at > now_ms) {
      plan.holds.emplace_back(id, at);
    } else {
      if (!fresh.contains(name)) order.push_back(name);
      fresh[name].push_back(std::move(one.notice));
    }
  }
  for (auto& [key, notices] : claimed) {
    const collector::Labels group = group_of(notices.front().alert.labels);
    plan.messages.push_back(message_of(group, std::move(notices)));
    plan.messages.back().key = key;
  }
  // What is above one message stays due, and goes when that was taken.
  for (const collector::Labels& name : order) {
    std::vector<Notice>& notices = fresh[name];
    notices.resize(std::min(notices.size(), limits::sink_message_notices));
    plan.messages.push_back(message_of(name, std::move(notices)));
  }
  return plan;
}

void Grouping::under_way(const Message& message, std::int64_t due_ms) {
  if (!message.notices.empty()) groups_[message.group_labels].busy_ms = due_ms;
}

void Grouping::taken(const Message& message, std::int64_t now_ms) {
  const auto found = groups_.try_emplace(message.group_labels).first;
  Group& group = found->second;
  group.told_ms = now_ms;
  group.remind_ms = 0;
  if (message.notices.empty()) return;
  // What was left over of a full message need not wait.
  group.ready_ms = message.notices.size() == limits::sink_message_notices ? now_ms : 0;
  group.busy_ms = 0;
  for (const Notice& notice : message.notices) {
    if (is_over(notice.alert))
      group.standing.erase(notice.alert.labels);
    else
      group.standing[notice.alert.labels] = notice;
  }
  forget_if_empty(found, now_ms);
}

void Grouping::given_up(const Message& message) {
  const auto found = groups_.find(message.group_labels);
  if (found == groups_.end()) return;
  found->second.busy_ms = 0;
  found->second.ready_ms = 0;
  for (const Notice& notice : message.notices)
    if (is_over(notice.alert)) found->second.standing.erase(notice.alert.labels);
  if (found->second.standing.empty() && found->second.told_ms == 0) groups_.erase(found);
}

// Nobody is told sooner because it is not known any more when the group was told last: it is
// forgotten only when that does not matter.
void Grouping::forget_if_empty(Groups::iterator group, std::int64_t now_ms) {
  if (group->second.standing.empty() && route_.interval.count() == 0 &&
      group->second.ready_ms == 0) {
    groups_.erase(group);
    return;
  }
  if (route_.interval.count() == 0) return;
  std::erase_if(groups_, [&](const auto& one) {
    return one.second.standing.empty() && one.second.busy_ms == 0 && one.second.ready_ms == 0 &&
           one.second.told_ms + route_.interval.count() < now_ms;
  });
}

std::int64_t Grouping::remind_at(const Group& group) const {
  return std::max(group.told_ms + route_.repeat.count(), group.remind_ms);
}

std::optional<Message> Grouping::reminder(std::int64_t now_ms) const {
  if (route_.repeat.count() == 0) return std::nullopt;
  for (const auto& [name, group] : groups_) {
    const bool idle = group.busy_ms == 0 && group.ready_ms <= now_ms && !group.standing.empty();
    if (!idle || remind_at(group) > now_ms) continue;
    Message message = message_of(name, {});
    message.key = sha256_hex(fmt::format("{}\n{}", message.group_key, group.told_ms)).substr(0, 32);
    return message;
  }
  return std::nullopt;
}

void Grouping::put_off(const Message& reminder, std::int64_t until_ms) {
  const auto found = groups_.find(reminder.group_labels);
  if (found != groups_.end()) found->second.remind_ms = until_ms;
}

std::optional<std::int64_t> Grouping::next_reminder() const {
  std::optional<std::int64_t> next;
  if (route_.repeat.count() == 0) return next;
  for (const auto& [name, group] : groups_) {
    if (group.busy_ms != 0 || group.standing.empty()) continue;
    const std::int64_t at = std::max(remind_at(group), group.ready_ms);
    next = next ? std::min(*next, at) : at;
  }
  return next;
}

bool Grouping::is_standing(const collector::Labels& alert) const {
  const auto group = groups_.find(group_of(alert));
  return group != groups_.end() && group->second.standing.contains(alert);
}

}  // namespace tallymill::alerting
