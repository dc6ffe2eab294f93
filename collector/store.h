// Store: all samples of the collector: what is acknowledged is kept, small, and visible at once.
//
// Points go into the log (collector/log.h), then into the head (collector/head.h). When the log has
// grown to some MiB, the head is frozen, written as a sealed part (collector/part.h), and the
// segments of the log that it came from go; meanwhile points go into a new head. A start replays
// only what is not sealed. A read takes a series' samples from the parts, the frozen head and the
// head, in this order, and puts them in order: so samples may come in any order, and of several
// with one timestamp the last counts, wherever each of them is.
//
// Four parts of about one size at the end of the list are merged into one, so that blocks grow to
// their full length and a read meets few parts. The merged one takes the name of the newest of
// them, so that at any moment the files say what they said before.
//
// A part is dropped when its newest sample is older than the retention, and itself too: what
// somebody imports today with old timestamps is kept as long as anything else that came today.
//
//   invariant: what append() acknowledged is in the log or in a part, whenever the process dies
//   invariant: a series' id never changes, over restarts too
//   invariant: what cannot be read is left out and counted, see stats(); it stops neither a start
//              nor the reads of the rest
//
// Threads: any. One writes at a time (series, append, seal, expire wait for one another, but for
// the long part of a seal); readers go on together, and wait for a writer only while it puts points
// into memory. A thread of its own seals, another merges and expires.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/limits.h"
#include "base/result.h"
#include "collector/head.h"
#include "collector/index.h"
#include "collector/log.h"
#include "collector/part.h"
#include "collector/query.h"
#include "store/durable.h"

namespace tallymill::collector {

class Store final : public Source {
 public:
  struct Options {
    std::uint32_t series = limits::store_series;
    std::chrono::hours retention = limits::retention;
    std::uint64_t seal_log_bytes = limits::seal_log_bytes;
    std::uint64_t log_bytes = limits::log_bytes;
    bool background = true;        // false: who calls seals and expires
    const Clock* clock = nullptr;  // null: the system's. REQUIRES: it outlives the store
  };
  struct Stats {
    std::uint64_t series = 0;
    std::uint64_t empty_series = 0;    // of these, no sample was left at the last look
    std::uint64_t refused_series = 0;  // asked for above the limit
    std::uint64_t head_samples = 0;    // not sealed
    std::uint64_t sealed_samples = 0;
    std::uint64_t parts = 0;
    std::uint64_t part_bytes = 0;
    std::uint64_t log_bytes = 0;
    std::uint64_t seals = 0;
    std::uint64_t failed_seals = 0;
    std::uint64_t merges = 0;
    std::uint64_t damaged_parts = 0;   // put aside at the start, as FILE.damaged
    std::uint64_t damaged_blocks = 0;  // each time one is left out of a read
    Log::Replayed replayed;
  };

  // Makes the folder if it is not there, and replays. busy: another process has it open. disk: it
  // cannot be read or written.
  [[nodiscard]] static Result<std::unique_ptr<Store>> open(std::filesystem::path folder,
                                                           const Options& options);
  ~Store() override;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // The id of these labels, a new one if they have none. too_big: there are as many series as there
  // may be, or these labels are too long; those that are there go on. Who made a series first says
  // whose it is.
  [[nodiscard]] Result<SeriesId> series(const Labels& labels, Origin origin = Origin::other);

  // Acknowledged, and visible to the next read, when it returns. bad_params: a series is none of
  // this store. disk: nothing was stored, there may be room later. busy: nothing could be sealed
  // for long, and what is not sealed would not fit into memory. corrupt: a sync failed; nothing is
  // accepted until the head is sealed.
  [[nodiscard]] Status append(std::span<const Point> points);

  // Source. read(): not_found for a series that is none of this store.
  [[nodiscard]] Result<std::vector<Found>> select(std::span<const Matcher> matchers,
                                                  std::int64_t from_ms,
                                                  std::int64_t to_ms) const override;
  [[nodiscard]] Status read(SeriesId series, std::int64_t from_ms, std::int64_t to_ms,
                            Column& into) const override;
  // As Index.
  [[nodiscard]] std::vector<std::string> names(std::span<const Matcher> matchers = {}) const;
  [[nodiscard]] std::vector<std::string> values(std::string_view name,
                                                std::span<const Matcher> matchers = {}) const;
  [[nodiscard]] std::vector<std::pair<std::string, std::size_t>> values_per_name() const;

  // Seals what is in the head now. disk, corrupt: it is still in the head and in the log.
  [[nodiscard]] Status seal();
  // Merges parts while there are some to merge; how many went. `whole`: all into one, as far as
  // sizes allow. Parts with damage are left as they are. disk, corrupt: as seal(); no part is lost.
  [[nodiscard]] Result<std::size_t> merge(bool whole = false);
  // Drops parts that are too old; how many. Series of which no sample is left do not count for the
  // limit from then on; they keep their ids, in case they come again.
  std::size_t expire();
  // What is acknowledged is on the disk. corrupt: it is not.
  [[nodiscard]] Status sync();

  [[nodiscard]] Stats stats() const;

 private:
  using Parts = std::vector<std::shared_ptr<const Part>>;
  using Reading = std::shared_lock<std::shared_mutex>;
  using Writing = std::unique_lock<std::shared_mutex>;

  Store(std::filesystem::path folder, const Options& options, store::File lock);
  [[nodiscard]] Status open_parts();
  [[nodiscard]] Status replay();
  [[nodiscard]] Status freeze();
  [[nodiscard]] Result<std::shared_ptr<const Part>> write_part(const Head& head,
                                                               std::uint64_t segment);
  [[nodiscard]] std::size_t mergeable(const Parts& parts, bool whole) const;
  [[nodiscard]] Status merge_last(const Parts& parts, std::size_t count);
  [[nodiscard]] std::shared_ptr<const Parts> parts() const;
  void count_empty();  // REQUIRES: merge_mutex_ is held
  [[nodiscard]] Reading reading() const;
  [[nodiscard]] Writing writing() const;
  [[nodiscard]] std::int64_t now_ms() const;
  void run_seals();
  void run_merges();

  const std::filesystem::path folder_;
  const Options options_;
  const SystemClock system_clock_;
  store::File lock_;  // held as long as this process has the folder open

  // Whoever takes several takes them in this order.
  std::mutex merge_mutex_;      // guards merging and expiring
  std::uint64_t unmerged_ = 0;  // parts up to this number have damage among them

  std::mutex seal_mutex_;  // guards sealing: next_part_, frozen_segment_
  std::uint64_t next_part_ = 1;
  std::uint64_t frozen_segment_ = 0;

  mutable std::mutex writer_mutex_;  // guards the log and which series it has
  std::unique_ptr<Log> log_;
  SeriesId pending_first_;
  std::vector<Labels> pending_;  // series that no append() has written yet
  std::size_t empty_series_ = 0;

  // The system's lock lets readers pass a writer that waits, for ever if they never pause: a writer
  // holds the turn while it waits, and a reader must have had it.
  mutable std::mutex turn_;
  mutable std::shared_mutex state_;  // guards what reads see
  Index index_;                      // written with writer_mutex_ held too
  std::unique_ptr<Head> head_;
  std::shared_ptr<const Head> frozen_;  // is being sealed
  std::shared_ptr<const Parts> parts_;  // the oldest first

  std::atomic<std::uint64_t> refused_series_ = 0;
  mutable std::atomic<std::uint64_t> damaged_blocks_ = 0;
  std::atomic<std::uint64_t> seals_ = 0;
  std::atomic<std::uint64_t> failed_seals_ = 0;
  std::atomic<std::uint64_t> merges_ = 0;
  std::uint64_t damaged_parts_ = 0;

  std::mutex wake_mutex_;  // guards the three below
  bool seal_wanted_ = false;
  bool merge_wanted_ = false;
  bool stopping_ = false;
  std::condition_variable wake_;
  std::thread seals_thread_;
  std::thread merges_thread_;  // so that no seal waits for a merge, which takes longer
};

}  // namespace tallymill::collector
