// WriteRequest: builds requests of remote write, field by field, sound and unsound ones.
//
// Threads: plain functions.
#pragma once

#include <snappy.h>

#include <bit>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tallymill::collector {

inline std::string joined(std::initializer_list<std::string_view> parts) {
  std::string bytes;
  for (const std::string_view part : parts) bytes += part;
  return bytes;
}
inline std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>((value & 0x7f) | 0x80);
  return bytes + static_cast<char>(value);
}
inline std::string tag(std::uint64_t number, unsigned type) { return varint(number << 3 | type); }
inline std::string bytes_field(std::uint64_t number, std::string_view bytes) {
  return tag(number, 2) + varint(bytes.size()) + std::string(bytes);
}
inline std::string varint_field(std::uint64_t number, std::uint64_t value) {
  return tag(number, 0) + varint(value);
}
inline std::string double_field(std::uint64_t number, double value) {
  std::string bytes = tag(number, 1);
  const auto bits = std::bit_cast<std::uint64_t>(value);
  for (int i = 0; i < 64; i += 8) bytes += static_cast<char>(bits >> i & 0xff);
  return bytes;
}

using TextPairs = std::vector<std::pair<std::string, std::string>>;

inline std::string label_field(std::string_view name, std::string_view value) {
  return bytes_field(1, bytes_field(1, name) + bytes_field(2, value));
}
inline std::string label_fields(const TextPairs& pairs) {
  std::string bytes;
  for (const auto& [name, value] : pairs) bytes += label_field(name, value);
  return bytes;
}
inline std::string sample_field(double value, std::int64_t t_ms) {
  return bytes_field(2, double_field(1, value) + varint_field(2, static_cast<std::uint64_t>(t_ms)));
}
inline std::string exemplar_field(const TextPairs& pairs, double value, std::int64_t t_ms) {
  return bytes_field(3, label_fields(pairs) + double_field(2, value) +
                            varint_field(3, static_cast<std::uint64_t>(t_ms)));
}
inline std::string time_series(std::string_view fields) { return bytes_field(1, fields); }
inline std::string metadata_field(std::uint64_t type, std::string_view name, std::string_view help,
                                  std::string_view unit) {
  return bytes_field(3, varint_field(1, type) + bytes_field(2, name) + bytes_field(4, help) +
                            bytes_field(5, unit));
}
inline std::string snappy_block(std::string_view bytes) {
  std::string block;
  snappy::Compress(bytes.data(), bytes.size(), &block);
  return block;
}

}  // namespace tallymill::collector
