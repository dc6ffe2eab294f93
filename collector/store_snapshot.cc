// A snapshot of a store that goes on, when there is room for one more:
// 1. What is in memory is sealed, so that little is left in the log.
// 2. While nobody writes, seals or merges, parts are linked, and the log, whose files grow, is
//    copied: what came since the seal is in it.
// 3. The copies are synced, and only then does the folder get its name.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <random>
#include <system_error>
#include <vector>

#include "base/limits.h"
#include "collector/store.h"
#include "collector/store_format.h"

namespace tallymill::collector {
namespace {

namespace fs = std::filesystem;

std::unexpected<Error> failed(std::string_view doing, const fs::path& path,
                              const std::error_code& cause) {
  return fail(Errc::disk, fmt::format("{} {}: {}", doing, path.string(), cause.message()));
}

// "20260101T120000Z-0123456789abcdef", as Prometheus names them.
std::string snapshot_name(std::int64_t now_ms) {
  using namespace std::chrono;
  const sys_seconds at(seconds(now_ms / 1000));
  const auto day = floor<days>(at);
  const year_month_day date(day);
  const hh_mm_ss time(at - day);
  std::random_device chance;
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z-{:08x}{:08x}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     time.hours().count(), time.minutes().count(), time.seconds().count(), chance(),
                     chance());
}

constexpr std::string_view half_written = ".new";

// What lies there; nothing when nothing can be read.
std::vector<fs::path> snapshots_in(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code cause;
  for (fs::directory_iterator at(folder, cause), end; !cause && at != end; at.increment(cause))
    if (at->is_directory(cause)) found.push_back(at->path());
  return found;
}

// Folders of sealed files are linked, others copied, those of this and of half-written files left.
Status copy_folder(const fs::path& from, const fs::path& to, bool link) {
  std::error_code cause;
  fs::create_directories(to, cause);
  if (cause) return failed("make folder", to, cause);
  for (fs::directory_iterator at(from, cause), end; !cause && at != end; at.increment(cause)) {
    const fs::path& file = at->path();
    if (!at->is_regular_file(cause) || file.extension() == half_written ||
        file.extension() == ".damaged")
      continue;
    if (link)
      fs::create_hard_link(file, to / file.filename(), cause);
    else
      fs::copy_file(file, to / file.filename(), cause);
    if (cause) return failed("copy", file, cause);
  }
  if (cause) return failed("read folder", from, cause);
  return {};
}

Status sync_copies(const fs::path& folder) {
  std::error_code cause;
  for (fs::recursive_directory_iterator at(folder, cause), end; !cause && at != end;
       at.increment(cause)) {
    if (at->is_directory()) {
      if (auto synced = store::sync_folder(at->path()); !synced) return synced;
      continue;
    }
    const store::File file(::open(at->path().c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return store::disk_error("open", at->path());
    if (auto synced = store::sync_file(file.fd(), at->path()); !synced) return synced;
  }
  if (cause) return failed("read folder", folder, cause);
  return store::sync_folder(folder);
}

}  // namespace

Status Store::copy_to(const fs::path& folder) {
  const std::lock_guard merging(merge_mutex_);
  const std::lock_guard sealing(seal_mutex_);
  const std::lock_guard writer(writer_mutex_);
  if (auto copied = copy_folder(folder_ / "parts", folder / "parts", true); !copied) return copied;
  if (auto copied = copy_folder(folder_ / "log", folder / "log", false); !copied) return copied;
  std::error_code cause;
  fs::copy_file(folder_ / format_file, folder / format_file, cause);
  // A store on a full disk may not have it yet.
  if (cause && cause != std::errc::no_such_file_or_directory)
    return failed("copy", folder_ / format_file, cause);
  return {};
}

// Which a process left that died while it made them.
void Store::remove_torn_snapshots() {
  std::error_code cause;
  for (const fs::path& torn : snapshots_in(folder_ / "snapshots"))
    if (torn.extension() == half_written) fs::remove_all(torn, cause);
}

void Store::count_snapshots() {
  const auto there = snapshots_in(folder_ / "snapshots");
  snapshots_ = static_cast<std::uint64_t>(std::ranges::count_if(
      there, [](const fs::path& one) { return one.extension() != half_written; }));
}

Result<fs::path> Store::snapshot() {
  // Who waited would hold up a thread of queries.
  const std::unique_lock snapshotting(snapshot_mutex_, std::try_to_lock);
  if (!snapshotting)
    return fail(Errc::busy, "another snapshot is being made: come again when it is there");
  count_snapshots();
  if (snapshots_ >= limits::snapshots)
    return fail(Errc::too_big, fmt::format("there are {} snapshots in {}, which is the limit: "
                                           "remove one that is no longer wanted",
                                           snapshots_.load(), (folder_ / "snapshots").string()));
  if (auto sealed = seal(); !sealed)
    return std::unexpected(std::move(sealed).error().in("store: snapshot"));
  fs::path home = folder_ / "snapshots" / snapshot_name(now_ms());
  fs::path aside = home;
  aside += half_written;
  auto made = copy_to(aside);
  if (made) made = sync_copies(aside);
  std::error_code cause;
  if (made) fs::rename(aside, home, cause);
  if (made && cause) made = failed("rename", aside, cause);
  if (made) made = store::sync_folder(folder_ / "snapshots");
  count_snapshots();
  if (made) return home;
  fs::remove_all(aside, cause);
  return std::unexpected(std::move(made).error().in("store: snapshot"));
}

}  // namespace tallymill::collector
