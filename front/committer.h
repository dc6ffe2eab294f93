// Committer: the one thread that owns the ledger. Entries go in, outcomes come out once they are
// durable.
//
// Group commit without a timer: it takes what gathered while the last commit ran, at most
// limits::commit_entries or limits::commit_bytes in a commit, in the order of their numbers. At one
// outstanding job nothing waits for company; under load a sync is shared by thousands.
//
// 1. Disk full: the new jobs of the batch are answered `disk_full`; ends and notes are tried
//    again, with the reserve, until they fit. Nothing else is lost or reordered.
// 2. Failed sync, broken invariant: CommitFailed is the last report, and the thread ends. The front
//    acknowledges nothing more and exits.
// 3. Between commits: retention, blob collection, the free-space probe, each a bounded piece.
// 4. Once nothing was committed between two upkeeps, the ledger lets go of its memory: a burst's is
//    not kept until the next.
//
//   invariant: every entry put is in exactly one CommitDone, unless a CommitFailed came
//   invariant: an entry reported as stored was synced before its report was put
//
// Threads: put() and the observers from any (the loop); the ledger by the thread inside.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <thread>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/limits.h"
#include "base/result.h"
#include "bus/mailbox.h"
#include "front/ledger.h"

namespace tallymill::store {
class Blobs;
}

namespace tallymill::front {

// What one turn of the loop queued: one hand-over however many. Wholes wait for the next commit;
// a batch without entries asks for one of their own, of which nothing is reported.
struct CommitBatch {
  std::vector<Entry> entries;
  std::vector<Whole> wholes;  // of ends reported earlier
};

struct CommitDone {
  struct Of {
    Entry entry;  // given back: what is sent on or announced now need not be kept twice
    Outcome outcome;
  };
  std::vector<Of> entries;
};

struct CommitFailed {
  Error error;
};

using CommitReport = std::variant<CommitDone, CommitFailed>;

struct CommitterOptions {
  std::filesystem::path folder;  // whose free space is watched
  RetainPolicy retain = {};
  Duration blob_age = std::chrono::hours(24);  // unreferenced blobs are kept as long
  Duration idle = std::chrono::seconds(1);     // between pieces of upkeep
  Duration disk_retry = std::chrono::milliseconds(100);
  int entries = limits::commit_entries;
  Bytes bytes = limits::commit_bytes;
};

class Committer {
 public:
  // Runs from here on. `blobs` may be null; all three outlive it.
  Committer(std::unique_ptr<Ledger> ledger, store::Blobs* blobs, const Clock& clock,
            CommitterOptions options);
  // As stop().
  ~Committer();

  // False when limits::commit_queue entries wait, or after CommitFailed: nothing was taken. The
  // loop prevents the first by refusing jobs while queued() is high.
  [[nodiscard]] bool put(CommitBatch&& batch);

  // Poll its fd(); take() on the loop's thread.
  [[nodiscard]] bus::Mailbox<CommitReport>& reports() { return reports_; }

  // Commits what was put, and joins. Reports of it are in reports() then.
  void stop();

  [[nodiscard]] std::int64_t queued() const { return queued_; }          // entries not yet durable
  [[nodiscard]] Bytes free_bytes() const { return Bytes(free_bytes_); }  // as of the last second
  [[nodiscard]] std::int64_t commits() const { return commits_; }
  [[nodiscard]] std::int64_t keys() const { return keys_; }              // that the ledger holds
  [[nodiscard]] std::int64_t waterfalls() const { return waterfalls_; }  // likewise

 private:
  void run();
  [[nodiscard]] bool gather(bool wait);
  [[nodiscard]] bool commit_next();
  [[nodiscard]] std::size_t slice_size() const;
  void refuse_jobs();
  void report(CommitDone done);
  void fail_with(Error error);
  [[nodiscard]] bool upkeep();
  [[nodiscard]] bool collect_blobs();
  void release_memory();

  const std::unique_ptr<Ledger> ledger_;
  store::Blobs* const blobs_;
  const Clock& clock_;
  const CommitterOptions options_;

  bus::Mailbox<CommitBatch> box_;
  bus::Mailbox<CommitReport> reports_;
  std::atomic<std::int64_t> queued_ = 0;
  std::atomic<std::int64_t> free_bytes_;
  std::atomic<std::int64_t> keys_;
  std::atomic<std::int64_t> waterfalls_;
  std::atomic<std::int64_t> commits_ = 0;
  std::atomic<bool> failed_ = false;
  std::atomic<bool> stopping_ = false;

  // Of the thread.
  std::vector<CommitBatch> taken_;
  std::vector<Entry> pending_;
  std::size_t next_ = 0;  // in pending_
  std::vector<Whole> wholes_;
  bool wholes_alone_ = false;
  bool disk_full_ = false;
  bool retire_more_ = false;
  bool collected_ = true;  // the last collection could read what it looked at
  Instant upkeep_at_;
  std::int64_t upkeep_commits_ = 0;  // commits_ at the last upkeep
  std::thread thread_;
};

}  // namespace tallymill::front
