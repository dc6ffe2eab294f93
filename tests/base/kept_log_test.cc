// What is kept is bounded and read whole. Goal: the folder never holds more than its bound, a
// reader that follows misses no line of a file that was there, and no damage costs another line.
// Method: small bounds, files looked at from outside; a full disk by a limit of file sizes.
#include "base/kept_log.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/log_line.h"

namespace tallymill::log {
namespace {

namespace fs = std::filesystem;

class KeptLogTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = fs::temp_directory_path() / "tallymill-log-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = fs::path(pattern) / "logs";
  }
  void TearDown() override { fs::remove_all(folder_.parent_path()); }

  [[nodiscard]] std::string text(std::uint64_t number) const {
    std::ifstream in(kept_log_file(folder_, number));
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
  }
  void put(std::uint64_t number, std::string_view bytes) const {
    fs::create_directories(folder_);
    std::ofstream(kept_log_file(folder_, number), std::ios::app) << bytes;
  }
  [[nodiscard]] static std::vector<std::string> read(KeptLogReader& reader) {
    std::vector<std::string> lines;
    reader.read([&](std::string_view line) { lines.emplace_back(line); });
    return lines;
  }
  using Numbers = std::vector<std::uint64_t>;
  using Lines = std::vector<std::string>;

  fs::path folder_;
};

TEST_F(KeptLogTest, AFileIsFilledToItsLastByteAndNotAByteFurther) {
  KeptLog kept(folder_, {.file_bytes = 16, .files = 8});
  kept.append("1234567\n");
  kept.append("1234567\n");
  EXPECT_EQ(kept_log_files(folder_), Numbers{1});
  kept.append("\n");
  EXPECT_EQ(kept_log_files(folder_), (Numbers{1, 2}));
  EXPECT_EQ(text(1).size(), 16U);
  EXPECT_EQ(text(2), "\n");
}

TEST_F(KeptLogTest, ThereAreAsManyFilesAsTheBoundAndTheOldestGoes) {
  KeptLog kept(folder_, {.file_bytes = 4, .files = 3});
  for (const char* line : {"a--\n", "b--\n", "c--\n"}) kept.append(line);
  EXPECT_EQ(kept_log_files(folder_), (Numbers{1, 2, 3}));
  kept.append("d--\n");
  EXPECT_EQ(kept_log_files(folder_), (Numbers{2, 3, 4}));
  EXPECT_EQ(text(4), "d--\n");
}

TEST_F(KeptLogTest, TheNextRunGoesOnWhereTheLastOneStopped) {
  KeptLog(folder_, {.file_bytes = 16, .files = 2}).append("first\n");
  KeptLog(folder_, {.file_bytes = 16, .files = 2}).append("second\n");
  EXPECT_EQ(text(1), "first\nsecond\n");
  EXPECT_EQ(fs::status(folder_).permissions(), fs::perms::owner_all) << "clients' names are in it";
  EXPECT_EQ(fs::status(kept_log_file(folder_, 1)).permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(KeptLogTest, AHalfWrittenLineOfTheLastRunDoesNotSpoilTheNext) {
  put(1, "whole\nhal");
  KeptLog(folder_).append("next\n");
  KeptLogReader reader(folder_);
  EXPECT_EQ(read(reader), (Lines{"whole", "hal", "next"}));
}

TEST_F(KeptLogTest, OtherFilesAreNoneOfIts) {
  for (const char* name : {"1.jsonl", "0000000009.jsonl.old", "x000000009.jsonl", "notes"}) {
    fs::create_directories(folder_);
    std::ofstream(folder_ / name) << "x\n";
  }
  EXPECT_EQ(kept_log_files(folder_), Numbers{});
  KeptLog(folder_, {.file_bytes = 2, .files = 1}).append("a\n");
  KeptLog(folder_, {.file_bytes = 2, .files = 1}).append("b\n");
  EXPECT_EQ(kept_log_files(folder_), Numbers{2});
  EXPECT_TRUE(fs::exists(folder_ / "notes"));
}

TEST_F(KeptLogTest, AFolderThatWasRemovedIsMadeAgain) {
  KeptLog kept(folder_);
  kept.append("lost with its folder\n");
  fs::remove_all(folder_);
  kept.append("there\n");
  KeptLogReader reader(folder_);
  EXPECT_EQ(read(reader), Lines{"there"});
}

TEST_F(KeptLogTest, WhatAFullDiskDidNotTakeIsCountedAndSaidByTheNextLineThatFits) {
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  KeptLog kept(folder_);
  kept.append("before\n");
  rlimit full = before;
  full.rlim_cur = 10;  // three bytes of the next line fit
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
  kept.append("one\ntwo\n");
  kept.append("three\n");
  const std::string held = text(1);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(held, "before\n") << "no half of a line";
  EXPECT_EQ(kept.lost(), 3U);
  kept.append("after\n");
  EXPECT_EQ(kept.lost(), 0U);
  KeptLogReader reader(folder_);
  const Lines lines = read(reader);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[2], "after");
  const auto said = parse_line(lines[1]);
  ASSERT_TRUE(said.has_value()) << lines[1];
  EXPECT_EQ(said->message, "3 lines before this one could not be kept");
}

TEST_F(KeptLogTest, AFolderThatCannotBeMadeLosesLinesAndStopsNothing) {
  std::ofstream(folder_.string()) << "a file stands here";
  KeptLog kept(folder_);
  kept.append("x\n");
  kept.append("y\n");
  EXPECT_EQ(kept.lost(), 2U);
  fs::remove(folder_);
  kept.append("z\n");
  EXPECT_EQ(kept.lost(), 0U);
}

TEST_F(KeptLogTest, AReaderThatFollowsSeesEveryLineOverEveryChangeOfFile) {
  KeptLog kept(folder_, {.file_bytes = 30, .files = 4});
  KeptLogReader reader(folder_);
  EXPECT_EQ(read(reader), Lines{});
  Lines all;
  Lines seen;
  for (int i = 0; i < 200; ++i) {
    all.push_back(std::to_string(i));
    kept.append(all.back() + "\n");
    if (i % 7 != 0) continue;  // at most seven lines come between two reads: not two whole files
    for (auto& line : read(reader)) seen.push_back(std::move(line));
  }
  for (auto& line : read(reader)) seen.push_back(std::move(line));
  EXPECT_EQ(seen, all);
  EXPECT_GT(kept_log_files(folder_).back(), 10U);
}

TEST_F(KeptLogTest, AReaderThatWasAwayTooLongGoesOnWithWhatIsLeft) {
  KeptLog kept(folder_, {.file_bytes = 4, .files = 2});
  KeptLogReader reader(folder_);
  kept.append("a--\n");
  EXPECT_EQ(read(reader), Lines{"a--"});
  for (const char* line : {"b--\n", "c--\n", "d--\n"}) kept.append(line);
  EXPECT_EQ(read(reader), (Lines{"c--", "d--"}));
  EXPECT_EQ(read(reader), Lines{});
}

TEST_F(KeptLogTest, AReaderGoesOnInAFolderThatBeganAgain) {
  put(7, "old\n");
  KeptLogReader reader(folder_);
  EXPECT_EQ(read(reader), Lines{"old"});
  fs::remove_all(folder_);
  EXPECT_EQ(read(reader), Lines{});
  put(1, "new\n");
  EXPECT_EQ(read(reader), Lines{"new"});
  EXPECT_EQ(read(reader), Lines{});
}

TEST_F(KeptLogTest, ALineThatIsBeingWrittenIsReadWhenItIsWhole) {
  put(1, "one\ntw");
  KeptLogReader reader(folder_);
  EXPECT_EQ(read(reader), Lines{"one"});
  EXPECT_TRUE(reader.is_inside_a_line());
  put(1, "o\n");
  EXPECT_EQ(read(reader), Lines{"two"});
  EXPECT_FALSE(reader.is_inside_a_line());
}

TEST_F(KeptLogTest, ALineWithoutAnEndTakesNoMemoryAndIsOneThatIsCut) {
  put(1, std::string(1 << 20, 'x'));
  put(1, "y\nnext\n");
  KeptLogReader reader(folder_);
  const Lines lines = read(reader);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_LT(lines[0].size(), 100'000U);
  EXPECT_EQ(lines[1], "next");
}

}  // namespace
}  // namespace tallymill::log
