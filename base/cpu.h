// How many CPUs this process may really use: what its affinity allows and what its control group's
// quota pays for. A container with a quota of one CPU on a machine with 64 gets one worker, not 64.
//
// Threads: any.
#pragma once

#include <filesystem>
#include <optional>

namespace tallymill {

struct UsableCpus {
  int affinity = 1;             // CPUs that the scheduler may put us on
  std::optional<double> quota;  // the tightest cpu.max up the tree of control groups, in CPUs
  int count = 1;                // what to size by: the smaller, rounded down, at least 1
};

// Reads sched_getaffinity and, below `root`, /proc/self/cgroup and the files it points to (v2 and
// v1). What cannot be read limits nothing.
[[nodiscard]] UsableCpus usable_cpus(const std::filesystem::path& root = "/");

}  // namespace tallymill
