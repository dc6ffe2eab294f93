#include "base/cpu.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace tallymill {
namespace {

int affinity_count() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

// v2: "max 100000" or "150000 100000" in one file. v1: two files, -1 for none.
std::optional<double> quota_of(const std::filesystem::path& group) {
  double quota = 0;
  double period = 0;
  if (std::ifstream v2(group / "cpu.max"); v2 >> quota >> period) {
    // "max" fails to parse as a number, and so limits nothing.
  } else {
    std::ifstream quota_file(group / "cpu.cfs_quota_us");
    std::ifstream period_file(group / "cpu.cfs_period_us");
    if (!(quota_file >> quota) || !(period_file >> period)) return std::nullopt;
  }
  if (quota <= 0 || period <= 0) return std::nullopt;
  return quota / period;
}

std::optional<double> tightest(std::optional<double> a, std::optional<double> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

// From the group up to the mount: each level limits what is below it.
std::optional<double> quota_up_from(const std::filesystem::path& mount, std::string group) {
  std::optional<double> found = quota_of(mount);
  while (group.size() > 1) {
    found = tightest(found, quota_of(mount / group.substr(1)));
    group.resize(group.rfind('/') == std::string::npos ? 0 : group.rfind('/'));
  }
  return found;
}

}  // namespace

UsableCpus usable_cpus(const std::filesystem::path& root) {
  UsableCpus cpus;
  cpus.affinity = affinity_count();
  std::ifstream groups(root / "proc/self/cgroup");
  const auto mount = root / "sys/fs/cgroup";
  for (std::string line; std::getline(groups, line);) {
    // "0::/a/b" (v2) or "4:cpu,cpuacct:/a/b" (v1)
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (controllers.empty()) {
      cpus.quota = tightest(cpus.quota, quota_up_from(mount, group));
    } else if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
      cpus.quota = tightest(cpus.quota, quota_up_from(mount / "cpu", group));
    }
  }
  const double limit = tightest(cpus.quota, cpus.affinity).value_or(1);
  cpus.count = std::max(1, static_cast<int>(limit));
  return cpus;
}

}  // namespace tallymill
