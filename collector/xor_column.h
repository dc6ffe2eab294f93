// Xor column: doubles that are no decimals, each as the bits in which it differs from the one
// before it: the last form of a block's values (collector/codec.h, which says how it is written).
//
// Threads: pure functions.
// Source: Pelkonen et al., "Gorilla: A Fast, Scalable, In-Memory Time Series Database".
#pragma once

#include <span>
#include <string>

#include "collector/bytes.h"

namespace tallymill::collector {

// REQUIRES: not empty.
void pack_xor(std::span<const double> values, std::string& to);

// As many as `into` is long; false when `from` does not hold so many. REQUIRES: not empty.
[[nodiscard]] bool unpack_xor(Reader& from, std::span<double> into);

}  // namespace tallymill::collector
