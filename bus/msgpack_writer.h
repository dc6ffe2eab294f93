// MsgpackWriter: msgpack at the end of a buffer that keeps its memory.
//
// Integers take their shortest format and doubles always take nine bytes, so that equal values have
// equal bytes and a double stays one. (msgpack-cxx's packer turns 2.0 into the integer 2 and -0.0
// into 0, and converts 2^64 to an integer before it looks whether it fits: undefined.)
//
// Threads: plain values.
// Source: https://github.com/msgpack/msgpack/blob/master/spec.md
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

namespace tallymill::bus {

class Buffer {
 public:
  void append(std::string_view bytes) {
    if (bytes.empty()) return;
    std::memcpy(room(bytes.size()), bytes.data(), bytes.size());
    size_ += bytes.size();
  }
  // Space for n more bytes at the end; they count when grow() says so.
  [[nodiscard]] char* room(std::size_t n) {
    if (capacity_ - size_ < n) [[unlikely]]
      enlarge(n);
    return bytes_.get() + size_;
  }
  void grow(std::size_t n) { size_ += n; }
  void truncate(std::size_t size) { size_ = size; }
  // Empty again; its memory stays, unless it is more than `kept` bytes.
  void clear(std::size_t kept) {
    size_ = 0;
    if (capacity_ <= kept) return;
    bytes_.reset();
    capacity_ = 0;
  }

  [[nodiscard]] char* data() { return bytes_.get(); }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::string_view view() const { return {bytes_.get(), size_}; }

 private:
  void enlarge(std::size_t n) {
    const std::size_t capacity = std::max<std::size_t>(2 * capacity_, size_ + n + 1024);
    auto bytes = std::make_unique_for_overwrite<char[]>(capacity);
    if (size_ != 0) std::memcpy(bytes.get(), bytes_.get(), size_);
    bytes_ = std::move(bytes);
    capacity_ = capacity;
  }

  std::unique_ptr<char[]> bytes_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

class MsgpackWriter {
 public:
  explicit MsgpackWriter(Buffer& out) : out_(out) {}

  void nil() { format(0xc0); }
  void boolean(bool value) { format(value ? 0xc3 : 0xc2); }
  void real(double value) { put<std::uint64_t>(0xcb, std::bit_cast<std::uint64_t>(value)); }
  void integer(std::uint64_t value) {
    if (value < 0x80)
      format(static_cast<std::uint8_t>(value));
    else if (value <= 0xff)
      put<std::uint8_t>(0xcc, value);
    else if (value <= 0xffff)
      put<std::uint16_t>(0xcd, value);
    else if (value <= 0xffff'ffff)
      put<std::uint32_t>(0xce, value);
    else
      put<std::uint64_t>(0xcf, value);
  }
  void integer(std::int64_t value) {
    const auto bits = static_cast<std::uint64_t>(value);
    if (value >= 0)
      integer(bits);
    else if (value >= -32)
      format(static_cast<std::uint8_t>(bits));
    else if (value >= INT8_MIN)
      put<std::uint8_t>(0xd0, bits);
    else if (value >= INT16_MIN)
      put<std::uint16_t>(0xd1, bits);
    else if (value >= INT32_MIN)
      put<std::uint32_t>(0xd2, bits);
    else
      put<std::uint64_t>(0xd3, bits);
  }
  void text(std::string_view text) {
    const std::size_t n = text.size();
    if (n < 32)
      format(static_cast<std::uint8_t>(0xa0 | n));
    else if (n <= 0xff)
      put<std::uint8_t>(0xd9, n);
    else if (n <= 0xffff)
      put<std::uint16_t>(0xda, n);
    else
      put<std::uint32_t>(0xdb, n);
    out_.append(text);
  }
  // The elements, or pairs, come next.
  void list(std::size_t elements) { container(0x90, 0xdc, elements); }
  void map(std::size_t pairs) { container(0x80, 0xde, pairs); }

 private:
  void format(std::uint8_t byte) {
    *out_.room(1) = static_cast<char>(byte);
    out_.grow(1);
  }
  void container(std::uint8_t fix, std::uint8_t sixteen, std::size_t n) {
    if (n < 16)
      format(static_cast<std::uint8_t>(fix | n));
    else if (n <= 0xffff)
      put<std::uint16_t>(sixteen, n);
    else
      put<std::uint32_t>(static_cast<std::uint8_t>(sixteen + 1), n);
  }
  // A format byte and the low bytes of `bits`, the high one first.
  template <class U>
  void put(std::uint8_t format, std::uint64_t bits) {
    char* const at = out_.room(1 + sizeof(U));
    *at = static_cast<char>(format);
    std::uint64_t ordered = bits << (64 - 8 * sizeof(U));
    if constexpr (std::endian::native == std::endian::little) ordered = __builtin_bswap64(ordered);
    std::memcpy(at + 1, &ordered, sizeof(U));
    out_.grow(1 + sizeof(U));
  }

  Buffer& out_;
};

}  // namespace tallymill::bus
