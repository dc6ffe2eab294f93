// flip: one bit of some bytes turned over, as a disk or a network does that nobody noticed.
//
// Threads: any, each with bytes of its own.
#pragma once

#include <cstddef>
#include <string>

namespace tallymill::fakes {

// REQUIRES: bit < 8 * bytes.size(). Bits of a byte from the lowest.
inline void flip(std::string& bytes, std::size_t bit) {
  const unsigned garbled = static_cast<unsigned char>(bytes[bit / 8]) ^ (1U << bit % 8);
  bytes[bit / 8] = static_cast<char>(garbled);
}

}  // namespace tallymill::fakes
