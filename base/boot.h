// Which running system this is: who may compare clocks, and who may believe a pid.
//
// Threads: any.
#pragma once

#include <string>

namespace tallymill {

// Of this boot; those with the same one share CLOCK_MONOTONIC. Empty when the system does not say.
[[nodiscard]] std::string boot_id();
// Those with the same one, in the same boot, mean the same process by a pid; a container has its
// own. Empty when the system does not say.
[[nodiscard]] std::string pid_namespace();

}  // namespace tallymill
