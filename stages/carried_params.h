// CarriedParams: the params frame of a later hop, {"params": ..., "carried": ...}, taken apart and
// put together without building what is inside.
//
// Threads: plain functions.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace tallymill::stages {

struct CarriedParams {
  std::string_view params;   // msgpack
  std::string_view carried;  // msgpack; empty: none
};

// bad_frame: not such a map.
[[nodiscard]] Result<CarriedParams> split_params(std::string_view untrusted);

// Empty ones become empty maps.
[[nodiscard]] std::string join_params(const CarriedParams& parts);

}  // namespace tallymill::stages
