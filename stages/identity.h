// Who a worker is: a name that no other process ever had, and its host.
//
// Threads: any.
#pragma once

#include <string>
#include <string_view>

namespace tallymill::stages {

// "compute-1f0c9a44e2b7": fresh at each call.
[[nodiscard]] std::string fresh_incarnation(std::string_view stage);
[[nodiscard]] std::string host_name();

// Removes the ipc sockets of dead workers from `run_dir`: files that nobody listens on any more.
void remove_stale_lanes(const std::string& run_dir);

}  // namespace tallymill::stages
