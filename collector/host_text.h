// HostText: what the kernel says of the whole machine, as numbers (base/proc.h has the common
// part).
//
// Each is a function of one file's text: /proc/stat, /proc/diskstats, /proc/net/dev,
// /proc/pressure/*, /proc/loadavg, /proc/self/cgroup.
//
//   invariant: a line that is cut off or of another form is left out, never misread
//
// Threads: any.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tallymill::collector {

inline constexpr std::array<std::string_view, 8> cpu_modes{"user",   "nice", "system",  "idle",
                                                           "iowait", "irq",  "softirq", "steal"};
// Ticks since the boot by mode, of all CPUs together.
struct CpuTimes {
  std::array<std::uint64_t, cpu_modes.size()> ticks{};
  std::uint64_t cpus = 0;
};
[[nodiscard]] std::optional<CpuTimes> cpu_times(std::string_view stat);

struct LoadAverages {
  double of_1m = 0, of_5m = 0, of_15m = 0;
};
[[nodiscard]] std::optional<LoadAverages> load_averages(std::string_view loadavg);

// One disk or network device: what it counted since it is there.
struct Device {
  std::string name;
  std::vector<std::uint64_t> counts;
};
// Bytes read and written, reads and writes that are done, milliseconds with some under way. Those
// that were never used, and the partitions, are among them.
[[nodiscard]] std::vector<Device> disks(std::string_view diskstats);
// Bytes, packets, errors and drops, in and out of each: in, out, in, out, ...
[[nodiscard]] std::vector<Device> network_devices(std::string_view net_dev);

// Microseconds in which some, and in which all that could run waited for the resource.
struct Pressure {
  std::uint64_t some_us = 0;
  std::optional<std::uint64_t> full_us;
};
[[nodiscard]] std::optional<Pressure> pressure(std::string_view text);

// The process's group in the unified hierarchy, as "/a/b"; nothing where there is none.
[[nodiscard]] std::optional<std::string> unified_group(std::string_view self_cgroup);

}  // namespace tallymill::collector
