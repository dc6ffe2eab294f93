// Ledger: what must outlive the process. Every accepted job, its end, and what happened between.
//
// The front announces nothing before it is here: `accepted` leaves after the commit that holds the
// job, the terminal event after the commit that holds its end. One committer thread (committer.h)
// calls commit() with all entries that gathered while the last commit ran; readers have connections
// of their own.
//
// Sequence: every entry has a number, given by the machine when it queues it, rising, never used
// twice. A job's id is the number of the entry that appended it. What is queued first wins: the
// order of commit is the order of numbers.
//
//   invariant: accepted = ends (by state, retired ones included) + live jobs; a job has one end
//   invariant: a job that commit() reported as stored is found by replay() after any crash, until
//              its end is stored
//   invariant: totals survive retention and restart
//
// Threads: replay() by the thread that opened it, before anything else; then all by the committer
// thread; each Reader by one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/limits.h"
#include "base/result.h"
#include "base/units.h"

namespace tallymill::front {

enum class EndState : std::uint8_t { done, failed, cancelled, expired };
inline constexpr int end_states = 4;
[[nodiscard]] std::string_view name_of(EndState state);

// A submitted job. Everything a worker needs later is here: the machine keeps an index entry only.
struct NewJob {
  JobId id;  // = the entry's sequence number
  std::string client;
  std::string kind;
  std::int32_t priority = 4;
  std::string key;           // idempotency key; empty: none
  std::string content_hash;  // of kind, params and inputs: what the key stands for
  WallTime submitted;
  std::optional<WallTime> deadline;
  std::optional<WallTime> not_before;
  Instant intake;  // first reading of the clock for this job, and
  Instant queued;  // when it was given to the committer; meaningful within one boot
  std::string trace;
  JobId parent;
  std::string body;                  // params and inline inputs, packed as they will be sent
  std::vector<std::string> digests;  // blobs that the job refers to
};

struct JobEnd {
  std::int64_t seq = 0;
  JobId job;
  EndState state = EndState::done;
  std::string code;  // wire name of the error; empty when done
  std::string message;
  std::string field;
  std::int32_t attempts = 0;
  WallTime at;
  // From intake to here, on the monotonic clock; below zero: an older program did not store it.
  Duration took{};
  std::string result;                // values and inline files, packed
  std::string timeline;              // stamps of the last attempt and of the front, packed
  std::vector<std::string> digests;  // blobs that the result refers to
  std::int64_t file_bytes = 0;       // of those, together
  // Its waterfall is kept beyond the job, and stands for so many like it (keep.h); 0: it is not.
  double keep_weight = 0;
};

// What happened to a live job between, so that a restart goes on from there.
struct Note {
  enum class What : std::uint8_t {
    attempt_failed,    // data: the attempt's outcome and hops, packed
    charged,           // an attempt was lost with its worker, or failed: counts against the job
    retry_at,          // waits until `due`
    cancel_requested,  // never dispatched again
    deadline_passed,   // never dispatched again
  };
  std::int64_t seq = 0;
  JobId job;
  What what = What::charged;
  std::int32_t charges = 0;   // in total, after this note
  std::int32_t failures = 0;  // attempts that ended in an error, in total, after this note
  std::optional<WallTime> due;
  std::string data;
};

using Entry = std::variant<NewJob, JobEnd, Note>;
[[nodiscard]] std::int64_t seq_of(const Entry& entry);

// What became of one entry of a commit. Ends and notes are always stored.
struct Outcome {
  enum class What : std::uint8_t {
    stored,
    known,         // the key had been used by this client for the same content: `job` is that job
    conflict,      // the key had been used for other content: `job` is that job
    keys_full,     // the key table is at its bound; none is dropped early
    blob_missing,  // `missing` is not in the store: its sender must put it again
    disk_full,     // there was no room; said by the committer, never by commit()
  };
  What what = What::stored;
  JobId job;
  std::optional<EndState> end;  // known: the earlier job's, when it has ended
  std::string missing;
  std::int64_t keep_seq = 0;  // of an end: the number of its kept waterfall; 0: none is kept
};

// How long a job waited from the front's first reading to its last, by the seq of its end. Known
// only after the end was announced, so it rides on a later commit, or comes without entries.
struct Whole {
  std::int64_t seq = 0;
  Duration whole{};
  std::int64_t keep_seq = 0;  // Outcome::keep_seq of that end
};

// A live job as replay() finds it.
struct LiveJob {
  JobId id;
  std::string client;
  std::string kind;
  std::int32_t priority = 4;
  Bytes size;  // of the body
  WallTime submitted;
  std::optional<WallTime> deadline;
  std::optional<WallTime> not_before;  // or the due time of its retry
  bool backoff = false;                // not_before is a retry's
  Instant intake;
  Instant queued;         // read together with `submitted`
  bool same_boot = true;  // the two Instants are of this boot
  std::int32_t charges = 0;
  std::int32_t failures = 0;
  std::int32_t attempts = 0;  // that are over
  bool cancel_requested = false;
  bool deadline_passed = false;
};

struct Totals {
  std::int64_t accepted = 0;
  std::int64_t ended[end_states] = {};
};

// What open() found.
struct Opened {
  std::string ledger_id;   // whose sequence numbers these are
  std::int64_t epoch = 0;  // raised and synced by this very open()
  std::int64_t head = 0;   // the highest number ever used
  Totals totals;
  bool copied = false;  // the file was copied because the last run ended with a failed sync
};

struct RetainPolicy {
  Duration age = std::chrono::hours(24 * 35);
  std::int64_t jobs = 5'000'000;
  std::int64_t result_bytes = std::int64_t{4} << 30;
  Duration key_age = std::chrono::hours(24);
  std::int64_t waterfalls = limits::kept_waterfalls;
  Duration waterfall_age = limits::kept_waterfall_age;
};

// One job as a reader sees it.
struct JobRow {
  JobId id;
  std::string client;
  std::string kind;
  std::int32_t priority = 4;
  WallTime submitted;
  std::optional<WallTime> deadline;
  JobId parent;
  std::optional<JobEnd> end;  // without result and timeline
  std::int32_t charges = 0;
};

// In what order jobs are listed; live ones have neither ended nor taken a time, and are left out.
enum class JobsSort : std::uint8_t { newest, oldest, ended, slowest };
[[nodiscard]] std::string_view name_of(JobsSort sort);
[[nodiscard]] std::optional<JobsSort> sort_named(std::string_view name);

// Which jobs to list. What is empty, or not there, rules nothing out.
struct JobsQuery {
  std::string state;                              // "live", or an EndState's
  std::optional<std::vector<std::string>> kinds;  // one of these
  std::string client;
  std::optional<WallTime> since;  // submitted then or later
  // A job's id, or the beginning of its client, kind, idempotency key or error's code.
  std::string text;
  JobsSort sort = JobsSort::newest;
  std::string cursor;  // JobsPage::next of the page before; empty: the first
  int limit = 0;
};

// At most limits::jobs_page_bytes as JSON. It may have no rows and yet a `next`: there was not time
// to look at more.
struct JobsPage {
  std::vector<JobRow> rows;
  std::string next;  // empty: there is no more
};

// All that is known of a job's time.
struct StoredTimeline {
  JobRow job;
  Instant intake;
  Instant queued;
  std::vector<std::string> failed_attempts;  // Note::data, in order
  std::string timeline;                      // JobEnd::timeline
  std::optional<Duration> whole;
};

// What an idempotency key stands for.
struct KnownKey {
  JobId job;
  std::string content_hash;
  std::optional<EndState> end;
};

struct EndsQuery {
  std::int64_t since = 0;
  std::string client;  // empty: of all
  int limit = 0;
  Bytes bytes;
  bool with_results = true;  // else without result and timeline
};

struct EndsPage {
  struct Of {
    JobEnd end;
    std::string client;
    std::string kind;
  };
  std::vector<Of> ends;
  // Ends up to and including this may have been retired: a `since` below it has a gap.
  std::int64_t oldest = 0;
  std::int64_t reached = 0;  // all up to here were looked at
  bool more = false;         // and there may be more behind
};

struct WaterfallsQuery {
  std::int64_t after = 0;  // those with a greater keep number
  int limit = 0;
  Bytes bytes;   // no more once they have so many
  WallTime now;  // what has just ended waits for its whole; see limits::waterfall_whole
};

// A waterfall that is kept for longer than its job. Numbers are dense: each is one more than that
// of the one before.
struct Waterfall {
  std::int64_t keep_seq = 0;
  double weight = 0;  // 1: all like it are kept; else how many it stands for
  StoredTimeline of;  // its job without deadline, parent and charges
};

struct WaterfallsPage {
  std::vector<Waterfall> waterfalls;
  // Those up to here were retired: an `after` below it has a gap.
  std::int64_t oldest = 0;
  std::int64_t head = 0;  // the highest number given
  bool more = false;      // there may be more behind
};

class LedgerReader {
 public:
  virtual ~LedgerReader() = default;
  // Calls between begin() and end() see one state, and cost less each. Keep it short: what is read
  // so cannot leave the WAL.
  virtual void begin() {}
  virtual void end() {}
  // Of a job that is live or retained; not_found otherwise.
  [[nodiscard]] virtual Result<NewJob> body(JobId job) = 0;
  [[nodiscard]] virtual Result<JobRow> status(JobId job) = 0;
  // Nothing: no job of this client has it, or its commit is still outstanding.
  [[nodiscard]] virtual Result<std::optional<KnownKey>> key(std::string_view client,
                                                            std::string_view key) = 0;
  // not_found: no such job; wrong_state: not ended yet, or its result is no longer kept.
  [[nodiscard]] virtual Result<JobEnd> result(JobId job) = 0;
  [[nodiscard]] virtual Result<StoredTimeline> timeline(JobId job) = 0;
  // A page of a list; see JobsPage. bad_params: a state that is none, a cursor of another list.
  [[nodiscard]] virtual Result<JobsPage> jobs(const JobsQuery& query) = 0;
  // Ends with seq > since, in order. At most `limit`, no more once they have `bytes`, and no more
  // than can be found in half of limits::ledger_read_time: each page goes on where the last ended.
  [[nodiscard]] virtual Result<EndsPage> ends_since(const EndsQuery& query) = 0;
  // Kept waterfalls in the order of their numbers; those behind one that waits for its whole wait
  // with it.
  [[nodiscard]] virtual Result<WaterfallsPage> waterfalls(const WaterfallsQuery& query) = 0;
  // As Ledger::replay, while commits go on: of jobs that were there before, none is missed. Jobs
  // that were accepted meanwhile may be among them.
  [[nodiscard]] virtual Status replay(std::function<void(std::vector<LiveJob>&&)> found) = 0;
  // The traceparent of a job, empty if it has none. Errors as body().
  [[nodiscard]] virtual Result<std::string> trace(JobId job) = 0;
};

class Ledger {
 public:
  virtual ~Ledger() = default;

  // Stores all entries in one transaction, in order, durable when it returns; one Outcome each.
  // REQUIRES: rising numbers, above all earlier ones; an end or a note only for a job that is live
  // after what stands before it (corrupt otherwise: a second end is a bug, not a state).
  // disk: no space, nothing was stored, the caller may try again with fewer or none that append.
  // corrupt: a sync failed. It is never retried: the caller stops acknowledging and ends the
  // process.
  [[nodiscard]] virtual Result<std::vector<Outcome>> commit(std::span<const Entry> entries,
                                                            std::span<const Whole> wholes) = 0;

  // Calls `found` with live jobs by rising id, in chunks, until all were seen. Not after commit().
  [[nodiscard]] virtual Status replay(std::function<void(std::vector<LiveJob>&&)> found) = 0;

  // Removes what is older than the policy says, a bounded piece per call; true when there is more.
  [[nodiscard]] virtual Result<bool> retire(const RetainPolicy& policy, WallTime now) = 0;

  // Lets go of what it keeps in memory of its file only to be faster.
  virtual void release_memory() {}

  // Digests that no retained job refers to any more, of those given.
  [[nodiscard]] virtual Result<std::vector<std::string>> unreferenced(
      std::span<const std::string> digests) = 0;

  // Idempotency keys that it holds.
  [[nodiscard]] virtual std::int64_t keys() const = 0;
  // Waterfalls that it keeps.
  [[nodiscard]] virtual std::int64_t waterfalls() const = 0;

  [[nodiscard]] virtual Result<std::unique_ptr<LedgerReader>> reader() = 0;
};

}  // namespace tallymill::front
