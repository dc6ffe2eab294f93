#include "collector/log.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "base/thread.h"
#include "collector/log_records.h"
#include "collector/mapping.h"

namespace tallymill::collector {
namespace {

namespace fs = std::filesystem;

// A series whose definition is lost, so that its points are not.
Labels lost_series(std::uint32_t id) {
  return Labels::of({{std::string(metric_name), "lost_series"}, {"id", std::to_string(id)}});
}

// Numbers of the segments in the folder, ascending.
Result<std::vector<std::uint64_t>> segments_in(const fs::path& folder) {
  std::vector<std::uint64_t> numbers;
  std::error_code cause;
  for (fs::directory_iterator at(folder, cause), end; !cause && at != end; at.increment(cause)) {
    const std::string name = at->path().stem().string();
    std::uint64_t number = 0;
    const auto read = std::from_chars(name.data(), name.data() + name.size(), number);
    if (at->path().extension() == ".log" && read.ec == std::errc() &&
        read.ptr == name.data() + name.size())
      numbers.push_back(number);
  }
  if (cause) return fail(Errc::disk, "read folder " + folder.string() + ": " + cause.message());
  std::ranges::sort(numbers);
  return numbers;
}

}  // namespace

Result<std::unique_ptr<Log>> Log::open(fs::path folder, const Sealed& sealed,
                                       const Listener& listener) {
  std::error_code cause;
  fs::create_directories(folder, cause);
  if (cause) return fail(Errc::disk, "make folder " + folder.string() + ": " + cause.message());
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
  (void)sync();
}

Status Log::append(SeriesId first, std::span<const Labels> labels, std::span<const Point> points) {
  if (failed()) return fail(Errc::corrupt, "log: a sync failed; nothing is accepted before a seal");
  TM_CHECK(first.raw() <= series_);
  const std::size_t known = std::min<std::size_t>(series_ - first.raw(), labels.size());
  first += SeriesId(static_cast<std::uint32_t>(known));
  labels = labels.subspan(known);
  while (!labels.empty()) {
    std::size_t count = 0;
    for (std::size_t bytes = 0; count < labels.size(); ++count) {
      bytes += labels[count].packed().size() + 3;
      if (count > 0 && bytes > limits::series_list_bytes) break;
    }
    packed_.clear();
    pack_series(first, labels.first(count), packed_);
    list_->add(packed_);
    if (auto wrote = list_->flush(); !wrote) return wrote;
    first += SeriesId(static_cast<std::uint32_t>(count));
    series_ = first.raw();
    labels = labels.subspan(count);
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

Result<std::uint64_t> Log::rotate() {
  auto next = RecordFile::create(path_of(number_ + 1));
  if (!next) return std::unexpected(std::move(next).error());
  if (auto synced = list_->sync(); !synced) return std::unexpected(std::move(synced).error());
  const std::uint64_t old = number_++;
  ended_.push_back({old, segment_->size()});
  const std::lock_guard guard(mutex_);
  // What was acknowledged of it and is not synced yet is synced here, unless that is what failed.
  if (unsynced_ && !failed_) (void)segment_->sync();
  segment_ = *std::move(next);
  failed_ = false;
  return old;
}

void Log::drop(std::uint64_t up_to) {
  std::erase_if(ended_, [&](const Segment& segment) {
    return segment.number <= up_to && ::unlink(path_of(segment.number).c_str()) == 0;
  });
}

std::uint64_t Log::bytes() const {
  std::uint64_t bytes = segment_->size();
  for (const Segment& segment : ended_) bytes += segment.bytes;
  return bytes;
}

bool Log::failed() const {
  const std::lock_guard guard(mutex_);
  return failed_;
}

Status Log::sync() {
  std::unique_lock lock(mutex_);
  return unsynced_ ? sync_now(lock) : Status();
}

// ---- replay ----

Status Log::replay(const Sealed& sealed, const Listener& listener) {
  if (auto done = replay_series(sealed.series, listener); !done) return done;
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
  auto next = RecordFile::create(path_of(++number_));
  if (!next) return std::unexpected(std::move(next).error());
  segment_ = *std::move(next);
  return {};
}

Status Log::replay_series(std::uint32_t least, const Listener& listener) {
  const fs::path home = folder_ / "series";
  const auto mapped = Mapping::of(home);
  if (!mapped && mapped.error().code != Errc::not_found) return std::unexpected(mapped.error());
  const std::string_view bytes = mapped ? mapped->bytes() : std::string_view();
  const Scanned found = scan_records(bytes, [&](std::string_view payload) {
    const auto list = unpack_series(payload);
    const std::uint32_t first = list ? list->first.raw() : 0;
    if (!list || first < series_ || first > limits::series_ids) {
      ++replayed_.damaged;
      return;
    }
    for (; series_ < first; ++series_) listener.series(SeriesId(series_), lost_series(series_));
    for (const Labels& labels : list->labels) listener.series(SeriesId(series_++), labels);
  });
  replayed_.damaged += found.damaged;
  replayed_.torn_bytes += found.torn_bytes;
  auto opened = RecordFile::open(home, found);
  if (!opened) return std::unexpected(std::move(opened).error());
  list_ = *std::move(opened);
  // No other series may get an id of one whose samples are sealed.
  least = std::min(least, limits::series_ids);
  for (; series_ < least; ++series_) listener.series(SeriesId(series_), lost_series(series_));
  return {};
}

Status Log::replay_segment(std::uint64_t number, const Listener& listener) {
  const fs::path home = path_of(number);
  const auto mapped = Mapping::of(home);
  if (!mapped) return std::unexpected(mapped.error());
  std::vector<Point> points;
  const Scanned found = scan_records(mapped->bytes(), [&](std::string_view payload) {
    std::uint32_t most = 0;
    if (unpack_points(payload, points))
      for (const Point& point : points) most = std::max(most, point.series.raw());
    if (points.empty() || most >= limits::series_ids) {
      ++replayed_.damaged;
      return;
    }
    // Definitions may be lost with a torn list.
    for (; series_ <= most; ++series_) listener.series(SeriesId(series_), lost_series(series_));
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

fs::path Log::path_of(std::uint64_t number) const {
  std::string name = std::to_string(number);
  name.insert(0, name.size() < 10 ? 10 - name.size() : 0, '0');
  return folder_ / (name + ".log");
}

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
    (void)sync_now(lock);
  }
}

Status Log::sync_now(std::unique_lock<std::mutex>& lock) {
  unsynced_ = false;
  const std::shared_ptr<RecordFile> list = list_;
  const std::shared_ptr<RecordFile> segment = segment_;
  lock.unlock();
  // The list first: no point may be on disk before its series.
  auto synced = list->sync();
  if (synced) synced = segment->sync();
  lock.lock();
  if (!synced) failed_ = true;
  return synced;
}

}  // namespace tallymill::collector
