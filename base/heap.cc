#include "base/heap.h"

#include <malloc.h>

#include <algorithm>
#include <cstddef>
#include <utility>

// jemalloc's, if the program links it: the library that this file is in does not.
// NOLINTNEXTLINE(readability-identifier-naming)
extern "C" __attribute__((weak)) int mallctl(const char* name, void* old, std::size_t* old_size,
                                             void* fresh, std::size_t fresh_size);

namespace tallymill {
namespace {

// A trim costs milliseconds.
constexpr std::uint64_t worth_bytes = 1 << 20;

std::uint64_t jemalloc_number(const char* name) {
  std::size_t value = 0;
  std::size_t size = sizeof value;
  return mallctl(name, &value, &size, nullptr, 0) == 0 ? value : 0;
}

}  // namespace

Heap read_heap() {
  if (mallctl != nullptr) {
    std::uint64_t epoch = 1;  // its numbers are of the last time that this was written
    mallctl("epoch", nullptr, nullptr, &epoch, sizeof epoch);
    return {jemalloc_number("stats.allocated"), jemalloc_number("stats.resident")};
  }
  const struct mallinfo2 info = ::mallinfo2();
  return {info.uordblks + info.hblkhd, info.arena + info.hblkhd};
}

void trim_heap() {
  if (mallctl != nullptr) {
    mallctl("arena.4096.purge", nullptr, nullptr, nullptr, 0);  // 4096: of all arenas
    return;
  }
  ::malloc_trim(0);
}

bool IdleTrim::is_idle(Instant now, Duration cpu) {
  const double passed = static_cast<double>((now - last_look_).count());
  const double used = static_cast<double>((cpu - last_cpu_).count());
  const bool first = !std::exchange(seen_, true);
  if (first || used > passed * limits::heap_idle_cpus) {
    idle_since_ = now;
    settled_ = first;
  }
  last_look_ = now;
  last_cpu_ = cpu;
  return now - idle_since_ >= limits::heap_idle;
}

bool IdleTrim::due(std::uint64_t spare_bytes) {
  left_bytes_ = std::min(left_bytes_, spare_bytes);
  if (!settled_ && last_look_ - idle_since_ >= 4 * limits::heap_idle) {
    settled_ = true;
    return true;
  }
  return spare_bytes - left_bytes_ >= worth_bytes;
}

}  // namespace tallymill
