// A fresh seed for each run of a random test, printed so that a failure comes back:
// TALLYMILL_SEED=123 runs with that one.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <random>

namespace tallymill {

inline unsigned test_seed() {
  const char* const asked = std::getenv("TALLYMILL_SEED");
  const unsigned seed =
      asked ? static_cast<unsigned>(std::strtoul(asked, nullptr, 10)) : std::random_device{}();
  std::printf("seed %u\n", seed);
  return seed;
}

}  // namespace tallymill
