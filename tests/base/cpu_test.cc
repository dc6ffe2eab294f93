// Goal: the tightest quota on the way up the control groups decides. Method: a made-up /proc and
// /sys tree.
#include "base/cpu.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace tallymill {
namespace {

class CpuTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ =
        std::filesystem::temp_directory_path() / ("tallymill-cpu-" + std::to_string(::getpid()));
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  std::filesystem::path root_;
};

TEST_F(CpuTest, WithoutControlGroupsAffinityDecides) {
  const auto cpus = usable_cpus(root_);
  EXPECT_FALSE(cpus.quota);
  EXPECT_EQ(cpus.count, cpus.affinity);
  EXPECT_GE(cpus.count, 1);
}

TEST_F(CpuTest, TheTightestQuotaUpTheTreeDecides) {
  write("proc/self/cgroup", "0::/slice/job\n");
  write("sys/fs/cgroup/cpu.max", "max 100000\n");
  write("sys/fs/cgroup/slice/cpu.max", "100000 100000\n");
  write("sys/fs/cgroup/slice/job/cpu.max", "800000 100000\n");
  EXPECT_EQ(usable_cpus(root_).quota, 1.0);
  EXPECT_EQ(usable_cpus(root_).count, 1);
}

TEST_F(CpuTest, AQuotaOfHalfACpuStillGivesOne) {
  write("proc/self/cgroup", "0::/\n");
  write("sys/fs/cgroup/cpu.max", "50000 100000\n");
  EXPECT_EQ(usable_cpus(root_).quota, 0.5);
  EXPECT_EQ(usable_cpus(root_).count, 1);
}

TEST_F(CpuTest, VersionOneIsReadTooAndMinusOneIsNoQuota) {
  write("proc/self/cgroup", "12:pids:/p\n4:cpu,cpuacct:/job\n");
  write("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "150000\n");
  write("sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(usable_cpus(root_).quota, 1.5);
  EXPECT_EQ(usable_cpus(root_).count, 1);
  write("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "-1\n");
  EXPECT_FALSE(usable_cpus(root_).quota);
}

TEST_F(CpuTest, NonsenseLimitsNothing) {
  write("proc/self/cgroup", "garbage\n0::/../../etc\n");
  write("sys/fs/cgroup/cpu.max", "lots\n");
  EXPECT_FALSE(usable_cpus(root_).quota);
}

}  // namespace
}  // namespace tallymill
