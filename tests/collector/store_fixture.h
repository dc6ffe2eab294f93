// Store fixture: a store in a folder of its own with a clock that stands, and a model of what it
// should hold.
//
// Threads: the test's.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <bit>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "collector/store.h"

namespace tallymill::collector {

namespace fs = std::filesystem;

inline constexpr std::int64_t always_from = std::numeric_limits<std::int64_t>::min();
inline constexpr std::int64_t always_to = std::numeric_limits<std::int64_t>::max();

class SetClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override { return Instant(std::chrono::milliseconds(steady_)); }
  [[nodiscard]] WallTime wall() const override {
    return WallTime(std::chrono::milliseconds(wall_));
  }
  [[nodiscard]] std::int64_t ms() const { return wall_; }
  // Time passes until then; a time before now is a jump.
  void set_ms(std::int64_t ms) {
    steady_ += std::max<std::int64_t>(ms - wall_, 0);
    wall_ = ms;
  }
  // No time passes.
  void jump_ms(std::int64_t ms) { wall_ += ms; }

 private:
  std::int64_t wall_ = 0;
  std::int64_t steady_ = 0;
};

inline Labels labels(std::size_t i) {
  return Labels::of({{"__name__", "m"}, {"i", std::to_string(i)}});
}

// What a store should say: by series, by time, the bits.
using Model = std::map<std::uint32_t, std::map<std::int64_t, std::uint64_t>>;

inline void add(Model& model, std::span<const Point> points) {
  for (const Point& point : points)
    model[point.series.raw()][point.t_ms] = std::bit_cast<std::uint64_t>(point.value);
}

inline Model model_of(const Store& store) {
  Model model;
  Column column;
  const auto found = store.select({}, always_from, always_to);
  EXPECT_TRUE(found.has_value());
  for (const Source::Found& one : *found) {
    EXPECT_TRUE(store.read(one.series, always_from, always_to, column).has_value());
    for (std::size_t i = 0; i < column.size(); ++i) {
      EXPECT_TRUE(i == 0 || column.t_ms[i - 1] < column.t_ms[i]);
      model[one.series.raw()][column.t_ms[i]] = std::bit_cast<std::uint64_t>(column.value[i]);
    }
  }
  return model;
}

class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "store-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
    folder_ = root_ / "store";
    options_.background = false;
    options_.clock = &clock_;
    clock_.set_ms(1'700'000'000'000);
  }
  void TearDown() override { fs::remove_all(root_); }

  std::unique_ptr<Store> open(const fs::path& folder) {
    auto store = Store::open(folder, options_);
    EXPECT_TRUE(store.has_value()) << store.error().message;
    return *std::move(store);
  }
  std::unique_ptr<Store> open() { return open(folder_); }
  static std::vector<SeriesId> make_series(Store& store, std::size_t count) {
    std::vector<SeriesId> ids;
    for (std::size_t i = 0; i < count; ++i) ids.push_back(*store.series(labels(i)));
    return ids;
  }
  // What a process that is killed now leaves.
  fs::path killed() {
    const fs::path copy = root_ / "copy";
    fs::remove_all(copy);
    fs::copy(folder_, copy, fs::copy_options::recursive);
    return copy;
  }
  static fs::path only_file(const fs::path& folder, const std::string& extension) {
    fs::path found;
    for (const auto& entry : fs::directory_iterator(folder))
      if (entry.path().extension() == extension) found = std::max(found, entry.path());
    return found;
  }
  static std::string read_file(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void write_file(const fs::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary).write(bytes.data(), std::ssize(bytes));
  }

  fs::path root_;
  fs::path folder_;
  SetClock clock_;
  Store::Options options_;
};

}  // namespace tallymill::collector
