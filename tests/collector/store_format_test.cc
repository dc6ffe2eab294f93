// Goal: a folder of a newer version is left alone, and nothing else is a reason not to open one.
// Method: real files in a temporary folder; every bit of the one that says the version is flipped.
#include "collector/store_format.h"

#include <gtest/gtest.h>

#include "collector/records.h"
#include "collector/store_files.h"
#include "tests/collector/store_fixture.h"

namespace tallymill::collector {
namespace {

class StoreFormatTest : public StoreTest {
 protected:
  void write_format(std::string_view payload) {
    auto file = RecordFile::create(folder_ / format_file);
    ASSERT_TRUE(file.has_value());
    (*file)->add(payload);
    ASSERT_TRUE((*file)->flush().has_value());
  }
  // Of every file in the store.
  std::map<fs::path, std::string> files() const {
    std::map<fs::path, std::string> all;
    for (const auto& entry : fs::recursive_directory_iterator(folder_))
      if (entry.is_regular_file()) all[entry.path()] = read_file(entry.path());
    return all;
  }
  void fill() {
    auto store = open();
    const auto ids = make_series(*store, 2);
    const Point points[] = {{ids[0], 1, 1}, {ids[1], 2, 2}};
    ASSERT_TRUE(store->append(points).has_value());
    ASSERT_TRUE(store->seal().has_value());
    ASSERT_TRUE(store->append(points).has_value());
  }
};

TEST_F(StoreFormatTest, AFolderOfANewerVersionIsRefusedAndNotTouched) {
  fill();
  write_format("format 2");
  // As a newer one may write them: an older one knows no footer in it.
  write_file(part_path(folder_, 1), "sealed in another way");
  const auto before = files();
  const auto store = Store::open(folder_, options_);
  ASSERT_FALSE(store.has_value());
  EXPECT_EQ(store.error().code, Errc::version);
  EXPECT_EQ(files(), before);
}

TEST_F(StoreFormatTest, AStoreSaysItsVersionAndKeepsIt) {
  fill();
  const std::string said = read_file(folder_ / format_file);
  EXPECT_NE(said.find("format 1"), std::string::npos);
  open().reset();
  EXPECT_EQ(read_file(folder_ / format_file), said);
}

TEST_F(StoreFormatTest, WhatDoesNotSayAVersionIsOpenedAndSaysItThen) {
  fill();
  const Model wanted = model_of(*open());
  for (const char* said : {"", "format", "format x", "formats 7", "2"}) {
    write_format(said);
    EXPECT_EQ(model_of(*open()), wanted) << said;
    EXPECT_NE(read_file(folder_ / format_file).find("format 1"), std::string::npos) << said;
  }
  fs::remove(folder_ / format_file);
  EXPECT_EQ(model_of(*open()), wanted);
  EXPECT_TRUE(fs::exists(folder_ / format_file));
}

TEST_F(StoreFormatTest, AFlippedBitInItIsNoReasonNotToStart) {
  fill();
  const std::string whole = read_file(folder_ / format_file);
  ASSERT_GT(whole.size(), 30U);
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    write_file(folder_ / format_file, flipped);
    EXPECT_TRUE(check_format(folder_).has_value()) << bit;
  }
}

}  // namespace
}  // namespace tallymill::collector
