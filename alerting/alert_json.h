// Alert JSON: how alerts are told to programs: the payload of Alertmanager's webhook_config,
// version 4, so that receivers that people have take it as it is, and its parts.
//
// Beside what Alertmanager says, each alert has `idempotencyKey`, and the whole one too.
//
// Threads: pure functions.
// Source: Alertmanager 0.25, webhook_config; its fingerprint is FNV-1a, 64 bits.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "alerting/sink.h"

namespace tallymill::alerting {

// {"version":"4","groupKey":...,"alerts":[...]}
[[nodiscard]] std::string webhook_json(const Message& message, std::string_view receiver,
                                       std::string_view external_url);
// {"sequence":7,"status":"firing",...}: one alert of the payload, with its state, rule and value.
[[nodiscard]] std::string notice_json(const Notice& notice, std::int64_t epoch_ms,
                                      std::uint64_t sequence);
// An element of what POST /api/v2/alerts takes.
struct AlertTimes {
  std::int64_t starts_ms;
  std::int64_t ends_ms;
};
[[nodiscard]] std::string postable_json(const collector::Labels& labels,
                                        const collector::Labels& annotations, AlertTimes times,
                                        std::string_view generator_url);

// "[FIRING:2] HighWait (stage=\"image\")": one line, for a person.
[[nodiscard]] std::string title_of(const Message& message);
// A line for each alert: what it says of itself, or its labels.
[[nodiscard]] std::string text_of(const Message& message);
// {"text": ...}, as Slack's incoming webhooks take it.
[[nodiscard]] std::string slack_json(const Message& message);

// 2026-11-28T13:00:00.000Z; of 0: 0001-01-01T00:00:00Z, which is no time.
[[nodiscard]] std::string rfc3339(std::int64_t ms);
[[nodiscard]] std::string fingerprint_of(const collector::Labels& labels);

}  // namespace tallymill::alerting
