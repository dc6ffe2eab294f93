// How values of the ledger are packed into columns: lists of digests, and the lists of ends and
// wholes in a commit's row. docs/formats/ledger.md describes the bytes.
//
// Threads: plain functions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "store/sqlite.h"

namespace tallymill::front {

// Digests in one column, separated by a space.
[[nodiscard]] std::string join_digests(std::span<const std::string> digests);
[[nodiscard]] std::vector<std::string> split_digests(std::string_view joined);

// An end in its commit's row: how far its seq lies below the row's head, and its client's tag.
struct PackedEnd {
  std::uint32_t below_head;
  std::uint32_t tag;
};
static_assert(sizeof(PackedEnd) == 8);

// A whole in the row of a later commit. Not as bytes of a struct: it would have a hole.
inline constexpr std::size_t packed_whole_bytes = 12;
void pack_whole(std::string& to, std::uint32_t below_head, std::int64_t whole_ns);

// Calls use(seq, tag) and use(seq, ns) for what a row holds; a torn tail is left out.
template <class Use>
void each_packed_end(std::string_view packed, std::int64_t head, Use use);
template <class Use>
void each_packed_whole(std::string_view packed, std::int64_t head, Use use);

// One of several in a column, behind its length.
void pack_bytes(std::string& to, std::string_view bytes);
// Calls use(bytes) for each; false: the last one is cut short.
template <class Use>
[[nodiscard]] bool each_packed_bytes(std::string_view packed, Use use);

// Absent times are NULL.
template <class Time>
void bind_time(store::Statement& statement, int index, const Time& time) {
  time ? statement.bind(index, to_ns(*time)) : statement.bind_null(index);
}

[[nodiscard]] std::uint32_t load_u32(std::string_view bytes, std::size_t at);
[[nodiscard]] std::int64_t load_i64(std::string_view bytes, std::size_t at);

template <class Use>
bool each_packed_bytes(std::string_view packed, Use use) {
  constexpr std::size_t length_bytes = sizeof(std::uint32_t);
  while (packed.size() >= length_bytes) {
    const std::size_t length = load_u32(packed, 0);
    packed.remove_prefix(length_bytes);
    if (length > packed.size()) return false;
    use(packed.substr(0, length));
    packed.remove_prefix(length);
  }
  return packed.empty();
}

template <class Use>
void each_packed_end(std::string_view packed, std::int64_t head, Use use) {
  for (std::size_t at = 0; at + sizeof(PackedEnd) <= packed.size(); at += sizeof(PackedEnd))
    use(head - load_u32(packed, at), load_u32(packed, at + 4));
}

template <class Use>
void each_packed_whole(std::string_view packed, std::int64_t head, Use use) {
  for (std::size_t at = 0; at + packed_whole_bytes <= packed.size(); at += packed_whole_bytes)
    use(head - load_u32(packed, at), load_i64(packed, at + 4));
}

}  // namespace tallymill::front
