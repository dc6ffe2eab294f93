// Codec: a block of samples of one series as few bytes, and back, bit for bit.
//
// Timestamps are a column of integers (collector/integers.h). Values have one of three forms: all
// the same; decimals, that is integers over one power of ten, again as a column of integers; or,
// when too many are no decimals, the XOR of each with the one before it. A few values that are no
// decimals (-0.0, NaN, the stale marker at a series' end) stand beside the column as they are.
//
// Bytes: form, count (varint), column of timestamps, then
//   same      the value (8 bytes)
//   decimals  digits behind the point (1 byte), count of exceptions (varint), each how many samples
//             after the one before it (varint) and its value (8 bytes); the column of integers
//   xor       the first value (8 bytes); bits, the highest first: 0 the same again; 10 the bits
//   that
//             differ lie where the last ones did; 11 leading zeros (6), their count less one (6);
//             then those bits; filled up to a whole byte
//
// Threads: pure functions.
// Source: Pelkonen et al., "Gorilla: A Fast, Scalable, In-Memory Time Series Database" (XOR form).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "collector/query.h"

namespace tallymill::collector {

// REQUIRES: as many values as times, at most limits::block_samples.
void pack_block(std::span<const std::int64_t> t_ms, std::span<const double> values,
                std::string& to);

// Adds the samples behind those that are in `into`. corrupt: these bytes are no block, or there are
// more behind it; `into` is as it was.
[[nodiscard]] Status unpack_block(std::string_view untrusted, Column& into);

}  // namespace tallymill::collector
