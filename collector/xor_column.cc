#include "collector/xor_column.h"

#include <algorithm>
#include <bit>
#include <cstdint>

namespace tallymill::collector {
namespace {

class BitWriter {
 public:
  explicit BitWriter(std::string& to) : to_(to) {}
  // REQUIRES: 1..64 bits, no others are set.
  void put(std::uint64_t bits, unsigned count) {
    if (count > 32) {
      put(bits >> 32, count - 32);
      bits &= 0xffff'ffff;
      count = 32;
    }
    held_ = held_ << count | bits;
    for (held_bits_ += count; held_bits_ >= 8; held_bits_ -= 8)
      to_ += static_cast<char>(held_ >> (held_bits_ - 8) & 0xff);
  }
  void finish() {
    if (held_bits_ > 0) put(0, 8 - held_bits_);
  }

 private:
  std::string& to_;
  std::uint64_t held_ = 0;  // the lowest held_bits_ of it are not written yet
  unsigned held_bits_ = 0;
};

class BitReader {
 public:
  explicit BitReader(std::string_view bytes) : bytes_(bytes) {}
  // REQUIRES: 1..64.
  std::uint64_t get(unsigned count) {
    if (count > 32) {
      const std::uint64_t high = get(count - 32);
      return high << 32 | get(32);
    }
    while (held_bits_ < count) {
      ok_ = ok_ && at_ < bytes_.size();
      held_ = held_ << 8 | (ok_ ? static_cast<unsigned char>(bytes_[at_]) : 0U);
      at_ += ok_ ? 1 : 0;
      held_bits_ += 8;
    }
    held_bits_ -= count;
    return held_ >> held_bits_ & (~std::uint64_t{0} >> (64 - count));
  }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::size_t bytes_read() const { return at_; }

 private:
  std::string_view bytes_;
  std::size_t at_ = 0;
  std::uint64_t held_ = 0;
  unsigned held_bits_ = 0;
  bool ok_ = true;
};

}  // namespace

void pack_xor(std::span<const double> values, std::string& to) {
  auto last = std::bit_cast<std::uint64_t>(values[0]);
  append_word(to, last);
  BitWriter bits(to);
  // Where the last bits lay; at first nowhere.
  unsigned leading = 64;
  unsigned trailing = 64;
  for (const double value : values.subspan(1)) {
    const auto now = std::bit_cast<std::uint64_t>(value);
    const std::uint64_t differ = now ^ last;
    last = now;
    if (differ == 0) {
      bits.put(0, 1);
      continue;
    }
    const auto zeros = static_cast<unsigned>(std::countl_zero(differ));
    const auto zeros_below = static_cast<unsigned>(std::countr_zero(differ));
    // A place that is 12 bits wider than needed costs as much as a new one.
    const bool fits = zeros >= leading && zeros_below >= trailing &&
                      zeros + zeros_below < leading + trailing + 12;
    if (fits) {
      bits.put(0b10, 2);
    } else {
      leading = zeros;
      trailing = zeros_below;
      bits.put(0b11, 2);
      bits.put(leading, 6);
      bits.put(63 - leading - trailing, 6);
    }
    bits.put(differ >> trailing, 64 - leading - trailing);
  }
  bits.finish();
}

bool unpack_xor(Reader& from, std::span<double> into) {
  auto last = from.word<std::uint64_t>();
  into[0] = std::bit_cast<double>(last);
  BitReader bits(from.rest());
  unsigned count = 0;  // of the bits that differ; 0: none were read yet
  unsigned trailing = 0;
  for (double& value : into.subspan(1)) {
    if (bits.get(1) != 0) {
      if (bits.get(1) != 0) {
        const auto leading = static_cast<unsigned>(bits.get(6));
        count = static_cast<unsigned>(bits.get(6)) + 1;
        if (leading + count > 64) return false;
        trailing = 64 - leading - count;
      }
      if (count == 0 || !bits.ok()) return false;
      last ^= bits.get(count) << trailing;
    }
    value = std::bit_cast<double>(last);
  }
  if (!bits.ok()) return false;
  (void)from.take(bits.bytes_read());
  return from.ok();
}

}  // namespace tallymill::collector
