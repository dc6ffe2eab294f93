#include "base/code_pages.h"

#include <sys/mman.h>

#include <charconv>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>

namespace tallymill {
namespace {

std::uintptr_t hex(const std::string& text, std::size_t at) {
  std::uintptr_t number = 0;
  std::from_chars(text.data() + at, text.data() + text.size(), number, 16);
  return number;
}

}  // namespace

std::size_t give_back_code_pages() {
  std::ifstream maps("/proc/self/maps");
  std::size_t bytes = 0;
  for (std::string line; std::getline(maps, line);) {
    // 7f01-7f02 r-xp 00001000 fe:00 1234 /usr/lib/...
    std::istringstream words(line);
    std::string range;
    std::string access;
    std::string offset;
    std::string device;
    std::string inode;
    std::string file;
    words >> range >> access >> offset >> device >> inode >> file;
    const bool code = access == "r-xp";
    const bool head = access == "r--p" && hex(offset, 0) == 0;
    if (!file.starts_with('/') || !(code || head)) continue;
    const std::uintptr_t begin = hex(range, 0);
    const std::uintptr_t end = hex(range, range.find('-') + 1);
    // NOLINTNEXTLINE(performance-no-int-to-ptr): an address as the kernel writes it
    if (::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED) == 0)
      bytes += end - begin;
  }
  return bytes;
}

}  // namespace tallymill
