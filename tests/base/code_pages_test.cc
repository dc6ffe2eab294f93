// Code pages. Goal: a process is smaller after it gave back what its start needed, and goes on as
// before. Method: this process, whose RSS is read before and after; calls into libraries
// afterwards.
#include "base/code_pages.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <thread>

namespace tallymill {
namespace {

// KiB.
std::size_t resident_files() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (word == "RssFile:") {
      std::size_t kib = 0;
      status >> kib;
      return kib;
    }
  return 0;
}

TEST(CodePages, AreGivenBackAndComeAgainWhenTheyAreNeeded) {
  const std::size_t before = resident_files();
  if (before == 0) GTEST_SKIP() << "SKIPPED: this kernel does not say RssFile";
  EXPECT_GT(give_back_code_pages(), 1'000'000U);
  EXPECT_LT(resident_files(), before);
  std::thread([] { EXPECT_EQ(std::to_string(1.5).substr(0, 3), "1.5"); }).join();
  EXPECT_THROW(throw std::runtime_error("unwinds"), std::runtime_error);
  EXPECT_GT(give_back_code_pages(), 1'000'000U);
}

}  // namespace
}  // namespace tallymill
