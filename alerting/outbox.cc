// Two connections, one at work at a time: what commit() writes is synced, and what only says how
// far the telling came is not (WAL, synchronous NORMAL): its loss repeats a message, no more.
#include "alerting/outbox.h"

#include <fmt/format.h>

#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "alerting/outbox_rows.h"
#include "alerting/packed_labels.h"
#include "base/sha256.h"
#include "store/sqlite.h"

namespace tallymill::alerting {
namespace {

using store::Sqlite;
using store::Statement;

constexpr const char* set_judged = "INSERT OR REPLACE INTO judged(one, at_ms) VALUES(1, ?1)";
// No earlier one of its alert waits.
constexpr std::string_view is_first =
    "NOT EXISTS(SELECT 1 FROM letters b WHERE b.sink = a.sink AND b.alert = a.alert "
    "AND b.notice < a.notice AND b.state = 0)";

// What tells an alert from all others: short, whatever its labels are.
std::string name_of_alert(std::string_view packed_labels) {
  return sha256_hex(packed_labels).substr(0, 32);
}

class SqliteOutbox final : public Outbox {
 public:
  SqliteOutbox(Sqlite&& synced, Sqlite&& quick, const Options& options)
      : synced_(std::move(synced)), quick_(std::move(quick)), options_(options) {}
  Status prepare();

  Status commit(Commit commit) override;
  Status judged(std::int64_t at_ms) override;
  Result<Stored> read() override;
  Status only(std::span<const std::string> sinks, std::int64_t now_ms) override;
  Result<std::vector<Due>> due(const std::string& sink, std::int64_t now_ms,
                               std::size_t most) override;
  Result<std::optional<std::int64_t>> next_due(const std::string& sink) override;
  Status claim(const std::string& sink, Ids ids, const std::string& key) override;
  Status hold(const std::string& sink, Ids ids, std::int64_t until_ms) override;
  Status taken(const std::string& sink, Ids ids, std::int64_t now_ms) override;
  Status again(const std::string& sink, Ids ids, std::int64_t at_ms,
               const std::string& why) override;
  Status given_up(const std::string& sink, Ids ids, std::int64_t now_ms,
                  const std::string& why) override;
  Status muted(const std::string& sink, std::int64_t id, std::int64_t now_ms,
               const std::string& why) override;
  Status reminded(const std::string& sink, Ids ids, std::int64_t now_ms) override;
  Result<std::int64_t> waiting(const std::string& sink) override;
  Result<std::optional<std::int64_t>> oldest(const std::string& sink) override;
  std::int64_t merged(const std::string& sink) override;
  Result<std::vector<Held>> held(const std::string& sink) override;
  Result<std::vector<Told>> told(const collector::Labels& alert) override;

 private:
  Status prepare_synced();
  Status prepare_quick();
  Status count_waiting();
  // `work` in one transaction: whole, or not there.
  template <class Work>
  Status whole(Sqlite& file, Work work);
  template <class Work>
  Status each(Ids ids, Work work);
  Status run(Sqlite& file, Statement& statement, std::string_view doing);
  Status store_all(const Commit& commit);
  Status store(const StoredAlert& stored);
  Status forget(const StoredAlert& stored);
  Status post(const Notice& notice, const std::vector<std::string>& sinks);
  Status post_to(const std::string& sink, std::int64_t notice, const std::string& alert,
                 std::int64_t at_ms);
  Result<bool> merge(const std::string& sink, std::int64_t notice, const std::string& alert);
  Status end(const std::string& sink, std::int64_t id, std::int64_t now_ms,
             std::string_view outcome, const std::string* why);
  Status note(const std::string& sink, std::int64_t id, std::int64_t now_ms,
              std::string_view outcome, const std::string& why);
  Status drop(const std::string& sink, std::int64_t id);
  Result<Due> due_of(const Statement& row);

  std::mutex mutex_;  // guards both connections and what follows
  Sqlite synced_;
  Sqlite quick_;
  const Options options_;
  std::map<std::string, std::int64_t> waiting_;  // of each sink
  std::map<std::string, std::int64_t> merged_;

  // Of synced_.
  Statement set_judged_, put_alert_, forget_alert_, forget_over_, put_notice_, put_letter_,
      last_unclaimed_, move_letter_, drop_merged_;
  // Of quick_.
  Statement due_, message_, next_due_, claim_, hold_, again_, letter_, stand_, drop_letter_,
      drop_standing_, drop_notice_, note_, trim_told_, next_of_alert_, remind_, held_, told_,
      waiting_of_, note_judged_, oldest_;
};

Status SqliteOutbox::prepare() {
  const auto version = synced_.number("PRAGMA user_version");
  if (!version) return std::unexpected(version.error());
  if (*version > outbox_schema_version)
    return fail(Errc::version, "the outbox was written by a newer version");
  Status done = synced_.exec(
      "PRAGMA busy_timeout=5000; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; "
      "PRAGMA journal_size_limit=67108864;");
  if (done && *version < outbox_schema_version)
    done = synced_.exec(fmt::format("BEGIN;{} PRAGMA user_version={}; COMMIT", outbox_schema(),
                                    outbox_schema_version));
  if (done) done = quick_.exec("PRAGMA busy_timeout=5000; PRAGMA synchronous=NORMAL;");
  if (done) done = prepare_synced();
  if (done) done = prepare_quick();
  if (done) done = count_waiting();
  return done;
}

Status SqliteOutbox::prepare_synced() {
  return synced_.prepare_all({
      {set_judged_, set_judged},
      {put_alert_, fmt::format("INSERT OR REPLACE INTO alerts(file, grp, rule, {}) "
                               "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
                               alert_columns)},
      {forget_alert_,
       "DELETE FROM alerts WHERE file = ?1 AND grp = ?2 AND rule = ?3 AND labels = ?4"},
      {forget_over_, "DELETE FROM alerts WHERE resolved_ms <> 0 AND resolved_ms < ?1"},
      {put_notice_,
       fmt::format("INSERT INTO notices(key, at_ms, rule_group, expr, generator_url, {}) "
                   "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) "
                   "ON CONFLICT(key) DO NOTHING RETURNING id",
                   alert_columns)},
      {put_letter_,
       "INSERT INTO letters(sink, notice, alert, state, due_ms, tries, message, told_ms, why) "
       "VALUES(?1, ?2, ?3, 0, ?4, 0, '', 0, '')"},
      {last_unclaimed_,
       "SELECT max(notice) FROM letters WHERE sink = ?1 AND alert = ?2 AND state = 0 "
       "AND message = ''"},
      {move_letter_, "UPDATE letters SET notice = ?3 WHERE sink = ?1 AND notice = ?2"},
      {drop_merged_,
       "DELETE FROM notices WHERE id = ?1 AND NOT EXISTS(SELECT 1 FROM letters WHERE notice = ?1)"},
  });
}

Status SqliteOutbox::prepare_quick() {
  const std::string every = notice_columns_of_n();
  return quick_.prepare_all({
      {note_judged_, set_judged},
      {oldest_,
       "SELECT n.at_ms FROM letters a JOIN notices n ON n.id = a.notice WHERE a.sink = ?1 "
       "AND a.state = 0 ORDER BY a.notice LIMIT 1"},
      {due_, fmt::format("SELECT {}, a.message, a.tries, EXISTS(SELECT 1 FROM letters c WHERE "
                         "c.sink = a.sink AND c.alert = a.alert AND c.notice > a.notice) "
                         "FROM letters a JOIN notices n ON n.id = a.notice WHERE a.sink = ?1 "
                         "AND a.state = 0 AND a.due_ms <= ?2 AND {} ORDER BY a.notice LIMIT ?3",
                         every, is_first)},
      {message_, fmt::format("SELECT {}, a.message, a.tries, 0 FROM letters a JOIN notices n ON "
                             "n.id = a.notice WHERE a.sink = ?1 AND a.message = ?2 "
                             "AND a.message <> '' ORDER BY a.notice",
                             every)},
      {next_due_, fmt::format("SELECT due_ms FROM letters a WHERE sink = ?1 AND state = 0 AND {} "
                              "ORDER BY due_ms LIMIT 1",
                              is_first)},
      {claim_, "UPDATE letters SET message = ?3 WHERE sink = ?1 AND notice = ?2 AND state = 0"},
      {hold_, "UPDATE letters SET due_ms = ?3 WHERE sink = ?1 AND notice = ?2 AND state = 0"},
      {again_,
       "UPDATE letters SET due_ms = ?3, tries = tries + 1, why = ?4 WHERE sink = ?1 "
       "AND notice = ?2 AND state = 0"},
      {letter_,
       "SELECT a.alert, a.state, a.tries, a.why, n.key, n.state, n.resolved_ms FROM letters a "
       "JOIN notices n ON n.id = a.notice WHERE a.sink = ?1 AND a.notice = ?2"},
      {stand_,
       "UPDATE letters SET state = 1, told_ms = ?3, message = '' WHERE sink = ?1 AND notice = ?2"},
      {drop_letter_, "DELETE FROM letters WHERE sink = ?1 AND notice = ?2"},
      {drop_standing_,
       "SELECT notice FROM letters WHERE sink = ?1 AND alert = ?2 AND notice < ?3 AND state = 1"},
      {drop_notice_,
       "DELETE FROM notices WHERE id = ?1 AND NOT EXISTS(SELECT 1 FROM letters WHERE notice = ?1)"},
      {note_,
       "INSERT INTO told(sink, key, alert, state, outcome, at_ms, tries, why) "
       "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"},
      {trim_told_, "DELETE FROM told WHERE id <= (SELECT max(id) FROM told) - ?1"},
      {next_of_alert_,
       "SELECT b.notice, n.resolved_ms FROM letters a JOIN letters b ON b.sink = a.sink AND "
       "b.alert = a.alert AND b.notice > a.notice JOIN notices n ON n.id = b.notice "
       "WHERE a.sink = ?1 AND a.notice = ?2 ORDER BY b.notice LIMIT 1"},
      {remind_, "UPDATE letters SET told_ms = ?3 WHERE sink = ?1 AND notice = ?2 AND state = 1"},
      {held_, fmt::format("SELECT {}, a.told_ms, a.due_ms FROM letters a JOIN notices n ON "
                          "n.id = a.notice WHERE a.sink = ?1 AND (a.state = 1 OR "
                          "a.message <> '') ORDER BY a.notice",
                          every)},
      {told_,
       "SELECT sink, key, state, outcome, at_ms, tries, why FROM told WHERE alert = ?1 "
       "ORDER BY id"},
      {waiting_of_,
       "SELECT a.sink, n.key, n.state, n.resolved_ms, n.at_ms, a.tries, a.why FROM letters a "
       "JOIN notices n ON n.id = a.notice WHERE a.alert = ?1 AND a.state = 0 ORDER BY a.notice"},
  });
}

Status SqliteOutbox::count_waiting() {
  auto counts = quick_.prepare("SELECT sink, count(*) FROM letters WHERE state = 0 GROUP BY sink");
  if (!counts) return std::unexpected(std::move(counts).error());
  while (counts->step()) waiting_[std::string(counts->text(0))] = counts->integer(1);
  if (!counts->ok()) return std::unexpected(quick_.error("outbox: count what waits"));
  return {};
}

template <class Work>
Status SqliteOutbox::whole(Sqlite& file, Work work) {
  Status done = file.exec("BEGIN IMMEDIATE");
  if (!done) return done;
  const auto before = waiting_;
  done = work();
  if (done) done = file.exec("COMMIT");
  if (done) return done;
  if (file.in_transaction()) (void)file.exec("ROLLBACK");
  waiting_ = before;
  return done;
}

template <class Work>
Status SqliteOutbox::each(Ids ids, Work work) {
  const std::lock_guard lock(mutex_);
  return whole(quick_, [&]() -> Status {
    for (const std::int64_t id : ids)
      if (auto done = work(id); !done) return done;
    return {};
  });
}

Status SqliteOutbox::run(Sqlite& file, Statement& statement, std::string_view doing) {
  if (statement.run()) return {};
  return std::unexpected(file.error(fmt::format("outbox: {}", doing)));
}

// --- what was decided ---

Status SqliteOutbox::commit(Commit commit) {
  for (Notice& notice : commit.notices) {
    if (notice.at_ms == 0) notice.at_ms = commit.at_ms;
    if (notice.key.empty()) notice.key = key_of(notice);
  }
  const std::lock_guard lock(mutex_);
  return whole(synced_, [&] { return store_all(commit); });
}

Status SqliteOutbox::store_all(const Commit& commit) {
  set_judged_.bind(1, commit.at_ms);
  if (auto done = run(synced_, set_judged_, "store when it was judged"); !done) return done;
  for (const StoredAlert& one : commit.forgotten)
    if (auto done = forget(one); !done) return done;
  for (const StoredAlert& one : commit.alerts)
    if (auto done = store(one); !done) return done;
  forget_over_.bind(1, commit.at_ms - limits::alertmanager_resolved.count());
  if (auto done = run(synced_, forget_over_, "forget alerts that are over"); !done) return done;
  for (const Notice& one : commit.notices)
    if (auto done = post(one, commit.sinks); !done) return done;
  return {};
}

Status SqliteOutbox::judged(std::int64_t at_ms) {
  const std::lock_guard lock(mutex_);
  note_judged_.bind(1, at_ms);
  return run(quick_, note_judged_, "store when it was judged");
}

Status SqliteOutbox::store(const StoredAlert& stored) {
  const PackedAlert packed(stored.alert);
  put_alert_.bind_text(1, stored.file);
  put_alert_.bind_text(2, stored.group);
  put_alert_.bind_text(3, stored.rule);
  packed.bind(put_alert_, 4);
  return run(synced_, put_alert_, "store an alert");
}

Status SqliteOutbox::forget(const StoredAlert& stored) {
  const std::string labels = pack_labels(stored.alert.labels);
  forget_alert_.bind_text(1, stored.file);
  forget_alert_.bind_text(2, stored.group);
  forget_alert_.bind_text(3, stored.rule);
  forget_alert_.bind_blob(4, labels);
  return run(synced_, forget_alert_, "forget an alert");
}

Status SqliteOutbox::post(const Notice& notice, const std::vector<std::string>& sinks) {
  const bool told = is_over(notice.alert) || notice.alert.state == AlertState::firing;
  if (!told || sinks.empty()) return {};
  const PackedAlert packed(notice.alert);
  put_notice_.bind_text(1, notice.key);
  put_notice_.bind(2, notice.at_ms);
  put_notice_.bind_text(3, notice.rule_group);
  put_notice_.bind_text(4, notice.expr);
  put_notice_.bind_text(5, notice.generator_url);
  packed.bind(put_notice_, 6);
  const bool is_new = put_notice_.step();
  const std::int64_t id = is_new ? put_notice_.integer(0) : 0;
  const bool well = put_notice_.ok();
  put_notice_.reset();
  if (!well) return std::unexpected(synced_.error("outbox: store a notice"));
  if (!is_new) return {};
  const std::string alert = name_of_alert(packed.labels);
  for (const std::string& sink : sinks)
    if (auto done = post_to(sink, id, alert, notice.at_ms); !done) return done;
  return {};
}

Status SqliteOutbox::post_to(const std::string& sink, std::int64_t notice, const std::string& alert,
                             std::int64_t at_ms) {
  if (waiting_[sink] >= static_cast<std::int64_t>(options_.notices)) {
    const auto done = merge(sink, notice, alert);
    if (!done) return std::unexpected(done.error());
    if (*done) return {};
  }
  put_letter_.bind_text(1, sink);
  put_letter_.bind(2, notice);
  put_letter_.bind_text(3, alert);
  put_letter_.bind(4, at_ms);
  if (auto done = run(synced_, put_letter_, "post a notice"); !done) return done;
  ++waiting_[sink];
  return {};
}

// In the place of the last one of its alert that was not tried yet; false: there is none.
Result<bool> SqliteOutbox::merge(const std::string& sink, std::int64_t notice,
                                 const std::string& alert) {
  last_unclaimed_.bind_text(1, sink);
  last_unclaimed_.bind_text(2, alert);
  std::int64_t last = 0;
  if (last_unclaimed_.step() && !last_unclaimed_.is_null(0)) last = last_unclaimed_.integer(0);
  const bool well = last_unclaimed_.ok();
  last_unclaimed_.reset();
  if (!well) return std::unexpected(synced_.error("outbox: find what to merge with"));
  if (last == 0) return false;
  move_letter_.bind_text(1, sink);
  move_letter_.bind(2, last);
  move_letter_.bind(3, notice);
  if (auto done = run(synced_, move_letter_, "merge a notice"); !done)
    return std::unexpected(std::move(done).error());
  drop_merged_.bind(1, last);
  if (auto done = run(synced_, drop_merged_, "drop a merged notice"); !done)
    return std::unexpected(std::move(done).error());
  ++merged_[sink];
  return true;
}

Result<Outbox::Stored> SqliteOutbox::read() {
  const std::lock_guard lock(mutex_);
  const auto at = quick_.number("SELECT at_ms FROM judged");
  if (!at) return std::unexpected(at.error());
  auto rows = quick_.prepare(fmt::format("SELECT file, grp, rule, {} FROM alerts", alert_columns));
  if (!rows) return std::unexpected(std::move(rows).error());
  Stored stored{.at_ms = *at, .alerts = {}};
  while (rows->step()) {
    auto alert = read_alert(*rows, 3);
    if (!alert) return std::unexpected(std::move(alert).error());
    stored.alerts.push_back({std::string(rows->text(0)), std::string(rows->text(1)),
                             std::string(rows->text(2)), std::move(*alert)});
  }
  if (!rows->ok()) return std::unexpected(quick_.error("outbox: read the alerts"));
  return stored;
}

// --- what is to be told ---

Result<Outbox::Due> SqliteOutbox::due_of(const Statement& row) {
  auto notice = read_notice(row, 0);
  if (!notice) return std::unexpected(std::move(notice).error());
  return Due{std::move(*notice), std::string(row.text(notice_column_count)),
             row.integer(notice_column_count + 1), row.integer(notice_column_count + 2) != 0};
}

Result<std::vector<Outbox::Due>> SqliteOutbox::due(const std::string& sink, std::int64_t now_ms,
                                                   std::size_t most) {
  const std::lock_guard lock(mutex_);
  std::vector<Due> found;
  std::set<std::string> messages;
  const auto take_all = [&](Statement& rows, bool whole_messages) -> Status {
    Status done;
    while (done && rows.step()) {
      auto one = due_of(rows);
      if (!one)
        done = std::unexpected(std::move(one).error());
      else if (whole_messages || one->message.empty())
        found.push_back(std::move(*one));
      else
        messages.insert(one->message);
    }
    if (done && !rows.ok()) done = std::unexpected(quick_.error("outbox: read what is due"));
    rows.reset();
    return done;
  };
  due_.bind_text(1, sink);
  due_.bind(2, now_ms);
  due_.bind(3, static_cast<std::int64_t>(most));
  if (auto done = take_all(due_, false); !done) return std::unexpected(std::move(done).error());
  for (const std::string& key : messages) {
    message_.bind_text(1, sink);
    message_.bind_text(2, key);
    if (auto done = take_all(message_, true); !done)
      return std::unexpected(std::move(done).error());
  }
  return found;
}

Result<std::optional<std::int64_t>> SqliteOutbox::next_due(const std::string& sink) {
  const std::lock_guard lock(mutex_);
  next_due_.bind_text(1, sink);
  std::optional<std::int64_t> next;
  if (next_due_.step()) next = next_due_.integer(0);
  const bool well = next_due_.ok();
  next_due_.reset();
  if (!well) return std::unexpected(quick_.error("outbox: find what is due next"));
  return next;
}

Result<std::int64_t> SqliteOutbox::waiting(const std::string& sink) {
  const std::lock_guard lock(mutex_);
  return waiting_[sink];
}

Result<std::optional<std::int64_t>> SqliteOutbox::oldest(const std::string& sink) {
  const std::lock_guard lock(mutex_);
  oldest_.bind_text(1, sink);
  std::optional<std::int64_t> at_ms;
  if (oldest_.step()) at_ms = oldest_.integer(0);
  const bool well = oldest_.ok();
  oldest_.reset();
  if (!well) return std::unexpected(quick_.error("outbox: find what waits longest"));
  return at_ms;
}

std::int64_t SqliteOutbox::merged(const std::string& sink) {
  const std::lock_guard lock(mutex_);
  return merged_[sink];
}

Result<std::vector<Outbox::Held>> SqliteOutbox::held(const std::string& sink) {
  const std::lock_guard lock(mutex_);
  std::vector<Held> found;
  held_.bind_text(1, sink);
  Status done;
  while (done && held_.step()) {
    auto notice = read_notice(held_, 0);
    if (!notice)
      done = std::unexpected(std::move(notice).error());
    else
      found.push_back({std::move(*notice), held_.integer(notice_column_count),
                       held_.integer(notice_column_count + 1)});
  }
  if (done && !held_.ok()) done = std::unexpected(quick_.error("outbox: read what is standing"));
  held_.reset();
  if (!done) return std::unexpected(std::move(done).error());
  return found;
}

// --- what became of it ---

Status SqliteOutbox::claim(const std::string& sink, Ids ids, const std::string& key) {
  return each(ids, [&](std::int64_t id) {
    claim_.bind_text(1, sink);
    claim_.bind(2, id);
    claim_.bind_text(3, key);
    return run(quick_, claim_, "claim a notice");
  });
}

Status SqliteOutbox::hold(const std::string& sink, Ids ids, std::int64_t until_ms) {
  return each(ids, [&](std::int64_t id) {
    hold_.bind_text(1, sink);
    hold_.bind(2, id);
    hold_.bind(3, until_ms);
    return run(quick_, hold_, "hold a notice");
  });
}

Status SqliteOutbox::again(const std::string& sink, Ids ids, std::int64_t at_ms,
                           const std::string& why) {
  return each(ids, [&](std::int64_t id) {
    again_.bind_text(1, sink);
    again_.bind(2, id);
    again_.bind(3, at_ms);
    again_.bind_text(4, why);
    return run(quick_, again_, "put a notice off");
  });
}

Status SqliteOutbox::taken(const std::string& sink, Ids ids, std::int64_t now_ms) {
  return each(ids, [&](std::int64_t id) { return end(sink, id, now_ms, "taken", nullptr); });
}

Status SqliteOutbox::given_up(const std::string& sink, Ids ids, std::int64_t now_ms,
                              const std::string& why) {
  return each(ids, [&](std::int64_t id) { return end(sink, id, now_ms, "given_up", &why); });
}

Status SqliteOutbox::muted(const std::string& sink, std::int64_t id, std::int64_t now_ms,
                           const std::string& why) {
  const std::lock_guard lock(mutex_);
  return whole(quick_, [&]() -> Status {
    next_of_alert_.bind_text(1, sink);
    next_of_alert_.bind(2, id);
    std::int64_t its_end = 0;
    if (next_of_alert_.step() && next_of_alert_.integer(1) != 0)
      its_end = next_of_alert_.integer(0);
    const bool well = next_of_alert_.ok();
    next_of_alert_.reset();
    if (!well) return std::unexpected(quick_.error("outbox: find the end of an alert"));
    if (auto done = end(sink, id, now_ms, "muted", &why); !done) return done;
    return its_end == 0 ? Status() : end(sink, its_end, now_ms, "muted", &why);
  });
}

// A letter that waited is done with: what is taken of an alert that fires is standing from now on,
// and nothing before an end is.
Status SqliteOutbox::end(const std::string& sink, std::int64_t id, std::int64_t now_ms,
                         std::string_view outcome, const std::string* why) {
  letter_.bind_text(1, sink);
  letter_.bind(2, id);
  const bool there = letter_.step();
  const bool waits = there && letter_.integer(1) == 0;
  const std::string alert = there ? std::string(letter_.text(0)) : std::string();
  const std::string last = there ? std::string(letter_.text(3)) : std::string();
  const bool over = there && letter_.integer(6) != 0;
  const bool well = letter_.ok();
  letter_.reset();
  if (!well) return std::unexpected(quick_.error("outbox: read a letter"));
  if (!waits) return {};
  const bool was_taken = outcome == "taken";
  if (auto done = note(sink, id, now_ms, outcome, why != nullptr ? *why : last); !done) return done;
  --waiting_[sink];
  if (was_taken || over) {
    std::vector<std::int64_t> before;
    drop_standing_.bind_text(1, sink);
    drop_standing_.bind_text(2, alert);
    drop_standing_.bind(3, id);
    while (drop_standing_.step()) before.push_back(drop_standing_.integer(0));
    if (!drop_standing_.ok()) return std::unexpected(quick_.error("outbox: find what stood"));
    for (const std::int64_t one : before)
      if (auto done = drop(sink, one); !done) return done;
  }
  if (!was_taken || over) return drop(sink, id);
  stand_.bind_text(1, sink);
  stand_.bind(2, id);
  stand_.bind(3, now_ms);
  return run(quick_, stand_, "keep what was told");
}

Status SqliteOutbox::note(const std::string& sink, std::int64_t id, std::int64_t now_ms,
                          std::string_view outcome, const std::string& why) {
  letter_.bind_text(1, sink);
  letter_.bind(2, id);
  if (!letter_.step()) return {};
  const std::string alert(letter_.text(0));
  const std::string key(letter_.text(4));
  const std::int64_t tries = letter_.integer(2);
  const bool over = letter_.integer(6) != 0;
  letter_.reset();
  note_.bind_text(1, sink);
  note_.bind_text(2, key);
  note_.bind_text(3, alert);
  note_.bind_text(4, over ? "resolved" : "firing");
  note_.bind_text(5, outcome);
  note_.bind(6, now_ms);
  note_.bind(7, tries + (outcome == "muted" ? 0 : 1));
  note_.bind_text(8, why);
  if (auto done = run(quick_, note_, "note what became of a notice"); !done) return done;
  trim_told_.bind(1, options_.told);
  return run(quick_, trim_told_, "forget what was told long ago");
}

Status SqliteOutbox::drop(const std::string& sink, std::int64_t id) {
  drop_letter_.bind_text(1, sink);
  drop_letter_.bind(2, id);
  if (auto done = run(quick_, drop_letter_, "drop a letter"); !done) return done;
  drop_notice_.bind(1, id);
  return run(quick_, drop_notice_, "drop a notice");
}

Status SqliteOutbox::reminded(const std::string& sink, Ids ids, std::int64_t now_ms) {
  return each(ids, [&](std::int64_t id) {
    remind_.bind_text(1, sink);
    remind_.bind(2, id);
    remind_.bind(3, now_ms);
    return run(quick_, remind_, "note a reminder");
  });
}

Status SqliteOutbox::only(std::span<const std::string> sinks, std::int64_t now_ms) {
  const std::set<std::string> known(sinks.begin(), sinks.end());
  const std::string why = "its sink is no longer in the file";
  const std::lock_guard lock(mutex_);
  auto rows = quick_.prepare("SELECT sink, notice, state FROM letters");
  if (!rows) return std::unexpected(std::move(rows).error());
  std::vector<std::tuple<std::string, std::int64_t, bool>> others;
  while (rows->step())
    if (std::string sink(rows->text(0)); !known.contains(sink))
      others.emplace_back(std::move(sink), rows->integer(1), rows->integer(2) == 0);
  if (!rows->ok()) return std::unexpected(quick_.error("outbox: look for other sinks"));
  return whole(quick_, [&]() -> Status {
    for (const auto& [sink, id, waits] : others)
      if (auto done = waits ? end(sink, id, now_ms, "given_up", &why) : drop(sink, id); !done)
        return done;
    return {};
  });
}

Result<std::vector<Outbox::Told>> SqliteOutbox::told(const collector::Labels& alert) {
  const std::string name = name_of_alert(pack_labels(alert));
  const std::lock_guard lock(mutex_);
  std::vector<Told> all;
  told_.bind_text(1, name);
  while (told_.step())
    all.push_back({.sink = std::string(told_.text(0)),
                   .key = std::string(told_.text(1)),
                   .state = std::string(told_.text(2)),
                   .outcome = std::string(told_.text(3)),
                   .at_ms = told_.integer(4),
                   .tries = told_.integer(5),
                   .why = std::string(told_.text(6))});
  if (!told_.ok()) return std::unexpected(quick_.error("outbox: read what was told"));
  waiting_of_.bind_text(1, name);
  while (waiting_of_.step())
    all.push_back({.sink = std::string(waiting_of_.text(0)),
                   .key = std::string(waiting_of_.text(1)),
                   .state = waiting_of_.integer(3) != 0 ? "resolved" : "firing",
                   .outcome = "waiting",
                   .at_ms = waiting_of_.integer(4),
                   .tries = waiting_of_.integer(5),
                   .why = std::string(waiting_of_.text(6))});
  if (!waiting_of_.ok()) return std::unexpected(quick_.error("outbox: read what waits"));
  return all;
}

}  // namespace

std::string key_of(const Notice& notice) {
  const Alert& alert = notice.alert;
  return sha256_hex(fmt::format("{}\n{}\n{}\n{}\n{}\n{}", pack_labels(alert.labels),
                                notice.rule_group, word_of(alert), alert.active_ms, alert.fired_ms,
                                alert.resolved_ms))
      .substr(0, 32);
}

Result<std::unique_ptr<Outbox>> Outbox::open(const std::filesystem::path& file,
                                             const Options& options) {
  auto synced = Sqlite::open(file, Sqlite::Mode::create, options.vfs);
  if (!synced) return std::unexpected(std::move(synced).error());
  auto quick = Sqlite::open(file, Sqlite::Mode::create, options.vfs);
  if (!quick) return std::unexpected(std::move(quick).error());
  auto outbox = std::make_unique<SqliteOutbox>(std::move(*synced), std::move(*quick), options);
  if (auto done = outbox->prepare(); !done) return std::unexpected(std::move(done).error());
  return outbox;
}

}  // namespace tallymill::alerting
