// FailingVfs: a disk that fails on demand.
//
// Syncs of the WAL or of the database fail from the n-th on; writes find no room above a quota of
// bytes (per file length, as a full disk does: what was allocated before can be written again).
//
// Threads: any; the dials are atomics.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>

#include "tests/fakes/vfs_layer.h"

namespace tallymill::fakes {

class FailingVfs : public VfsLayer<FailingVfs> {
 public:
  static constexpr const char* name = "failing";
  static constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

  // The dials. Syncs count down; at zero they fail until set again.
  static inline std::atomic<std::int64_t> wal_syncs_left = never;
  static inline std::atomic<std::int64_t> database_syncs_left = never;
  static inline std::atomic<std::int64_t> writes_left = never;
  // No file of the ledger grows beyond its bound.
  static inline std::atomic<std::int64_t> wal_bound = never;
  static inline std::atomic<std::int64_t> database_bound = never;
  static inline std::atomic<std::int64_t> syncs = 0;

  static void reset() {
    wal_syncs_left = database_syncs_left = writes_left = wal_bound = database_bound = never;
    syncs = 0;
  }

  static void opened(VfsFile&) {}
  static int write(VfsFile& file, const void* bytes, int size, sqlite3_int64 offset) {
    const std::int64_t bound = file.wal        ? wal_bound.load()
                               : file.database ? database_bound.load()
                                               : never;
    if (bound != never && offset + size > bound) return SQLITE_FULL;
    if (used_up(writes_left)) return SQLITE_IOERR_WRITE;
    return file.write(bytes, size, offset);
  }
  static int truncate(VfsFile& file, sqlite3_int64 size) { return file.truncate(size); }
  static int sync(VfsFile& file, int flags) {
    ++syncs;
    if (file.wal && used_up(wal_syncs_left)) return SQLITE_IOERR_FSYNC;
    if (file.database && used_up(database_syncs_left)) return SQLITE_IOERR_FSYNC;
    return file.sync(flags);
  }

 private:
  static bool used_up(std::atomic<std::int64_t>& left) {
    return left != never && left.fetch_sub(1) <= 0;
  }
};

}  // namespace tallymill::fakes
