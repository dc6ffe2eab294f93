#include "collector/log.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "base/thread.h"
#include "collector/disk_file.h"
#include "collector/log_records.h"

namespace tallymill::collector {
namespace {

namespace fs = std::filesystem;

std::string segment_name(std::uint64_t number) {
  std::string name = std::to_string(number);
  name.insert(0, name.size() < 10 ? 10 - name.size() : 0, '0');
  return name + ".log";
}

// Numbers of the segments in the folder, ascending.
Result<std::vector<std::uint64_t>> segments_in(const fs::path& folder) {
  std::vector<std::uint64_t> numbers;
  std::error_code cause;
  for (fs::directory_iterator at(folder, cause), end; !cause && at != end; at.increment(cause)) {
    const std::string name = at->path().filename().string();
    std::uint64_t number = 0;
    (void)std::from_chars(name.data(), name.data() + name.size(), number);
    // What somebody else named is no segment of ours.
    if (name == segment_name(number)) numbers.push_back(number);
  }
  if (cause) return fail(Errc::disk, "read folder " + folder.string() + ": " + cause.message());
  std::ranges::sort(numbers);
  return numbers;
}

}  // namespace

Result<std::unique_ptr<Log>> Log::open(fs::path folder, const Sealed& sealed,
                                       const Listener& listener) {
  if (auto made = store::make_folder(folder); !made)
    return std::unexpected(std::move(made).error());
  std::unique_ptr<Log> log(new Log(std::move(folder)));
  if (auto done = log->replay(sealed, listener); !done)
    return std::unexpected(std::move(done).error());
  log->syncs_ = std::thread([raw = log.get()] { raw->run(); });
  return log;
}

Log::~Log() {
  if (!syncs_.joinable()) return;
  {
    const std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  syncs_.join();
  (void)sync_now();
}

Status Log::append(SeriesId first, std::span<const Definition> fresh,
                   std::span<const Point> points) {
  if (failed()) return fail(Errc::corrupt, "log: a sync failed; nothing is accepted before a seal");
  TM_CHECK(first.raw() <= series_);
  const std::size_t known = std::min<std::size_t>(series_ - first.raw(), fresh.size());
  if (auto wrote = write_list(SeriesId(series_), fresh.subspan(known), *list_); !wrote)
    return wrote;
  if (!segment_) {
    auto made = RecordFile::create(path_of(number_));
    if (!made) return std::unexpected(std::move(made).error());
    const std::lock_guard guard(mutex_);
    segment_ = *std::move(made);
  }
  while (!points.empty()) {
    const std::size_t count = std::min(points.size(), limits::integers_column);
    packed_.clear();
    pack_points(points.first(count), packed_);
    segment_->add(packed_);
    points = points.subspan(count);
  }
  auto wrote = segment_->flush();
  const std::lock_guard guard(mutex_);
  unsynced_ = true;
  changed_.notify_all();
  return wrote;
}

// Counts in series_ what is written of them.
Status Log::write_list(SeriesId first, std::span<const Definition> series, RecordFile& list) {
  while (!series.empty()) {
    std::size_t count = 0;
    for (std::size_t bytes = 0; count < series.size(); ++count) {
      bytes += series[count].labels.packed().size() + 3;
      if (count > 0 &&
          (bytes > limits::series_list_bytes || series[count].origin != series[0].origin))
        break;
    }
    packed_.clear();
    pack_series(first, series.first(count), packed_);
    list.add(packed_);
    if (auto wrote = list.flush(); !wrote) return wrote;
    first += SeriesId(static_cast<std::uint32_t>(count));
    series_ = std::max(series_, first.raw());
    series = series.subspan(count);
  }
  return {};
}

Status Log::rewrite_list(const Listed& alive, std::uint32_t next) {
  auto made = RecordFile::create(folder_ / "series.new");
  if (!made) return std::unexpected(std::move(made).error());
  const std::shared_ptr<RecordFile> list = *std::move(made);
  std::uint32_t at = 0;
  const auto died_until = [&](std::uint32_t id) -> Status {
    if (id == at) return {};
    packed_.clear();
    pack_dead(SeriesId(at), id - at, packed_);
    list->add(packed_);
    at = id;
    return list->flush();
  };
  std::vector<Definition> run;
  for (std::size_t i = 0; i < alive.size();) {
    const std::uint32_t first = alive[i].first.raw();
    if (auto wrote = died_until(first); !wrote) return wrote;
    run.clear();
    for (; i < alive.size() && alive[i].first.raw() == first + run.size(); ++i)
      run.push_back(alive[i].second);
    if (auto wrote = write_list(SeriesId(first), run, *list); !wrote) return wrote;
    at = first + static_cast<std::uint32_t>(run.size());
  }
  if (auto wrote = died_until(next); !wrote) return wrote;
  auto placed = list->rename(folder_ / "series");
  // What has the name must be what is written to, also when its name may not outlive a power cut.
  const bool named = placed || !fs::exists(folder_ / "series.new");
  const std::lock_guard guard(mutex_);
  if (named) list_ = list;
  list_failed_ = placed ? false : list_failed_ || named;
  return placed;
}

Status Log::prepare() {
  if (list_failed()) return fail(Errc::corrupt, "log: a sync of the list of series failed");
  auto made = RecordFile::create(path_of(number_ + 1));
  if (!made) return std::unexpected(std::move(made).error());
  next_ = *std::move(made);
  return {};
}

std::uint64_t Log::rotate() {
  TM_CHECK(next_ != nullptr);
  const std::uint64_t old = number_++;
  ended_.push_back({old, segment_ ? segment_->size() : 0});
  const std::lock_guard guard(mutex_);
  // What was acknowledged of it and is not synced yet will be, unless that is what failed.
  if (unsynced_ && !failed_) ended_unsynced_ = segment_;
  segment_ = std::exchange(next_, nullptr);
  failed_ = list_failed_;
  return old;
}

Status Log::settle() {
  {
    // Also when nothing was appended: what was replayed may not be on the disk.
    const std::lock_guard guard(mutex_);
    unsynced_ = true;
  }
  // What failed of the segments is said by failed(): whoever calls has it in memory.
  (void)sync_now();
  if (list_failed()) return fail(Errc::corrupt, "log: a sync of the list of series failed");
  return {};
}

void Log::drop(std::uint64_t up_to) {
  std::erase_if(ended_, [&](const Segment& segment) {
    return segment.number <= up_to &&
           (::unlink(path_of(segment.number).c_str()) == 0 || errno == ENOENT);
  });
}

std::uint64_t Log::bytes() const {
  std::uint64_t bytes = segment_ ? segment_->size() : 0;
  for (const Segment& segment : ended_) bytes += segment.bytes;
  return bytes;
}

bool Log::failed() const {
  const std::lock_guard guard(mutex_);
  return failed_;
}

bool Log::list_failed() const {
  const std::lock_guard guard(mutex_);
  return list_failed_;
}

Status Log::sync() {
  const Status synced = sync_now();
  if (synced && failed()) return fail(Errc::corrupt, "log: an earlier sync failed");
  return synced;
}

// ---- replay ----

Status Log::replay(const Sealed& sealed, const Listener& listener) {
  if (auto done = replay_series(listener); !done) return done;
  // No other series may get an id of one whose samples are sealed.
  const std::uint32_t least = std::min(sealed.series, limits::series_ids);
  replayed_.lost = replayed_.lost || series_ < least;
  series_ = std::max(series_, least);
  const auto numbers = segments_in(folder_);
  if (!numbers) return std::unexpected(numbers.error());
  number_ = sealed.segment;
  for (const std::uint64_t number : *numbers) {
    number_ = std::max(number_, number);
    if (number <= sealed.segment) {
      ::unlink(path_of(number).c_str());
    } else if (auto done = replay_segment(number, listener); !done) {
      return done;
    }
  }
  replayed_.next_id = series_;
  // On a full disk what is there can be read; append() says that it is full.
  auto next = RecordFile::create(path_of(++number_));
  if (!next && next.error().code != Errc::disk) return std::unexpected(std::move(next).error());
  if (next) segment_ = *std::move(next);
  return {};
}

Status Log::replay_series(const Listener& listener) {
  const fs::path home = folder_ / "series";
  ::unlink((folder_ / "series.new").c_str());
  const auto file = DiskFile::open(home);
  if (!file && file.error().code != Errc::not_found) return std::unexpected(file.error());
  const auto each = [&](std::string_view payload) {
    const auto list = unpack_series(payload);
    const std::uint64_t first = list ? list->first.raw() : 0;
    const std::uint64_t end = list ? first + list->series.size() + list->dead : 0;
    if (!list || first < series_ || end > limits::series_ids) {
      ++replayed_.damaged;
      return;
    }
    replayed_.lost = replayed_.lost || first > series_;
    series_ = list->first.raw();
    for (const Definition& one : list->series) listener.series(SeriesId(series_++), one);
    series_ = static_cast<std::uint32_t>(end);
  };
  const Scanned found = file ? scan_records(*file, each) : Scanned();
  replayed_.damaged += found.damaged;
  replayed_.torn_bytes += found.torn_bytes;
  auto opened = RecordFile::open(home, found);
  if (!opened) return std::unexpected(std::move(opened).error());
  list_ = *std::move(opened);
  return {};
}

Status Log::replay_segment(std::uint64_t number, const Listener& listener) {
  const fs::path home = path_of(number);
  const auto file = DiskFile::open(home);
  if (!file) return std::unexpected(file.error());
  std::vector<Point> points;
  const Scanned found = scan_records(*file, [&](std::string_view payload) {
    std::uint32_t most = 0;
    if (unpack_points(payload, points))
      for (const Point& point : points) most = std::max(most, point.series.raw());
    if (points.empty() || most >= limits::series_ids) {
      ++replayed_.damaged;
      return;
    }
    // Definitions may be lost with a torn list.
    replayed_.lost = replayed_.lost || most >= series_;
    series_ = std::max(series_, most + 1);
    replayed_.points += points.size();
    listener.points(points);
  });
  ++replayed_.segments;
  replayed_.damaged += found.damaged;
  replayed_.torn_bytes += found.torn_bytes;
  if (found.records == 0 && found.damaged == 0 && found.torn_bytes == 0) {
    ::unlink(home.c_str());
    return {};
  }
  // Cut, so that it is counted once.
  if (found.torn_bytes != 0 && ::truncate(home.c_str(), static_cast<off_t>(found.size)) != 0)
    return store::disk_error("cut", home);
  ended_.push_back({number, found.size});
  return {};
}

fs::path Log::path_of(std::uint64_t number) const { return folder_ / segment_name(number); }

// ---- the thread that syncs ----

void Log::run() {
  name_thread("log-sync");
  auto last = std::chrono::steady_clock::time_point();
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return unsynced_ || stopping_; });
    changed_.wait_until(lock, last + limits::log_sync_period, [&] { return stopping_; });
    if (stopping_) return;
    last = std::chrono::steady_clock::now();
    lock.unlock();
    (void)sync_now();
    lock.lock();
  }
}

Status Log::sync_now() {
  const std::lock_guard syncing(sync_mutex_);
  std::unique_lock lock(mutex_);
  if (!unsynced_ && !ended_unsynced_) return {};
  unsynced_ = false;
  const std::shared_ptr<RecordFile> list = list_;
  const std::shared_ptr<RecordFile> ended = std::exchange(ended_unsynced_, nullptr);
  const std::shared_ptr<RecordFile> segment = segment_;
  lock.unlock();
  // The list first: no point may be on disk before its series.
  auto synced = list->sync();
  const bool listed = synced.has_value();
  if (synced && ended) synced = ended->sync();
  if (synced && segment) synced = segment->sync();
  lock.lock();
  // One that was written anew meanwhile is another file.
  if (!listed && list == list_) list_failed_ = true;
  if (!synced) failed_ = true;
  return synced;
}

}  // namespace tallymill::collector
