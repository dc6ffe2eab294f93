// Columns: what a read does with samples that come from several places.
//
// Threads: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>

#include "collector/query.h"

namespace tallymill::collector {

// Of the samples from index `at` on, keeps those from `from_ms` to `to_ms`. REQUIRES: these ascend.
void keep_between(Column& column, std::size_t at, std::int64_t from_ms, std::int64_t to_ms);

// Strictly ascending in time; of several with one timestamp the last counts.
void put_in_order(Column& column);

}  // namespace tallymill::collector
