// Goal: texts of /proc become the numbers that they say, and texts of another form none. Method:
// texts of real machines, each cut at every byte, and this machine's own files.
#include "base/proc.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

#include "base/limits.h"

namespace tallymill {
namespace {

const std::string sample_stat =
    "4711 (a) name (b)) S 1 4711 4711 0 -1 4194560 1234 99 5 1 150 25 3 4 20 0 7 0 8342 "
    "104857600 2560 18446744073709551615 1 1 0 0 0 0 0 4096 1073 0 0 0 17 1 0 0 0 0 0 0 0 0 0\n";

TEST(Proc, AStatIsReadBehindTheLastParenthesisOfTheName) {
  const auto stat = process_stat(sample_stat);
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->minor_faults, 1234U);
  EXPECT_EQ(stat->major_faults, 5U);
  EXPECT_EQ(stat->user_ticks, 150U);
  EXPECT_EQ(stat->system_ticks, 25U);
  EXPECT_EQ(stat->threads, 7U);
  EXPECT_EQ(stat->start_ticks, 8342U);
  EXPECT_EQ(stat->virtual_bytes, 104857600U);
  EXPECT_EQ(stat->resident_pages, 2560U);
}

TEST(Proc, ACutStatGivesNothingOrTheSameNumbers) {
  for (std::size_t cut = 0; cut < sample_stat.size(); ++cut) {
    const auto stat = process_stat(std::string_view(sample_stat).substr(0, cut));
    EXPECT_EQ(stat ? stat->resident_pages : 2560U, 2560U) << "cut at " << cut;
  }
  EXPECT_FALSE(process_stat(""));
  EXPECT_FALSE(process_stat("1 (x) S - - - - - - - - - - - - - - - - - - - - - - - - -"));
}

TEST(Proc, OurOwnStatIsWhatGetrusageSays) {
  volatile std::uint64_t work = 0;
  for (std::uint64_t i = 0; i < 100'000'000; ++i) work = work + i;
  const auto stat = process_stat(read_proc("/proc/self/stat"));
  ASSERT_TRUE(stat);
  rusage used{};
  ASSERT_EQ(::getrusage(RUSAGE_SELF, &used), 0);
  const auto said = ticks(stat->user_ticks + stat->system_ticks);
  const std::chrono::nanoseconds is =
      std::chrono::seconds(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
      std::chrono::microseconds(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
  EXPECT_NEAR(static_cast<double>(said.count()), static_cast<double>(is.count()), 3e7);  // 2 ticks
  EXPECT_LE(stat->minor_faults, static_cast<std::uint64_t>(used.ru_minflt));
  EXPECT_NEAR(static_cast<double>(stat->minor_faults), static_cast<double>(used.ru_minflt), 100);
  EXPECT_EQ(stat->threads, 1U);
  EXPECT_GT(stat->resident_pages, 100U);
}

TEST(Proc, FieldsAreBytesWhereTheKernelSaysKilobytesAndOtherLinesAreLeftOut) {
  const auto fields = proc_fields(
      "MemTotal:       24684092 kB\nHugePages_Total:       3\npgfault 17\nName:\tcat\n"
      "Groups:\t \nuntrue -1\nhalf 12x\nthree 1 MB\n"
      "Large: 18014398509481984 kB\ncut");
  EXPECT_EQ(fields.size(), 3U);
  EXPECT_EQ(fields.at("MemTotal"), 24684092ULL * 1024);
  EXPECT_EQ(fields.at("HugePages_Total"), 3U);
  EXPECT_EQ(fields.at("pgfault"), 17U);
  EXPECT_TRUE(proc_fields("").empty());
}

TEST(Proc, FieldsOfACutTextAreThoseOfTheWholeOne) {
  const std::string text = "MemTotal:       16384 kB\nMemFree: 1234567 kB\npgfault 17\n";
  const auto whole = proc_fields(text);
  ASSERT_EQ(whole.size(), 3U);
  for (std::size_t cut = 0; cut < text.size(); ++cut)
    for (const auto& [name, value] : proc_fields(text.substr(0, cut)))
      EXPECT_EQ(value, whole.at(name)) << name << " cut at " << cut;
}

TEST(Proc, NumbersAreWholeWordsThatFit) {
  EXPECT_EQ(whole_number("18446744073709551615"), 18446744073709551615U);
  EXPECT_FALSE(whole_number("18446744073709551616"));
  EXPECT_FALSE(whole_number(""));
  EXPECT_FALSE(whole_number("-1"));
  EXPECT_EQ(decimal_number("0.25"), 0.25);
  EXPECT_FALSE(decimal_number("0.25x"));
}

TEST(Proc, AFileThatIsNotThereIsEmptyAndAnEndlessOneIsCut) {
  EXPECT_EQ(read_proc("/proc/self/nothing"), "");
  EXPECT_EQ(read_proc("/dev/zero").size(), limits::proc_file_bytes);
}

}  // namespace
}  // namespace tallymill
