// FailingVfs: a layer under SQLite that fails on demand, above the real file system.
//
// Syncs of the WAL or of the database fail from the n-th on; writes find no room above a quota of
// bytes (per file length, as a full disk does: what was allocated before can be written again). All
// else goes to the default layer. SQLite's own tests do the same ("test_devsym", "test6.c").
//
// Threads: any; the dials are atomics.
#pragma once

#include <sqlite3.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <limits>
#include <mutex>
#include <string>

namespace tallymill::fakes {

class FailingVfs {
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

  // Registers it once.
  static void install() {
    static std::once_flag once;
    std::call_once(once, [] {
      static sqlite3_vfs vfs = *sqlite3_vfs_find(nullptr);
      real_vfs() = sqlite3_vfs_find(nullptr);
      vfs.zName = name;
      vfs.pNext = nullptr;
      vfs.szOsFile = static_cast<int>(sizeof(File)) + real_vfs()->szOsFile;
      vfs.xOpen = [](sqlite3_vfs*, sqlite3_filename path, sqlite3_file* file, int flags,
                     int* out_flags) {
        auto* self = reinterpret_cast<File*>(file);
        self->base.pMethods = nullptr;
        self->wal = (flags & SQLITE_OPEN_WAL) != 0;
        self->database = (flags & SQLITE_OPEN_MAIN_DB) != 0;
        const int code = real_vfs()->xOpen(real_vfs(), path, self->real(), flags, out_flags);
        if (self->real()->pMethods) self->base.pMethods = methods();
        return code;
      };
      sqlite3_vfs_register(&vfs, 0);
    });
  }

 private:
  struct File {
    sqlite3_file base;
    bool wal;
    bool database;
    // The real one's memory follows ours.
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };

  static sqlite3_vfs*& real_vfs() {
    static sqlite3_vfs* vfs = nullptr;
    return vfs;
  }
  static File& of(sqlite3_file* file) { return *reinterpret_cast<File*>(file); }
  static sqlite3_file* real(sqlite3_file* file) { return of(file).real(); }

  static bool used_up(std::atomic<std::int64_t>& left) {
    return left != never && left.fetch_sub(1) <= 0;
  }

  static int write(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 offset) {
    const std::int64_t bound = of(file).wal        ? wal_bound.load()
                               : of(file).database ? database_bound.load()
                                                   : never;
    if (bound != never && offset + size > bound) return SQLITE_FULL;
    if (used_up(writes_left)) return SQLITE_IOERR_WRITE;
    return real(file)->pMethods->xWrite(real(file), bytes, size, offset);
  }

  static int sync(sqlite3_file* file, int flags) {
    ++syncs;
    if (of(file).wal && used_up(wal_syncs_left)) return SQLITE_IOERR_FSYNC;
    if (of(file).database && used_up(database_syncs_left)) return SQLITE_IOERR_FSYNC;
    return real(file)->pMethods->xSync(real(file), flags);
  }

  static const sqlite3_io_methods* methods() {
    static const sqlite3_io_methods all = [] {
      sqlite3_io_methods m{};
      m.iVersion = 2;
      m.xClose = [](sqlite3_file* f) { return real(f)->pMethods->xClose(real(f)); };
      m.xRead = [](sqlite3_file* f, void* p, int n, sqlite3_int64 at) {
        return real(f)->pMethods->xRead(real(f), p, n, at);
      };
      m.xWrite = write;
      m.xTruncate = [](sqlite3_file* f, sqlite3_int64 n) {
        return real(f)->pMethods->xTruncate(real(f), n);
      };
      m.xSync = sync;
      m.xFileSize = [](sqlite3_file* f, sqlite3_int64* n) {
        return real(f)->pMethods->xFileSize(real(f), n);
      };
      m.xLock = [](sqlite3_file* f, int l) { return real(f)->pMethods->xLock(real(f), l); };
      m.xUnlock = [](sqlite3_file* f, int l) { return real(f)->pMethods->xUnlock(real(f), l); };
      m.xCheckReservedLock = [](sqlite3_file* f, int* r) {
        return real(f)->pMethods->xCheckReservedLock(real(f), r);
      };
      m.xFileControl = [](sqlite3_file* f, int op, void* arg) {
        return real(f)->pMethods->xFileControl(real(f), op, arg);
      };
      m.xSectorSize = [](sqlite3_file* f) { return real(f)->pMethods->xSectorSize(real(f)); };
      m.xDeviceCharacteristics = [](sqlite3_file* f) {
        return real(f)->pMethods->xDeviceCharacteristics(real(f));
      };
      m.xShmMap = [](sqlite3_file* f, int page, int size, int extend, void volatile** out) {
        return real(f)->pMethods->xShmMap(real(f), page, size, extend, out);
      };
      m.xShmLock = [](sqlite3_file* f, int offset, int n, int flags) {
        return real(f)->pMethods->xShmLock(real(f), offset, n, flags);
      };
      m.xShmBarrier = [](sqlite3_file* f) { real(f)->pMethods->xShmBarrier(real(f)); };
      m.xShmUnmap = [](sqlite3_file* f, int remove) {
        return real(f)->pMethods->xShmUnmap(real(f), remove);
      };
      return m;
    }();
    return &all;
  }
};

}  // namespace tallymill::fakes
