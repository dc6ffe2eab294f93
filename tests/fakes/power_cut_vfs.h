// PowerCutVfs: remembers every write and sync of the database and its WAL, and says what a disk
// might hold when the power went at any point between them.
//
// What was synced is there. Of what was written to a file since its last sync each sector is there,
// or not, by chance, whatever became of its neighbours: a disk may write in any order, and tears.
// A file's length grows with the last sector that is there.
//
// Not modelled: a disk that lies about a sync; the loss of a file's name (both are made and synced
// before recording begins).
//
// Threads: writes and syncs from any; begin(), end() and images by the test.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fakes/vfs_layer.h"

namespace tallymill::fakes {

class PowerCutVfs : public VfsLayer<PowerCutVfs> {
 public:
  static constexpr const char* name = "power-cut";
  static constexpr std::size_t sector = 512;

  struct Op {
    enum class What : std::uint8_t { write, truncate, sync } what = What::write;
    bool wal = false;
    std::int64_t offset = 0;  // of a truncate: the length
    std::string bytes;
  };
  struct Image {
    std::string database;
    std::string wal;
  };

  // Forgets all; what the two files hold now is on the disk.
  static void begin(const std::string& database) {
    const std::lock_guard lock(mutex_);
    ops_.clear();
    start_ = {contents(database), contents(database + "-wal")};
    recording_ = true;
  }
  static void end() {
    const std::lock_guard lock(mutex_);
    recording_ = false;
  }
  // How many there are so far: a point between two of them.
  static std::size_t now() {
    const std::lock_guard lock(mutex_);
    return ops_.size();
  }

  // Walks over what was recorded, cut by cut.
  class Cuts {
   public:
    Cuts() : synced_{start_} {}
    // Of a cut after the first `point` operations. REQUIRES: points do not fall.
    Image at(std::size_t point, std::mt19937_64& chance) {
      for (; next_ < point; ++next_) take(ops_[next_]);
      Image image = synced_;
      for (const auto* ops : {&pending_[0], &pending_[1]})
        for (const Op* op : *ops) maybe(*op, op->wal ? image.wal : image.database, chance);
      return image;
    }

   private:
    void take(const Op& op) {
      auto& pending = pending_[op.wal];
      pending.push_back(&op);
      if (op.what != Op::What::sync) return;
      for (const Op* done : pending) apply(*done, op.wal ? synced_.wal : synced_.database);
      pending.clear();
    }
    static void apply(const Op& op, std::string& file) {
      if (op.what == Op::What::truncate) file.resize(static_cast<std::size_t>(op.offset));
      if (op.what == Op::What::write) put(file, static_cast<std::size_t>(op.offset), op.bytes);
    }
    static void maybe(const Op& op, std::string& file, std::mt19937_64& chance) {
      if (op.what != Op::What::write) {
        if (chance() % 2) apply(op, file);
        return;
      }
      // All, nothing, or each sector for itself.
      const auto how = chance() % 3;
      if (how == 0) return;
      const auto from = static_cast<std::size_t>(op.offset);
      for (std::size_t begin = 0; begin < op.bytes.size();) {
        const std::size_t end =
            std::min(op.bytes.size(), (from + begin) / sector * sector + sector - from);
        if (how == 1 || chance() % 2)
          put(file, from + begin, std::string_view(op.bytes).substr(begin, end - begin));
        begin = end;
      }
    }
    static void put(std::string& file, std::size_t offset, std::string_view bytes) {
      if (file.size() < offset + bytes.size()) file.resize(offset + bytes.size());
      std::memcpy(file.data() + offset, bytes.data(), bytes.size());
    }

    Image synced_;
    std::array<std::vector<const Op*>, 2> pending_;  // since the file's last sync; [1]: the WAL
    std::size_t next_ = 0;
  };

  static void opened(VfsFile&) {}
  static int write(VfsFile& file, const void* bytes, int size, sqlite3_int64 offset) {
    record(file, {Op::What::write, file.wal, offset,
                  std::string(static_cast<const char*>(bytes), static_cast<std::size_t>(size))});
    return file.write(bytes, size, offset);
  }
  static int truncate(VfsFile& file, sqlite3_int64 size) {
    record(file, {Op::What::truncate, file.wal, size, {}});
    return file.truncate(size);
  }
  // Not passed on: what is on the disk of this test's machine does not matter.
  static int sync(VfsFile& file, int) {
    record(file, {Op::What::sync, file.wal, 0, {}});
    return SQLITE_OK;
  }

 private:
  static void record(const VfsFile& file, Op op) {
    if (!file.wal && !file.database) return;
    const std::lock_guard lock(mutex_);
    if (recording_) ops_.push_back(std::move(op));
  }
  static std::string contents(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  static inline std::mutex mutex_;  // guards ops_, start_, recording_
  static inline std::vector<Op> ops_;
  static inline Image start_;
  static inline bool recording_ = false;
};

}  // namespace tallymill::fakes
