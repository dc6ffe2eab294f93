// Goal: the kernel's texts become the numbers that they say; a text that is cut gives less, never
// something else. Method: texts of real machines, cut at every byte.
#include "collector/host_text.h"

#include <gtest/gtest.h>

#include <functional>

namespace tallymill::collector {
namespace {

TEST(HostText, CpuTimesAreOfAllCpusTogetherAndCpusAreCounted) {
  const auto times = cpu_times(
      "cpu  2236479 808679 541712 1244196 15757 7 53450 1206 3 4\n"
      "cpu0 1091820 391952 256654 679483 5030 0 25103 582 0 0\n"
      "cpu1 1144659 416726 285057 564713 10727 0 28347 624 0 0\nintr 5 6\nctxt 7\n");
  ASSERT_TRUE(times);
  EXPECT_EQ(times->cpus, 2U);
  EXPECT_EQ(times->ticks, (std::array<std::uint64_t, 8>{2236479, 808679, 541712, 1244196, 15757, 7,
                                                        53450, 1206}));
  EXPECT_FALSE(cpu_times("cpu  1 2 3\n"));  // of Linux 2.4
  EXPECT_FALSE(cpu_times(""));
}

TEST(HostText, LoadAveragesAreTheFirstThree) {
  const auto load = load_averages("5.33 2.61 1.94 8/117 29078\n");
  ASSERT_TRUE(load);
  EXPECT_EQ(load->of_1m, 5.33);
  EXPECT_EQ(load->of_5m, 2.61);
  EXPECT_EQ(load->of_15m, 1.94);
  EXPECT_FALSE(load_averages("5.33 2.61 1.9"));
}

const std::string diskstats =
    "   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
    " 254       0 vda 22351 9008 1687210 11045 91 0 81920 70 1 6123 11200 0 0 0 0 100 5\n"
    " 254       1 vda1 4 0 32\n";  // of Linux 2.6.0

TEST(HostText, ADiskIsToldInBytesAndOperations) {
  const auto found = disks(diskstats);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].name, "loop0");
  EXPECT_EQ(found[1].name, "vda");
  EXPECT_EQ(found[1].counts,
            (std::vector<std::uint64_t>{1687210 * 512ULL, 81920 * 512ULL, 22351, 91, 6123}));
}

TEST(HostText, ADiskOfMoreBytesThanANumberHoldsIsLeftOut) {
  EXPECT_EQ(disks("8 0 sda 1 0 36028797018963967 0 1 0 1 0 0 1 0\n").size(), 1U);
  EXPECT_TRUE(disks("8 0 sda 1 0 36028797018963968 0 1 0 1 0 0 1 0\n").empty());
  EXPECT_TRUE(disks("8 0 sda 1 0 1 0 1 0 36028797018963968 0 0 1 0\n").empty());
}

const std::string net_dev =
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop "
    "fifo colls carrier compressed\n"
    "    lo: 1834 197    0    0    0     0          0         0 1835 198    0    0    0     0      "
    " "
    "0          0\n"
    "eth0:210075775    9510    1    2    0     0          0         0   630333    7935    3    4   "
    " 0     0       0          0\n";

TEST(HostText, ANetworkDeviceIsToldInAndOutAlsoWithoutASpaceBehindItsName) {
  const auto found = network_devices(net_dev);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].name, "lo");
  EXPECT_EQ(found[1].name, "eth0");
  EXPECT_EQ(found[1].counts,
            (std::vector<std::uint64_t>{210075775, 630333, 9510, 7935, 1, 3, 2, 4}));
}

const std::string psi =
    "some avg10=97.66 avg60=66.45 avg300=21.26 total=6395465920\n"
    "full avg10=0.00 avg60=0.00 avg300=0.00 total=22040\n";

TEST(HostText, PressureIsSomeAndWhereThereIsOneFull) {
  const auto both = pressure(psi);
  ASSERT_TRUE(both);
  EXPECT_EQ(both->some_us, 6395465920U);
  EXPECT_EQ(both->full_us, 22040U);
  const auto one = pressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n");  // cpu, Linux 5.12
  ASSERT_TRUE(one);
  EXPECT_FALSE(one->full_us);
  EXPECT_FALSE(pressure(""));
  EXPECT_FALSE(pressure("full avg10=0.00 total=1\n"));
}

TEST(HostText, TheUnifiedGroupIsTheLineOfHierarchyZero) {
  EXPECT_EQ(unified_group("9:name=systemd:/\n4:memory:/a\n0::/user.slice/b\n"), "/user.slice/b");
  EXPECT_EQ(unified_group("0::/\n"), "/");
  EXPECT_FALSE(unified_group("4:memory:/a\n"));
}

TEST(HostText, ATextThatIsCutGivesTheSameNumbersOrNone) {
  for (std::size_t cut = 0; cut < diskstats.size(); ++cut)
    for (const Device& device : disks(std::string_view(diskstats).substr(0, cut)))
      EXPECT_TRUE(device.name == "loop0" || device.counts == disks(diskstats)[1].counts) << cut;
  for (std::size_t cut = 0; cut < net_dev.size(); ++cut)
    for (const Device& device : network_devices(std::string_view(net_dev).substr(0, cut)))
      EXPECT_TRUE(device.name == "lo" || device.counts == network_devices(net_dev)[1].counts)
          << cut;
  for (std::size_t cut = 0; cut < psi.size(); ++cut) {
    const auto found = pressure(std::string_view(psi).substr(0, cut));
    if (!found) continue;
    EXPECT_EQ(found->some_us, 6395465920U) << cut;
    EXPECT_EQ(found->full_us.value_or(22040U), 22040U) << cut;
  }
}

}  // namespace
}  // namespace tallymill::collector
