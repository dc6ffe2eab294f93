// Files that are written whole. Goal: after whatever failed the file has its old or its new
// content, nothing is left aside, and a sync that failed is told apart from a full disk. Method:
// real files, and a disk whose syncs fail.
#include "store/durable.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/fakes/failing_sync.h"

namespace tallymill::store {
namespace {

namespace fs = std::filesystem;
using fakes::FailingSync;

class DurableTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "durable-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder = name;
    home = folder / "file";
    ASSERT_TRUE(write_file(home, "old"));
  }
  void TearDown() override { fs::remove_all(folder); }
  [[nodiscard]] std::string content() const {
    std::ifstream file(home);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  [[nodiscard]] auto files() const {
    return std::distance(fs::directory_iterator(folder), fs::directory_iterator());
  }

  fs::path folder;
  fs::path home;
};

TEST_F(DurableTest, AFileIsWrittenWholeInThePlaceOfTheLast) {
  const std::string large(300'000, 'x');
  ASSERT_TRUE(write_file(home, large));
  EXPECT_EQ(content(), large);
  ASSERT_TRUE(write_file(home, ""));
  EXPECT_EQ(content(), "");
  EXPECT_EQ(files(), 1);
}

TEST_F(DurableTest, ASyncThatFailsIsCorruptAndNothingIsLeftAside) {
  {
    const FailingSync disk(home.string() + ".new");
    EXPECT_EQ(write_file(home, "new").error().code, Errc::corrupt);
  }
  EXPECT_EQ(content(), "old");
  EXPECT_EQ(files(), 1);
  {
    const FailingSync disk(folder);
    EXPECT_EQ(write_file(home, "new").error().code, Errc::corrupt);
  }
  EXPECT_EQ(files(), 1);
  ASSERT_TRUE(write_file(home, "newer"));
  EXPECT_EQ(content(), "newer");
}

TEST_F(DurableTest, AFolderIsMadeWithThoseAboveItAndASyncOfEachOfTheirNames) {
  const fs::path made = folder / "a" / "b" / "c";
  for (const fs::path& parent : {folder, folder / "a", folder / "a" / "b"}) {
    fs::remove_all(folder / "a");
    const FailingSync disk(parent);
    EXPECT_EQ(make_folder(made).error().code, Errc::corrupt) << parent;
  }
  ASSERT_TRUE(make_folder(made));
  // Who made it may have died before the sync.
  {
    const FailingSync disk(made.parent_path());
    EXPECT_EQ(make_folder(made).error().code, Errc::corrupt);
    EXPECT_EQ(make_folder(made / "").error().code, Errc::corrupt);
  }
  EXPECT_TRUE(make_folder(made / ""));
  EXPECT_EQ(make_folder(home / "below a file").error().code, Errc::disk);
}

TEST_F(DurableTest, WhatCannotBeWrittenOrRenamedIsDiskAndTheFileIsAsItWas) {
  fs::create_directories(folder / "occupied" / "inside");
  const auto refused = write_file(folder / "occupied", "new");
  EXPECT_EQ(refused.error().code, Errc::disk);
  EXPECT_NE(refused.error().message.find((folder / "occupied").string()), std::string::npos);
  EXPECT_TRUE(fs::exists(folder / "occupied" / "inside"));
  EXPECT_EQ(files(), 2);
  EXPECT_EQ(write_file(folder / "none" / "file", "new").error().code, Errc::disk);
  // Room for no byte, as on a full disk.
  const File full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  EXPECT_EQ(write_all(full.fd(), "new", "/dev/full").error().code, Errc::disk);
  EXPECT_EQ(content(), "old");
}

}  // namespace
}  // namespace tallymill::store
