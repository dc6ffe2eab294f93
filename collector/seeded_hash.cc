#include "collector/seeded_hash.h"

#include <sys/random.h>

#include "base/check.h"

namespace tallymill::collector {

std::uint64_t hash_point() {
  static const std::uint64_t point = [] {
    std::uint64_t drawn = 0;
    TM_CHECK(::getrandom(&drawn, sizeof drawn, 0) == sizeof drawn);
    return drawn >> 4 | 1ULL << 59;  // 60 bits, never a small one
  }();
  return point;
}

}  // namespace tallymill::collector
