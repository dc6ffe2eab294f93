#include "collector/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <string>
#include <system_error>

#include "base/check.h"
#include "base/thread.h"
#include "collector/columns.h"
#include "collector/store_files.h"
#include "collector/store_format.h"

namespace tallymill::collector {
namespace {

namespace fs = std::filesystem;

// A series whose definition is lost, so that its samples are not.
Labels lost_series(SeriesId id) {
  return Labels::of({{std::string(metric_name), "lost_series"}, {"id", std::to_string(id.raw())}});
}

// How far a clock may be off.
std::chrono::milliseconds tolerance(const Store::Options& options) {
  return std::chrono::milliseconds(options.retention) / limits::parts_per_retention;
}

// The last time at which a part was sealed, but for the newest that are far from those before and
// have not gone on for long: their clock may have been wrong.
std::int64_t last_believed(std::span<const std::shared_ptr<const Part>> parts,
                           std::chrono::milliseconds tolerance) {
  std::size_t first = parts.size() - 1;
  const auto gap = [&] {
    return std::abs(parts[first]->info().oldest_ms - parts[first - 1]->info().made_ms);
  };
  while (first > 0 && gap() <= tolerance.count()) --first;
  const std::int64_t last = parts.back()->info().made_ms;
  const bool long_enough = last - parts[first]->info().oldest_ms >= tolerance.count();
  return first == 0 || long_enough ? last : parts[first - 1]->info().made_ms;
}

}  // namespace

Store::Store(fs::path folder, const Options& options, store::File lock)
    : folder_(std::move(folder)),
      options_(options),
      tiers_(options.tiers),
      clock_(system_clock(), tolerance(options)),
      lock_(std::move(lock)),
      head_(std::make_unique<Head>()) {}

Result<std::unique_ptr<Store>> Store::open(fs::path folder, const Options& options) {
  if (auto made = store::make_folder(folder / "parts"); !made)
    return std::unexpected(std::move(made).error());
  const fs::path home = folder / "lock";
  store::File lock(::open(home.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
  if (!lock) return store::disk_error("open", home);
  if (::flock(lock.fd(), LOCK_EX | LOCK_NB) != 0)
    return fail(Errc::busy, "another process has " + folder.string() + " open");
  if (auto known = check_format(folder); !known) return std::unexpected(std::move(known).error());
  std::unique_ptr<Store> store(new Store(std::move(folder), options, std::move(lock)));
  if (auto done = store->open_parts(); !done) return std::unexpected(std::move(done).error());
  if (auto done = store->replay(); !done) return std::unexpected(std::move(done).error());
  store->remove_torn_snapshots();
  store->count_snapshots();
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
    next_part_ = std::max(next_part_, part_number(file) + 1);
    if (file.extension() == ".part") files.push_back(file);
  }
  if (cause) return fail(Errc::disk, "read folder " + folder_.string() + ": " + cause.message());
  // A name that is not durable yet must be, before the log that it replaces goes.
  if (auto synced = store::sync_folder(folder_ / "parts"); !synced) return synced;
  std::ranges::sort(files, {}, part_number);
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
  if (!parts->empty()) clock_.take_up(last_believed(*parts, tolerance(options_)));
  parts_ = std::move(parts);
  return {};
}

Status Store::replay() {
  Log::Sealed sealed;
  for (const auto& part : *parts_) {
    sealed.segment = std::max(sealed.segment, part->info().segment);
    sealed.series = std::max(sealed.series, part->info().series);
  }
  const Log::Listener listener{[this](SeriesId id, const Definition& series) {
                                 // Told twice, it died and came again.
                                 if (const auto before = index_.find(series.labels.packed()))
                                   index_.remove(std::span(&*before, 1));
                                 index_.put(id, series.labels, series.origin);
                                 largest_labels_bytes_ = std::max<std::uint64_t>(
                                     largest_labels_bytes_, series.labels.packed().size());
                               },
                               [this](std::span<const Point> points) {
                                 for (const Point& point : points) head_->add(point);
                               }};
  auto log = Log::open(folder_ / "log", sealed, listener);
  if (!log) return std::unexpected(std::move(log).error());
  log_ = *std::move(log);
  index_.skip_to(log_->replayed().next_id);
  if (log_->replayed().lost || log_->replayed().damaged != 0) name_lost();
  pending_first_ = SeriesId(index_.next());
  head_since_ms_ = now_ms();
  return {};
}

// Samples whose series' definition is damaged are kept under a name that says so.
void Store::name_lost() {
  std::vector<bool> used(index_.next());
  // Of a part whose directory is damaged nothing can be read anyway.
  for (const auto& part : *parts_) (void)part->mark(used);
  head_->mark(used);
  for (std::uint32_t id = 0; id < used.size(); ++id)
    if (used[id] && !index_.has(SeriesId(id)) && !index_.find(lost_series(SeriesId(id)).packed()))
      index_.put(SeriesId(id), lost_series(SeriesId(id)), Origin::other, true);
}

// ---- writing ----

Result<SeriesId> Store::series(const Labels& labels, Origin origin) {
  const std::lock_guard writer(writer_mutex_);
  if (const auto known = index_.find(labels.packed())) {
    index_.mark(*known, true);
    return *known;
  }
  if (labels.packed().size() > limits::series_labels_bytes)
    return fail(Errc::too_big, "labels of a series have at most " +
                                   std::to_string(limits::series_labels_bytes) + " bytes");
  if (!has_room(labels)) return std::unexpected(refused(labels));
  largest_labels_bytes_ = std::max<std::uint64_t>(largest_labels_bytes_, labels.packed().size());
  pending_.push_back({labels, origin});
  SeriesId id;
  {
    const Writing lock = writing();
    id = index_.add(labels, origin);
    index_.mark(id, true);
  }
  if (listener_ != nullptr) listener_->made(id, labels);
  return id;
}

bool Store::has_room(const Labels& labels) const {
  return index_.size() < options_.series && index_.next() < options_.ids &&
         index_.labels_bytes() + labels.packed().size() <=
             options_.series * limits::labels_bytes_per_series;
}

std::string Store::why_no_room() const {
  if (index_.size() >= options_.series)
    return "there are " + std::to_string(index_.size()) +
           " series, which is the limit; those go on";
  if (index_.next() >= options_.ids)
    return "this store has given out all ids of series that it may; those that are there go on";
  return "all series together have " + std::to_string(index_.labels_bytes()) +
         " bytes of labels, and with this one more than they may; those that are there go on";
}

Error Store::refused(const Labels& labels) {
  auto counted = refused_series_.find(std::string(labels.metric()));
  if (counted == refused_series_.end()) {
    const bool room = refused_series_.size() < limits::overflow_metrics;
    counted = refused_series_.emplace(room ? std::string(labels.metric()) : "", 0).first;
  }
  ++counted->second;
  return {Errc::too_big, why_no_room()};
}

Status Store::check(std::span<const Point> points) const {
  for (const Point& point : points) {
    if (index_.has(point.series)) continue;
    const std::string id = std::to_string(point.series.raw());
    if (point.series.raw() >= index_.next())
      return fail(Errc::bad_params, "there is no series " + id + " in this store");
    return fail(Errc::busy, "series " + id + " was forgotten meanwhile: ask for it again");
  }
  return {};
}

Status Store::append(std::span<const Point> points) {
  const std::lock_guard writer(writer_mutex_);
  if (auto checked = check(points); !checked) return checked;
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
  const std::int64_t now = now_ms();
  const std::int64_t future = now + std::chrono::milliseconds(limits::future).count();
  future_samples_.fetch_add(static_cast<std::uint64_t>(std::ranges::count_if(
                                points, [&](const Point& point) { return point.t_ms > future; })),
                            std::memory_order_relaxed);
  {
    const Writing lock = writing();
    if (head_->empty()) head_since_ms_ = now;
    for (const Point& point : points) head_->add(point);
  }
  if (listener_ != nullptr) listener_->arrived(points);
  return {};
}

void Store::listen(ArrivalListener* listener) {
  const std::lock_guard writer(writer_mutex_);
  listener_ = listener;
}

Status Store::sync() { return log_->sync(); }

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
                                                 std::int64_t from_ms,
                                                 std::int64_t /*to_ms*/) const {
  std::vector<Found> found;
  const std::int64_t step = tiers_.step_ms(from_ms, now_ms());
  const MatchingTime time;
  const Reading lock = reading();
  for (const SeriesId id : index_.select(matchers))
    found.push_back({id, index_.labels(id), index_.origin(id) == Origin::own_bus ? step : 0});
  if (auto still = time.check(); !still) return std::unexpected(std::move(still).error());
  return found;
}

Status Store::read(SeriesId series, std::int64_t from_ms, std::int64_t to_ms, Column& into) const {
  return read(Wanted::all, series, from_ms, to_ms, into);
}

Status Store::read_last(SeriesId series, std::int64_t from_ms, std::int64_t to_ms,
                        Column& into) const {
  return read(Wanted::last, series, from_ms, to_ms, into);
}

Result<bool> Store::has_samples(SeriesId series, std::int64_t from_ms, std::int64_t to_ms) const {
  static thread_local Column some;
  if (auto had = read(Wanted::any, series, from_ms, to_ms, some); !had)
    return std::unexpected(std::move(had).error());
  return some.size() > 0;
}

Status Store::read(Wanted wanted, SeriesId series, std::int64_t from_ms, std::int64_t to_ms,
                   Column& into) const {
  static thread_local Column fresh;
  fresh.clear();
  into.clear();
  std::shared_ptr<const Parts> parts;
  {
    const Reading lock = reading();
    if (series.raw() >= index_.next())
      return fail(Errc::not_found, "there is no series " + std::to_string(series.raw()));
    parts = parts_;
    if (frozen_) frozen_->read(series, from_ms, to_ms, fresh);
    head_->read(series, from_ms, to_ms, fresh);
  }
  // What is sealed is mostly older than what is not, and then has no say in which is the last.
  if (wanted == Wanted::last && fresh.size() > 0)
    from_ms = std::max(from_ms, *std::ranges::max_element(fresh.t_ms));
  std::uint64_t damaged = 0;
  const std::size_t enough = wanted == Wanted::any ? 1 : limits::query_samples + 1;
  for (const auto& part : *parts)
    if (fresh.size() + into.size() < enough)
      damaged += part->read(series, from_ms, to_ms, into, enough);
  if (damaged != 0) damaged_blocks_.fetch_add(damaged, std::memory_order_relaxed);
  into.t_ms.insert(into.t_ms.end(), fresh.t_ms.begin(), fresh.t_ms.end());
  into.value.insert(into.value.end(), fresh.value.begin(), fresh.value.end());
  if (into.size() > limits::query_samples)
    return fail(Errc::too_big, "a series has too many samples in this time to be read at once");
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

Index::Cardinality Store::cardinality(std::size_t most) const {
  const Reading lock = reading();
  return index_.cardinality(most);
}

std::optional<Store::Span> Store::span() const {
  std::int64_t first = std::numeric_limits<std::int64_t>::max();
  std::int64_t last = std::numeric_limits<std::int64_t>::min();
  const Reading lock = reading();
  for (const auto& part : *parts_) {
    first = std::min(first, part->info().first_ms);
    last = std::max(last, part->info().last_ms);
  }
  if (frozen_) frozen_->span(first, last);
  head_->span(first, last);
  if (first > last) return std::nullopt;
  return Span{first, last};
}

Store::Stats Store::stats() const {
  Stats stats;
  {
    const std::lock_guard writer(writer_mutex_);
    stats.log_bytes = log_->bytes();
    stats.list_bytes = log_->list_bytes();
    stats.replayed = log_->replayed();
    stats.refused_series = refused_series_;
    stats.largest_labels_bytes = largest_labels_bytes_;
  }
  const Reading lock = reading();
  stats.series = index_.size();
  stats.series_ids = index_.next();
  stats.labels_bytes = index_.labels_bytes();
  stats.head_samples = head_->samples() + (frozen_ ? frozen_->samples() : 0);
  stats.parts = parts_->size();
  for (const auto& part : *parts_) {
    stats.sealed_samples += part->info().samples;
    stats.part_bytes += part->bytes();
    stats.largest_part_bytes = std::max(stats.largest_part_bytes, part->bytes());
  }
  stats.dropped_series = dropped_series_;
  stats.clock_jumps = clock_.jumps();
  stats.future_samples = future_samples_;
  stats.damaged_blocks = damaged_blocks_;
  stats.damaged_parts = damaged_parts_;
  stats.seals = seals_;
  stats.failed_seals = failed_seals_;
  stats.merges = merges_;
  stats.failed_merges = failed_merges_;
  stats.thinned_parts = thinned_parts_;
  stats.snapshots = snapshots_;
  return stats;
}

const Clock& Store::system_clock() const {
  return options_.clock != nullptr ? *options_.clock : system_clock_;
}

std::int64_t Store::now_ms() const { return to_ns(system_clock().wall()) / 1'000'000; }

}  // namespace tallymill::collector
