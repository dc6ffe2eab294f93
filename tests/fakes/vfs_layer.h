// VfsLayer: a layer under SQLite, above the real file system, that sees each write and sync.
//
// A fake derives from it, names itself and says what write, sync, truncate and opened do; all else
// goes to the default layer. SQLite's own tests are built so ("test_devsym", "test6.c").
//
// Threads: any; what the fake does with the calls is its own affair.
#pragma once

#include <sqlite3.h>

#include <mutex>

namespace tallymill::fakes {

struct VfsFile {
  sqlite3_file base;
  const char* path;  // SQLite's; valid while the file is open
  bool wal;
  bool database;
  // The real one's memory follows ours.
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  int write(const void* bytes, int size, sqlite3_int64 offset) {
    return real()->pMethods->xWrite(real(), bytes, size, offset);
  }
  int sync(int flags) { return real()->pMethods->xSync(real(), flags); }
  int truncate(sqlite3_int64 size) { return real()->pMethods->xTruncate(real(), size); }
};

template <class Fake>
class VfsLayer {
  friend Fake;
  VfsLayer() = default;

 public:
  // Registers it once.
  static void install() {
    static std::once_flag once;
    std::call_once(once, [] {
      static sqlite3_vfs vfs = *sqlite3_vfs_find(nullptr);
      below() = sqlite3_vfs_find(nullptr);
      vfs.zName = Fake::name;
      vfs.pNext = nullptr;
      vfs.szOsFile = static_cast<int>(sizeof(VfsFile)) + below()->szOsFile;
      vfs.xOpen = [](sqlite3_vfs*, sqlite3_filename path, sqlite3_file* file, int flags,
                     int* out_flags) {
        VfsFile& self = of(file);
        self.base.pMethods = nullptr;
        self.path = path;
        self.wal = (flags & SQLITE_OPEN_WAL) != 0;
        self.database = (flags & SQLITE_OPEN_MAIN_DB) != 0;
        const int code = below()->xOpen(below(), path, self.real(), flags, out_flags);
        if (self.real()->pMethods) self.base.pMethods = methods();
        if (code == SQLITE_OK) Fake::opened(self);
        return code;
      };
      sqlite3_vfs_register(&vfs, 0);
    });
  }

 private:
  static sqlite3_vfs*& below() {
    static sqlite3_vfs* vfs = nullptr;
    return vfs;
  }
  static VfsFile& of(sqlite3_file* file) { return *reinterpret_cast<VfsFile*>(file); }
  static sqlite3_file* real(sqlite3_file* file) { return of(file).real(); }

  static const sqlite3_io_methods* methods() {
    static const sqlite3_io_methods all = [] {
      sqlite3_io_methods m{};
      m.iVersion = 2;
      m.xClose = [](sqlite3_file* f) { return real(f)->pMethods->xClose(real(f)); };
      m.xRead = [](sqlite3_file* f, void* p, int n, sqlite3_int64 at) {
        return real(f)->pMethods->xRead(real(f), p, n, at);
      };
      m.xWrite = [](sqlite3_file* f, const void* p, int n, sqlite3_int64 at) {
        return Fake::write(of(f), p, n, at);
      };
      m.xTruncate = [](sqlite3_file* f, sqlite3_int64 n) { return Fake::truncate(of(f), n); };
      m.xSync = [](sqlite3_file* f, int flags) { return Fake::sync(of(f), flags); };
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
