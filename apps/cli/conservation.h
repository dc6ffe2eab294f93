// Conservation: the law of the jobs as one line, from a snapshot (docs/protocol.md), and whether it
// holds.
//
// Threads: any.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace tallymill::cli {

struct Conservation {
  std::string line;  // "accepted 12 = done 10 + failed 1 + ..."
  bool holds = false;
};
[[nodiscard]] Conservation conservation_of(const nlohmann::json& snapshot);

}  // namespace tallymill::cli
