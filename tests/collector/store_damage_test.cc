// Damage and bad disks. Goal: whatever bit flips, whatever the disk does not give, whatever a power
// cut left of what was not synced: the store opens, says no sample that nobody wrote, has all that
// was promised, and counts what it lost. A full disk refuses and nothing else. Method: copies of a
// folder with one bit flipped, seeded; files cut while they are open; a file-size limit; sectors
// behind the last sync, and names that no sync of their folder covers, drawn by chance.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <random>

#include "tests/collector/store_fixture.h"
#include "tests/fakes/flip.h"
#include "tests/fakes/synced_names.h"

namespace tallymill::collector {
namespace {

class StoreDamageTest : public StoreTest {
 protected:
  // Every sample is one that was written, under its own labels or under none.
  static void expect_true(const Store& store, const Model& written, const std::string& what) {
    const auto found = store.select({}, always_from, always_to);
    for (const Source::Found& one : *found)
      EXPECT_TRUE(one.labels == labels(one.series.raw()) || one.labels.metric() == "lost_series")
          << what << one.labels.text();
    for (const auto& [series, samples] : model_of(store))
      for (const auto& [t, bits] : samples) {
        ASSERT_TRUE(written.contains(series) && written.at(series).contains(t)) << what;
        ASSERT_EQ(written.at(series).at(t), bits) << what;
      }
  }
  static std::vector<fs::path> files_of(const fs::path& folder) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder))
      if (entry.is_regular_file() && entry.path().filename() != "lock" && entry.file_size() > 0)
        files.push_back(entry.path());
    std::ranges::sort(files);
    return files;
  }
  // Random samples of series that exist, or of one more.
  void write(Store& store, std::mt19937_64& random, Model& written) {
    std::vector<Point> points;
    const auto ids = make_series(store, 3 + random() % 6);
    for (int i = 0; i < 30; ++i)
      points.push_back({ids[random() % ids.size()], static_cast<std::int64_t>(time_ += 10),
                        static_cast<double>(random() % 1000) / 8});
    ASSERT_TRUE(store.append(points).has_value());
    add(written, points);
  }
  // killed(), on a disk that has room for that, and then under a limit.
  fs::path copied(const rlimit& roomy, const rlimit& limit) {
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &roomy), 0);
    fs::path copy = killed();
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
    return copy;
  }
  std::int64_t time_ = 0;
};

std::size_t samples_of(const Model& model) {
  std::size_t count = 0;
  for (const auto& [series, samples] : model) count += samples.size();
  return count;
}

TEST_F(StoreDamageTest, AFlippedBitAnywhereIsCountedAndNothingFalseIsSaid) {
  const auto seed = std::random_device()();
  std::printf("seed %u\n", seed);
  std::mt19937_64 random(seed);
  Model written;
  {
    auto store = open();
    for (int part = 0; part < 3; ++part) {
      for (int i = 0; i < 4; ++i) write(*store, random, written);
      if (part < 2) {
        ASSERT_TRUE(store->seal().has_value());
      }
    }
  }
  std::vector<fs::path> files = files_of(folder_);
  // Written anew and not counted: store_format_test.cc.
  std::erase(files, folder_ / "format");
  ASSERT_EQ(files.size(), 4U) << "the list, a segment, two parts";
  for (int round = 0; round < 150; ++round) {
    const fs::path copy = killed();
    const fs::path file = copy / fs::relative(files[random() % files.size()], folder_);
    std::string bytes = read_file(file);
    const std::size_t bit = random() % (bytes.size() * 8);
    fakes::flip(bytes, bit);
    write_file(file, bytes);
    const std::string what = file.string() + " bit " + std::to_string(bit) + " ";
    const auto store = open(copy);
    expect_true(*store, written, what);
    const auto stats = store->stats();
    EXPECT_GT(stats.damaged_parts + stats.damaged_blocks + stats.replayed.damaged +
                  stats.replayed.torn_bytes,
              0U)
        << what;
    // It goes on: new samples are taken, and come back.
    Model model = model_of(*store);
    const std::int64_t before = time_;
    write(*store, random, model);
    time_ = before;
    EXPECT_EQ(model_of(*store), model) << what;
  }
}

// Holes that no memory has room for, and that nobody waits for to be read.
TEST_F(StoreDamageTest, AFileThatSaysItIsHugeIsReadForWhatIsInItAndCut) {
  constexpr std::uintmax_t huge = std::uintmax_t{1} << 40;
  const auto seed = std::random_device()();
  std::printf("seed %u\n", seed);
  std::mt19937_64 random(seed);
  Model written;
  {
    auto store = open();
    write(*store, random, written);
    ASSERT_TRUE(store->seal().has_value());
    write(*store, random, written);
  }
  // One of which all is a hole, and one with a byte at its end.
  for (const char* name : {"0000000008.log", "0000000009.log"})
    write_file(folder_ / "log" / name, "");
  for (const fs::path& file : files_of(folder_))
    if (file.extension() != ".part") fs::resize_file(file, huge);
  fs::resize_file(folder_ / "log" / "0000000008.log", huge);
  fs::resize_file(folder_ / "log" / "0000000009.log", huge - 1);
  std::ofstream(folder_ / "log" / "0000000009.log", std::ios::binary | std::ios::app) << "x";
  {
    const auto store = open();
    EXPECT_EQ(model_of(*store), written);
    EXPECT_GT(store->stats().replayed.torn_bytes, 4 * (huge - (1 << 20)));
  }
  for (const fs::path& file : files_of(folder_ / "log"))
    EXPECT_LT(fs::file_size(file), huge) << file;
  // And a part: what is no footer is put aside.
  fs::resize_file(only_file(folder_ / "parts", ".part"), huge);
  EXPECT_EQ(open()->stats().damaged_parts, 1U);
}

TEST_F(StoreDamageTest, FilesThatAreCutWhileTheyAreReadCostWhatIsGone) {
  auto store = open();
  const auto ids = make_series(*store, 40);
  std::vector<Point> points;
  for (int t = 0; t < 3000; ++t)
    for (const SeriesId id : ids) points.push_back({id, t, 1.0 / (t + 3.0 + id.raw())});
  ASSERT_TRUE(store->append(points).has_value());
  ASSERT_TRUE(store->seal().has_value());
  Column column;
  ASSERT_TRUE(store->read(ids[0], 0, 3000, column).has_value());
  const fs::path part = only_file(folder_ / "parts", ".part");
  // The directory is gone too.
  fs::resize_file(part, fs::file_size(part) / 2);
  ASSERT_TRUE(store->read(ids[39], 0, 3000, column).has_value());
  EXPECT_EQ(column.size(), 0U);
  EXPECT_GT(store->stats().damaged_blocks, 0U);
  EXPECT_EQ(store->merge(true).value(), 0U);
  fs::remove(part);
  const Point more[] = {{ids[0], 5000, 1}};
  ASSERT_TRUE(store->append(more).has_value());
  ASSERT_TRUE(store->read(ids[0], 4000, 6000, column).has_value());
  EXPECT_EQ(column.size(), 1U);
  // At the next start it is put aside.
  store.reset();
  write_file(part, "half of a part");
  store = open();
  EXPECT_EQ(store->stats().damaged_parts, 1U);
  EXPECT_EQ(samples_of(model_of(*store)), 1U);
}

TEST_F(StoreDamageTest, OnAFullDiskWritesAreRefusedReadsGoOnAndItRecoversByItself) {
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  auto store = open();
  const auto ids = make_series(*store, 3);
  Model wanted;
  const auto append = [&](std::int64_t t) {
    const Point points[] = {{ids[0], t, 1.0 / static_cast<double>(t + 3)}, {ids[1], t, 2.5}};
    const Status appended = store->append(points);
    if (appended) add(wanted, points);
    return appended;
  };
  for (std::int64_t t = 0; t < 50; ++t) ASSERT_TRUE(append(t).has_value());
  const rlimit tight{fs::file_size(only_file(folder_ / "log", ".log")) + 200, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  int refused = 0;
  for (std::int64_t t = 50; refused < 5; ++t)
    if (const Status appended = append(t); !appended) {
      ++refused;
      EXPECT_EQ(appended.error().code, Errc::disk);
      EXPECT_EQ(info(appended.error().code).http, 507);
    }
  // New series do not fit either, once the list is full.
  EXPECT_EQ(model_of(*store), wanted);
  const rlimit none{100, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &none), 0);
  EXPECT_EQ(store->seal().error().code, Errc::disk);
  EXPECT_EQ(model_of(*store), wanted);
  // Killed meanwhile, it starts on the full disk and is read; what comes is refused until there is
  // room.
  const rlimit nothing{0, before.rlim_max};
  const fs::path copy = copied(before, nothing);
  {
    auto other = open(copy);
    EXPECT_EQ(model_of(*other), wanted);
    const Point point[] = {{ids[2], 5000, 1}};
    EXPECT_EQ(other->append(point).error().code, Errc::disk);
    EXPECT_EQ(other->seal().error().code, Errc::disk);
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    ASSERT_TRUE(other->append(point).has_value());
    ASSERT_TRUE(other->seal().has_value());
    ASSERT_TRUE(other->append(point).has_value());
    Model more = wanted;
    add(more, point);
    EXPECT_EQ(model_of(*other), more);
  }
  ASSERT_TRUE(append(1000).has_value());
  ASSERT_TRUE(store->seal().has_value());
  ASSERT_TRUE(store->seal().has_value());
  EXPECT_EQ(store->stats().head_samples, 0U);
  EXPECT_EQ(model_of(*store), wanted);
}

TEST_F(StoreDamageTest, AfterAPowerCutAllThatWasSyncedIsThereAndNothingFalse) {
  const auto seed = std::random_device()();
  std::printf("seed %u\n", seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 30; ++round) {
    fs::remove_all(folder_);
    const fakes::SyncedNames names(root_);
    auto store = open();
    Model written;
    Model durable;
    std::map<fs::path, std::uintmax_t> synced;
    for (std::size_t step = 0, steps = 1 + random() % 12; step < steps; ++step) {
      write(*store, random, written);
      if (random() % 4 == 0) {
        ASSERT_TRUE(store->seal().has_value());
      }
      if (random() % 3 == 0) {
        ASSERT_TRUE(store->sync().has_value());
        durable = written;
        synced.clear();
        for (const fs::path& file : files_of(folder_ / "log")) synced[file] = fs::file_size(file);
      }
    }
    const fs::path copy = killed();
    names.cut(folder_, copy, random);
    fs::create_directories(copy / "log");
    // Of what stands behind the last sync each sector is there, or zeros are, or the file ends.
    for (const fs::path& file : files_of(copy / "log")) {
      const auto at = synced.find(folder_ / fs::relative(file, copy));
      const std::size_t safe = at == synced.end() ? 0 : at->second;
      std::string bytes = read_file(file);
      ASSERT_GE(bytes.size(), safe);
      bytes.resize(safe + random() % (bytes.size() - safe + 1));
      constexpr std::size_t sector = 512;
      for (std::size_t from = safe; from < bytes.size();) {
        const std::size_t end = std::min(bytes.size(), (from / sector + 1) * sector);
        if (random() % 2 == 0)
          std::fill(bytes.begin() + std::ptrdiff_t(from), bytes.begin() + std::ptrdiff_t(end),
                    '\0');
        from = end;
      }
      write_file(file, bytes);
    }
    const auto after = open(copy);
    const std::string what = "round " + std::to_string(round) + " ";
    expect_true(*after, written, what);
    const Model model = model_of(*after);
    for (const auto& [series, samples] : durable)
      for (const auto& [t, bits] : samples)
        ASSERT_TRUE(model.contains(series) && model.at(series).contains(t)) << what << series;
  }
}

}  // namespace
}  // namespace tallymill::collector
