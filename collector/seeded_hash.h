// Seeded hash: a hash of bytes that no sender can foresee, for tables of what senders choose.
//
// A polynomial over the field of 2^61 - 1 at a point that the process draws: two texts of n bytes
// collide with a chance of n / 2^63 whatever they are, as long as nobody knows the point. A hash
// with a constant in its place lets a sender make a million labels that all fall into one bucket.
//
// Threads: pure.
// Source: Carter and Wegman, "Universal classes of hash functions".
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace tallymill::collector {

// The point of this process, and the same for all tables in it.
[[nodiscard]] std::uint64_t hash_point();

class SeededHash {
 public:
  using is_transparent = void;

  [[nodiscard]] std::size_t operator()(std::string_view bytes) const {
    constexpr std::size_t word_bytes = 7;  // below the prime, whatever they are
    std::uint64_t sum = bytes.size();
    for (; bytes.size() >= sizeof(std::uint64_t); bytes.remove_prefix(word_bytes)) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes.data(), sizeof word);
      sum = times_point(sum) + (word & 0xff'ffff'ffff'ffff);
    }
    std::uint64_t last = 0;
    if (!bytes.empty()) std::memcpy(&last, bytes.data(), bytes.size());
    return times_point(times_point(sum) + last);
  }

 private:
  static constexpr std::uint64_t prime = (1ULL << 61) - 1;

  // Below 2^63, of a sum below 2^63 and a word; modulo the prime but for some multiples of it.
  [[nodiscard]] std::uint64_t times_point(std::uint64_t sum) const {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(sum) * point_;
    return (static_cast<std::uint64_t>(product) & prime) +
           static_cast<std::uint64_t>(product >> 61);
  }

  std::uint64_t point_ = hash_point();
};

}  // namespace tallymill::collector
