// The power goes. Goal: whatever the disk had of what was not yet synced, what commit() reported is
// there, the ledger opens, every law holds and no epoch is used twice. Method: one recorded history
// of commits, retention, checkpoints and restarts; cut at random points, the disk's state there
// drawn by sector; each image is opened by the shipping code. That this can fail is shown by the
// build whose commits are not synced (mutant commit_not_synced).
//
// TALLYMILL_POWER_CUTS: how many (300).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "front/ledger_check.h"
#include "front/ledger_sqlite.h"
#include "tests/fakes/power_cut_vfs.h"
#include "tests/front/ledger_fixture.h"

namespace tallymill::front {
namespace {

namespace fs = std::filesystem;
using fakes::PowerCutVfs;

// What was promised, and before which recorded operation.
struct Promise {
  std::size_t point = 0;
  std::int64_t seq = 0;
  std::int64_t job = 0;    // 0: the entry appended job `seq`
  std::int64_t epoch = 0;  // > 0: this epoch was opened, nothing else
};

class LedgerPower : public ::testing::Test {
 protected:
  // A log that starts again within a few commits.
  [[nodiscard]] static LedgerOptions options(const fs::path& folder) {
    LedgerOptions made = options_in(folder);
    made.wal = {Bytes(256 << 10), Bytes(128 << 10), Bytes(32 << 10), Bytes(224 << 10)};
    made.reserve = Bytes(4096);
    return made;
  }

  void record(std::mt19937_64& random) {
    LedgerOptions recorded = options(folder_.path());
    (void)open_ledger(recorded);
    recorded.vfs = PowerCutVfs::name;
    PowerCutVfs::install();
    PowerCutVfs::begin((folder_.path() / "ledger.db").string());
    for (int life = 0; life < 3; ++life) {
      auto opened = open_ledger(recorded);
      promises_.push_back({PowerCutVfs::now(), 0, 0, opened.found.epoch});
      for (int commits = 0; commits < 60; ++commits) random_commit(*opened.ledger, random);
    }
    PowerCutVfs::end();
  }

  void random_commit(Ledger& ledger, std::mt19937_64& random) {
    std::vector<Entry> entries;
    std::vector<Promise> made;
    for (auto n = 1 + random() % 20; n > 0; --n) {
      if (live_.size() < 30 || random() % 2 == 0) {
        entries.emplace_back(job_with(++seq_, std::string(1 + random() % 1500, 'b')));
        made.push_back({0, seq_, 0});
        live_.push_back(seq_);
      } else {
        const std::size_t pick = random() % live_.size();
        JobEnd end = end_of_job(++seq_, live_[pick]);
        end.keep_weight = random() % 2 == 0 ? 1 : 0;
        entries.emplace_back(std::move(end));
        made.push_back({0, seq_, live_[pick]});
        live_.erase(live_.begin() + static_cast<std::ptrdiff_t>(pick));
      }
    }
    commit(ledger, entries);
    for (Promise& one : made) one.point = PowerCutVfs::now();
    promises_.insert(promises_.end(), made.begin(), made.end());
    // Keeps the file small; what it removes is older than what is asked for below.
    ASSERT_TRUE(ledger.retire({.jobs = kept}, wall_from_ns(0)));
  }

  // Nothing that was promised before the cut is missing in this image; else why.
  std::string judge(const PowerCutVfs::Image& image, std::size_t point) {
    const TempFolder cut;
    std::ofstream(cut.path() / "ledger.db", std::ios::binary) << image.database;
    std::ofstream(cut.path() / "ledger.db-wal", std::ios::binary) << image.wal;
    LedgerOptions as_cut = options(cut.path());
    as_cut.vfs = PowerCutVfs::name;  // whose syncs cost nothing
    auto opened = open_sqlite_ledger(as_cut);
    if (!opened) return "it does not open: " + opened.error().message;
    std::map<std::int64_t, std::int64_t> jobs;  // job -> seq of its end
    std::int64_t head = 0;
    for (const Promise& one : promises_) {
      if (one.point > point) break;
      if (one.epoch >= opened->found.epoch) return "an epoch is used twice";
      if (one.epoch > 0) continue;
      jobs[one.job == 0 ? one.seq : one.job] = one.job == 0 ? 0 : one.seq;
      head = one.seq;
    }
    if (opened->found.head < head) return "commits are lost";
    auto reader = opened->ledger->reader();
    if (!reader) return "it cannot be read: " + reader.error().message;
    std::vector<std::int64_t> ended;
    for (const auto& [job, end] : jobs) {
      if (end > 0) ended.push_back(end);
      if (end == 0 && !(*reader)->status(JobId(job))) return "job " + std::to_string(job);
    }
    std::ranges::sort(ended, std::greater());
    ended.resize(std::min<std::size_t>(ended.size(), kept / 4));
    for (const auto& [job, end] : jobs) {
      if (end == 0 || !std::ranges::binary_search(ended, end, std::greater())) continue;
      const auto row = (*reader)->status(JobId(job));
      if (!row || !row->end || row->end->seq != end) return "the end of job " + std::to_string(job);
    }
    reader->reset();
    opened->ledger.reset();
    const auto report = check_ledger({cut.path()});
    if (!report) return "it cannot be checked: " + report.error().message;
    return report->clean() ? "" : report->violations[0].law + ": " + report->violations[0].what;
  }

  static constexpr std::int64_t kept = 400;  // of ended jobs
  TempFolder folder_;
  std::vector<Promise> promises_;
  std::vector<std::int64_t> live_;
  std::int64_t seq_ = 0;
};

TEST_F(LedgerPower, NothingPromisedIsMissingWhereverThePowerWent) {
  std::mt19937_64 random(seed_for("power cuts"));
  const char* wanted = std::getenv("TALLYMILL_POWER_CUTS");
  const std::size_t cuts = wanted ? std::strtoull(wanted, nullptr, 10) : 300;
  ASSERT_NO_FATAL_FAILURE(record(random));
  std::vector<std::size_t> points(cuts);
  for (std::size_t& point : points) point = random() % (PowerCutVfs::now() + 1);
  std::ranges::sort(points);
  PowerCutVfs::Cuts disk;
  std::size_t bad = 0;
  for (const std::size_t point : points) {
    const std::string wrong = judge(disk.at(point, random), point);
    if (!wrong.empty() && ++bad <= 5)
      std::cout << "cut after operation " << point << ": " << wrong << "\n";
  }
  std::cout << cuts << " cuts in " << PowerCutVfs::now() << " writes and syncs, "
            << promises_.size() << " promises: " << bad << " cuts lose something\n";
  EXPECT_EQ(bad, 0U);
}

}  // namespace
}  // namespace tallymill::front
