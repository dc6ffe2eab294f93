// What the tests of delivery share: a folder that goes away, alerts and notices with a number, a
// seed that is printed, a wait for a condition.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "alerting/outbox.h"
#include "alerting/sink.h"
#include "tests/temp_folder.h"

namespace tallymill::alerting {

[[nodiscard]] inline bool eventually(const std::function<bool()>& holds,
                                     std::chrono::milliseconds most = std::chrono::seconds(20)) {
  const auto until = std::chrono::steady_clock::now() + most;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > until) return false;
    (void)::poll(nullptr, 0, 2);
  }
  return true;
}

inline constexpr std::int64_t hour_ms = 3'600'000;

// Of a wall clock that runs: due at once.
[[nodiscard]] inline std::int64_t wall_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

[[nodiscard]] inline Alert alert_of(const std::string& name, const std::string& stage,
                                    std::int64_t fired_ms, std::int64_t resolved_ms = 0) {
  Alert alert;
  alert.state = resolved_ms == 0 ? AlertState::firing : AlertState::inactive;
  alert.labels = collector::Labels::of({{"alertname", name}, {"stage", stage}});
  alert.annotations = collector::Labels::of({{"summary", stage + " waits"}});
  alert.value = 0.25;
  alert.active_ms = fired_ms;
  alert.fired_ms = fired_ms;
  alert.resolved_ms = resolved_ms;
  return alert;
}

[[nodiscard]] inline Notice notice_of(Alert alert, std::int64_t at_ms) {
  Notice notice;
  notice.alert = std::move(alert);
  notice.rule_group = "mill";
  notice.expr = "x > 1";
  notice.at_ms = at_ms;
  notice.key = key_of(notice);
  return notice;
}

[[nodiscard]] inline Message message_of(std::vector<Notice> notices) {
  Message message;
  message.key = notices.front().key;
  message.group_key = "{}:{}";
  message.notices = std::move(notices);
  return message;
}

inline std::unique_ptr<Outbox> open_outbox(const std::filesystem::path& folder,
                                           const Outbox::Options& options = {}) {
  auto opened = Outbox::open(folder / "alerts.db", options);
  EXPECT_TRUE(opened) << (opened ? "" : opened.error().message);
  return opened ? std::move(*opened) : nullptr;
}

[[nodiscard]] inline std::vector<std::int64_t> ids_of(const std::vector<Outbox::Due>& due) {
  std::vector<std::int64_t> ids;
  for (const Outbox::Due& one : due) ids.push_back(one.notice.id);
  return ids;
}

}  // namespace tallymill::alerting
