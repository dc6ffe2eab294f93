#include "collector/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <system_error>

#include "base/check.h"
#include "base/thread.h"
#include "collector/columns.h"

namespace tallymill::collector {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t first_of_all = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t last_of_all = std::numeric_limits<std::int64_t>::max();

fs::path part_path(const fs::path& folder, std::uint64_t number) {
  std::string name = std::to_string(number);
  name.insert(0, name.size() < 10 ? 10 - name.size() : 0, '0');
  return folder / "parts" / (name + ".part");
}

std::uint64_t number_of(const fs::path& file) {
  const std::string name = file.stem().string();
  std::uint64_t number = 0;
  std::from_chars(name.data(), name.data() + name.size(), number);
  return number;
}

}  // namespace

Store::Store(fs::path folder, const Options& options, store::File lock)
    : folder_(std::move(folder)),
      options_(options),
      lock_(std::move(lock)),
      head_(std::make_unique<Head>()) {}

Result<std::unique_ptr<Store>> Store::open(fs::path folder, const Options& options) {
  std::error_code cause;
  fs::create_directories(folder / "parts", cause);
  if (cause) return fail(Errc::disk, "make folder " + folder.string() + ": " + cause.message());
  const fs::path home = folder / "lock";
  store::File lock(::open(home.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
  if (!lock) return store::disk_error("open", home);
  if (::flock(lock.fd(), LOCK_EX | LOCK_NB) != 0)
    return fail(Errc::busy, "another process has " + folder.string() + " open");
  std::unique_ptr<Store> store(new Store(std::move(folder), options, std::move(lock)));
  if (auto done = store->open_parts(); !done) return std::unexpected(std::move(done).error());
  if (auto done = store->replay(); !done) return std::unexpected(std::move(done).error());
  if (options.background) {
    store->seals_thread_ = std::thread([raw = store.get()] { raw->run_seals(); });
    store->merges_thread_ = std::thread([raw = store.get()] { raw->run_merges(); });
  }
  return store;
}

Store::~Store() {
  if (!seals_thread_.joinable()) return;
  {
    const std::lock_guard guard(wake_mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  seals_thread_.join();
  merges_thread_.join();
}

// ---- start ----

Status Store::open_parts() {
  std::vector<fs::path> files;
  std::error_code cause;
  for (fs::directory_iterator at(folder_ / "parts", cause), end; !cause && at != end;
       at.increment(cause)) {
    const fs::path& file = at->path();
    // What a crash left half-written is in the log too.
    if (file.extension() == ".new") ::unlink(file.c_str());
    next_part_ = std::max(next_part_, number_of(file) + 1);
    if (file.extension() == ".part") files.push_back(file);
  }
  if (cause) return fail(Errc::disk, "read folder " + folder_.string() + ": " + cause.message());
  // A name that is not durable yet must be, before the log that it replaces goes.
  if (auto synced = store::sync_folder(folder_ / "parts"); !synced) return synced;
  std::ranges::sort(files, {}, number_of);
  auto parts = std::make_shared<Parts>();
  for (const fs::path& file : files) {
    auto part = Part::open(file);
    if (part) {
      parts->push_back(*std::move(part));
    } else if (part.error().code == Errc::corrupt) {
      ++damaged_parts_;
      fs::path aside = file;
      aside += ".damaged";
      if (::rename(file.c_str(), aside.c_str()) != 0) return store::disk_error("rename", file);
    } else {
      return std::unexpected(std::move(part).error());
    }
  }
  parts_ = std::move(parts);
  return {};
}

Status Store::replay() {
  Log::Sealed sealed;
  for (const auto& part : *parts_) {
    sealed.segment = std::max(sealed.segment, part->info().segment);
    sealed.series = std::max(sealed.series, part->info().series);
  }
  const Log::Listener listener{[this](SeriesId id, const Labels& labels) {
                                 Labels own = labels;
                                 // Only a damaged list says one twice; its samples are kept under a
                                 // name that says so.
                                 for (LabelsBuilder other(labels); index_.find(own.packed());) {
                                   other.set("again",
                                             other.build().get("again").empty()
                                                 ? std::to_string(id.raw())
                                                 : std::string(other.build().get("again")) + "x");
                                   own = other.build();
                                 }
                                 TM_CHECK(index_.add(own) == id);
                               },
                               [this](std::span<const Point> points) {
                                 for (const Point& point : points) head_->add(point);
                               }};
  auto log = Log::open(folder_ / "log", sealed, listener);
  if (!log) return std::unexpected(std::move(log).error());
  log_ = *std::move(log);
  pending_first_ = SeriesId(static_cast<std::uint32_t>(index_.size()));
  return {};
}

// ---- writing ----

Result<SeriesId> Store::series(const Labels& labels) {
  const std::lock_guard writer(writer_mutex_);
  if (const auto known = index_.find(labels.packed())) return *known;
  if (labels.packed().size() > limits::series_labels_bytes)
    return fail(Errc::too_big, "labels of a series have at most " +
                                   std::to_string(limits::series_labels_bytes) + " bytes");
  if (index_.size() - empty_series_ >= options_.series || index_.size() >= limits::series_ids) {
    refused_series_.fetch_add(1, std::memory_order_relaxed);
    return fail(Errc::too_big, "there are " + std::to_string(index_.size() - empty_series_) +
                                   " series, which is the limit; those go on");
  }
  const Writing lock = writing();
  pending_.push_back(labels);
  return index_.add(labels);
}

Status Store::append(std::span<const Point> points) {
  const std::lock_guard writer(writer_mutex_);
  for (const Point& point : points)
    if (point.series.raw() >= index_.size())
      return fail(Errc::bad_params,
                  "there is no series " + std::to_string(point.series.raw()) + " in this store");
  const std::uint64_t bytes = log_->bytes();
  const bool full = bytes >= options_.log_bytes;
  if (bytes >= options_.seal_log_bytes || log_->failed()) {
    {
      const std::lock_guard guard(wake_mutex_);
      seal_wanted_ = true;
    }
    wake_.notify_all();
  }
  if (full) return fail(Errc::busy, "the log is full: it waits for what it has to be sealed");
  if (auto logged = log_->append(pending_first_, pending_, points); !logged) return logged;
  pending_first_ += SeriesId(static_cast<std::uint32_t>(pending_.size()));
  pending_.clear();
  const Writing lock = writing();
  for (const Point& point : points) head_->add(point);
  return {};
}

Status Store::sync() {
  const std::lock_guard writer(writer_mutex_);
  return log_->sync();
}

// ---- reading ----

Store::Reading Store::reading() const {
  const std::lock_guard turn(turn_);
  return Reading(state_);
}

Store::Writing Store::writing() const {
  const std::lock_guard turn(turn_);
  return Writing(state_);
}

Result<std::vector<Source::Found>> Store::select(std::span<const Matcher> matchers,
                                                 std::int64_t /*from_ms*/,
                                                 std::int64_t /*to_ms*/) const {
  std::vector<Found> found;
  const MatchingTime time;
  const Reading lock = reading();
  for (const SeriesId id : index_.select(matchers)) found.push_back({id, index_.labels(id)});
  if (auto still = time.check(); !still) return std::unexpected(std::move(still).error());
  return found;
}

Status Store::read(SeriesId series, std::int64_t from_ms, std::int64_t to_ms, Column& into) const {
  static thread_local Column fresh;
  fresh.clear();
  into.clear();
  std::shared_ptr<const Parts> parts;
  {
    const Reading lock = reading();
    if (series.raw() >= index_.size())
      return fail(Errc::not_found, "there is no series " + std::to_string(series.raw()));
    parts = parts_;
    if (frozen_) frozen_->read(series, from_ms, to_ms, fresh);
    head_->read(series, from_ms, to_ms, fresh);
  }
  std::uint64_t damaged = 0;
  for (const auto& part : *parts) damaged += part->read(series, from_ms, to_ms, into);
  if (damaged != 0) damaged_blocks_.fetch_add(damaged, std::memory_order_relaxed);
  into.t_ms.insert(into.t_ms.end(), fresh.t_ms.begin(), fresh.t_ms.end());
  into.value.insert(into.value.end(), fresh.value.begin(), fresh.value.end());
  put_in_order(into);
  return {};
}

std::vector<std::string> Store::names(std::span<const Matcher> matchers) const {
  const Reading lock = reading();
  return index_.names(matchers);
}

std::vector<std::string> Store::values(std::string_view name,
                                       std::span<const Matcher> matchers) const {
  const Reading lock = reading();
  return index_.values(name, matchers);
}

std::vector<std::pair<std::string, std::size_t>> Store::values_per_name() const {
  const Reading lock = reading();
  return index_.values_per_name();
}

Store::Stats Store::stats() const {
  Stats stats;
  {
    const std::lock_guard writer(writer_mutex_);
    stats.log_bytes = log_->bytes();
    stats.replayed = log_->replayed();
    stats.empty_series = empty_series_;
  }
  const Reading lock = reading();
  stats.series = index_.size();
  stats.head_samples = head_->samples() + (frozen_ ? frozen_->samples() : 0);
  stats.parts = parts_->size();
  for (const auto& part : *parts_) {
    stats.sealed_samples += part->info().samples;
    stats.part_bytes += part->bytes();
  }
  stats.refused_series = refused_series_;
  stats.damaged_blocks = damaged_blocks_;
  stats.damaged_parts = damaged_parts_;
  stats.seals = seals_;
  stats.failed_seals = failed_seals_;
  stats.merges = merges_;
  return stats;
}

// ---- sealing ----

// Points go into a new head and a new segment from here on; nothing to do when a seal that failed
// has left one frozen.
Status Store::freeze() {
  const std::lock_guard writer(writer_mutex_);
  if (frozen_ != nullptr || (head_->empty() && !log_->failed())) return {};
  auto ended = log_->rotate();
  if (!ended) return std::unexpected(std::move(ended).error());
  frozen_segment_ = *ended;
  auto next = std::make_unique<Head>();
  const Writing lock = writing();
  frozen_ = std::exchange(head_, std::move(next));
  return {};
}

Result<std::shared_ptr<const Part>> Store::write_part(const Head& head, std::uint64_t segment) {
  auto writer = PartWriter::create(part_path(folder_, next_part_));
  if (!writer) return std::unexpected(std::move(writer).error());
  Column samples;
  for (std::uint32_t id = 0; id < head.series(); ++id) {
    samples.clear();
    head.read(SeriesId(id), first_of_all, last_of_all, samples);
    if (samples.size() == 0) continue;
    put_in_order(samples);
    if (auto added = writer->add(SeriesId(id), samples); !added)
      return std::unexpected(std::move(added).error());
  }
  return writer->finish(now_ms(), segment);
}

Status Store::seal() {
  const std::lock_guard sealing(seal_mutex_);
  if (auto frozen = freeze(); !frozen) return frozen;
  const std::shared_ptr<const Head> head = frozen_;
  if (head == nullptr) return {};
  std::shared_ptr<const Part> part;
  if (!head->empty()) {
    auto written = write_part(*head, frozen_segment_);
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

// ---- merging ----

// How many parts at the end of the list are to be made one; 0: none.
std::size_t Store::mergeable(const Parts& parts, bool whole) const {
  std::size_t count = 0;
  std::uint64_t bytes = 0;
  std::int64_t first = last_of_all;
  std::int64_t last = first_of_all;
  const std::int64_t longest =
      std::chrono::duration_cast<std::chrono::milliseconds>(options_.retention).count() /
      limits::parts_per_retention;
  for (; count < parts.size(); ++count) {
    const Part& part = *parts[parts.size() - 1 - count];
    bytes += part.bytes();
    first = std::min(first, part.info().first_ms);
    last = std::max(last, part.info().last_ms);
    const auto span = static_cast<std::uint64_t>(last) - static_cast<std::uint64_t>(first);
    if (number_of(part.file()) <= unmerged_ || bytes > limits::merged_part_bytes ||
        span > static_cast<std::uint64_t>(longest))
      break;
  }
  if (whole) return count > 1 ? count : 0;
  if (count < limits::merged_parts) return 0;
  // About one size: the oldest of them is no larger than the others together.
  const std::size_t size = parts[parts.size() - limits::merged_parts]->bytes();
  std::uint64_t others = 0;
  for (std::size_t i = 1; i < limits::merged_parts; ++i) others += parts[parts.size() - i]->bytes();
  return size <= others ? limits::merged_parts : 0;
}

Status Store::merge_last(const Parts& parts, std::size_t count) {
  const std::span<const std::shared_ptr<const Part>> merged = std::span(parts).last(count);
  PartInfo all;
  for (const auto& part : merged) {
    all.series = std::max(all.series, part->info().series);
    all.made_ms = std::max(all.made_ms, part->info().made_ms);
    all.segment = std::max(all.segment, part->info().segment);
  }
  const std::uint64_t number = number_of(merged.back()->file());
  auto writer = PartWriter::create(part_path(folder_, number));
  if (!writer) return std::unexpected(std::move(writer).error());
  Column samples;
  std::uint64_t damaged = 0;
  for (std::uint32_t id = 0; id < all.series && damaged == 0; ++id) {
    samples.clear();
    for (const auto& part : merged)
      damaged += part->read(SeriesId(id), first_of_all, last_of_all, samples);
    if (samples.size() == 0) continue;
    put_in_order(samples);
    if (auto added = writer->add(SeriesId(id), samples); !added) return added;
  }
  // Without what is damaged it would look whole.
  if (damaged != 0) {
    unmerged_ = number;
    return {};
  }
  // In the place of the newest: of the others nothing is lost if they are still there at a start.
  auto part = writer->finish(all.made_ms, all.segment);
  if (!part) return std::unexpected(std::move(part).error());
  {
    const Writing lock = writing();
    // Only seals changed the list since, and they add behind.
    Parts next = *parts_;
    const auto at = std::ranges::find(next, merged.front());
    TM_CHECK(at != next.end());
    *at = *std::move(part);
    next.erase(at + 1, at + static_cast<std::ptrdiff_t>(count));
    parts_ = std::make_shared<const Parts>(std::move(next));
  }
  for (const auto& old : merged.first(count - 1)) ::unlink(old->file().c_str());
  merges_.fetch_add(1, std::memory_order_relaxed);
  return {};
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
    const std::uint64_t before = merges_;
    if (auto merged = merge_last(*now, count); !merged)
      return std::unexpected(std::move(merged).error().in("store: merge"));
    if (merges_ != before) gone += count - 1;
  }
}

std::size_t Store::expire() {
  const std::lock_guard merging(merge_mutex_);
  const std::int64_t oldest =
      now_ms() - std::chrono::duration_cast<std::chrono::milliseconds>(options_.retention).count();
  Parts expired;
  {
    const Writing lock = writing();
    Parts kept;
    for (const auto& part : *parts_) {
      const bool old = part->info().last_ms < oldest && part->info().made_ms < oldest;
      (old ? expired : kept).push_back(part);
    }
    if (!expired.empty()) parts_ = std::make_shared<const Parts>(std::move(kept));
  }
  // Reads that are under way have them mapped still.
  for (const auto& part : expired) ::unlink(part->file().c_str());
  count_empty();
  return expired.size();
}

void Store::count_empty() {
  std::vector<bool> used;
  const auto mark = [&](std::span<const std::shared_ptr<const Part>> parts) {
    for (const auto& part : parts) {
      used.resize(std::max<std::size_t>(used.size(), part->info().series));
      part->mark(used);
    }
  };
  const std::shared_ptr<const Parts> before = parts();
  mark(*before);
  const std::lock_guard writer(writer_mutex_);
  const Reading lock = reading();
  // What was sealed meanwhile.
  mark(std::span(*parts_).subspan(before->size()));
  used.resize(std::max(used.size(), index_.size()));
  head_->mark(used);
  if (frozen_) frozen_->mark(used);
  // Made, and about to be appended to.
  for (std::size_t id = pending_first_.raw(); id < index_.size(); ++id) used[id] = true;
  empty_series_ = static_cast<std::size_t>(
      std::count(used.begin(), used.begin() + static_cast<std::ptrdiff_t>(index_.size()), false));
}

std::int64_t Store::now_ms() const {
  const Clock& clock = options_.clock != nullptr ? *options_.clock : system_clock_;
  return to_ns(clock.wall()) / 1'000'000;
}

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
    // One that fails is made up for after the next seal.
    (void)merge();
    if (std::chrono::steady_clock::now() >= next_look) {
      expire();
      next_look = std::chrono::steady_clock::now() + limits::retention_look;
    }
    lock.lock();
  }
}

}  // namespace tallymill::collector
