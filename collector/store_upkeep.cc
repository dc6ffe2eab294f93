// What a store does by itself: it seals, merges, thins and expires, and forgets series that died.
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"
#include "base/thread.h"
#include "collector/columns.h"
#include "collector/store.h"
#include "collector/store_files.h"

namespace tallymill::collector {
namespace {

constexpr std::int64_t first_of_all = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t last_of_all = std::numeric_limits<std::int64_t>::max();
// Series that are forgotten while readers wait.
constexpr std::size_t dropped_at_once = 10'000;

std::int64_t ms_of(std::chrono::milliseconds time) { return time.count(); }

}  // namespace

// ---- sealing ----

// Points go into a new head and a new segment from here on, unless a seal that failed has left one
// frozen; and what is to be sealed can rely on the list of series. Where it waits for the disk,
// writers do not.
Status Store::freeze() {
  {
    const std::lock_guard writer(writer_mutex_);
    if (frozen_ == nullptr && head_->empty() && !log_->failed()) return {};
    if (log_->list_failed())
      if (auto listed = rewrite_list(); !listed) return listed;
  }
  if (frozen_ == nullptr) {
    if (auto prepared = log_->prepare(); !prepared) return prepared;
    auto next = std::make_unique<Head>();
    const std::lock_guard writer(writer_mutex_);
    frozen_segment_ = log_->rotate();
    const Writing lock = writing();
    frozen_ = std::exchange(head_, std::move(next));
  }
  return log_->settle();
}

// Samples of one series, in any order.
Status Store::add(PartWriter& writer, SeriesId series, Column& samples, std::int64_t now_ms) const {
  put_in_order(samples);
  Origin origin = Origin::other;
  {
    const Reading lock = reading();
    if (index_.has(series)) origin = index_.origin(series);
  }
  if (origin == Origin::own_bus) tiers_.thin(samples, now_ms);
  return writer.add(series, samples, origin);
}

Result<std::shared_ptr<const Part>> Store::write_part(const Head& head) {
  auto writer = PartWriter::create(part_path(folder_, next_part_), options_.part_bytes);
  if (!writer) return std::unexpected(std::move(writer).error());
  const std::int64_t now = now_ms();
  Column samples;
  for (const SeriesId id : head.series()) {
    samples.clear();
    head.read(id, first_of_all, last_of_all, samples);
    if (auto added = add(*writer, id, samples, now); !added)
      return std::unexpected(std::move(added).error());
  }
  const std::int64_t made = clock_.look().latest_ms;
  return writer->finish({made, made, frozen_segment_, 0});
}

Status Store::seal() {
  const std::lock_guard sealing(seal_mutex_);
  if (auto frozen = freeze(); !frozen) return frozen;
  const std::shared_ptr<const Head> head = frozen_;
  if (head == nullptr) return {};
  std::shared_ptr<const Part> part;
  if (!head->empty()) {
    auto written = write_part(*head);
    if (!written) {
      failed_seals_.fetch_add(1, std::memory_order_relaxed);
      return std::unexpected(std::move(written).error().in("store: seal"));
    }
    part = *std::move(written);
    ++next_part_;
  }
  {
    const Writing lock = writing();
    auto parts = std::make_shared<Parts>(*parts_);
    if (part) parts->push_back(std::move(part));
    parts_ = std::move(parts);
    frozen_.reset();
  }
  seals_.fetch_add(1, std::memory_order_relaxed);
  const std::lock_guard writer(writer_mutex_);
  log_->drop(frozen_segment_);
  return {};
}

// ---- merging and thinning ----

// How many parts at the end of the list are to be made one; 0: none. Times are those at which
// samples came, not their timestamps: one sender whose clock is wrong would keep all from merging.
std::size_t Store::mergeable(const Parts& parts, bool whole) const {
  std::size_t count = 0;
  std::uint64_t bytes = 0;
  const std::int64_t longest = ms_of(options_.retention) / limits::parts_per_retention;
  for (; count < parts.size(); ++count) {
    const Part& part = *parts[parts.size() - 1 - count];
    bytes += part.bytes();
    if (damaged_.contains(part_number(part.file())) || bytes > options_.merged_part_bytes ||
        parts.back()->info().made_ms - part.info().oldest_ms > longest)
      break;
  }
  if (whole) return count > 1 ? count : 0;
  if (count < limits::merged_parts) return 0;
  // About one size: the oldest of them is no larger than the others together.
  const std::uint64_t size = parts[parts.size() - limits::merged_parts]->bytes();
  std::uint64_t others = 0;
  for (std::size_t i = 1; i < limits::merged_parts; ++i) others += parts[parts.size() - i]->bytes();
  return size <= others ? limits::merged_parts : 0;
}

PartSource Store::joined(std::span<const std::shared_ptr<const Part>> parts) const {
  PartSource all{first_of_all, last_of_all, 0, 0};
  for (const auto& part : parts) {
    all.made_ms = std::max(all.made_ms, part->info().made_ms);
    all.oldest_ms = std::min(all.oldest_ms, part->info().oldest_ms);
    all.segment = std::max(all.segment, part->info().segment);
  }
  return all;
}

// Writes these, which are neighbours in the list, as one, thinned; false: there is damage in them,
// without which it would look whole.
Result<bool> Store::rewrite(std::span<const std::shared_ptr<const Part>> parts) {
  const std::int64_t now = now_ms();
  PartSource all = joined(parts);
  // A clock that was ahead stamped some of them with a time that has not come.
  all.made_ms = std::min(all.made_ms, clock_.look().latest_ms);
  all.oldest_ms = std::min(all.oldest_ms, all.made_ms);
  all.step_ms = static_cast<std::uint32_t>(tiers_.step_ms(all.made_ms, now));
  std::vector<SeriesId> ids;
  std::uint64_t damaged = 0;
  for (const auto& part : parts) damaged += part->list(ids) ? 0 : 1;
  std::ranges::sort(ids);
  ids.erase(std::ranges::unique(ids).begin(), ids.end());
  // In the place of the newest: of the others nothing is lost if they are still there at a start.
  auto writer = PartWriter::create(parts.back()->file(), options_.part_bytes);
  if (!writer) return std::unexpected(std::move(writer).error());
  Column samples;
  for (const SeriesId id : ids) {
    samples.clear();
    for (const auto& part : parts) damaged += part->read(id, first_of_all, last_of_all, samples);
    if (damaged != 0) break;
    if (samples.size() == 0) continue;
    if (auto added = add(*writer, id, samples, now); !added)
      return std::unexpected(std::move(added).error());
  }
  if (damaged != 0) {
    for (const auto& part : parts) damaged_.insert(part_number(part->file()));
    return false;
  }
  auto part = writer->finish(all);
  if (!part) return std::unexpected(std::move(part).error());
  {
    const Writing lock = writing();
    // Only seals changed the list since, and they add behind.
    Parts next = *parts_;
    const auto at = std::ranges::find(next, parts.front());
    TM_CHECK(at != next.end());
    *at = *std::move(part);
    next.erase(at + 1, at + static_cast<std::ptrdiff_t>(parts.size()));
    parts_ = std::make_shared<const Parts>(std::move(next));
  }
  for (const auto& old : parts.first(parts.size() - 1)) ::unlink(old->file().c_str());
  return true;
}

std::shared_ptr<const Store::Parts> Store::parts() const {
  const Reading lock = reading();
  return parts_;
}

Result<std::size_t> Store::merge(bool whole) {
  const std::lock_guard merging(merge_mutex_);
  std::size_t gone = 0;
  for (;;) {
    const std::shared_ptr<const Parts> now = parts();
    const std::size_t count = mergeable(*now, whole);
    if (count == 0) return gone;
    const auto merged = rewrite(std::span(*now).last(count));
    if (!merged) {
      failed_merges_.fetch_add(1, std::memory_order_relaxed);
      return std::unexpected(Error(merged.error()).in("store: merge"));
    }
    if (!*merged) continue;
    gone += count - 1;
    merges_.fetch_add(1, std::memory_order_relaxed);
  }
}

Result<std::size_t> Store::thin() {
  const std::lock_guard merging(merge_mutex_);
  std::size_t thinned = 0;
  const std::shared_ptr<const Parts> now = parts();
  for (std::size_t i = 0; i < now->size(); ++i) {
    const PartInfo& info = (*now)[i]->info();
    if (info.own_samples == 0 || damaged_.contains(part_number((*now)[i]->file())) ||
        tiers_.step_ms(info.made_ms, now_ms()) <= info.step_ms)
      continue;
    const auto rewritten = rewrite(std::span(*now).subspan(i, 1));
    if (!rewritten) {
      failed_merges_.fetch_add(1, std::memory_order_relaxed);
      return std::unexpected(Error(rewritten.error()).in("store: thin"));
    }
    if (!*rewritten) continue;
    ++thinned;
    thinned_parts_.fetch_add(1, std::memory_order_relaxed);
  }
  return thinned;
}

// ---- expiring ----

std::size_t Store::expire() {
  const std::lock_guard merging(merge_mutex_);
  const std::int64_t oldest = clock_.look().earliest_ms - ms_of(options_.retention);
  Parts expired;
  {
    const Writing lock = writing();
    Parts kept;
    for (const auto& part : *parts_)
      (part->info().made_ms < oldest ? expired : kept).push_back(part);
    if (!expired.empty()) parts_ = std::make_shared<const Parts>(std::move(kept));
  }
  // Reads that are under way have them open still.
  for (const auto& part : expired) {
    ::unlink(part->file().c_str());
    damaged_.erase(part_number(part->file()));
  }
  drop_dead();
  count_snapshots();
  return expired.size();
}

void Store::drop_dead() {
  // What takes long is looked at while others write.
  std::vector<bool> used;
  std::uint32_t unknown = 0;  // ids below this may be in a part that does not say which it has
  const auto mark = [&](std::span<const std::shared_ptr<const Part>> parts) {
    for (const auto& part : parts) {
      used.resize(std::max<std::size_t>(used.size(), part->info().series));
      if (!part->mark(used)) unknown = std::max(unknown, part->info().series);
    }
  };
  const std::shared_ptr<const Parts> before = parts();
  mark(*before);
  const std::lock_guard writer(writer_mutex_);
  {
    const Reading lock = reading();
    mark(std::span(*parts_).subspan(before->size()));  // what was sealed meanwhile
    used.resize(std::max<std::size_t>(used.size(), index_.next()));
    std::fill_n(used.begin(), unknown, true);
    head_->mark(used);
    if (frozen_) frozen_->mark(used);
  }
  const std::vector<SeriesId> died = dead(used);
  if (died.empty()) return;
  for (std::size_t at = 0; at < died.size(); at += dropped_at_once) {
    const Writing lock = writing();
    index_.remove(std::span(died).subspan(at, std::min(dropped_at_once, died.size() - at)));
  }
  if (listener_ != nullptr) listener_->forgotten(died);
  drops_.fetch_add(1, std::memory_order_release);
  dropped_series_.fetch_add(died.size(), std::memory_order_relaxed);
  dead_in_list_ += died.size();
  shorten_list();
}

// Those without a sample, unless somebody asked for them since the last look and is about to append
// to them, or nobody has appended anything since they were made.
std::vector<SeriesId> Store::dead(std::vector<bool>& used) {
  std::vector<SeriesId> died;
  for (const SeriesId id : index_.all()) {
    if (!used[id.raw()] && !index_.is_marked(id) && id < pending_first_) died.push_back(id);
    index_.mark(id, false);
  }
  return died;
}

void Store::shorten_list() {
  if (dead_in_list_ < limits::dead_series || dead_in_list_ < index_.size()) return;
  // One that fails is made up for at the next look.
  (void)rewrite_list();
}

Status Store::rewrite_list() {
  Log::Listed alive;
  for (const SeriesId id : index_.all())
    if (id < pending_first_)
      alive.emplace_back(id, Definition{index_.labels(id), index_.origin(id)});
  auto written = log_->rewrite_list(alive, pending_first_.raw());
  if (written) dead_in_list_ = 0;
  return written;
}

// ---- threads ----

void Store::run_seals() {
  name_thread("store-seal");
  std::unique_lock lock(wake_mutex_);
  for (;;) {
    wake_.wait(lock, [&] { return stopping_ || seal_wanted_; });
    if (stopping_) return;
    seal_wanted_ = false;
    lock.unlock();
    const bool sealed = seal().has_value();
    lock.lock();
    merge_wanted_ = true;
    wake_.notify_all();
    if (!sealed && !wake_.wait_for(lock, limits::seal_again, [&] { return stopping_; }))
      seal_wanted_ = true;
  }
}

void Store::run_merges() {
  name_thread("store-merge");
  auto next_look = std::chrono::steady_clock::now();
  std::unique_lock lock(wake_mutex_);
  for (;;) {
    wake_.wait_until(lock, next_look, [&] { return stopping_ || merge_wanted_; });
    if (stopping_) return;
    merge_wanted_ = false;
    lock.unlock();
    // One that fails is counted, and made up for after the next seal.
    (void)merge();
    if (std::chrono::steady_clock::now() >= next_look) {
      look_after();
      next_look = std::chrono::steady_clock::now() + limits::retention_look;
    }
    lock.lock();
  }
}

void Store::look_after() {
  bool old = false;
  {
    const std::lock_guard writer(writer_mutex_);
    const Reading reading_lock = reading();
    old = !head_->empty() && now_ms() - head_since_ms_ > ms_of(limits::seal_age);
  }
  if (old) (void)seal();
  (void)thin();
  expire();
}

}  // namespace tallymill::collector
