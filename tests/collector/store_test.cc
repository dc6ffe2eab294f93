// The store. Goal: what was acknowledged is read back whole, wherever the process died, whatever is
// sealed and in whatever order it came; what is damaged costs itself alone; limits refuse new
// series and never old ones. Method: real files in a temporary folder, copied as a killed process
// leaves them and cut at every byte; a model (maps) beside it under random work, seed printed;
// readers on threads of their own.
#include "collector/store.h"

#include <atomic>
#include <iostream>
#include <random>
#include <thread>

#include "tests/collector/store_fixture.h"
#include "tests/fakes/failing_sync.h"
#include "tests/fakes/flip.h"

namespace tallymill::collector {
namespace {

TEST_F(StoreTest, WhatWasAppendedIsVisibleAtOnceAndAfterAReopen) {
  Model wanted;
  {
    auto store = open();
    const auto ids = make_series(*store, 3);
    const Point points[] = {{ids[0], 10, 1.5}, {ids[1], 10, -0.0}, {ids[0], 0, stale_marker}};
    ASSERT_TRUE(store->append(points).has_value());
    add(wanted, points);
    EXPECT_EQ(model_of(*store), wanted);
    const auto matcher = Matcher::of(Matcher::Kind::equal, "i", "1");
    const auto found = store->select(std::span(&*matcher, 1), 0, 100);
    ASSERT_EQ(found->size(), 1U);
    EXPECT_EQ(found->at(0).labels, labels(1));
  }
  auto store = open();
  EXPECT_EQ(model_of(*store), wanted);
  EXPECT_EQ(*store->series(labels(2)), SeriesId(2)) << "made, and nothing was appended to it";
  EXPECT_EQ(*store->series(labels(1)), SeriesId(1));
}

// As many blocks as there may be before, around and behind a gap.
TEST_F(StoreTest, ASeriesHasSamplesInATimeOrHasNone) {
  auto store = open();
  const auto ids = make_series(*store, 3);
  std::vector<Point> points;
  for (int t = 0; t < 5000; ++t)
    if (t < 1000 || t >= 2000) points.push_back({ids[1], t * 10, 1.0 * t});
  points.push_back({ids[2], 15'000, stale_marker});
  ASSERT_TRUE(store->append(points).has_value());
  for (int sealed = 0; sealed < 2; ++sealed) {
    const auto has = [&](std::size_t i, std::int64_t from, std::int64_t to) {
      return *store->has_samples(ids[i], from, to);
    };
    EXPECT_FALSE(has(0, always_from, always_to));
    EXPECT_TRUE(has(1, always_from, always_to));
    EXPECT_TRUE(has(1, 0, 0));
    EXPECT_FALSE(has(1, -5, -1));
    EXPECT_TRUE(has(1, 9'990, 19'999));
    EXPECT_FALSE(has(1, 9'991, 19'999)) << sealed;
    EXPECT_TRUE(has(1, 9'991, 20'000));
    EXPECT_FALSE(has(1, 20'001, 20'009));
    EXPECT_TRUE(has(1, 49'990, always_to));
    EXPECT_FALSE(has(1, 49'991, always_to));
    EXPECT_TRUE(has(2, 15'000, 15'000)) << "a stale marker says that it was there";
    ASSERT_TRUE(store->seal().has_value());
  }
  EXPECT_EQ(store->has_samples(SeriesId(99), 0, 1).error().code, Errc::not_found);
}

TEST_F(StoreTest, ARangeHasBothItsEnds) {
  auto store = open();
  const auto ids = make_series(*store, 1);
  std::vector<Point> points;
  for (int t = 0; t < 3000; ++t) points.push_back({ids[0], t * 10, 1.0 * t});
  ASSERT_TRUE(store->append(points).has_value());
  for (int sealed = 0; sealed < 2; ++sealed) {
    Column column;
    for (const auto& [from, to] : {std::pair<std::int64_t, std::int64_t>{0, 0},
                                   {10'230, 10'250},
                                   {10'241, 10'249},
                                   {-100, 5},
                                   {29'985, 40'000},
                                   {500, 400},
                                   {1, 29'989}}) {
      ASSERT_TRUE(store->read(ids[0], from, to, column).has_value());
      std::vector<std::int64_t> wanted;
      for (const Point& point : points)
        if (point.t_ms >= from && point.t_ms <= to) wanted.push_back(point.t_ms);
      EXPECT_EQ(column.t_ms, wanted) << from << " " << to;
      EXPECT_EQ(column.value.size(), wanted.size());
    }
    ASSERT_TRUE(store->seal().has_value());
  }
  Column column;
  EXPECT_EQ(store->read(SeriesId(1), 0, 1, column).error().code, Errc::not_found);
}

TEST_F(StoreTest, RandomWorkWithSealsAndReopensIsWhatAModelSays) {
  const auto seed = std::random_device()();
  std::printf("seed %u\n", seed);
  std::mt19937_64 random(seed);
  Model wanted;
  auto store = open();
  for (int step = 0; step < 300; ++step) {
    const auto ids = make_series(*store, 5 + static_cast<std::size_t>(step) / 30);
    std::vector<Point> points(random() % 400);
    // Mostly in order; some late, some again, some far away.
    for (std::size_t i = 0; i < points.size(); ++i) {
      std::int64_t t = step * 1000 + static_cast<std::int64_t>(i);
      if (random() % 10 == 0) t = static_cast<std::int64_t>(random() % 300'000);
      if (random() % 1000 == 0) t = static_cast<std::int64_t>(random());
      const double value = random() % 20 == 0 ? std::bit_cast<double>(random())
                                              : static_cast<double>(random() % 1000) / 4;
      points[i] = {ids[random() % ids.size()], t, value};
    }
    ASSERT_TRUE(store->append(points).has_value());
    add(wanted, points);
    const auto what = random() % 20;
    if (what == 0) {
      ASSERT_TRUE(store->seal().has_value());
      ASSERT_TRUE(store->merge(random() % 4 == 0).has_value());
    }
    if (what == 1) {
      store.reset();
      store = open();
    }
    if (what == 2) {
      const auto copy = open(killed());
      ASSERT_EQ(model_of(*copy), wanted) << step;
    }
  }
  EXPECT_EQ(model_of(*store), wanted);
  EXPECT_EQ(store->stats().damaged_blocks, 0U);
}

TEST_F(StoreTest, KilledAtAnyByteOfTheLogWhatWasAcknowledgedByThenIsThere) {
  auto store = open();
  const auto ids = make_series(*store, 4);
  const Point sealed[] = {{ids[0], 1, 1}, {ids[1], 1, 2}};
  ASSERT_TRUE(store->append(sealed).has_value());
  ASSERT_TRUE(store->seal().has_value());
  Model at_least;
  add(at_least, sealed);
  std::vector<std::pair<std::uint64_t, Model>> acknowledged{{0, at_least}};
  const fs::path segment = only_file(folder_ / "log", ".log");
  for (int i = 0; i < 5; ++i) {
    const Point points[] = {{ids[0], 10 + i, i / 3.0},
                            {ids[static_cast<std::size_t>(i) % 4], 50, i * 2.0}};
    ASSERT_TRUE(store->append(points).has_value());
    add(at_least, points);
    acknowledged.emplace_back(fs::file_size(segment), at_least);
  }
  const fs::path copy = killed();
  const fs::path cut = copy / "log" / segment.filename();
  const std::string whole = read_file(cut);
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    for (const auto& entry : fs::directory_iterator(copy / "log"))
      if (entry.path().extension() == ".log") fs::remove(entry.path());
    write_file(cut, whole.substr(0, size));
    const Model* wanted = nullptr;
    for (const auto& [bytes, model] : acknowledged)
      if (bytes <= size) wanted = &model;
    ASSERT_EQ(model_of(*open(copy)), *wanted) << size;
  }
}

TEST_F(StoreTest, KilledBetweenTheStepsOfASealNothingIsLostAndNothingIsTwice) {
  auto store = open();
  const auto ids = make_series(*store, 2);
  const Point points[] = {{ids[0], 1, 1}, {ids[1], 1, 2}, {ids[0], 1, 3}};
  ASSERT_TRUE(store->append(points).has_value());
  Model wanted;
  add(wanted, points);
  const fs::path before = killed();
  ASSERT_TRUE(store->seal().has_value());
  // The part is there and the segments are too: as if it died before it removed them.
  fs::copy(folder_ / "parts", before / "parts",
           fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  {
    const auto both = open(before);
    EXPECT_EQ(model_of(*both), wanted);
    EXPECT_EQ(both->stats().head_samples, 0U);
    EXPECT_EQ(both->stats().sealed_samples, 2U);
  }
  // Half a part beside the log.
  write_file(before / "parts" / "0000000002.part.new", "half");
  EXPECT_EQ(model_of(*open(before)), wanted);
  EXPECT_FALSE(fs::exists(before / "parts" / "0000000002.part.new"));
}

TEST_F(StoreTest, AFlippedBitInAPartCostsABlockOrIsSeenAtTheStart) {
  Model wanted;
  {
    auto store = open();
    const auto ids = make_series(*store, 3);
    std::vector<Point> points;
    for (int t = 0; t < 20; ++t)
      for (const SeriesId id : ids) points.push_back({id, t * 1000, t * 1.5 + id.raw()});
    ASSERT_TRUE(store->append(points).has_value());
    add(wanted, points);
    ASSERT_TRUE(store->seal().has_value());
  }
  const std::string whole = read_file(only_file(folder_ / "parts", ".part"));
  for (std::size_t at = 0; at < whole.size(); ++at) {
    const fs::path copy = killed();
    std::string garbled = whole;
    fakes::flip(garbled, at * 8 + at % 8);
    write_file(only_file(copy / "parts", ".part"), garbled);
    const auto store = open(copy);
    const Model got = model_of(*store);
    const auto stats = store->stats();
    ASSERT_GT(stats.damaged_blocks + stats.damaged_parts, 0U) << at;
    ASSERT_EQ(stats.series, 3U);
    for (const auto& [series, samples] : got) ASSERT_EQ(samples, wanted[series]) << at;
    if (stats.damaged_parts == 1) {
      ASSERT_NE(only_file(copy / "parts", ".damaged"), fs::path());
    }
    // A block's own bytes: the others are read.
    if (stats.damaged_blocks == 1) {
      ASSERT_EQ(got.size(), 2U) << at;
    }
  }
}

TEST_F(StoreTest, IdsOfSealedSamplesAreNeverGivenAgainEvenWhenTheListIsLost) {
  {
    auto store = open();
    const auto ids = make_series(*store, 3);
    const Point points[] = {{ids[2], 1, 1}};
    ASSERT_TRUE(store->append(points).has_value());
    ASSERT_TRUE(store->seal().has_value());
  }
  fs::remove(folder_ / "log" / "series");
  auto store = open();
  EXPECT_EQ(store->stats().series, 1U);
  EXPECT_EQ(store->stats().series_ids, 3U);
  EXPECT_EQ(store->select({}, 0, 1)->at(0).labels.text(), R"(lost_series{id="2"})");
  EXPECT_EQ(*store->series(labels(9)), SeriesId(3));
  Column column;
  ASSERT_TRUE(store->read(SeriesId(2), 0, 10, column).has_value());
  EXPECT_EQ(column.size(), 1U);
}

TEST_F(StoreTest, AtTheLimitOldSeriesGoOnAndNewOnesAreRefusedAndCounted) {
  options_.series = 10;
  auto store = open();
  const auto ids = make_series(*store, 10);
  EXPECT_EQ(store->series(labels(10)).error().code, Errc::too_big);
  EXPECT_EQ(store->series(labels(11)).error().code, Errc::too_big);
  EXPECT_EQ(*store->series(labels(9)), ids[9]);
  const Point points[] = {{ids[9], 1, 1}};
  EXPECT_TRUE(store->append(points).has_value());
  EXPECT_EQ(store->stats().refused_series, (std::map<std::string, std::uint64_t>{{"m", 2}}));
  EXPECT_EQ(store->stats().series, 10U);
  const Point unknown[] = {{SeriesId(10), 1, 1}};
  EXPECT_EQ(store->append(unknown).error().code, Errc::bad_params);
}

TEST_F(StoreTest, TheLongestLabelsAreTakenAndLongerOnesAreNot) {
  auto store = open();
  // A name's length takes one byte, this value's two.
  const std::string value(limits::series_labels_bytes - 4, 'x');
  EXPECT_TRUE(store->series(Labels::of({{"a", value}})).has_value());
  EXPECT_EQ(store->series(Labels::of({{"a", value + "x"}})).error().code, Errc::too_big);
}

TEST_F(StoreTest, AFullLogTakesNoMoreUntilItIsSealed) {
  options_.log_bytes = 2000;
  auto store = open();
  const auto ids = make_series(*store, 1);
  int accepted = 0;
  Status appended;
  for (; accepted < 1000; ++accepted) {
    const Point points[] = {{ids[0], accepted, 1}};
    appended = store->append(points);
    if (!appended) break;
  }
  ASSERT_FALSE(appended.has_value());
  EXPECT_EQ(appended.error().code, Errc::busy);
  ASSERT_TRUE(store->seal().has_value());
  const Point points[] = {{ids[0], accepted, 1}};
  EXPECT_TRUE(store->append(points).has_value());
  EXPECT_EQ(model_of(*store)[0].size(), static_cast<std::size_t>(accepted) + 1);
}

TEST_F(StoreTest, WhatCameTooLongAgoIsDropped) {
  constexpr std::int64_t day = 86'400'000;
  options_.retention = std::chrono::hours(24 * 10);
  clock_.set_ms(100 * day);
  auto store = open();
  const auto ids = make_series(*store, 1);
  const Point old[] = {{ids[0], 1 * day, 1}};
  ASSERT_TRUE(store->append(old).has_value());
  ASSERT_TRUE(store->seal().has_value());
  EXPECT_EQ(store->expire(), 0U) << "imported today, whatever its time";
  clock_.set_ms(111 * day);
  const Point fresh[] = {{ids[0], 111 * day, 2}};
  ASSERT_TRUE(store->append(fresh).has_value());
  ASSERT_TRUE(store->seal().has_value());
  EXPECT_EQ(store->expire(), 1U);
  EXPECT_EQ(model_of(*store)[0].size(), 1U);
  EXPECT_EQ(store->stats().parts, 1U);
  store.reset();
  EXPECT_EQ(model_of(*open())[0].size(), 1U);
}

TEST_F(StoreTest, AClockThatJumpsAheadAndComesBackExpiresNothing) {
  constexpr std::int64_t day = 86'400'000;
  constexpr std::int64_t year = 365 * day;
  options_.retention = std::chrono::hours(24 * 10);
  auto store = open();
  const auto ids = make_series(*store, 1);
  Model wanted;
  const auto seal_one = [&] {
    const Point points[] = {{ids[0], clock_.ms(), 1}};
    ASSERT_TRUE(store->append(points).has_value());
    add(wanted, points);
    ASSERT_TRUE(store->seal().has_value());
  };
  const std::int64_t begin = clock_.ms();
  seal_one();
  clock_.set_ms(begin + 9 * day);
  seal_one();
  clock_.jump_ms(year);
  EXPECT_EQ(store->expire(), 0U);
  EXPECT_EQ(store->stats().clock_jumps, 1U);
  seal_one();
  // It is opened meanwhile, with the stamp of the wrong clock on its disk.
  store.reset();
  store = open();
  clock_.set_ms(clock_.ms() + day / 2);
  EXPECT_EQ(store->expire(), 0U);
  clock_.jump_ms(-year);
  seal_one();
  EXPECT_EQ(store->expire(), 0U);
  EXPECT_EQ(model_of(*store), wanted);
  // It is believed, and each part goes in its time, also one with a wrong stamp that was merged.
  clock_.set_ms(begin + 10 * day + 1);
  EXPECT_EQ(store->expire(), 1U);
  ASSERT_EQ(store->merge(true).value(), 2U);
  clock_.set_ms(begin + 21 * day);
  EXPECT_EQ(store->expire(), 1U);
  EXPECT_EQ(store->stats().parts, 0U);
}

TEST_F(StoreTest, AStoreThatIsOpenedLongAfterwardsExpiresWhenItsClockHasGoneSteadily) {
  constexpr std::int64_t day = 86'400'000;
  auto store = open();
  const auto ids = make_series(*store, 1);
  const std::int64_t begin = clock_.ms();
  for (int i = 0; i < 3; ++i) {
    const Point points[] = {{ids[0], begin + i, 1}};
    ASSERT_TRUE(store->append(points).has_value());
    ASSERT_TRUE(store->seal().has_value());
  }
  store.reset();
  clock_.set_ms(begin + 40 * day);
  store = open();
  EXPECT_EQ(store->expire(), 0U) << "it may be the clock";
  const Point fresh[] = {{ids[0], begin + 40 * day, 1}};
  ASSERT_TRUE(store->append(fresh).has_value());
  ASSERT_TRUE(store->seal().has_value());
  clock_.set_ms(begin + 43 * day + day / 2);
  EXPECT_EQ(store->expire(), 3U);
  EXPECT_EQ(model_of(*store)[0].size(), 1U);
}

TEST_F(StoreTest, ASealThatFailsLosesNothingAndIsMadeUpFor) {
  auto store = open();
  const auto ids = make_series(*store, 1);
  const Point first[] = {{ids[0], 1, 1}};
  ASSERT_TRUE(store->append(first).has_value());
  {
    const fakes::FailingSync failing((folder_ / "parts").string() + "/");
    EXPECT_EQ(store->seal().error().code, Errc::corrupt);
  }
  const Point second[] = {{ids[0], 2, 2}};
  ASSERT_TRUE(store->append(second).has_value());
  Model wanted;
  add(wanted, first);
  add(wanted, second);
  EXPECT_EQ(model_of(*store), wanted);
  EXPECT_EQ(model_of(*open(killed())), wanted);
  EXPECT_TRUE(store->seal().has_value());
  EXPECT_TRUE(store->seal().has_value());
  EXPECT_EQ(store->stats().parts, 2U);
  EXPECT_EQ(store->stats().failed_seals, 1U);
  EXPECT_EQ(model_of(*store), wanted);
}

// The head is frozen by then; the kernel takes the list's pages for clean.
TEST_F(StoreTest, AListWhoseSyncFailsDuringASealIsWrittenAnewBeforeAnythingIsSealed) {
  auto store = open();
  const auto ids = make_series(*store, 2);
  const Point first[] = {{ids[0], 1, 1}, {ids[1], 1, 1}};
  ASSERT_TRUE(store->append(first).has_value());
  Model wanted;
  add(wanted, first);
  {
    const fakes::FailingSync failing((folder_ / "log" / "series").string());
    EXPECT_EQ(store->seal().error().code, Errc::corrupt);
    EXPECT_EQ(store->append(first).error().code, Errc::corrupt);
    EXPECT_EQ(store->sync().error().code, Errc::corrupt);
    EXPECT_EQ(model_of(*open(killed())), wanted);
  }
  const fs::path list = folder_ / "log" / "series";
  const std::string before = read_file(list);
  EXPECT_TRUE(store->seal().has_value());
  EXPECT_NE(read_file(list), before) << "it has the mark of another file";
  EXPECT_EQ(store->stats().parts, 1U);
  // What came since the sync that failed is not believed before it is sealed, too.
  EXPECT_TRUE(store->seal().has_value());
  const Point second[] = {{ids[0], 2, 2}};
  ASSERT_TRUE(store->append(second).has_value());
  add(wanted, second);
  EXPECT_EQ(model_of(*store), wanted);
  EXPECT_EQ(model_of(*open(killed())), wanted);
}

TEST_F(StoreTest, FourPartsOfOneSizeBecomeOneAndAMergeThatDiedHalfwayChangesNothing) {
  auto store = open();
  const auto ids = make_series(*store, 3);
  Model wanted;
  for (int part = 0; part < 4; ++part) {
    std::vector<Point> points;
    for (int t = 0; t < 50; ++t)
      for (const SeriesId id : ids) points.push_back({id, part * 40 + t, part * 1000.0 + t});
    ASSERT_TRUE(store->append(points).has_value());
    add(wanted, points);
    ASSERT_EQ(store->merge().value(), 0U);
    ASSERT_TRUE(store->seal().has_value());
  }
  const fs::path copy = killed();
  EXPECT_EQ(store->merge().value(), 3U);
  EXPECT_EQ(store->stats().parts, 1U);
  EXPECT_EQ(store->stats().sealed_samples, 3U * 170);
  EXPECT_EQ(model_of(*store), wanted);
  // The merged part has the newest one's name, and the others were not removed yet.
  fs::copy(folder_ / "parts", copy / "parts",
           fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  {
    const auto halfway = open(copy);
    EXPECT_EQ(halfway->stats().parts, 4U);
    EXPECT_EQ(model_of(*halfway), wanted);
    EXPECT_EQ(halfway->merge(true).value(), 3U);
    EXPECT_EQ(model_of(*halfway), wanted);
  }
  store.reset();
  EXPECT_EQ(model_of(*open()), wanted);
}

TEST_F(StoreTest, PartsWithDamageAreNotMergedAndKeepWhatTheyHave) {
  auto store = open();
  const auto ids = make_series(*store, 2);
  for (int part = 0; part < 2; ++part) {
    const Point points[] = {{ids[0], part, 1.25}, {ids[1], part, 2.5}};
    ASSERT_TRUE(store->append(points).has_value());
    ASSERT_TRUE(store->seal().has_value());
  }
  store.reset();
  const fs::path file = only_file(folder_ / "parts", ".part");
  std::string bytes = read_file(file);
  bytes[0] ^= 1;
  write_file(file, bytes);
  store = open();
  EXPECT_EQ(store->merge(true).value(), 0U);
  EXPECT_EQ(store->merge(true).value(), 0U);
  EXPECT_EQ(store->stats().parts, 2U);
  const Model got = model_of(*store);
  EXPECT_EQ(got.at(0).size(), 1U);
  EXPECT_EQ(got.at(1).size(), 2U);
}

TEST_F(StoreTest, AMergeWhoseSyncFailsLosesNoPart) {
  auto store = open();
  const auto ids = make_series(*store, 1);
  Model wanted;
  for (int part = 0; part < 3; ++part) {
    const Point points[] = {{ids[0], part, 1.0 * part}};
    ASSERT_TRUE(store->append(points).has_value());
    add(wanted, points);
    ASSERT_TRUE(store->seal().has_value());
  }
  // The file's own sync; and the folder's, when the new one has its name already.
  for (const std::string path : {"parts/0000000003.part.new", "parts"}) {
    const fakes::FailingSync failing((folder_ / path).string());
    EXPECT_EQ(store->merge(true).error().code, Errc::corrupt) << path;
    EXPECT_EQ(fakes::FailingSync::failed(), 1);
    EXPECT_EQ(model_of(*store), wanted);
    EXPECT_EQ(model_of(*open(killed())), wanted);
  }
  EXPECT_EQ(store->merge(true).value(), 2U);
  EXPECT_EQ(model_of(*store), wanted);
  EXPECT_EQ(model_of(*open(killed())), wanted);
}

TEST_F(StoreTest, PartsThatSpanMoreThanAShareOfTheRetentionAreNotMerged) {
  options_.retention = std::chrono::hours(10);
  constexpr std::int64_t hour = 3'600'000;
  for (const std::int64_t last : {hour, hour + 1}) {
    const fs::path folder = root_ / std::to_string(last);
    auto store = open(folder);
    const auto ids = make_series(*store, 1);
    for (const std::int64_t t : {std::int64_t{0}, last}) {
      // Whatever the samples say of themselves.
      clock_.set_ms(1'700'000'000'000 + t);
      const Point points[] = {{ids[0], t == 0 ? always_to : always_from, 1}};
      ASSERT_TRUE(store->append(points).has_value());
      ASSERT_TRUE(store->seal().has_value());
    }
    EXPECT_EQ(store->merge(true).value(), last == hour ? 1U : 0U);
  }
}

TEST_F(StoreTest, OneProcessHasItAtATime) {
  const auto store = open();
  EXPECT_EQ(Store::open(folder_, options_).error().code, Errc::busy);
}

TEST_F(StoreTest, TheLastOfARangeIsThatOfAllOfIt) {
  const unsigned seed = std::random_device()();
  std::cout << "seed " << seed << "\n";
  std::mt19937 random(seed);
  const auto store = open();
  const auto ids = make_series(*store, 3);
  Column all;
  Column last;
  for (int round = 0; round < 300; ++round) {
    std::vector<Point> points;
    // Late, early and again.
    for (int i = 0; i < 20; ++i)
      points.push_back({ids[random() % ids.size()], 10 * round + std::int64_t(random() % 300),
                        double(random() % 1000)});
    ASSERT_TRUE(store->append(points).has_value());
    if (random() % 20 == 0) {
      ASSERT_TRUE(store->seal().has_value());
    }
    const std::int64_t to = 10 * round + std::int64_t(random() % 400) - 50;
    const std::int64_t from = to - std::int64_t(random() % 500);
    for (const SeriesId id : ids) {
      ASSERT_TRUE(store->read(id, from, to, all).has_value());
      ASSERT_TRUE(store->read_last(id, from, to, last).has_value());
      ASSERT_EQ(last.size() == 0, all.size() == 0);
      if (all.size() == 0) continue;
      ASSERT_EQ(last.t_ms.back(), all.t_ms.back());
      ASSERT_EQ(last.value.back(), all.value.back());
    }
  }
}

TEST_F(StoreTest, ReadersSeeWholeSeriesWhilePointsComeAndSealsRun) {
  options_.background = true;
  options_.seal_log_bytes = 3'000;
  auto store = open();
  constexpr std::size_t count = 50;
  constexpr std::int64_t rounds = 600;
  const auto ids = make_series(*store, count);
  std::atomic<std::int64_t> done = -1;  // the last round that was acknowledged
  std::atomic<bool> wrong = false;
  const auto reader = [&](std::size_t at) {
    Column column;
    // Each of them reads, also when the writer is done before they start.
    for (int mine = 0; mine < 20 || done < rounds - 1; ++mine) {
      const SeriesId id = ids[at++ % count];
      const std::int64_t before = done;
      const bool read = store->read(id, always_from, always_to, column).has_value();
      bool good = read && static_cast<std::int64_t>(column.size()) > before;
      for (std::size_t i = 0; i < column.size(); ++i)
        good = good && column.t_ms[i] == static_cast<std::int64_t>(i) &&
               column.value[i] == static_cast<double>(i + id.raw());
      const auto matcher = Matcher::of(Matcher::Kind::matches, "i", "[0-4]");
      good = good && store->select(std::span(&*matcher, 1), 0, 1)->size() == 5;
      if (!good) wrong = true;
    }
  };
  std::vector<std::thread> readers;
  for (std::size_t i = 0; i < 3; ++i) readers.emplace_back(reader, i * 7);
  for (std::int64_t t = 0; t < rounds; ++t) {
    std::vector<Point> points;
    for (const SeriesId id : ids) points.push_back({id, t, static_cast<double>(t + id.raw())});
    ASSERT_TRUE(store->append(points).has_value());
    if (t % 100 == 0) {
      ASSERT_TRUE(store->series(labels(1000 + static_cast<std::size_t>(t))));
    }
    done = t;
  }
  for (std::thread& thread : readers) thread.join();
  EXPECT_FALSE(wrong);
  while (store->stats().seals == 0) std::this_thread::yield();
  ASSERT_TRUE(store->seal().has_value());
  EXPECT_EQ(store->stats().head_samples, 0U);
  store.reset();
  const Model model = model_of(*open());
  EXPECT_EQ(model.size(), count);
  for (const auto& [series, samples] : model) EXPECT_EQ(samples.size(), rounds);
}

}  // namespace
}  // namespace tallymill::collector
