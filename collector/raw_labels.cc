#include "collector/raw_labels.h"

#include <cstring>

#include "base/limits.h"
#include "collector/protobuf.h"

namespace tallymill::collector {
namespace {

constexpr std::uint32_t label_field = 1;
constexpr std::uint32_t name_field = 1;
constexpr std::uint32_t value_field = 2;

bool read_label(std::string_view message, Label& label) {
  Protobuf fields(message);
  for (Protobuf::Field field; fields.next(field);) {
    if (field.number != name_field && field.number != value_field) continue;
    if (field.type != Protobuf::Type::bytes) return false;
    (field.number == name_field ? label.name : label.value) = field.bytes;
  }
  return fields.fault() == nullptr;
}

// A tag of one byte, a length and so many bytes. In `packed` of series.cc it is the same without
// the tag, so that what follows the tag can be compared as it stands.
bool take_same(std::string_view& raw, char tag, std::string_view& packed) {
  if (raw.empty() || packed.empty() || raw[0] != tag) return false;
  std::size_t size = static_cast<unsigned char>(packed[0]);
  std::size_t head = 1;
  if (size >= 0x80) {
    size &= 0x7f;
    for (int shift = 7;; shift += 7) {
      const auto byte = static_cast<unsigned char>(packed[head++]);
      size |= static_cast<std::size_t>(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
  }
  const std::size_t whole = head + size;
  if (raw.size() - 1 < whole || std::memcmp(raw.data() + 1, packed.data(), whole) != 0)
    return false;
  raw.remove_prefix(1 + whole);
  packed.remove_prefix(whole);
  return true;
}

}  // namespace

bool read_raw_labels(std::string_view raw, std::vector<Label>& into) {
  into.clear();
  Protobuf fields(raw);
  for (Protobuf::Field field; fields.next(field);) {
    if (field.number != label_field || field.type != Protobuf::Type::bytes) return false;
    if (!read_label(field.bytes, into.emplace_back())) return false;
    if (into.size() > limits::series_labels) return true;
  }
  return fields.fault() == nullptr;
}

bool same_labels(std::string_view raw, const Labels& labels) {
  constexpr char label_tag = 0x0a;
  constexpr char name_tag = 0x0a;
  constexpr char value_tag = 0x12;
  std::string_view packed = labels.packed();
  while (!raw.empty()) {
    if (raw[0] != label_tag) return false;
    std::size_t head = 1;
    std::size_t size = 0;
    for (int shift = 0;; shift += 7) {
      if (head == raw.size() || shift > 28) return false;
      const auto byte = static_cast<unsigned char>(raw[head++]);
      size |= static_cast<std::size_t>(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    if (raw.size() - head < size) return false;
    std::string_view label = raw.substr(head, size);
    raw.remove_prefix(head + size);
    if (!take_same(label, name_tag, packed) || !take_same(label, value_tag, packed) ||
        !label.empty())
      return false;
  }
  return packed.empty();
}

}  // namespace tallymill::collector
