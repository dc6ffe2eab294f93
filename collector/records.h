// Records: a file that only grows, of records of which each is whole or not there.
//
// Each record carries its length and a CRC32, and begins with a mark that the file drew by chance
// when it was made. The mark is what finds the next record when a length cannot be believed, and no
// label that a sender chose can look like one. What stands behind the last whole record is a torn
// write, and is cut away; what is damaged between two whole ones is skipped and counted.
//
// Bytes: "tmlog 1\n", the mark (4 bytes, three times, so that a flipped bit in it is outvoted);
// then records: mark (4), size (4), CRC32 of size and payload (4), payload.
//
// The CRC is libdeflate's, which is in every Debian and takes 10 GB/s with the carry-less multiply
// of the processor: a table of our own takes one.
//
//   invariant: a payload that scan() gives is what append() was given, but for what CRC32 lets pass
//
// Threads: one at a time; sync() together with append().
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "collector/disk_file.h"
#include "store/durable.h"

namespace tallymill::collector {

struct Scanned {
  std::uint64_t records = 0;
  std::uint64_t damaged = 0;     // stretches between whole records that are none
  std::uint64_t torn_bytes = 0;  // behind the last whole record
  std::uint64_t size = 0;        // up to the end of the last whole record; 0: not even a head
  std::uint32_t mark = 0;
};

// Every whole record in order; it is there as long as the call that tells of it.
Scanned scan_records(std::string_view untrusted, const std::function<void(std::string_view)>& each);
// The same of a file, of which a few MiB are in memory at a time, whatever size it says it has; its
// holes are passed over.
Scanned scan_records(const DiskFile& untrusted, const std::function<void(std::string_view)>& each);

// A CRC32 that goes on from `before`.
[[nodiscard]] std::uint32_t crc32(std::string_view bytes, std::uint32_t before = 0);

class RecordFile {
 public:
  // A new file; one of this name is replaced. Its name is durable when it returns.
  [[nodiscard]] static Result<std::unique_ptr<RecordFile>> create(std::filesystem::path path);
  // Goes on behind what scan_records() found whole, and cuts the rest.
  [[nodiscard]] static Result<std::unique_ptr<RecordFile>> open(std::filesystem::path path,
                                                                const Scanned& found);

  // Adds the record to what the next flush() writes. REQUIRES: at most limits::log_record_bytes.
  void add(std::string_view payload);
  // Writes what was added in one call of the system. disk: nothing of it stands in the file, and
  // it is forgotten.
  [[nodiscard]] Status flush();
  // What was flushed is on disk. corrupt: it is not, see store::sync_file().
  [[nodiscard]] Status sync() const;
  // Syncs it and puts it in the place of `home`, durably; see store::put_in_place().
  [[nodiscard]] Status rename(const std::filesystem::path& home);

  [[nodiscard]] std::uint64_t size() const { return size_; }

 private:
  RecordFile(std::filesystem::path path, store::File file, std::uint32_t mark, std::uint64_t size)
      : path_(std::move(path)), file_(std::move(file)), mark_(mark), size_(size) {}

  std::filesystem::path path_;
  store::File file_;
  std::uint32_t mark_;
  std::uint64_t size_;
  std::string added_;
};

}  // namespace tallymill::collector
