#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <utility>

#include "base/boot.h"
#include "base/limits.h"
#include "base/thread.h"
#include "front/ledger_fates.h"
#include "front/ledger_files.h"
#include "front/ledger_kept.h"
#include "front/ledger_list.h"
#include "front/ledger_replay.h"
#include "front/ledger_rows.h"
#include "front/ledger_sqlite.h"
#include "store/sqlite.h"

namespace tallymill::front {
namespace {

using store::Sqlite;
using store::Statement;

// How many later commits are searched for the whole of an end: it rides on one of the next.
constexpr int commits_searched = 256;

std::optional<WallTime> time_at(const Statement& row, int column) {
  if (row.is_null(column)) return std::nullopt;
  return wall_from_ns(row.integer(column));
}

class SqliteReader final : public LedgerReader {
 public:
  [[nodiscard]] Status open(const std::filesystem::path& file, const std::string& vfs);

  void begin() override { in_scope_ = begin_.run(); }
  void end() override {
    if (std::exchange(in_scope_, false)) (void)commit_.run();
  }
  Result<NewJob> body(JobId job) override;
  Result<std::string> trace(JobId job) override;
  Result<JobRow> status(JobId job) override;
  Result<JobEnd> result(JobId job) override;
  Result<std::optional<KnownKey>> key(std::string_view client, std::string_view key) override;
  Result<StoredTimeline> timeline(JobId job) override;
  Result<JobsPage> jobs(const JobsQuery& query) override;
  Result<EndsPage> ends_since(const EndsQuery& query) override;
  Result<WaterfallsPage> waterfalls(const WaterfallsQuery& query) override;
  Status replay(std::function<void(std::vector<LiveJob>&&)> found) override {
    return replay_live(db_, boot_id(), found);
  }

 private:
  // One state of the ledger for the length of a call, and a bound on that length.
  class Scope;

  [[nodiscard]] Result<std::int64_t> slot_of(JobId job);
  [[nodiscard]] Result<JobRow> row_of(JobId job, std::int64_t slot);
  [[nodiscard]] JobRow read_row(const Statement& row);
  [[nodiscard]] Result<std::optional<JobEnd>> end_at(std::int64_t seq, bool whole);
  [[nodiscard]] Result<std::optional<EndsPage::Of>> end_of_page(std::int64_t seq,
                                                                const EndsQuery& query);
  [[nodiscard]] Result<std::optional<Duration>> whole_of(std::int64_t end_seq);
  [[nodiscard]] std::unexpected<Error> failed() const;
  [[nodiscard]] std::unexpected<Error> no_such(JobId job) const;

  Sqlite db_;
  Statement begin_, commit_, slots_, job_, trace_, row_, end_, key_, notes_, charges_, retired_,
      next_commits_, kept_, kept_head_;
  LedgerList list_;
  bool in_scope_ = false;
  std::chrono::steady_clock::time_point until_{};
};

class SqliteReader::Scope {
 public:
  explicit Scope(SqliteReader& reader) : reader_(reader), own_(!reader.in_scope_) {
    reader_.until_ = std::chrono::steady_clock::now() + limits::ledger_read_time;
    if (own_) reader_.begin();
  }
  ~Scope() {
    if (own_) reader_.end();
  }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  SqliteReader& reader_;
  const bool own_;
};

Status SqliteReader::open(const std::filesystem::path& file, const std::string& vfs) {
  // Not read-only: a reader of a ledger that no front has open must be able to recover its WAL.
  auto db = Sqlite::open(file, Sqlite::Mode::write, vfs);
  if (!db) return std::unexpected(std::move(db).error());
  db_ = std::move(*db);
  int persist = 1;
  sqlite3_file_control(db_.raw(), "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
  sqlite3_db_config(db_.raw(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  if (auto set = db_.exec("PRAGMA query_only = ON; PRAGMA busy_timeout = 1000;"
                          "PRAGMA cache_size = -2048");
      !set)
    return set;
  sqlite3_progress_handler(
      db_.raw(), 10'000,
      [](void* self) {
        return std::chrono::steady_clock::now() > static_cast<SqliteReader*>(self)->until_ ? 1 : 0;
      },
      this);
  until_ = std::chrono::steady_clock::now() + std::chrono::hours(1);
  auto prepared = db_.prepare_all({
      {begin_, "BEGIN"},
      {commit_, "COMMIT"},
      {slots_, "SELECT slots FROM fates WHERE block = ?1"},
      {job_,
       "SELECT client, kind, priority, submitted_ns, deadline_ns, not_before_ns, intake_ns,"
       " queued_ns, parent, key, content_hash, trace, digests, body FROM jobs WHERE id = ?1"},
      {trace_, "SELECT trace FROM jobs WHERE id = ?1"},
      {row_,
       "SELECT id, client, kind, priority, submitted_ns, deadline_ns, parent, intake_ns,"
       " queued_ns FROM jobs WHERE id = ?1"},
      {end_,
       "SELECT seq, job, state, attempts, at_ns, code, message, field, digests,"
       " CASE WHEN ?2 THEN timeline END, CASE WHEN ?2 THEN result END, took_ns FROM ends"
       " WHERE seq = ?1"},
      {key_,
       "SELECT id, content_hash, NULL FROM jobs WHERE client = ?1 AND key = ?2 UNION ALL"
       " SELECT job, content_hash, end FROM retired_keys WHERE client = ?1 AND key = ?2"},
      {notes_, "SELECT data FROM notes WHERE job = ?1 AND data IS NOT NULL ORDER BY seq"},
      {charges_, "SELECT charges FROM notes WHERE job = ?1 ORDER BY seq DESC LIMIT 1"},
      {retired_, "SELECT through_seq, results_through_seq FROM retired"},
      {kept_, std::string(kept_rows) + " WHERE keep_seq > ?1 ORDER BY keep_seq LIMIT ?2"},
      {kept_head_, "SELECT kept_through, (SELECT max(keep_seq) FROM kept) FROM retired"},
      {next_commits_,
       "SELECT head, ends, wholes FROM commits WHERE head > ?1 ORDER BY head LIMIT ?2"},
  });
  if (!prepared) return std::unexpected(std::move(prepared).error());
  auto list = LedgerList::prepare(db_);
  if (!list) return std::unexpected(std::move(list).error());
  list_ = std::move(*list);
  return {};
}

Result<NewJob> SqliteReader::body(JobId id) {
  const Scope scope(*this);
  job_.bind(1, id.raw());
  if (!job_.step()) return job_.ok() ? no_such(id) : failed();
  NewJob job;
  job.id = id;
  job.client = job_.text(0);
  job.kind = job_.text(1);
  job.priority = static_cast<std::int32_t>(job_.integer(2));
  job.submitted = wall_from_ns(job_.integer(3));
  job.deadline = time_at(job_, 4);
  job.not_before = time_at(job_, 5);
  job.intake = instant_from_ns(job_.integer(6));
  job.queued = instant_from_ns(job_.integer(7));
  job.parent = JobId(job_.integer(8));
  job.key = job_.text(9);
  job.content_hash = job_.text(10);
  job.trace = job_.text(11);
  job.digests = split_digests(job_.text(12));
  job.body = job_.blob(13);
  job_.reset();
  return job;
}

Result<std::string> SqliteReader::trace(JobId id) {
  const Scope scope(*this);
  trace_.bind(1, id.raw());
  if (!trace_.step()) return trace_.ok() ? no_such(id) : failed();
  std::string trace(trace_.text(0));
  trace_.reset();
  return trace;
}

Result<JobRow> SqliteReader::status(JobId job) {
  const Scope scope(*this);
  auto slot = slot_of(job);
  if (!slot) return std::unexpected(std::move(slot).error());
  return row_of(job, *slot);
}

Result<JobEnd> SqliteReader::result(JobId job) {
  const Scope scope(*this);
  auto slot = slot_of(job);
  if (!slot) return std::unexpected(std::move(slot).error());
  if (*slot < 0)
    return fail(Errc::wrong_state, "job " + std::to_string(job.raw()) + " has not ended yet");
  auto end = end_at(*slot, true);
  if (!end) return std::unexpected(std::move(end).error());
  if (!*end) return no_such(job);
  if (!retired_.step()) return failed();
  const bool dropped = (*end)->seq <= retired_.integer(1);
  retired_.reset();
  if (dropped)
    return fail(Errc::wrong_state,
                "the result of job " + std::to_string(job.raw()) + " is no longer kept");
  return std::move(**end);
}

Result<std::optional<KnownKey>> SqliteReader::key(std::string_view client, std::string_view key) {
  const Scope scope(*this);
  key_.bind_text(1, client);
  key_.bind_text(2, key);
  if (!key_.step()) {
    if (!key_.ok()) return failed();
    return std::nullopt;
  }
  KnownKey known{JobId(key_.integer(0)), std::string(key_.text(1)), std::nullopt};
  if (!key_.is_null(2)) known.end = static_cast<EndState>(key_.integer(2));
  key_.reset();
  if (known.end) return known;
  const auto slot = slot_of(known.job);
  if (!slot) return std::unexpected(slot.error());
  if (*slot <= 0) return known;
  const auto end = end_at(*slot, false);
  if (!end) return std::unexpected(end.error());
  if (*end) known.end = (*end)->state;
  return known;
}

Result<StoredTimeline> SqliteReader::timeline(JobId job) {
  const Scope scope(*this);
  auto slot = slot_of(job);
  if (!slot) return std::unexpected(std::move(slot).error());
  auto row = row_of(job, *slot);
  if (!row) return std::unexpected(std::move(row).error());
  StoredTimeline timeline;
  timeline.job = std::move(*row);
  row_.bind(1, job.raw());
  if (!row_.step()) return failed();
  timeline.intake = instant_from_ns(row_.integer(7));
  timeline.queued = instant_from_ns(row_.integer(8));
  row_.reset();
  notes_.bind(1, job.raw());
  while (notes_.step()) timeline.failed_attempts.emplace_back(notes_.blob(0));
  if (!notes_.ok()) return failed();
  if (*slot < 0) return timeline;
  auto end = end_at(*slot, true);
  if (!end) return std::unexpected(std::move(end).error());
  if (*end) timeline.timeline = std::move((*end)->timeline);
  auto whole = whole_of(*slot);
  if (!whole) return std::unexpected(std::move(whole).error());
  timeline.whole = *whole;
  return timeline;
}

Result<JobsPage> SqliteReader::jobs(const JobsQuery& query) {
  const Scope scope(*this);
  return list_.page(query, [this](JobId job, std::int64_t slot) { return row_of(job, slot); });
}

Result<EndsPage> SqliteReader::ends_since(const EndsQuery& query) {
  const Scope scope(*this);
  if (!retired_.step()) return failed();
  EndsPage page{.ends = {}, .oldest = retired_.integer(0), .reached = query.since};
  retired_.reset();
  const std::uint32_t tag = client_tag(query.client);
  Bytes bytes = query.bytes;
  std::optional<Error> broken;
  const auto stop_at = until_ - limits::ledger_read_time / 2;
  const auto full = [&] { return page.more || broken; };
  next_commits_.bind(1, query.since);
  next_commits_.bind(2, -1);
  while (!full() && next_commits_.step()) {
    const auto use = [&](std::int64_t seq, std::uint32_t end_tag) {
      if (seq <= query.since || full()) return;
      page.reached = seq;
      if (seq <= page.oldest || (!query.client.empty() && end_tag != tag)) return;
      auto found = end_of_page(seq, query);
      if (!found) broken = found.error();
      if (broken || !*found) return;
      const JobEnd& end = (*found)->end;
      bytes -= Bytes(static_cast<std::int64_t>(end.timeline.size() + end.result.size()));
      page.ends.push_back(std::move(**found));
      page.more = std::ssize(page.ends) >= query.limit || bytes <= Bytes(0);
    };
    each_packed_end(next_commits_.blob(1), next_commits_.integer(0), use);
    if (!full()) page.reached = std::max(page.reached, next_commits_.integer(0));
    page.more = page.more || std::chrono::steady_clock::now() > stop_at;
  }
  const bool read = next_commits_.ok();
  next_commits_.reset();
  if (broken) return std::unexpected(std::move(*broken));
  if (!read) return failed();
  return page;
}

Result<WaterfallsPage> SqliteReader::waterfalls(const WaterfallsQuery& query) {
  const Scope scope(*this);
  if (!kept_head_.step()) return failed();
  WaterfallsPage page;
  page.oldest = kept_head_.integer(0);
  page.head = std::max(page.oldest, kept_head_.integer(1));
  kept_head_.reset();
  Bytes bytes = query.bytes;
  kept_.bind(1, query.after);
  kept_.bind(2, query.limit);
  while (kept_.step()) {
    auto read = read_kept(kept_);
    if (!read) return std::unexpected(std::move(read).error());
    // One that seems to end yet is of before a step of the clock.
    const Duration age = query.now - read->of.job.end->at;
    if (!read->of.whole && age >= Duration{} && age < limits::waterfall_whole) {
      kept_.reset();
      return page;
    }
    for (const std::string& attempt : read->of.failed_attempts)
      bytes -= Bytes(static_cast<std::int64_t>(attempt.size()));
    bytes -= Bytes(static_cast<std::int64_t>(read->of.timeline.size()));
    page.waterfalls.push_back(std::move(*read));
    if (std::ssize(page.waterfalls) < query.limit && bytes > Bytes(0)) continue;
    page.more = page.waterfalls.back().keep_seq < page.head;
    break;
  }
  const bool read = kept_.ok();
  kept_.reset();
  if (!read) return failed();
  return page;
}

// --- helpers ---

Result<std::int64_t> SqliteReader::slot_of(JobId job) {
  if (job <= JobId()) return no_such(job);
  slots_.bind(1, job.raw() / Fates::per_row);
  if (!slots_.step()) return slots_.ok() ? no_such(job) : failed();
  const std::int64_t slot =
      Fates::slot_in(slots_.blob(0), static_cast<int>(job.raw() % Fates::per_row));
  slots_.reset();
  if (slot == 0) return no_such(job);
  return slot;
}

Result<JobRow> SqliteReader::row_of(JobId job, std::int64_t slot) {
  row_.bind(1, job.raw());
  if (!row_.step()) return row_.ok() ? no_such(job) : failed();
  JobRow row = read_row(row_);
  row_.reset();
  charges_.bind(1, job.raw());
  if (charges_.step()) {
    row.charges = static_cast<std::int32_t>(charges_.integer(0));
    charges_.reset();
  }
  if (slot < 0) return row;
  auto end = end_at(slot, false);
  if (!end) return std::unexpected(std::move(end).error());
  row.end = std::move(*end);
  // Then by the wall clock.
  if (row.end && row.end->took < Duration{}) row.end->took = row.end->at - row.submitted;
  return row;
}

JobRow SqliteReader::read_row(const Statement& row) {
  JobRow read;
  read.id = JobId(row.integer(0));
  read.client = row.text(1);
  read.kind = row.text(2);
  read.priority = static_cast<std::int32_t>(row.integer(3));
  read.submitted = wall_from_ns(row.integer(4));
  read.deadline = time_at(row, 5);
  read.parent = JobId(row.integer(6));
  return read;
}

Result<std::optional<JobEnd>> SqliteReader::end_at(std::int64_t seq, bool whole) {
  end_.bind(1, seq);
  end_.bind(2, whole ? 1 : 0);
  if (!end_.step()) {
    if (!end_.ok()) return failed();
    return std::nullopt;
  }
  JobEnd end;
  end.seq = end_.integer(0);
  end.job = JobId(end_.integer(1));
  end.state = static_cast<EndState>(end_.integer(2));
  end.attempts = static_cast<std::int32_t>(end_.integer(3));
  end.at = wall_from_ns(end_.integer(4));
  end.code = end_.text(5);
  end.message = end_.text(6);
  end.field = end_.text(7);
  end.digests = split_digests(end_.text(8));
  end.timeline = end_.blob(9);
  end.result = end_.blob(10);
  end.took = Duration(end_.is_null(11) ? -1 : end_.integer(11));
  end_.reset();
  return end;
}

// Nothing when it is another client's after all.
Result<std::optional<EndsPage::Of>> SqliteReader::end_of_page(std::int64_t seq,
                                                              const EndsQuery& query) {
  auto end = end_at(seq, query.with_results);
  if (!end) return std::unexpected(std::move(end).error());
  if (!*end) return std::nullopt;
  row_.bind(1, (*end)->job.raw());
  if (!row_.step()) {
    if (!row_.ok()) return failed();
    return std::nullopt;
  }
  EndsPage::Of of{std::move(**end), std::string(row_.text(1)), std::string(row_.text(2))};
  row_.reset();
  if (!query.client.empty() && of.client != query.client) return std::nullopt;
  return of;
}

Result<std::optional<Duration>> SqliteReader::whole_of(std::int64_t end_seq) {
  std::optional<Duration> whole;
  next_commits_.bind(1, end_seq - 1);
  next_commits_.bind(2, commits_searched);
  while (!whole && next_commits_.step())
    each_packed_whole(next_commits_.blob(2), next_commits_.integer(0),
                      [&](std::int64_t seq, std::int64_t ns) {
                        if (seq == end_seq) whole = Duration(ns);
                      });
  const bool read = next_commits_.ok();
  next_commits_.reset();
  if (!read) return failed();
  return whole;
}

std::unexpected<Error> SqliteReader::failed() const {
  return std::unexpected(db_.error("ledger: read"));
}

std::unexpected<Error> SqliteReader::no_such(JobId job) const {
  return fail(Errc::not_found,
              "no job " + std::to_string(job.raw()) + ": never accepted, or no longer kept");
}

}  // namespace

Result<std::unique_ptr<LedgerReader>> open_sqlite_reader(const std::filesystem::path& folder,
                                                         const std::string& vfs) {
  auto reader = std::make_unique<SqliteReader>();
  if (auto opened = reader->open(folder / "ledger.db", vfs); !opened)
    return std::unexpected(std::move(opened).error());
  return std::unique_ptr<LedgerReader>(std::move(reader));
}

}  // namespace tallymill::front
