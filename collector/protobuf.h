// Protobuf: the wire format, field by field, of bytes from anybody.
//
//   Protobuf fields(message);
//   for (Protobuf::Field field; fields.next(field);) ...
//   if (fields.fault()) ...
//
//   invariant: nothing outside of the message is read, whatever it says about lengths
//   invariant: after a fault next() gives nothing more
//
// Threads: values.
// Source: the encoding of Protocol Buffers; groups, which nobody writes any more, are refused.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace tallymill::collector {

class Protobuf {
 public:
  enum class Type : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };
  struct Field {
    std::uint32_t number;
    Type type;
    std::uint64_t value;     // of a varint or a fixed one
    std::string_view bytes;  // of bytes
    const char* begin;       // of its tag
    [[nodiscard]] double real() const { return std::bit_cast<double>(value); }
  };

  explicit Protobuf(std::string_view message)
      : at_(message.data()), end_(message.data() + message.size()) {}

  // False at the end and at a fault.
  [[nodiscard]] bool next(Field& field) {
    if (at_ == end_) return false;
    field.begin = at_;
    std::uint64_t tag = 0;
    if (!varint(tag)) return false;
    if (tag > UINT32_MAX || tag < 8) return fail("a field without a number");
    field.number = static_cast<std::uint32_t>(tag >> 3);
    switch (tag & 7) {
      case 0:
        field.type = Type::varint;
        return varint(field.value);
      case 1:
        field.type = Type::fixed64;
        return fixed<std::uint64_t>(field.value);
      case 2:
        field.type = Type::bytes;
        return bytes(field.bytes);
      case 5:
        field.type = Type::fixed32;
        return fixed<std::uint32_t>(field.value);
      default:
        return fail("a field of no known type");
    }
  }

  // What is wrong with the message; null: nothing so far.
  [[nodiscard]] const char* fault() const { return fault_; }
  [[nodiscard]] const char* at() const { return at_; }

 private:
  bool fail(const char* why) {
    fault_ = why;
    end_ = at_;
    return false;
  }

  bool varint(std::uint64_t& into) {
    if (at_ != end_ && static_cast<unsigned char>(*at_) < 0x80) {
      into = static_cast<unsigned char>(*at_++);
      return true;
    }
    into = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == end_) return fail("a number that does not end");
      const std::uint64_t byte = static_cast<unsigned char>(*at_++);
      if (shift == 63 && byte > 1) break;
      into |= (byte & 0x7f) << shift;
      if (byte < 0x80) return true;
    }
    return fail("a number of more than 64 bits");
  }

  template <class T>
  bool fixed(std::uint64_t& into) {
    static_assert(std::endian::native == std::endian::little);
    if (static_cast<std::size_t>(end_ - at_) < sizeof(T)) return fail("a number that is cut off");
    T value = 0;
    std::memcpy(&value, at_, sizeof value);
    at_ += sizeof value;
    into = value;
    return true;
  }

  bool bytes(std::string_view& into) {
    std::uint64_t size = 0;
    if (!varint(size)) return false;
    if (size > static_cast<std::uint64_t>(end_ - at_)) return fail("a length beyond the end");
    into = {at_, static_cast<std::size_t>(size)};
    at_ += size;
    return true;
  }

  const char* at_;
  const char* end_;
  const char* fault_ = nullptr;
};

}  // namespace tallymill::collector
