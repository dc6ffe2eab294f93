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
// A part is dropped when the newest that is in it came longer ago than the retention: what somebody
// imports today with old timestamps is kept as long as anything else that came today, and what has
// a timestamp far in the future goes like everything else. A clock that jumps by more than a tenth
// of the retention is not believed at once (collector/store_clock.h). A series of which no sample
// is left is forgotten; its id is never given again.
//
// Of series of our own bus old samples are thinned (collector/tiers.h) when a part is written:
// sealed, merged, or written anew for this alone when all that is in it is old enough.
//
// There is no limit of series for one metric: a histogram of a large fleet is many, and a mistake
// of one sender meets the limit of all. What is refused is counted by metric; the values are not
// summed up in a series of their own, since a sum over what is a gauge to one and a counter to
// another is a number that means nothing. Labels of all series together have a bound of their own,
// limits::labels_bytes_per_series for each series that there may be; what would be above it is
// refused and counted likewise. A store that has more already, or that was told to take fewer
// series, starts with all that it has.
//
//   invariant: what append() acknowledged is in the log or in a part, whenever the process dies
//   invariant: a series' id never changes, over restarts too, as long as it has a sample
//   invariant: what cannot be read is left out and counted, see stats(); it stops neither a start
//              nor the reads of the rest
//
// Threads: any; stats() too. One writes at a time (series, append, seal, expire wait for one
// another, but for the long part of a seal); readers go on together, and wait for a writer only
// while it puts points into memory. A thread of its own seals, another merges and expires.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
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
#include "collector/arrivals.h"
#include "collector/head.h"
#include "collector/index.h"
#include "collector/log.h"
#include "collector/part.h"
#include "collector/query.h"
#include "collector/store_clock.h"
#include "collector/tiers.h"
#include "store/durable.h"

namespace tallymill::collector {

class Store final : public Source {
 public:
  struct Options {
    std::uint32_t series = limits::store_series;
    std::chrono::hours retention = limits::retention;
    std::uint64_t seal_log_bytes = limits::seal_log_bytes;
    std::uint64_t log_bytes = limits::log_bytes;
    std::uint32_t ids = limits::series_ids;
    std::uint64_t part_bytes = limits::part_bytes;
    std::uint64_t merged_part_bytes = limits::merged_part_bytes;
    std::vector<Tier> tiers = {{limits::own_tier_after, limits::own_tier_step}};
    bool background = true;        // false: who calls seals and expires
    const Clock* clock = nullptr;  // null: the system's. REQUIRES: it outlives the store
  };
  struct Stats {
    std::uint64_t series = 0;
    std::uint64_t series_ids = 0;            // that were given, which is bounded for ever
    std::uint64_t largest_labels_bytes = 0;  // of one series, so far
    std::uint64_t labels_bytes = 0;          // of all that are there
    std::uint64_t dropped_series = 0;        // of which no sample was left
    // Asked for above the limit, by metric; those of too many metrics under "".
    std::map<std::string, std::uint64_t> refused_series;
    std::uint64_t clock_jumps = 0;     // that put expiry off
    std::uint64_t future_samples = 0;  // further ahead than limits::future; they are kept
    std::uint64_t head_samples = 0;    // not sealed
    std::uint64_t sealed_samples = 0;
    std::uint64_t parts = 0;
    std::uint64_t part_bytes = 0;
    std::uint64_t largest_part_bytes = 0;
    std::uint64_t log_bytes = 0;
    std::uint64_t list_bytes = 0;  // of the list of series
    std::uint64_t seals = 0;
    std::uint64_t failed_seals = 0;
    std::uint64_t merges = 0;
    std::uint64_t failed_merges = 0;
    std::uint64_t thinned_parts = 0;
    std::uint64_t damaged_parts = 0;   // put aside at the start, as FILE.damaged
    std::uint64_t damaged_blocks = 0;  // each time one is left out of a read
    std::uint64_t snapshots = 0;       // that lie in its folder; what others removed, a bit later
    Log::Replayed replayed;
  };

  // Makes the folder if it is not there, and replays. busy: another process has it open. version: a
  // newer program wrote it, and nothing in it is touched. disk: it cannot be read or written.
  [[nodiscard]] static Result<std::unique_ptr<Store>> open(std::filesystem::path folder,
                                                           const Options& options);
  ~Store() override;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // The id of these labels, a new one if they have none. too_big: there are as many series, or
  // bytes of their labels, as there may be, or these labels are too long; those that are there go
  // on. Who made a series first says whose it is. Who keeps the id asks again when drops() has
  // changed.
  [[nodiscard]] Result<SeriesId> series(const Labels& labels, Origin origin = Origin::other);

  // Changes when series were forgotten.
  [[nodiscard]] std::uint64_t drops() const { return drops_.load(std::memory_order_acquire); }

  // Acknowledged, and visible to the next read, when it returns; else nothing of it is stored.
  // bad_params: a series is none of this store. disk: there may be room later. busy: nothing could
  // be sealed for long, and what is not sealed would not fit into memory; or a series was forgotten
  // since it was asked for. corrupt: a sync failed; nothing is accepted until the head is sealed.
  [[nodiscard]] Status append(std::span<const Point> points);

  // Tells it of what is made, comes and is forgotten from now on; null: nobody. When this returns,
  // the one before is told nothing any more.
  void listen(ArrivalListener* listener);

  // Source. read(): not_found for a series that is none of this store; too_big: it has more samples
  // there than limits::query_samples.
  [[nodiscard]] Result<std::vector<Found>> select(std::span<const Matcher> matchers,
                                                  std::int64_t from_ms,
                                                  std::int64_t to_ms) const override;
  [[nodiscard]] Status read(SeriesId series, std::int64_t from_ms, std::int64_t to_ms,
                            Column& into) const override;
  [[nodiscard]] Status read_last(SeriesId series, std::int64_t from_ms, std::int64_t to_ms,
                                 Column& into) const override;
  [[nodiscard]] Result<bool> has_samples(SeriesId series, std::int64_t from_ms,
                                         std::int64_t to_ms) const override;
  // As Index.
  [[nodiscard]] std::vector<std::string> names(std::span<const Matcher> matchers = {}) const;
  [[nodiscard]] std::vector<std::string> values(std::string_view name,
                                                std::span<const Matcher> matchers = {}) const;
  [[nodiscard]] std::vector<std::pair<std::string, std::size_t>> values_per_name() const;
  [[nodiscard]] Index::Cardinality cardinality(std::size_t most) const;
  // The times of its first and last sample; nothing when it has none.
  struct Span {
    std::int64_t first_ms;
    std::int64_t last_ms;
  };
  [[nodiscard]] std::optional<Span> span() const;

  // Seals what is in the head now. disk, corrupt: it is still in the head and in the log.
  [[nodiscard]] Status seal();
  // Merges parts while there are some to merge; how many went. `whole`: all into one, as far as
  // sizes allow. Parts with damage are left as they are. disk, corrupt: as seal(); no part is lost.
  [[nodiscard]] Result<std::size_t> merge(bool whole = false);
  // Drops parts that are too old; how many. Forgets series of which no sample is left, unless they
  // were asked for since the last time.
  std::size_t expire();
  // Writes parts anew that a tier is to thin; how many. disk, corrupt: as seal(); no part is lost.
  [[nodiscard]] Result<std::size_t> thin();
  // A copy of all that is acknowledged, in a folder of its own below this one, that another store
  // can open; its path. Parts are links to those here, which nobody writes to. too_big: as many as
  // there may be are there, and none of them is removed for it. busy: another is being made. disk,
  // corrupt: there is none.
  [[nodiscard]] Result<std::filesystem::path> snapshot();
  // What is acknowledged is on the disk. corrupt: it is not.
  [[nodiscard]] Status sync();

  [[nodiscard]] Stats stats() const;

 private:
  using Parts = std::vector<std::shared_ptr<const Part>>;
  using Reading = std::shared_lock<std::shared_mutex>;
  using Writing = std::unique_lock<std::shared_mutex>;

  Store(std::filesystem::path folder, const Options& options, store::File lock);
  enum class Wanted : std::uint8_t { all, last, any };
  [[nodiscard]] Status read(Wanted wanted, SeriesId series, std::int64_t from_ms,
                            std::int64_t to_ms, Column& into) const;
  [[nodiscard]] Status open_parts();
  [[nodiscard]] Status replay();
  void name_lost();
  [[nodiscard]] bool has_room(const Labels& labels) const;  // REQUIRES: writer_mutex_ is held
  [[nodiscard]] std::string why_no_room() const;            // as above
  [[nodiscard]] Error refused(const Labels& labels);        // as above
  [[nodiscard]] Status check(std::span<const Point> points) const;  // as above

  [[nodiscard]] Status freeze();
  [[nodiscard]] Result<std::shared_ptr<const Part>> write_part(const Head& head);
  [[nodiscard]] Status add(PartWriter& writer, SeriesId series, Column& samples,
                           std::int64_t now_ms) const;
  [[nodiscard]] PartSource joined(std::span<const std::shared_ptr<const Part>> parts) const;
  [[nodiscard]] std::size_t mergeable(const Parts& parts, bool whole) const;
  [[nodiscard]] Result<bool> rewrite(std::span<const std::shared_ptr<const Part>> parts);
  [[nodiscard]] std::shared_ptr<const Parts> parts() const;
  [[nodiscard]] Status copy_to(const std::filesystem::path& folder);
  void remove_torn_snapshots();
  void count_snapshots();
  void drop_dead();  // REQUIRES: merge_mutex_ is held
  [[nodiscard]] std::vector<SeriesId> dead(std::vector<bool>& used);
  void shorten_list();                  // REQUIRES: writer_mutex_ is held
  [[nodiscard]] Status rewrite_list();  // as above
  [[nodiscard]] Reading reading() const;
  [[nodiscard]] Writing writing() const;
  [[nodiscard]] const Clock& system_clock() const;
  [[nodiscard]] std::int64_t now_ms() const;
  void run_seals();
  void run_merges();
  void look_after();

  const std::filesystem::path folder_;
  const Options options_;
  const Tiers tiers_;
  const SystemClock system_clock_;
  StoreClock clock_;
  store::File lock_;  // held as long as this process has the folder open

  // Whoever takes several takes them in this order.
  std::mutex snapshot_mutex_;        // guards how many there are: one is made at a time
  std::mutex merge_mutex_;           // guards merging, thinning and expiring
  std::set<std::uint64_t> damaged_;  // numbers of parts that have damage and stay as they are

  std::mutex seal_mutex_;  // guards sealing: next_part_, frozen_segment_
  std::uint64_t next_part_ = 1;
  std::uint64_t frozen_segment_ = 0;

  mutable std::mutex writer_mutex_;  // guards the log and which series it has
  std::unique_ptr<Log> log_;
  SeriesId pending_first_;
  std::vector<Definition> pending_;  // series that no append() has written yet
  std::map<std::string, std::uint64_t> refused_series_;
  std::uint64_t largest_labels_bytes_ = 0;
  std::uint64_t dead_in_list_ = 0;  // at least so many series in it have died
  std::int64_t head_since_ms_ = 0;  // its first sample came then
  ArrivalListener* listener_ = nullptr;

  // The system's lock lets readers pass a writer that waits, for ever if they never pause: a writer
  // holds the turn while it waits, and a reader must have had it.
  mutable std::mutex turn_;
  mutable std::shared_mutex state_;  // guards what reads see
  Index index_;                      // written with writer_mutex_ held too
  std::unique_ptr<Head> head_;
  std::shared_ptr<const Head> frozen_;  // is being sealed
  std::shared_ptr<const Parts> parts_;  // the oldest first

  std::atomic<std::uint64_t> drops_ = 0;
  std::atomic<std::uint64_t> dropped_series_ = 0;
  std::atomic<std::uint64_t> future_samples_ = 0;
  mutable std::atomic<std::uint64_t> damaged_blocks_ = 0;
  std::atomic<std::uint64_t> seals_ = 0;
  std::atomic<std::uint64_t> failed_seals_ = 0;
  std::atomic<std::uint64_t> merges_ = 0;
  std::atomic<std::uint64_t> failed_merges_ = 0;
  std::atomic<std::uint64_t> thinned_parts_ = 0;
  std::atomic<std::uint64_t> snapshots_ = 0;
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
