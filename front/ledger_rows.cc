#include "front/ledger_rows.h"

#include <bit>
#include <cstring>

namespace tallymill::front {

static_assert(std::endian::native == std::endian::little, "lists are stored as they are in memory");

std::string join_digests(std::span<const std::string> digests) {
  std::string joined;
  for (const std::string& digest : digests) {
    if (!joined.empty()) joined += ' ';
    joined += digest;
  }
  return joined;
}

std::vector<std::string> split_digests(std::string_view joined) {
  std::vector<std::string> digests;
  while (!joined.empty()) {
    const std::size_t end = joined.find(' ');
    digests.emplace_back(joined.substr(0, end));
    joined = end == std::string_view::npos ? std::string_view() : joined.substr(end + 1);
  }
  return digests;
}

void pack_whole(std::string& to, std::uint32_t below_head, std::int64_t whole_ns) {
  char bytes[packed_whole_bytes];
  std::memcpy(bytes, &below_head, sizeof below_head);
  std::memcpy(bytes + sizeof below_head, &whole_ns, sizeof whole_ns);
  to.append(bytes, sizeof bytes);
}

void pack_bytes(std::string& to, std::string_view bytes) {
  const auto length = static_cast<std::uint32_t>(bytes.size());
  to.append(reinterpret_cast<const char*>(&length), sizeof length);
  to.append(bytes);
}

std::uint32_t load_u32(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

std::int64_t load_i64(std::string_view bytes, std::size_t at) {
  std::int64_t value = 0;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

}  // namespace tallymill::front
