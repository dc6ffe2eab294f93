// Goal: what the collector says of the host is what /proc says; devices are bounded, and their
// counters never go back. Method: a made-up /proc and /sys tree, then this machine's own, read
// before and behind the probe's look.
#include "collector/host_probe.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <optional>

#include "base/limits.h"
#include "base/proc.h"

namespace tallymill::collector {
namespace {

using Values = std::map<std::string, double>;

// By name and label values: "tallymill_host_load 1m".
Values values_of(const metrics::Registry& registry) {
  Values values;
  for (const auto& family : registry.snapshot().families) {
    for (const auto& sample : family.samples) {
      std::string key = family.name;
      for (const auto& label : sample.labels) key += " " + label.second;
      values[key] = sample.value;
    }
  }
  return values;
}

class HostProbeTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::temp_directory_path() / fmt::format("tallymill-host-{}", ::getpid());
    std::filesystem::remove_all(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  void disks_are(int count, std::uint64_t reads) {
    std::string text;
    for (int i = 0; i < count; ++i) {
      text += fmt::format("8 {} sd{:03} {} 0 {} 0 1 0 1 0 0 1 0\n", i, i, reads, 2 * reads);
      write(fmt::format("sys/block/sd{:03}/dev", i), "");
    }
    write("proc/diskstats", text);
  }
  std::filesystem::path root_;
  metrics::Registry registry_;
};

TEST_F(HostProbeTest, TellsWhatIsThereAndNothingOfWhatIsNot) {
  write("proc/stat",
        "cpu  100 200 300 400 500 600 700 800 0 0\ncpu0 100 200 300 400 500 600 700 800\n");
  write("proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 600 kB\n");
  write("proc/self/cgroup", "0::/a/b\n");
  write("sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
  write("sys/fs/cgroup/a/b/memory.current", "4096\n");
  write("sys/fs/cgroup/a/b/memory.max", "max\n");
  write("sys/fs/cgroup/a/b/pids.max", "77\n");
  write("sys/fs/cgroup/a/b/cpu.max", "150000 100000\n");
  write("sys/fs/cgroup/a/b/cpu.stat", "usage_usec 2500000\nthrottled_usec 500000\n");
  write("sys/fs/cgroup/a/b/memory.events", "low 0\noom_kill 3\n");
  write("proc/pressure/io", "some avg10=0 avg60=0 avg300=0 total=1500000\n");
  const HostProbe probe(registry_, {}, root_);
  const Values values = values_of(registry_);
  EXPECT_EQ(values.at("tallymill_host_cpu_seconds_total iowait"), 5);
  EXPECT_EQ(values.at("tallymill_host_cpus"), 1);
  EXPECT_EQ(values.at("tallymill_host_memory_available_bytes"), 614'400);
  EXPECT_EQ(values.at("tallymill_cgroup_memory_bytes"), 4096);
  EXPECT_EQ(values.at("tallymill_cgroup_tasks_limit"), 77);
  EXPECT_EQ(values.at("tallymill_cgroup_cpu_limit"), 1.5);
  EXPECT_EQ(values.at("tallymill_cgroup_cpu_seconds_total"), 2.5);
  EXPECT_EQ(values.at("tallymill_cgroup_throttled_seconds_total"), 0.5);
  EXPECT_EQ(values.at("tallymill_cgroup_oom_kills_total"), 3);
  EXPECT_EQ(values.at("tallymill_host_pressure_seconds_total io some"), 1.5);
  EXPECT_FALSE(values.contains("tallymill_cgroup_memory_limit_bytes"));
  EXPECT_FALSE(values.contains("tallymill_host_pressure_seconds_total io all"));
  EXPECT_FALSE(values.contains("tallymill_host_swap_total_bytes"));
  EXPECT_FALSE(values.contains("tallymill_host_filesystem_size_bytes"));
}

TEST_F(HostProbeTest, AtTheLimitOfDevicesAllAreToldAndOneMoreIsLeftOutAndCounted) {
  const int most = static_cast<int>(limits::host_devices);
  disks_are(most, 7);
  HostProbe probe(registry_, {}, root_);
  EXPECT_EQ(values_of(registry_).at("tallymill_host_devices disk"), most);
  EXPECT_EQ(values_of(registry_).at("tallymill_host_devices_left_out disk"), 0);
  disks_are(most + 1, 9);
  probe.look();
  const Values values = values_of(registry_);
  EXPECT_EQ(values.at("tallymill_host_devices disk"), most);
  EXPECT_EQ(values.at("tallymill_host_devices_left_out disk"), 1);
  EXPECT_EQ(values.at("tallymill_host_disk_operations_total sd000 read"), 9);
}

TEST_F(HostProbeTest, ADeviceThatWentMakesRoomAndOneThatIsBackCountsOn) {
  disks_are(1, 7);
  HostProbe probe(registry_, {}, root_);
  write("proc/diskstats", "7 0 loop0 0 0 0 0 0 0 0 0 0 0 0\n");
  probe.look();
  EXPECT_EQ(values_of(registry_).at("tallymill_host_devices disk"), 0);
  disks_are(1, 2);  // plugged in again: the kernel begins anew
  probe.look();
  EXPECT_EQ(values_of(registry_).at("tallymill_host_disk_operations_total sd000 read"), 9);
  disks_are(1, 1);  // and replaced between two looks
  probe.look();
  EXPECT_EQ(values_of(registry_).at("tallymill_host_disk_operations_total sd000 read"), 10);
}

TEST_F(HostProbeTest, WhatCouldNotBeReadOnceIsNotCountedTwice) {
  disks_are(1, 7);
  write("proc/net/dev", "  eth0: 100 1 0 0 0 0 0 0 200 2 0 0 0 0 0 0\n");
  HostProbe probe(registry_, {}, root_);
  // As when this process has no descriptor left.
  std::filesystem::remove(root_ / "proc/diskstats");
  std::filesystem::remove(root_ / "proc/net/dev");
  probe.look();
  disks_are(1, 9);
  write("proc/net/dev", "  eth0: 150 1 0 0 0 0 0 0 200 2 0 0 0 0 0 0\n");
  probe.look();
  EXPECT_EQ(values_of(registry_).at("tallymill_host_disk_operations_total sd000 read"), 9);
  EXPECT_EQ(values_of(registry_).at("tallymill_host_network_bytes_total eth0 in"), 150);
}

TEST_F(HostProbeTest, PartitionsAndDisksThatNobodyUsesAreNotTold) {
  write("sys/block/vda/dev", "");
  write("sys/block/loop0/dev", "");
  write("proc/diskstats",
        "254 0 vda 1 0 8 1 1 0 8 1 0 1 2\n254 1 vda1 1 0 8 1 1 0 8 1 0 1 2\n"
        "7 0 loop0 0 0 0 0 0 0 0 0 0 0 0\n");
  const HostProbe probe(registry_, {}, root_);
  EXPECT_EQ(values_of(registry_).at("tallymill_host_devices disk"), 1);
  EXPECT_EQ(values_of(registry_).at("tallymill_host_disk_bytes_total vda read"), 4096);
}

// Real counters move while they are read: ours must lie between a reading before and one behind.
TEST_F(HostProbeTest, OfThisMachineItTellsWhatProcTells) {
  const auto before = cpu_times(read_proc("/proc/stat"));
  const auto net_before = network_devices(read_proc("/proc/net/dev"));
  const HostProbe probe(registry_, std::filesystem::temp_directory_path());
  const auto behind = cpu_times(read_proc("/proc/stat"));
  const auto net_behind = network_devices(read_proc("/proc/net/dev"));
  const Values values = values_of(registry_);
  ASSERT_TRUE(before && behind);
  for (std::size_t i = 0; i < cpu_modes.size(); ++i) {
    if (cpu_modes[i] == "iowait") continue;  // may go back
    const double told = values.at("tallymill_host_cpu_seconds_total " + std::string(cpu_modes[i]));
    EXPECT_GE(told, static_cast<double>(ticks(before->ticks[i]).count()) / 1e9) << cpu_modes[i];
    EXPECT_LE(told, static_cast<double>(ticks(behind->ticks[i]).count()) / 1e9) << cpu_modes[i];
  }
  for (std::size_t i = 0; i < net_before.size() && i < limits::host_devices; ++i) {
    const double told =
        values.at("tallymill_host_network_bytes_total " + net_before[i].name + " in");
    EXPECT_GE(told, static_cast<double>(net_before[i].counts[0]));
    EXPECT_LE(told, static_cast<double>(net_behind[i].counts[0]));
  }
  const auto memory = proc_fields(read_proc("/proc/meminfo"));
  EXPECT_EQ(values.at("tallymill_host_memory_total_bytes"),
            static_cast<double>(memory.at("MemTotal")));
  EXPECT_NEAR(values.at("tallymill_host_memory_available_bytes"),
              static_cast<double>(memory.at("MemAvailable")),
              0.01 * static_cast<double>(memory.at("MemTotal")));
  EXPECT_GT(values.at("tallymill_host_filesystem_size_bytes"),
            values.at("tallymill_host_filesystem_available_bytes"));
}

}  // namespace
}  // namespace tallymill::collector
