// links: tm_collector
// A part from a disk that lies. Goal: no bytes make Part read beyond the file, and what it gives is
// in the time that was asked for. Input: a file, whose checksums are made right, so that what is
// behind them is reached.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "base/check.h"
#include "collector/bytes.h"
#include "collector/part.h"
#include "collector/records.h"

namespace tallymill::collector {
namespace {

constexpr std::size_t footer_bytes = 88;
constexpr std::size_t entry_bytes = 16;

void set_word(std::string& file, std::size_t at, std::uint32_t word) {
  std::memcpy(file.data() + at, &word, sizeof word);
}

void make_right(std::string& file) {
  if (file.size() < footer_bytes) return;
  const std::size_t footer = file.size() - footer_bytes;
  const std::size_t blocks = load_word<std::uint32_t>(file.data() + footer + 64);
  if (blocks > footer / entry_bytes) return;
  const std::size_t directory = footer - blocks * entry_bytes;
  for (std::size_t i = 0; i < blocks; ++i) {
    const std::size_t entry = directory + i * entry_bytes;
    const std::size_t begin = load_word<std::uint32_t>(file.data() + entry + 4);
    const std::size_t end = i + 1 < blocks
                                ? load_word<std::uint32_t>(file.data() + entry + entry_bytes + 4)
                                : directory;
    if (begin <= end && end <= directory)
      set_word(file, entry + 8, crc32(std::string_view(file).substr(begin, end - begin)));
  }
  set_word(file, footer + 80,
           crc32(std::string_view(file).substr(directory, blocks * entry_bytes)));
  set_word(file, footer + 84, crc32(std::string_view(file).substr(footer, footer_bytes - 4)));
}

}  // namespace
}  // namespace tallymill::collector

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tallymill::collector;
  std::string file(reinterpret_cast<const char*>(data), size);
  make_right(file);
  const int fd = ::memfd_create("part", MFD_CLOEXEC);
  TM_CHECK(fd >= 0 && ::write(fd, file.data(), file.size()) == std::ssize(file));
  const auto part = Part::open("/proc/self/fd/" + std::to_string(fd));
  ::close(fd);
  if (!part) return 0;
  const PartInfo& info = (*part)->info();
  Column column;
  for (std::uint32_t series = 0; series < 8; ++series)
    for (const std::int64_t from : {info.first_ms, INT64_MIN, std::int64_t{0}})
      for (const std::int64_t to : {info.last_ms, INT64_MAX, info.first_ms}) {
        column.clear();
        (void)(*part)->read(tallymill::collector::SeriesId(series), from, to, column);
        TM_CHECK(column.t_ms.size() == column.value.size());
      }
  return 0;
}
