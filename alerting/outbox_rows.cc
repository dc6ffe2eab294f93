#include "alerting/outbox_rows.h"

#include <bit>
#include <utility>

#include "alerting/packed_labels.h"

namespace tallymill::alerting {

std::string_view outbox_schema() {
  return R"(
CREATE TABLE IF NOT EXISTS judged(one INTEGER PRIMARY KEY CHECK(one = 1), at_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS alerts(
  file TEXT NOT NULL, grp TEXT NOT NULL, rule TEXT NOT NULL, labels BLOB NOT NULL,
  annotations BLOB NOT NULL, state INTEGER NOT NULL, value INTEGER NOT NULL,
  active_ms INTEGER NOT NULL, fired_ms INTEGER NOT NULL, resolved_ms INTEGER NOT NULL,
  matched_ms INTEGER NOT NULL, last_sent_ms INTEGER NOT NULL, valid_until_ms INTEGER NOT NULL,
  PRIMARY KEY(file, grp, rule, labels)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notices(
  id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, at_ms INTEGER NOT NULL,
  rule_group TEXT NOT NULL, expr TEXT NOT NULL, generator_url TEXT NOT NULL, labels BLOB NOT NULL,
  annotations BLOB NOT NULL, state INTEGER NOT NULL, value INTEGER NOT NULL,
  active_ms INTEGER NOT NULL, fired_ms INTEGER NOT NULL, resolved_ms INTEGER NOT NULL,
  matched_ms INTEGER NOT NULL, last_sent_ms INTEGER NOT NULL, valid_until_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS letters(
  sink TEXT NOT NULL, notice INTEGER NOT NULL, alert TEXT NOT NULL, state INTEGER NOT NULL,
  due_ms INTEGER NOT NULL, tries INTEGER NOT NULL, message TEXT NOT NULL, told_ms INTEGER NOT NULL,
  why TEXT NOT NULL, PRIMARY KEY(sink, notice)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS letters_alert ON letters(sink, alert, notice);
CREATE INDEX IF NOT EXISTS letters_due ON letters(sink, due_ms) WHERE state = 0;
CREATE INDEX IF NOT EXISTS letters_notice ON letters(notice);
CREATE INDEX IF NOT EXISTS letters_message ON letters(sink, message) WHERE message <> '';
CREATE TABLE IF NOT EXISTS told(
  id INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL, key TEXT NOT NULL, alert TEXT NOT NULL,
  state TEXT NOT NULL, outcome TEXT NOT NULL, at_ms INTEGER NOT NULL, tries INTEGER NOT NULL,
  why TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS told_alert ON told(alert, id);
-- silences.cc reads and writes it.
CREATE TABLE IF NOT EXISTS silences(
  id TEXT PRIMARY KEY, starts_ms INTEGER NOT NULL, ends_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL, created_by TEXT NOT NULL, comment TEXT NOT NULL,
  matchers TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS alerts_over ON alerts(resolved_ms) WHERE resolved_ms <> 0;
CREATE INDEX IF NOT EXISTS letters_waiting ON letters(sink, notice) WHERE state = 0;
)";
}

std::string notice_columns_of_n() {
  std::string text = "n.";
  for (const char c : notice_columns) {
    text += c;
    if (c == ' ') text += "n.";
  }
  return text;
}

PackedAlert::PackedAlert(const Alert& from)
    : labels(pack_labels(from.labels)), annotations(pack_labels(from.annotations)), alert(from) {}

void PackedAlert::bind(store::Statement& to, int at) const {
  to.bind_blob(at, labels);
  to.bind_blob(at + 1, annotations);
  to.bind(at + 2, static_cast<std::int64_t>(alert.state));
  to.bind(at + 3, std::bit_cast<std::int64_t>(alert.value));  // a NaN is NULL in SQL
  to.bind(at + 4, alert.active_ms);
  to.bind(at + 5, alert.fired_ms);
  to.bind(at + 6, alert.resolved_ms);
  to.bind(at + 7, alert.matched_ms);
  to.bind(at + 8, alert.last_sent_ms);
  to.bind(at + 9, alert.valid_until_ms);
}

Result<Alert> read_alert(const store::Statement& row, int at) {
  auto labels = unpack_labels(row.blob(at));
  auto annotations = unpack_labels(row.blob(at + 1));
  if (!labels) return std::unexpected(std::move(labels).error());
  if (!annotations) return std::unexpected(std::move(annotations).error());
  const std::int64_t state = row.integer(at + 2);
  if (state < 0 || state > static_cast<std::int64_t>(AlertState::firing))
    return fail(Errc::corrupt, "an alert in the outbox is in no state");
  return Alert{.state = static_cast<AlertState>(state),
               .labels = std::move(*labels),
               .annotations = std::move(*annotations),
               .value = std::bit_cast<double>(row.integer(at + 3)),
               .active_ms = row.integer(at + 4),
               .fired_ms = row.integer(at + 5),
               .resolved_ms = row.integer(at + 6),
               .matched_ms = row.integer(at + 7),
               .last_sent_ms = row.integer(at + 8),
               .valid_until_ms = row.integer(at + 9)};
}

Result<Notice> read_notice(const store::Statement& row, int at) {
  auto alert = read_alert(row, at + 6);
  if (!alert) return std::unexpected(std::move(alert).error());
  return Notice{.id = row.integer(at),
                .key = std::string(row.text(at + 1)),
                .alert = std::move(*alert),
                .rule_group = std::string(row.text(at + 3)),
                .expr = std::string(row.text(at + 4)),
                .generator_url = std::string(row.text(at + 5)),
                .at_ms = row.integer(at + 2)};
}

}  // namespace tallymill::alerting
