// Disk file: a file that never changes, read in pieces.
//
// Not mapped: a page that the disk cannot read, or that somebody cut off, ends by a signal a
// process that has it mapped; here it is an answer. Who goes on where it stopped is read ahead for,
// so that a thousand blocks of a query are some dozens of calls of the system: 0.12 us a block,
// where each alone costs 0.75 and a mapped one 0.08 (blocks of 1,200 bytes, checksum included).
//
// Threads: any number that read; each has its own buffers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"
#include "store/durable.h"

namespace tallymill::collector {

class DiskFile {
 public:
  // Two places in one file that are read on from independently.
  enum class Stream : std::uint8_t { first, second };

  // not_found: there is none. disk: it cannot be opened.
  [[nodiscard]] static Result<DiskFile> open(const std::filesystem::path& path);

  // These bytes, until this thread reads again from any file; nullopt: the disk does not give them.
  // REQUIRES: at most limits::disk_read_bytes.
  [[nodiscard]] std::optional<std::string_view> read(Stream stream, std::uint64_t at,
                                                     std::size_t size) const;
  [[nodiscard]] std::uint64_t size() const { return size_; }

  // Fills `into` with the bytes from `at` on, and with zeros for what the disk does not give:
  // checksums find them.
  void copy(std::uint64_t at, std::span<char> into) const;
  // The first byte from `at` on that is in no hole; size() when there is none.
  [[nodiscard]] std::uint64_t data_from(std::uint64_t at) const;

 private:
  DiskFile(store::File file, std::uint64_t size, std::uint64_t serial)
      : file_(std::move(file)), size_(size), serial_(serial) {}

  store::File file_;
  std::uint64_t size_;
  std::uint64_t serial_;  // no other in this process has it
};

}  // namespace tallymill::collector
