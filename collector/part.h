// Part: sealed samples, in one file that never changes: what the store's head held up to a point.
//
// Written aside, synced and given its name: a read finds the blocks of a series in the directory,
// of which one in 64 entries is in memory, and unpacks them. Each block has a checksum that is
// judged when it is read; the directory's is judged when it is first used, so that a start reads
// only the last bytes of each file, and that of each 64 entries whenever they are read. What fails,
// or what the disk does not give, is left out and counted, never a reason to refuse the rest.
//
// Files, not rows of SQLite: a part is written once and in order (rows are written twice, to the
// WAL and to the database), costs 16 bytes a block instead of a row and the rest of its page, is
// read without a library's copies, and goes with one unlink() when it is too old.
//
// Bytes: blocks (collector/codec.h), one behind the other; directory, an entry for each block, by
// series, then time: series (4), offset (4), CRC32 (4), how many units after the part's first
// sample it begins (4); footer: "tmpart 2", first and last time (8 each), samples (8), when the
// newest and when the oldest of what went into it was sealed (8 each), the last segment of the log
// that is in it (8), samples of series of our own bus (8), blocks (4), the highest id of a series
// and one (4), the unit as a power of two milliseconds (4), to one in how many milliseconds all
// samples of our own bus are thinned (4), CRC32 of the directory (4), CRC32 of the footer up to
// here (4).
//
//   invariant: blocks of one series are in order and do not overlap; samples in a block are
//   strictly
//              ascending in time
//
// Threads: any number that read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/result.h"
#include "collector/disk_file.h"
#include "collector/query.h"
#include "store/durable.h"

namespace tallymill::collector {

// What a part is made of.
struct PartSource {
  std::int64_t made_ms = 0;    // the newest of it was sealed
  std::int64_t oldest_ms = 0;  // and the oldest
  std::uint64_t segment = 0;   // of the log, the last that is in it
  std::uint32_t step_ms = 0;   // to which all samples of our own bus are thinned; 0: they are not
};

struct PartInfo : PartSource {
  std::int64_t first_ms = 0;  // of its samples
  std::int64_t last_ms = 0;
  std::uint64_t samples = 0;
  std::uint64_t own_samples = 0;  // of series of our own bus
  std::uint32_t blocks = 0;
  std::uint32_t series = 0;  // ids are below this
  std::uint32_t unit_bits = 0;
  std::uint32_t directory_crc = 0;
  std::uint32_t crc = 0;
};

class Part {
 public:
  // corrupt: the footer is none; the file may be put aside. disk: it cannot be read.
  [[nodiscard]] static Result<std::shared_ptr<const Part>> open(std::filesystem::path file);

  // Adds the samples of the series from `from_ms` to `to_ms` behind those in `into`, in order, and
  // stops when it has `enough`. How many blocks were left out because they are damaged.
  [[nodiscard]] std::uint64_t read(
      SeriesId series, std::int64_t from_ms, std::int64_t to_ms, Column& into,
      std::size_t enough = std::numeric_limits<std::size_t>::max()) const;

  // Sets those of its series, and adds them, ascending. False: the directory is damaged. REQUIRES:
  // `series` has info().series bits or more.
  [[nodiscard]] bool mark(std::vector<bool>& series) const;
  [[nodiscard]] bool list(std::vector<SeriesId>& into) const;

  [[nodiscard]] const PartInfo& info() const { return info_; }
  [[nodiscard]] std::uint64_t bytes() const { return disk_.size(); }
  [[nodiscard]] const std::filesystem::path& file() const { return file_; }

 private:
  class Cursor;
  // 64 entries of the directory.
  struct Page {
    std::uint32_t first_series;
    std::uint32_t crc;
  };
  Part(std::filesystem::path file, DiskFile disk, const PartInfo& info);
  [[nodiscard]] bool directory_is_whole() const;
  [[nodiscard]] std::uint32_t first_page(SeriesId series) const;
  // False: it is damaged.
  [[nodiscard]] bool read_block(std::uint64_t begin, std::uint64_t end, std::uint32_t crc,
                                std::int64_t from_ms, std::int64_t to_ms, Column& into) const;

  std::filesystem::path file_;
  DiskFile disk_;
  PartInfo info_;
  std::uint64_t directory_ = 0;  // where it begins
  mutable std::once_flag judged_;
  mutable std::vector<Page> pages_;  // empty: it is damaged, or was not judged yet
};

// Writes a part. Threads: one at a time.
class PartWriter {
 public:
  // disk: the file cannot be made.
  [[nodiscard]] static Result<PartWriter> create(std::filesystem::path file,
                                                 std::uint64_t most = limits::part_bytes);
  PartWriter(PartWriter&&) = default;
  ~PartWriter();  // what was not finished is removed

  // All samples of one series. REQUIRES: series come in ascending order, samples strictly ascending
  // in time, at least one. disk, too_big: the part cannot be finished.
  [[nodiscard]] Status add(SeriesId series, const Column& samples, Origin origin = Origin::other);
  // Durable under its name when it returns, in the place of what had it. corrupt: a sync failed;
  // what had the name is there, or the new part, whole in either case.
  [[nodiscard]] Result<std::shared_ptr<const Part>> finish(const PartSource& source);
  [[nodiscard]] std::uint64_t samples() const { return info_.samples; }

 private:
  struct Entry {
    std::uint32_t series;
    std::uint32_t offset;
    std::uint32_t crc;
    std::int64_t first_ms;
  };
  PartWriter(std::filesystem::path file, store::File aside, std::uint64_t most)
      : file_(std::move(file)), aside_(std::move(aside)), most_(most) {}
  [[nodiscard]] std::filesystem::path aside() const;

  std::filesystem::path file_;
  store::File aside_;
  std::uint64_t most_;  // bytes of blocks
  PartInfo info_;
  std::vector<Entry> entries_;
  std::string unwritten_;
  std::uint64_t size_ = 0;
};

}  // namespace tallymill::collector
