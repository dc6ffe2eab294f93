// Integers: a column of 64-bit integers as few bytes: timestamps, counters, ids.
//
// What is left over after 0, 1 or 2 differences (the values, their steps, or the changes of their
// steps; whichever is smallest) is stored either as zigzag varints, or in groups of 64: the least
// of the group, the bits that the largest needs above it, and each in so many bits. Varints win
// where a few are far larger than the rest, groups everywhere else. A column that is regular to the
// end takes a few bytes whatever its length.
//
// Differences wrap, so that any integers come back.
//
// Bytes: head (order | form << 2), for each difference the first value (zigzag varint), then
//   uniform  the one remainder that all have (zigzag varint)
//   varints  the remainders (zigzag)
//   groups   each: the least (zigzag varint), the width in bits (0..56 or 64), the bits, the first
//            in the lowest, filled up to a whole byte
//
// Threads: pure functions.
// Source: Lemire and Boytsov, "Decoding billions of integers per second through vectorization"
// (frame of reference, binary packing).
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "collector/bytes.h"

namespace tallymill::collector {

// REQUIRES: at most limits::integers_column.
void pack_integers(std::span<const std::int64_t> values, std::string& to);

// As many as `into` is long; false when `from` does not hold so many, and what is in `into` means
// nothing. REQUIRES: as above.
[[nodiscard]] bool unpack_integers(Reader& from, std::span<std::int64_t> into);

}  // namespace tallymill::collector
