// Grouping: which notices of one sink go in one message, and when.
//
// As Alertmanager does it: a group is the alerts that have the same values of some labels. The
// first of a new group wait `wait`, so that what belongs together comes together; the next ones
// until `interval` after the last message; and of what is still firing the group reminds after
// `repeat`. A message shows, beside what is new, what its group was told before and still fires.
//
// It knows no clock and no disk: it is given what is due and says what to do with it.
//
//   invariant: a group has one message under way at a time, so that a message that is tried again
//              shows the same
//
// Threads: one.
// Source: Alertmanager 0.25, route.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "alerting/outbox.h"
#include "alerting/sink.h"

namespace tallymill::alerting {

struct Route {
  bool by_all = true;  // each alert is a group of its own
  std::vector<std::string> group_by = {};
  std::chrono::milliseconds wait{0};
  std::chrono::milliseconds interval{0};
  std::chrono::milliseconds repeat{0};  // 0: never
};

class Grouping {
 public:
  explicit Grouping(Route route) : route_(std::move(route)) {}

  // At a start: what the outbox says that the sink believes, and is being told.
  void restore(std::span<const Outbox::Held> held);

  struct Plan {
    std::vector<Message> messages;
    std::vector<std::pair<std::int64_t, std::int64_t>> holds;  // a notice, and until when
  };
  [[nodiscard]] Plan plan(std::vector<Outbox::Due> due, std::int64_t now_ms);

  // Of a message of plan(), before it is sent for the first time and after each try.
  void under_way(const Message& message, std::int64_t due_ms);
  void taken(const Message& message, std::int64_t now_ms);
  void given_up(const Message& message);

  // The reminder that is due now; taken() or put_off() answers it.
  [[nodiscard]] std::optional<Message> reminder(std::int64_t now_ms) const;
  void put_off(const Message& reminder, std::int64_t until_ms);
  [[nodiscard]] std::optional<std::int64_t> next_reminder() const;

  [[nodiscard]] bool is_standing(const collector::Labels& alert) const;

 private:
  struct Group {
    std::map<collector::Labels, Notice> standing;
    std::int64_t told_ms = 0;    // the last message; 0: none
    std::int64_t ready_ms = 0;   // of the next one; 0: nothing waits for it
    std::int64_t busy_ms = 0;    // when the message under way is tried next; 0: there is none
    std::int64_t remind_ms = 0;  // not before
  };
  using Groups = std::map<collector::Labels, Group>;

  [[nodiscard]] collector::Labels group_of(const collector::Labels& alert) const;
  [[nodiscard]] Message message_of(const collector::Labels& group,
                                   std::vector<Notice> notices) const;
  [[nodiscard]] std::int64_t ready(Group& group, std::int64_t at_ms) const;
  [[nodiscard]] std::int64_t remind_at(const Group& group) const;
  void forget_if_empty(Groups::iterator group, std::int64_t now_ms);

  const Route route_;
  Groups groups_;
};

}  // namespace tallymill::alerting
