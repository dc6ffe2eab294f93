#include "alerting/packed_labels.h"

#include <cstdint>
#include <optional>
#include <utility>

namespace tallymill::alerting {
namespace {

void append_text(std::string& to, std::string_view text) {
  const auto size = static_cast<std::uint32_t>(text.size());
  for (int shift = 0; shift < 32; shift += 8)
    to += static_cast<char>(static_cast<unsigned char>(size >> shift));
  to += text;
}

std::optional<std::string> take_text(std::string_view& from) {
  if (from.size() < 4) return std::nullopt;
  std::uint32_t size = 0;
  for (std::size_t i = 0; i < 4; ++i)
    size |= static_cast<std::uint32_t>(static_cast<unsigned char>(from[i])) << (8 * i);
  from.remove_prefix(4);
  if (size > from.size()) return std::nullopt;
  std::string text(from.substr(0, size));
  from.remove_prefix(size);
  return text;
}

}  // namespace

std::string pack_labels(const collector::Labels& labels) {
  std::string packed;
  for (const collector::Label& label : labels) {
    append_text(packed, label.name);
    append_text(packed, label.value);
  }
  return packed;
}

Result<collector::Labels> unpack_labels(std::string_view packed) {
  collector::Labels::Pairs pairs;
  while (!packed.empty()) {
    auto name = take_text(packed);
    auto value = name ? take_text(packed) : std::nullopt;
    if (!value) return fail(Errc::corrupt, "labels in the outbox are cut short");
    pairs.emplace_back(std::move(*name), std::move(*value));
  }
  return collector::Labels::of(std::move(pairs));
}

}  // namespace tallymill::alerting
