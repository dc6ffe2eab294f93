// Rows of the outbox: its tables, and how an alert and a notice lie in them.
//
// The outbox (alerting/outbox.h) says which rows there are and when they change; this says what is
// in one.
//
// invariant: what bind() writes, read_alert() reads back equal, a NaN among it.
// Threads: pure functions; a row is borrowed for the call.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "alerting/outbox.h"
#include "base/result.h"
#include "store/sqlite.h"

namespace tallymill::alerting {

// Every table and index, made where it is not there; letters.state: 0 waits, 1 is standing.
[[nodiscard]] std::string_view outbox_schema();
constexpr std::int64_t outbox_schema_version = 1;

// The columns of an alert, in this order in both tables.
inline constexpr std::string_view alert_columns =
    "labels, annotations, state, value, active_ms, fired_ms, resolved_ms, matched_ms, "
    "last_sent_ms, valid_until_ms";
inline constexpr std::string_view notice_columns =
    "id, key, at_ms, rule_group, expr, generator_url, labels, annotations, state, value, "
    "active_ms, fired_ms, resolved_ms, matched_ms, last_sent_ms, valid_until_ms";
inline constexpr int notice_column_count = 16;
// notice_columns with "n." before each.
[[nodiscard]] std::string notice_columns_of_n();

// An alert as it lies in a row.
struct PackedAlert {
  explicit PackedAlert(const Alert& from);
  // Binds it from parameter `at` on, in the order of alert_columns; the blobs are borrowed until
  // the statement has run.
  void bind(store::Statement& to, int at) const;
  std::string labels;
  std::string annotations;
  const Alert& alert;
};

// From column `at` on. corrupt: it is none.
[[nodiscard]] Result<Alert> read_alert(const store::Statement& row, int at);
[[nodiscard]] Result<Notice> read_notice(const store::Statement& row, int at);

}  // namespace tallymill::alerting
