// The log. Goal: what was acknowledged is replayed, wherever the file was cut and whatever bit
// flipped; a damaged record costs itself alone; points are small. Method: real files in a temporary
// folder, copied and cut at every byte, each bit of small ones flipped; random points, seed
// printed.
#include "collector/log.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "base/limits.h"
#include "collector/log_records.h"
#include "tests/fakes/failing_sync.h"
#include "tests/fakes/flip.h"

namespace tallymill::collector {
namespace {

namespace fs = std::filesystem;

using Said = std::tuple<std::uint32_t, std::int64_t, std::uint64_t>;

Said said(const Point& point) {
  return {point.series.raw(), point.t_ms, std::bit_cast<std::uint64_t>(point.value)};
}

std::vector<Said> said(std::span<const Point> points) {
  std::vector<Said> all;
  for (const Point& point : points) all.push_back(said(point));
  return all;
}

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void write_file(const fs::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// What a replay told.
struct Heard {
  std::vector<std::uint32_t> ids;
  std::vector<Definition> series;
  std::vector<Said> points;
  Log::Replayed replayed;
};

class LogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "log-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
    folder_ = root_ / "log";
  }
  void TearDown() override { fs::remove_all(root_); }

  Result<std::unique_ptr<Log>> open(Heard& heard, Log::Sealed sealed = {}) {
    auto log = Log::open(folder_, sealed,
                         {[&](SeriesId id, const Definition& series) {
                            heard.ids.push_back(id.raw());
                            heard.series.push_back(series);
                          },
                          [&](std::span<const Point> points) {
                            std::ranges::copy(said(points), std::back_inserter(heard.points));
                          }});
    if (log) heard.replayed = (*log)->replayed();
    return log;
  }
  Heard reopen() {
    Heard heard;
    EXPECT_TRUE(open(heard).has_value());
    return heard;
  }
  // A segment ends, as the store makes it.
  static Result<std::uint64_t> rotate(Log& log) {
    if (auto prepared = log.prepare(); !prepared) return std::unexpected(prepared.error());
    const std::uint64_t ended = log.rotate();
    if (auto settled = log.settle(); !settled) return std::unexpected(settled.error());
    return ended;
  }
  fs::path first_segment() const { return folder_ / "0000000001.log"; }

  static Labels labels(int i) { return Labels::of({{"__name__", "m"}, {"i", std::to_string(i)}}); }
  static std::vector<Definition> many(int count) {
    std::vector<Definition> all;
    for (int i = 0; i < count; ++i) all.push_back({labels(i)});
    return all;
  }

  fs::path root_;
  fs::path folder_;
};

TEST_F(LogTest, WhatWasAppendedIsReplayedInOrder) {
  Heard none;
  {
    auto log = open(none);
    ASSERT_TRUE(log.has_value());
    ASSERT_TRUE((*log)->append(SeriesId(0), many(3), {}).has_value());
    const Point first[] = {{SeriesId(2), 10, 1.5}, {SeriesId(0), 10, -0.0}};
    ASSERT_TRUE((*log)->append(SeriesId(3), {}, first).has_value());
    ASSERT_EQ(rotate(**log), 1U);
    const Point second[] = {{SeriesId(1), -5, stale_marker}, {SeriesId(1), -5, 1e300}};
    ASSERT_TRUE((*log)->append(SeriesId(3), {}, second).has_value());
  }
  EXPECT_TRUE(none.series.empty());
  const Heard heard = reopen();
  EXPECT_EQ(heard.series, many(3));
  const Point all[] = {{SeriesId(2), 10, 1.5},
                       {SeriesId(0), 10, -0.0},
                       {SeriesId(1), -5, stale_marker},
                       {SeriesId(1), -5, 1e300}};
  EXPECT_EQ(heard.points, said(all));
  EXPECT_EQ(heard.replayed.damaged, 0U);
  EXPECT_EQ(heard.replayed.torn_bytes, 0U);
}

TEST_F(LogTest, DroppedSegmentsAreGoneAndSealedOnesAreRemovedAtOpen) {
  Heard none;
  {
    auto log = open(none);
    ASSERT_TRUE(log.has_value());
    for (int i = 0; i < 4; ++i) {
      const Point point[] = {{SeriesId(0), i, 1.0 * i}};
      ASSERT_TRUE((*log)->append(SeriesId(0), many(1), point).has_value());
      ASSERT_TRUE(rotate(**log).has_value());
    }
    (*log)->drop(1);
    EXPECT_FALSE(fs::exists(first_segment()));
  }
  Heard heard;
  ASSERT_TRUE(open(heard, {2, 0}).has_value());
  ASSERT_EQ(heard.points.size(), 2U);
  EXPECT_EQ(std::get<1>(heard.points[0]), 2);
  EXPECT_FALSE(fs::exists(folder_ / "0000000002.log"));
}

TEST_F(LogTest, ANewSegmentNeverHasTheNumberOfASealedOne) {
  Heard none;
  {
    ASSERT_TRUE(open(none, {41, 0}).has_value());
  }
  EXPECT_TRUE(fs::exists(folder_ / "0000000042.log"));
}

TEST_F(LogTest, CutAnywhereTheWholeRecordsBeforeAreThereAndTheRestIsCountedOnce) {
  std::vector<std::uint64_t> ends{0};  // of each record
  std::vector<Said> all;
  Heard none;
  {
    auto log = open(none);
    ASSERT_TRUE(log.has_value());
    ASSERT_TRUE((*log)->append(SeriesId(0), many(5), {}).has_value());
    ends[0] = fs::file_size(first_segment());
    for (std::uint32_t i = 0; i < 6; ++i) {
      const Point points[] = {{SeriesId(i % 5), i * 10, i / 3.0}, {SeriesId(1), i * 10, 2.5 * i}};
      ASSERT_TRUE((*log)->append(SeriesId(5), {}, points).has_value());
      // Before it is synced: a killed process leaves what the system has.
      ends.push_back(fs::file_size(first_segment()));
      std::ranges::copy(said(points), std::back_inserter(all));
    }
  }
  const std::string whole = read_file(first_segment());
  ASSERT_EQ(whole.size(), ends.back());
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    for (const auto& entry : fs::directory_iterator(folder_))
      if (entry.path().extension() == ".log") fs::remove(entry.path());
    write_file(first_segment(), whole.substr(0, size));
    const auto records =
        static_cast<std::size_t>(std::ranges::upper_bound(ends, size) - ends.begin());
    const std::size_t kept = records == 0 ? 0 : records - 1;
    const Heard heard = reopen();
    ASSERT_EQ(heard.points,
              std::vector(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(2 * kept)))
        << size;
    ASSERT_EQ(heard.replayed.torn_bytes, size - (records == 0 ? 0 : ends[kept])) << size;
    ASSERT_EQ(heard.replayed.damaged, 0U) << size;
    ASSERT_EQ(reopen().replayed.torn_bytes, 0U) << size;
  }
}

TEST_F(LogTest, AFlippedBitCostsOneRecordAndIsCounted) {
  Heard none;
  std::vector<Said> all;
  {
    auto log = open(none);
    ASSERT_TRUE(log.has_value());
    ASSERT_TRUE((*log)->append(SeriesId(0), many(4), {}).has_value());
    for (std::uint32_t i = 0; i < 4; ++i) {
      const Point points[] = {{SeriesId(i), i * 10, i * 0.5}};
      ASSERT_TRUE((*log)->append(SeriesId(4), {}, points).has_value());
      all.push_back(said(points[0]));
    }
  }
  const std::string whole = read_file(first_segment());
  // Each byte, and in turn each bit of it.
  for (std::size_t bit = 0; bit < whole.size() * 8; bit += 5) {
    std::string garbled = whole;
    fakes::flip(garbled, bit);
    for (const auto& entry : fs::directory_iterator(folder_))
      if (entry.path().extension() == ".log") fs::remove(entry.path());
    write_file(first_segment(), garbled);
    const Heard heard = reopen();
    ASSERT_EQ(heard.replayed.damaged + (heard.replayed.torn_bytes > 0 ? 1 : 0), 1U) << bit;
    ASSERT_TRUE(std::ranges::includes(all, heard.points)) << bit;
    ASSERT_GE(heard.points.size(), bit / 8 < 20 ? 4U : 3U) << bit;
  }
}

TEST_F(LogTest, PointsOfASeriesWhoseDefinitionWasLostAreReplayedAndItsIdIsNotFree) {
  Heard none;
  {
    auto log = open(none);
    ASSERT_TRUE(log.has_value());
    const Point points[] = {{SeriesId(0), 1, 1}, {SeriesId(2), 1, 3}};
    ASSERT_TRUE((*log)->append(SeriesId(0), many(3), points).has_value());
  }
  EXPECT_FALSE(reopen().replayed.lost);
  std::string list = read_file(folder_ / "series");
  list.back() ^= 1;
  write_file(folder_ / "series", list);
  for (int i = 0; i < 2; ++i) {
    const Heard heard = reopen();
    EXPECT_TRUE(heard.series.empty());
    EXPECT_TRUE(heard.replayed.lost);
    EXPECT_EQ(heard.replayed.next_id, 3U);
    EXPECT_EQ(heard.points.size(), 2U);
    EXPECT_EQ(heard.replayed.torn_bytes > 0, i == 0);
  }
}

TEST_F(LogTest, WhoWroteASeriesIsReplayedToo) {
  std::vector<Definition> series = many(6);
  for (const std::size_t i : {1U, 2U, 5U}) series[i].origin = Origin::own_bus;
  Heard none;
  {
    auto log = open(none);
    ASSERT_TRUE(log.has_value());
    ASSERT_TRUE((*log)->append(SeriesId(0), series, {}).has_value());
  }
  EXPECT_EQ(reopen().series, series);
}

TEST_F(LogTest, AListThatIsWrittenAnewHasTheLivingUnderTheirIdsAndGivesNoIdAgain) {
  std::vector<Definition> series = many(10);
  series[7].origin = Origin::own_bus;
  Heard none;
  {
    auto log = open(none);
    ASSERT_TRUE(log.has_value());
    ASSERT_TRUE((*log)->append(SeriesId(0), series, {}).has_value());
    const std::uint64_t before = (*log)->list_bytes();
    ASSERT_TRUE(
        (*log)
            ->rewrite_list(
                {{SeriesId(2), series[2]}, {SeriesId(3), series[3]}, {SeriesId(7), series[7]}}, 10)
            .has_value());
    EXPECT_LT((*log)->list_bytes(), before + 40);
    // It goes on behind.
    const Point point[] = {{SeriesId(10), 5, 1.5}};
    ASSERT_TRUE((*log)->append(SeriesId(10), many(1), point).has_value());
  }
  const Heard heard = reopen();
  EXPECT_EQ(heard.ids, (std::vector<std::uint32_t>{2, 3, 7, 10}));
  EXPECT_EQ(heard.series, (std::vector<Definition>{series[2], series[3], series[7], {labels(0)}}));
  EXPECT_EQ(heard.replayed.next_id, 11U);
  EXPECT_FALSE(heard.replayed.lost);
}

TEST_F(LogTest, AListThatCannotBeWrittenAnewGoesOn) {
  Heard none;
  {
    auto log = open(none);
    ASSERT_TRUE(log.has_value());
    ASSERT_TRUE((*log)->append(SeriesId(0), many(3), {}).has_value());
    {
      const fakes::FailingSync failing((folder_ / "series.new").string());
      EXPECT_EQ((*log)->rewrite_list({}, 3).error().code, Errc::corrupt);
    }
    ASSERT_TRUE((*log)->append(SeriesId(3), many(1), {}).has_value());
  }
  EXPECT_EQ(reopen().series.size(), 4U);
  EXPECT_FALSE(fs::exists(folder_ / "series.new"));
}

TEST_F(LogTest, WhatIsNotSyncedIsSyncedWithinThePromise) {
  Heard none;
  auto log = open(none);
  ASSERT_TRUE(log.has_value());
  static_assert(limits::log_sync_period <= std::chrono::milliseconds(500));
  const Point points[] = {{SeriesId(0), 1, 1}};
  const fakes::FailingSync watched((folder_ / "0000000001.log").string());
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE((*log)->append(SeriesId(0), many(1), points).has_value());
  // The sync that fails is seen here: nobody asked for it.
  while (!(*log)->failed() && std::chrono::steady_clock::now() - start < std::chrono::seconds(20))
    std::this_thread::yield();
  EXPECT_TRUE((*log)->failed());
}

TEST(Records, OneOfTheLargestSizeIsReadBackAndALargerOneIsNone) {
  const std::string largest(limits::log_record_bytes, 'x');
  const auto file_with = [](std::string_view payload) {
    std::string bytes = "tmlog 1\n";
    for (int i = 0; i < 3; ++i) bytes += "MARK";
    std::string size(4, '\0');
    const auto count = static_cast<std::uint32_t>(payload.size());
    std::memcpy(size.data(), &count, 4);
    const std::uint32_t crc = crc32(payload, crc32(size));
    std::string sum(4, '\0');
    std::memcpy(sum.data(), &crc, 4);
    return bytes + "MARK" + size + sum + std::string(payload);
  };
  std::size_t read = 0;
  const auto each = [&](std::string_view payload) { read = payload.size(); };
  EXPECT_EQ(scan_records(file_with(largest), each).records, 1U);
  EXPECT_EQ(read, largest.size());
  const Scanned above = scan_records(file_with(largest + "x"), each);
  EXPECT_EQ(above.records, 0U);
  EXPECT_GT(above.torn_bytes, largest.size());
}

// More of them than are in memory at a time, of every length, some of them damaged.
TEST_F(LogTest, AFileIsScannedInPiecesAsIfItWereInMemory) {
  const auto seed = std::random_device()();
  std::printf("seed %u\n", seed);
  std::mt19937_64 random(seed);
  fs::create_directories(folder_);
  const fs::path path = folder_ / "records";
  {
    auto file = RecordFile::create(path);
    ASSERT_TRUE(file.has_value());
    for (int i = 0; i < 60; ++i) {
      std::string payload(
          random() % 3 == 0 ? limits::log_record_bytes - random() % 20 : random() % 100'000,
          static_cast<char>(random()));
      (*file)->add(payload);
      ASSERT_TRUE((*file)->flush().has_value());
    }
  }
  std::string bytes = read_file(path);
  for (int i = 0; i < 8; ++i) bytes[random() % bytes.size()] ^= 4;
  bytes += bytes.substr(8, 3);  // a mark that is torn
  write_file(path, bytes);
  std::vector<std::string> in_memory;
  std::vector<std::string> on_disk;
  const Scanned one =
      scan_records(bytes, [&](std::string_view payload) { in_memory.emplace_back(payload); });
  const Scanned other = scan_records(
      *DiskFile::open(path), [&](std::string_view payload) { on_disk.emplace_back(payload); });
  EXPECT_GT(one.records, 40U);
  EXPECT_TRUE(in_memory == on_disk);
  EXPECT_EQ(std::tie(one.records, one.damaged, one.torn_bytes, one.size, one.mark),
            std::tie(other.records, other.damaged, other.torn_bytes, other.size, other.mark));
}

TEST_F(LogTest, WhatDoesNotFitOnTheDiskIsRefusedAndWhatWasThereStays) {
  ::signal(SIGXFSZ, SIG_IGN);
  Heard none;
  std::vector<Said> accepted;
  {
    auto log = open(none);
    ASSERT_TRUE(log.has_value());
    ASSERT_TRUE((*log)->append(SeriesId(0), many(1), {}).has_value());
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    const rlimit tight{4096, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
    int refused = 0;
    for (int i = 0; i < 400 && refused < 3; ++i) {
      const Point points[] = {{SeriesId(0), i, 1 / (i + 3.0)}};
      const Status appended = (*log)->append(SeriesId(1), {}, points);
      if (appended) {
        accepted.push_back(said(points[0]));
      } else {
        EXPECT_EQ(appended.error().code, Errc::disk);
        ++refused;
      }
    }
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    EXPECT_EQ(refused, 3);
    const Point later[] = {{SeriesId(0), 1000, 5}};
    ASSERT_TRUE((*log)->append(SeriesId(1), {}, later).has_value());
    accepted.push_back(said(later[0]));
  }
  const Heard heard = reopen();
  EXPECT_EQ(heard.points, accepted);
  EXPECT_EQ(heard.replayed.damaged + heard.replayed.torn_bytes, 0U);
}

TEST_F(LogTest, ManySeriesAtOneTimeTakeAtMost3BytesAPoint) {
  std::mt19937_64 random(3);
  std::vector<Point> points;
  for (std::uint32_t i = 0; i < 2000; ++i)
    points.push_back({SeriesId(i), 1'700'000'000'000,
                      i % 3 == 0 ? static_cast<double>(random() % 100'000) / 100
                                 : static_cast<double>(random() % 1'000'000)});
  std::string bytes;
  pack_points(points, bytes);
  EXPECT_LE(static_cast<double>(bytes.size()) / 2000, 3.0);
}

TEST_F(LogTest, MorePointsThanARecordHoldsAreReplayedToo) {
  std::mt19937_64 random(5);
  std::vector<Point> points(2 * limits::integers_column + 1);
  for (Point& point : points)
    point = {SeriesId(0), static_cast<std::int64_t>(random()), std::bit_cast<double>(random())};
  Heard none;
  {
    auto log = open(none);
    ASSERT_TRUE(log.has_value());
    ASSERT_TRUE((*log)->append(SeriesId(0), many(1), points).has_value());
  }
  EXPECT_EQ(reopen().points, said(points));
}

TEST_F(LogTest, MoreSeriesThanARecordHoldsAreReplayedToo) {
  std::vector<Definition> series;
  for (int i = 0; i < 100; ++i)
    series.push_back({Labels::of(
        {{"i", std::to_string(i) + std::string(limits::series_labels_bytes - 100, 'x')}})});
  Heard none;
  {
    auto log = open(none);
    ASSERT_TRUE(log.has_value());
    ASSERT_TRUE((*log)->append(SeriesId(0), series, {}).has_value());
    // Again, as after a call that failed: the list has them already.
    ASSERT_TRUE((*log)->append(SeriesId(0), series, {}).has_value());
  }
  EXPECT_EQ(reopen().series, series);
}

TEST_F(LogTest, NothingIsAcceptedAfterAFailedSyncUntilTheNextSegment) {
  Heard none;
  auto log = open(none);
  ASSERT_TRUE(log.has_value());
  const Point points[] = {{SeriesId(0), 1, 1}};
  ASSERT_TRUE((*log)->append(SeriesId(0), many(1), points).has_value());
  {
    const fakes::FailingSync failing(first_segment().string());
    // The thread may be before us: then nothing is left to sync, and it has failed already.
    while (!(*log)->failed()) {
      if (!(*log)->sync()) break;
      (void)(*log)->append(SeriesId(1), {}, points);
    }
  }
  EXPECT_TRUE((*log)->failed());
  EXPECT_EQ((*log)->append(SeriesId(1), {}, points).error().code, Errc::corrupt);
  ASSERT_TRUE(rotate(**log).has_value());
  EXPECT_FALSE((*log)->failed());
  EXPECT_TRUE((*log)->append(SeriesId(1), {}, points).has_value());
}

// The kernel takes its pages for clean: a second sync would say that all of them are on the disk.
TEST_F(LogTest, AListWhoseSyncFailedIsNotBelievedUntilItIsWrittenAnew) {
  Heard none;
  auto log = open(none);
  ASSERT_TRUE(log.has_value());
  const Point points[] = {{SeriesId(0), 1, 1}};
  ASSERT_TRUE((*log)->append(SeriesId(0), many(1), points).has_value());
  {
    const fakes::FailingSync failing((folder_ / "series").string());
    EXPECT_EQ(rotate(**log).error().code, Errc::corrupt);
  }
  EXPECT_TRUE((*log)->failed());
  EXPECT_TRUE((*log)->list_failed());
  EXPECT_EQ((*log)->append(SeriesId(1), {}, points).error().code, Errc::corrupt);
  EXPECT_EQ(rotate(**log).error().code, Errc::corrupt);
  ASSERT_TRUE((*log)->rewrite_list({{{SeriesId(0), many(1)[0]}}}, 1).has_value());
  EXPECT_FALSE((*log)->list_failed());
  ASSERT_TRUE(rotate(**log).has_value());
  EXPECT_TRUE((*log)->append(SeriesId(1), {}, points).has_value());
}

TEST_F(LogTest, AListThatHasItsNameIsTheOneThatIsWrittenToAlsoWhenTheNameIsNotSynced) {
  Heard none;
  auto log = open(none);
  ASSERT_TRUE(log.has_value());
  const Point points[] = {{SeriesId(0), 1, 1}};
  ASSERT_TRUE((*log)->append(SeriesId(0), many(2), points).has_value());
  const Log::Listed alive{{SeriesId(0), many(1)[0]}, {SeriesId(1), many(2)[1]}};
  {
    // The first is of its creation, the second of its new name.
    const fakes::FailingSync failing(folder_.string(), 1);
    EXPECT_EQ((*log)->rewrite_list(alive, 2).error().code, Errc::corrupt);
    EXPECT_EQ(fakes::FailingSync::failed(), 1);
  }
  EXPECT_TRUE((*log)->list_failed());
  const std::vector<Definition> third{{labels(2)}};
  const Point later[] = {{SeriesId(2), 2, 2}};
  ASSERT_TRUE((*log)->append(SeriesId(2), third, later).has_value());
  log->reset();
  const Heard heard = reopen();
  EXPECT_EQ(heard.ids, (std::vector<std::uint32_t>{0, 1, 2}));
  EXPECT_FALSE(heard.replayed.lost);
}

TEST_F(LogTest, AFileThatSomebodyElseNamedIsNoSegment) {
  {
    Heard none;
    auto log = open(none);
    const Point points[] = {{SeriesId(0), 1, 1}};
    ASSERT_TRUE((*log)->append(SeriesId(0), many(1), points).has_value());
  }
  for (const char* name : {"7.log", "backup.log", "0000000009.log.old", "00000000010.log"})
    write_file(folder_ / name, "mine");
  const Heard heard = reopen();
  EXPECT_EQ(heard.points.size(), 1U);
  EXPECT_EQ(heard.replayed.damaged + heard.replayed.torn_bytes, 0U);
  EXPECT_EQ(read_file(folder_ / "7.log"), "mine");
}

TEST(LogRecords, AnyPointsComeBack) {
  const auto seed = std::random_device()();
  std::printf("seed %u\n", seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 500; ++i) {
    std::vector<Point> points(random() % 300);
    for (Point& point : points) {
      point.series = SeriesId(static_cast<std::uint32_t>(random() >> (32 + random() % 32)));
      point.t_ms = static_cast<std::int64_t>(random() >> random() % 64);
      point.value = random() % 2 == 0 ? std::bit_cast<double>(random())
                                      : static_cast<double>(random() % 100'000) / 1000;
    }
    std::string bytes;
    pack_points(points, bytes);
    std::vector<Point> got;
    ASSERT_TRUE(unpack_points(bytes, got).has_value());
    ASSERT_EQ(said(got), said(points));
    for (std::size_t size = 0; size < bytes.size(); size += 1 + bytes.size() / 40) {
      const std::vector<char> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
      ASSERT_FALSE(unpack_points({cut.data(), cut.size()}, got).has_value());
      ASSERT_TRUE(got.empty());
    }
  }
}

}  // namespace
}  // namespace tallymill::collector
