// Bytes: the small parts that every format of the collector is made of: varints (LEB128), zigzag,
// little-endian words, and a reader that never leaves what it was given.
//
//   invariant: a Reader that has failed reads only zeros, so that a parser checks ok() once and not
//              after every step
//
// Threads: values.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace tallymill::collector {

static_assert(std::endian::native == std::endian::little, "words are stored as they are in memory");

[[nodiscard]] constexpr std::uint64_t zigzag(std::int64_t value) {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}
[[nodiscard]] constexpr std::int64_t unzigzag(std::uint64_t value) {
  return static_cast<std::int64_t>((value >> 1) ^ (0 - (value & 1)));
}

// Bytes of it as a varint.
[[nodiscard]] constexpr std::size_t varint_size(std::uint64_t value) {
  return (static_cast<std::size_t>(std::bit_width(value | 1)) + 6) / 7;
}

inline void append_varint(std::string& to, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) to += static_cast<char>((value & 0x7f) | 0x80);
  to += static_cast<char>(value);
}

template <class Word>
void append_word(std::string& to, Word word) {
  char bytes[sizeof word];
  std::memcpy(bytes, &word, sizeof word);
  to.append(bytes, sizeof word);
}

// REQUIRES: so many bytes are there.
template <class Word>
[[nodiscard]] Word load_word(const char* from) {
  Word word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

class Reader {
 public:
  explicit Reader(std::string_view untrusted) : rest_(untrusted) {}

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool at_end() const { return rest_.empty(); }
  [[nodiscard]] std::string_view rest() const { return rest_; }
  void fail() {
    ok_ = false;
    rest_ = {};
  }

  [[nodiscard]] std::uint8_t byte() {
    if (rest_.empty()) {
      fail();
      return 0;
    }
    const auto got = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return got;
  }

  [[nodiscard]] std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const std::uint8_t got = byte();
      // The tenth byte has room for one bit.
      if (shift == 63 && got > 1) break;
      value |= static_cast<std::uint64_t>(got & 0x7f) << shift;
      if ((got & 0x80) == 0) return ok_ ? value : 0;
    }
    fail();
    return 0;
  }

  template <class Word>
  [[nodiscard]] Word word() {
    const std::string_view got = take(sizeof(Word));
    return got.empty() ? Word{} : load_word<Word>(got.data());
  }

  // Empty when there are fewer, and it has failed.
  [[nodiscard]] std::string_view take(std::size_t size) {
    if (size > rest_.size()) {
      fail();
      return {};
    }
    const std::string_view got = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return got;
  }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace tallymill::collector
