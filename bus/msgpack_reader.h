// MsgpackReader: a cursor over msgpack bytes that nobody has checked yet.
//
// It allocates nothing and throws nothing. Every length that the bytes announce is compared with
// the bytes that remain before it is believed: a list of n elements needs at least n bytes, a map
// of n pairs at least 2n. Text is a view into the bytes read.
//
//   invariant: never reads outside the bytes it was given, and never moves past them
//
// Threads: a plain value.
// Source: https://github.com/msgpack/msgpack/blob/master/spec.md
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string_view>
#include <type_traits>

#include "base/limits.h"

namespace tallymill::bus {

class MsgpackReader {
 public:
  enum class Type : std::uint8_t {
    nil,
    boolean,
    integer,
    real,
    text,
    binary,
    list,
    map,
    extension,
    none
  };

  explicit MsgpackReader(std::string_view untrusted)
      : at_(untrusted.data()), end_(untrusted.data() + untrusted.size()) {}

  [[nodiscard]] bool at_end() const { return at_ == end_; }
  [[nodiscard]] std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
  [[nodiscard]] const char* at() const { return at_; }

  // What comes next; none at the end and at the one byte that is no format (0xc1).
  [[nodiscard]] Type type() const;

  // Each of these reads one value of its type and moves past it. False for another type, and then
  // the reader has not moved.
  [[nodiscard]] bool nil();
  [[nodiscard]] bool read(bool& value);
  [[nodiscard]] bool read(std::int64_t& value);   // any integer format; false above INT64_MAX
  [[nodiscard]] bool read(std::uint64_t& value);  // false below 0
  [[nodiscard]] bool read(double& value);         // floats, and integers as a sender may shorten
  [[nodiscard]] bool read(std::string_view& text);
  // The number of elements or of pairs; the elements come next. After false there is no going on.
  [[nodiscard]] bool list(std::uint32_t& elements);
  [[nodiscard]] bool map(std::uint32_t& pairs);

  // Moves past one value, whatever it is. False when it is cut off, not msgpack, or nested deeper
  // than `depth` lists and maps.
  [[nodiscard]] bool skip(int depth = limits::msgpack_depth);

 private:
  [[nodiscard]] std::uint8_t byte(std::size_t i = 0) const {
    return static_cast<std::uint8_t>(at_[i]);
  }
  template <class U>
  [[nodiscard]] U big_endian(std::size_t offset) const {
    U value;
    std::memcpy(&value, at_ + offset, sizeof value);
    if constexpr (std::endian::native == std::endian::little && sizeof(U) > 1) {
      if constexpr (sizeof(U) == 2) value = __builtin_bswap16(value);
      if constexpr (sizeof(U) == 4) value = __builtin_bswap32(value);
      if constexpr (sizeof(U) == 8) value = __builtin_bswap64(value);
    }
    return value;
  }
  // Moves past `head` bytes and then `body` more, if they are there.
  [[nodiscard]] bool advance(std::size_t head, std::size_t body) {
    if (left() < head || left() - head < body) return false;
    at_ += head + body;
    return true;
  }
  template <class U>
  [[nodiscard]] bool integer(std::uint64_t& bits) {
    if (left() < 1 + sizeof(U)) return false;
    // Sign extension happens here for signed U.
    bits = static_cast<std::uint64_t>(
        static_cast<std::int64_t>(std::bit_cast<U>(big_endian<std::make_unsigned_t<U>>(1))));
    at_ += 1 + sizeof(U);
    return true;
  }
  // Any integer as its two's complement; `negative` says how to read the top bit.
  [[nodiscard]] bool any_integer(std::uint64_t& bits, bool& negative);
  // Head of a value with an announced length (in bytes, elements or pairs): its size and the
  // length.
  template <class U>
  [[nodiscard]] bool length(std::size_t& head, std::uint32_t& n) const {
    if (left() < 1 + sizeof(U)) return false;
    head = 1 + sizeof(U);
    n = big_endian<U>(1);
    return true;
  }

  const char* at_;
  const char* end_;
};

inline MsgpackReader::Type MsgpackReader::type() const {
  if (at_end()) return Type::none;
  const std::uint8_t b = byte();
  if (b <= 0x7f || b >= 0xe0) return Type::integer;
  if (b <= 0x8f) return Type::map;
  if (b <= 0x9f) return Type::list;
  if (b <= 0xbf) return Type::text;
  switch (b) {
    case 0xc0:
      return Type::nil;
    case 0xc2:
    case 0xc3:
      return Type::boolean;
    case 0xc4:
    case 0xc5:
    case 0xc6:
      return Type::binary;
    case 0xca:
    case 0xcb:
      return Type::real;
    case 0xd9:
    case 0xda:
    case 0xdb:
      return Type::text;
    case 0xdc:
    case 0xdd:
      return Type::list;
    case 0xde:
    case 0xdf:
      return Type::map;
    case 0xc1:
      return Type::none;
    default:
      return b >= 0xcc && b <= 0xd3 ? Type::integer : Type::extension;
  }
}

inline bool MsgpackReader::nil() {
  if (at_end() || byte() != 0xc0) return false;
  ++at_;
  return true;
}

inline bool MsgpackReader::read(bool& value) {
  if (at_end() || (byte() & 0xfe) != 0xc2) return false;
  value = byte() == 0xc3;
  ++at_;
  return true;
}

inline bool MsgpackReader::any_integer(std::uint64_t& bits, bool& negative) {
  if (at_end()) return false;
  const std::uint8_t b = byte();
  negative = false;
  if (b <= 0x7f) {
    bits = b;
    ++at_;
    return true;
  }
  if (b >= 0xe0) {
    negative = true;
    bits = static_cast<std::uint64_t>(static_cast<std::int64_t>(static_cast<std::int8_t>(b)));
    ++at_;
    return true;
  }
  bool whole = false;
  switch (b) {
    case 0xcc:
      return integer<std::uint8_t>(bits);
    case 0xcd:
      return integer<std::uint16_t>(bits);
    case 0xce:
      return integer<std::uint32_t>(bits);
    case 0xcf:
      return integer<std::uint64_t>(bits);
    case 0xd0:
      whole = integer<std::int8_t>(bits);
      break;
    case 0xd1:
      whole = integer<std::int16_t>(bits);
      break;
    case 0xd2:
      whole = integer<std::int32_t>(bits);
      break;
    case 0xd3:
      whole = integer<std::int64_t>(bits);
      break;
    default:
      return false;
  }
  negative = whole && static_cast<std::int64_t>(bits) < 0;
  return whole;
}

inline bool MsgpackReader::read(std::int64_t& value) {
  std::uint64_t bits = 0;
  bool negative = false;
  const char* const begin = at_;
  if (!any_integer(bits, negative)) return false;
  if (!negative && bits > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    at_ = begin;
    return false;
  }
  value = static_cast<std::int64_t>(bits);
  return true;
}

inline bool MsgpackReader::read(std::uint64_t& value) {
  bool negative = false;
  const char* const begin = at_;
  if (any_integer(value, negative) && !negative) return true;
  at_ = begin;
  return false;
}

inline bool MsgpackReader::read(double& value) {
  if (at_end()) return false;
  if (byte() == 0xcb) {
    if (left() < 9) return false;
    value = std::bit_cast<double>(big_endian<std::uint64_t>(1));
    at_ += 9;
    return true;
  }
  if (byte() == 0xca) {
    if (left() < 5) return false;
    value = std::bit_cast<float>(big_endian<std::uint32_t>(1));
    at_ += 5;
    return true;
  }
  std::uint64_t bits = 0;
  bool negative = false;
  if (!any_integer(bits, negative)) return false;
  value =
      negative ? static_cast<double>(static_cast<std::int64_t>(bits)) : static_cast<double>(bits);
  return true;
}

inline bool MsgpackReader::read(std::string_view& text) {
  if (at_end()) return false;
  std::size_t head = 1;
  std::uint32_t n = 0;
  const std::uint8_t b = byte();
  if (b >= 0xa0 && b <= 0xbf) {
    n = b & 0x1f;
  } else if (b == 0xd9   ? !length<std::uint8_t>(head, n)
             : b == 0xda ? !length<std::uint16_t>(head, n)
             : b == 0xdb ? !length<std::uint32_t>(head, n)
                         : true) {
    return false;
  }
  const char* const begin = at_ + head;
  if (!advance(head, n)) return false;
  text = {begin, n};
  return true;
}

inline bool MsgpackReader::list(std::uint32_t& elements) {
  if (at_end()) return false;
  std::size_t head = 1;
  const std::uint8_t b = byte();
  if (b >= 0x90 && b <= 0x9f) {
    elements = b & 0x0f;
  } else if (b == 0xdc   ? !length<std::uint16_t>(head, elements)
             : b == 0xdd ? !length<std::uint32_t>(head, elements)
                         : true) {
    return false;
  }
  at_ += head;
  return elements <= left();
}

inline bool MsgpackReader::map(std::uint32_t& pairs) {
  if (at_end()) return false;
  std::size_t head = 1;
  const std::uint8_t b = byte();
  if (b >= 0x80 && b <= 0x8f) {
    pairs = b & 0x0f;
  } else if (b == 0xde   ? !length<std::uint16_t>(head, pairs)
             : b == 0xdf ? !length<std::uint32_t>(head, pairs)
                         : true) {
    return false;
  }
  at_ += head;
  return std::uint64_t{pairs} * 2 <= left();
}

inline bool MsgpackReader::skip(int depth) {
  // Values still to skip at each open level; nesting costs a counter, not a call.
  std::uint64_t open[limits::msgpack_depth + 1];
  int level = 0;
  open[0] = 1;
  if (depth > limits::msgpack_depth) depth = limits::msgpack_depth;
  for (;;) {
    while (open[level] == 0) {
      if (level-- == 0) return true;
    }
    --open[level];
    if (at_end()) return false;
    const std::uint8_t b = byte();
    std::uint32_t n = 0;
    std::size_t head = 1;
    if (b <= 0x7f || b >= 0xe0) {
      ++at_;
      continue;
    }
    if (b >= 0xa0 && b <= 0xbf) {
      if (!advance(1, b & 0x1f)) return false;
      continue;
    }
    if (b <= 0x9f || (b >= 0xdc && b <= 0xdf)) {
      const bool pairs = b <= 0x8f || b >= 0xde;
      if (pairs ? !map(n) : !list(n)) return false;
      if (n == 0) {
        if (level + 1 > depth) return false;
        continue;
      }
      if (++level > depth) return false;
      open[level] = pairs ? std::uint64_t{n} * 2 : n;
      continue;
    }
    bool whole = false;
    switch (b) {
      case 0xc0:
      case 0xc2:
      case 0xc3:
        whole = advance(1, 0);
        break;
      case 0xc4:
      case 0xd9:
        whole = length<std::uint8_t>(head, n) && advance(head, n);
        break;
      case 0xc5:
      case 0xda:
        whole = length<std::uint16_t>(head, n) && advance(head, n);
        break;
      case 0xc6:
      case 0xdb:
        whole = length<std::uint32_t>(head, n) && advance(head, n);
        break;
      case 0xc7:  // extensions carry a type byte after the length
        whole = length<std::uint8_t>(head, n) && advance(head + 1, n);
        break;
      case 0xc8:
        whole = length<std::uint16_t>(head, n) && advance(head + 1, n);
        break;
      case 0xc9:
        whole = length<std::uint32_t>(head, n) && advance(head + 1, n);
        break;
      case 0xcc:
      case 0xd0:
        whole = advance(2, 0);
        break;
      case 0xcd:
      case 0xd1:
        whole = advance(3, 0);
        break;
      case 0xce:
      case 0xd2:
      case 0xca:
        whole = advance(5, 0);
        break;
      case 0xcf:
      case 0xd3:
      case 0xcb:
        whole = advance(9, 0);
        break;
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        whole = advance(2, std::size_t{1} << (b - 0xd4));
        break;
      default:
        break;  // 0xc1
    }
    if (!whole) return false;
  }
}

}  // namespace tallymill::bus
