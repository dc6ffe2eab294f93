// The committer's thread. Goal: every entry is reported once, in order, only after its commit; a
// full disk refuses jobs and keeps ends; a failed sync is the last thing it says. Method: the real
// ledger for the road, and one that fails on demand for the rest.
#include "front/committer.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "front/ledger_sqlite.h"
#include "store/blobs.h"
#include "tests/front/ledger_fixture.h"

namespace tallymill::front {
namespace {

// Stores nothing, remembers all, fails as told.
class FaultyLedger final : public Ledger {
 public:
  // What the test looks at and turns; outlives the ledger.
  struct Dials {
    std::atomic<bool> no_room_for_jobs = false;
    std::atomic<bool> no_room = false;
    std::atomic<bool> broken = false;
    std::atomic<bool> retire_broken = false;
    std::atomic<bool> references_broken = false;
    std::atomic<int> retired = 0;
    std::atomic<int> retire_pieces = 0;
    std::atomic<int> released = 0;
    std::atomic<int> refused = 0;
    std::vector<std::int64_t> stored;  // read after stop()
    std::vector<std::size_t> sizes;
    std::size_t wholes = 0;
  };
  explicit FaultyLedger(Dials& dials) : dials_(dials) {}

  Result<std::vector<Outcome>> commit(std::span<const Entry> entries,
                                      std::span<const Whole> wholes) override {
    if (dials_.broken) return fail(Errc::corrupt, "sync failed");
    for (const Entry& entry : entries) {
      const bool job = std::holds_alternative<NewJob>(entry);
      if (dials_.no_room || (dials_.no_room_for_jobs && job)) {
        ++dials_.refused;
        return fail(Errc::disk, "full");
      }
    }
    for (const Entry& entry : entries) dials_.stored.push_back(seq_of(entry));
    dials_.sizes.push_back(entries.size());
    dials_.wholes += wholes.size();
    return std::vector<Outcome>(entries.size());
  }
  Status replay(std::function<void(std::vector<LiveJob>&&)>) override { return {}; }
  Result<bool> retire(const RetainPolicy&, WallTime) override {
    if (dials_.retire_broken) return fail(Errc::corrupt, "sync failed");
    ++dials_.retired;
    return dials_.retire_pieces.fetch_sub(1) > 0;
  }
  void release_memory() override { ++dials_.released; }
  std::int64_t keys() const override { return 0; }
  std::int64_t waterfalls() const override { return 0; }
  Result<std::vector<std::string>> unreferenced(std::span<const std::string> digests) override {
    if (dials_.references_broken) return fail(Errc::corrupt, "page damaged");
    return std::vector<std::string>(digests.begin(), digests.end());
  }
  Result<std::unique_ptr<LedgerReader>> reader() override { return fail(Errc::away, "none"); }

 private:
  Dials& dials_;
};

// Blocks until the committer has reported something.
std::vector<CommitReport> wait_for_reports(Committer& committer) {
  pollfd fd{committer.reports().fd(), POLLIN, 0};
  std::vector<CommitReport> reports;
  while (reports.empty()) {
    EXPECT_EQ(::poll(&fd, 1, 30'000), 1) << "no report in 30 s";
    committer.reports().take(reports);
  }
  return reports;
}

CommitBatch batch_of(std::vector<Entry> entries) { return {std::move(entries), {}}; }

class CommitterTest : public ::testing::Test {
 protected:
  [[nodiscard]] CommitterOptions options() const {
    CommitterOptions made;
    made.folder = folder.path();
    made.retain.age = Duration::max();  // the stamps of the tests are old
    made.idle = std::chrono::milliseconds(1);
    made.disk_retry = std::chrono::milliseconds(1);
    return made;
  }
  [[nodiscard]] std::unique_ptr<Committer> make(const CommitterOptions& with,
                                                store::Blobs* blobs = nullptr) {
    return std::make_unique<Committer>(std::make_unique<FaultyLedger>(dials), blobs, clock, with);
  }

  TempFolder folder;
  SystemClock clock;
  FaultyLedger::Dials dials;
};

TEST_F(CommitterTest, WhatItReportsIsInTheLedgerAndInOrder) {
  auto opened = open_ledger(options_in(folder.path()));
  Committer committer(std::move(opened.ledger), nullptr, clock, options());
  std::vector<std::int64_t> reported;
  for (std::int64_t id = 1; id <= 300; id += 3) {
    ASSERT_TRUE(committer.put(batch_of({job_with(id), job_with(id + 1), end_of_job(id + 2, id)})));
  }
  while (reported.size() < 300) {
    for (const CommitReport& report : wait_for_reports(committer)) {
      const auto& done = std::get<CommitDone>(report);
      for (const auto& each : done.entries) {
        reported.push_back(seq_of(each.entry));
        EXPECT_EQ(each.outcome.what, Outcome::What::stored);
      }
    }
  }
  EXPECT_TRUE(std::is_sorted(reported.begin(), reported.end()));
  EXPECT_GT(committer.free_bytes(), Bytes(0));
  committer.stop();
  EXPECT_EQ(committer.queued(), 0);
  EXPECT_GE(committer.commits(), 1);
  std::vector<CommitReport> more;
  EXPECT_FALSE(committer.reports().take(more));
}

TEST_F(CommitterTest, ACommitTakesAtMostSoManyEntriesAndBytes) {
  CommitterOptions small = options();
  small.entries = 10;
  small.bytes = Bytes(1000);
  auto committer = make(small);
  std::vector<Entry> entries;
  for (std::int64_t id = 1; id <= 25; ++id) {
    NewJob job = job_with(id);
    job.body.clear();
    entries.emplace_back(std::move(job));
  }
  entries.emplace_back(job_with(26, std::string(5000, 'b')));  // alone
  Note note = note_for(27, 1, Note::What::attempt_failed);
  note.data.assign(900, 'd');
  entries.emplace_back(note);
  entries.emplace_back(end_of_job(28, 1));
  ASSERT_TRUE(committer->put({entries, {{1, Duration(5)}}}));
  committer->stop();
  EXPECT_EQ(dials.stored.size(), 28U);
  EXPECT_TRUE(std::is_sorted(dials.stored.begin(), dials.stored.end()));
  for (const std::size_t size : dials.sizes) EXPECT_LE(size, 10U);
  EXPECT_EQ(dials.sizes, (std::vector<std::size_t>{10, 10, 5, 1, 1, 1}));
  EXPECT_EQ(dials.wholes, 1U);
}

TEST_F(CommitterTest, WholesOfAnIdleFrontAreStoredWithoutAnEntryAndNotReported) {
  auto opened = open_ledger(options_in(folder.path()));
  auto reader = opened.ledger->reader();
  ASSERT_TRUE(reader);
  Committer committer(std::move(opened.ledger), nullptr, clock, options());
  ASSERT_TRUE(committer.put(batch_of({job_with(1), job_with(2), end_of_job(3, 1)})));
  EXPECT_EQ(wait_for_reports(committer).size(), 1U);
  ASSERT_TRUE(committer.put(batch_of({end_of_job(4, 2)})));
  EXPECT_EQ(wait_for_reports(committer).size(), 1U);
  ASSERT_TRUE(committer.put({{}, {{3, Duration(33)}}}));
  ASSERT_TRUE(committer.put({{}, {{4, Duration(44)}}}));
  committer.stop();
  std::vector<CommitReport> reports;
  EXPECT_FALSE(committer.reports().take(reports));
  EXPECT_EQ((*reader)->timeline(JobId(1))->whole, Duration(33));
  EXPECT_EQ((*reader)->timeline(JobId(2))->whole, Duration(44));
}

TEST_F(CommitterTest, OnAFullDiskJobsAreRefusedAndEndsWaitUntilTheyFit) {
  dials.no_room = true;
  auto committer = make(options());
  ASSERT_TRUE(committer->put(batch_of(
      {job_with(1), end_of_job(2, 100), job_with(3), note_for(4, 5, Note::What::charged)})));
  std::set<std::int64_t> refused;
  while (refused.size() < 2)
    for (const CommitReport& report : wait_for_reports(*committer))
      for (const auto& each : std::get<CommitDone>(report).entries) {
        EXPECT_EQ(each.outcome.what, Outcome::What::disk_full);
        EXPECT_EQ(each.outcome.job, JobId(seq_of(each.entry)));
        refused.insert(seq_of(each.entry));
      }
  EXPECT_EQ(refused, (std::set<std::int64_t>{1, 3}));
  EXPECT_EQ(committer->queued(), 2);
  dials.no_room_for_jobs = true;
  dials.no_room = false;
  std::vector<std::int64_t> stored;
  while (stored.size() < 2)
    for (const CommitReport& report : wait_for_reports(*committer))
      for (const auto& each : std::get<CommitDone>(report).entries)
        stored.push_back(seq_of(each.entry));
  EXPECT_EQ(stored, (std::vector<std::int64_t>{2, 4}));
  // Room again: jobs too.
  dials.no_room_for_jobs = false;
  ASSERT_TRUE(committer->put(batch_of({job_with(5)})));
  const auto reports = wait_for_reports(*committer);
  EXPECT_EQ(std::get<CommitDone>(reports[0]).entries[0].outcome.what, Outcome::What::stored);
}

TEST_F(CommitterTest, StopsOnAFullDiskWithoutWaitingForRoom) {
  dials.no_room = true;
  auto committer = make(options());
  ASSERT_TRUE(committer->put(batch_of({end_of_job(2, 1)})));
  committer->stop();
  EXPECT_TRUE(dials.stored.empty());
}

TEST_F(CommitterTest, AFailedSyncIsTheLastReportAndNothingIsTakenAfterIt) {
  dials.broken = true;
  auto committer = make(options());
  ASSERT_TRUE(committer->put(batch_of({job_with(1)})));
  const auto reports = wait_for_reports(*committer);
  ASSERT_EQ(reports.size(), 1U);
  ASSERT_TRUE(std::holds_alternative<CommitFailed>(reports[0]));
  EXPECT_EQ(std::get<CommitFailed>(reports[0]).error.code, Errc::corrupt);
  EXPECT_FALSE(committer->put(batch_of({job_with(2)})));
  committer->stop();
  EXPECT_TRUE(dials.stored.empty());
}

TEST_F(CommitterTest, AFailedRetirementStopsItLikeAFailedCommit) {
  dials.retire_broken = true;
  auto committer = make(options());
  const auto reports = wait_for_reports(*committer);
  EXPECT_EQ(std::get<CommitFailed>(reports[0]).error.message, "sync failed");
}

TEST_F(CommitterTest, RetirementGoesOnPieceByPieceWhileThereIsMore) {
  dials.retire_pieces = 40;
  auto committer = make(options());
  while (dials.retire_pieces > 0) std::this_thread::yield();
  committer->stop();
  EXPECT_GE(dials.retired, 40);
}

TEST_F(CommitterTest, CollectsBlobsThatNothingRefersToAndStopsWhenThatCannotBeTold) {
  auto blobs = store::Blobs::open(folder.path() / "blobs", true);
  ASSERT_TRUE(blobs);
  const auto digest = (*blobs)->put("nobody's");
  ASSERT_TRUE(digest);
  CommitterOptions at_once = options();
  at_once.blob_age = Duration(-std::chrono::hours(1));
  {
    auto committer = make(at_once, blobs->get());
    while ((*blobs)->has(*digest)) std::this_thread::yield();
  }
  ASSERT_TRUE((*blobs)->put("nobody's"));
  dials.references_broken = true;
  auto committer = make(at_once, blobs->get());
  const auto reports = wait_for_reports(*committer);
  EXPECT_EQ(std::get<CommitFailed>(reports[0]).error.message, "page damaged");
}

TEST_F(CommitterTest, ABlobThatNoCommitRefersToYetIsKeptForItsAge) {
  auto blobs = store::Blobs::open(folder.path() / "blobs", true);
  ASSERT_TRUE(blobs);
  const auto young = (*blobs)->put("its job is still on its way");
  ASSERT_TRUE(young);
  LedgerOptions with_blobs = options_in(folder.path());
  with_blobs.blobs = blobs->get();
  auto opened = open_ledger(with_blobs);
  Committer committer(std::move(opened.ledger), blobs->get(), clock, options());
  // Two passes of collection are over when it has seen these two, one after the other.
  for (const char* content : {"nobody's", "nobody's either"}) {
    const auto old = (*blobs)->put(content);
    ASSERT_TRUE(old);
    std::filesystem::last_write_time(
        (*blobs)->folder() / old->substr(0, 2) / *old,
        std::filesystem::file_time_type::clock::now() - std::chrono::hours(25));
    while ((*blobs)->has(*old)) std::this_thread::yield();
  }
  EXPECT_TRUE((*blobs)->has(*young));
  NewJob job = job_with(1);
  job.digests = {*young};
  ASSERT_TRUE(committer.put(batch_of({job})));
  const auto reports = wait_for_reports(committer);
  EXPECT_EQ(std::get<CommitDone>(reports[0]).entries[0].outcome.what, Outcome::What::stored);
}

TEST_F(CommitterTest, TakesUpToItsBoundAndNotOneMore) {
  dials.no_room = true;
  auto committer = make(options());
  std::vector<Entry> entries(static_cast<std::size_t>(limits::commit_queue), note_for(1, 1, {}));
  ASSERT_TRUE(committer->put(batch_of(std::move(entries))));
  EXPECT_FALSE(committer->put(batch_of({job_with(2)})));
}

TEST_F(CommitterTest, TheLedgersMemoryIsLetGoWhileNothingIsCommittedAndNothingIsLeftToRetire) {
  auto committer = make(options());
  const auto upkeeps = [&](int more) {
    const int until = dials.retired + more;
    while (dials.retired < until) std::this_thread::yield();
  };
  ASSERT_TRUE(committer->put(batch_of({job_with(1)})));
  wait_for_reports(*committer);
  int before = dials.released;
  upkeeps(6);
  EXPECT_GE(dials.released, before + 4);
  dials.retire_pieces = 1'000'000;
  upkeeps(2);
  before = dials.released;
  upkeeps(100);
  EXPECT_EQ(dials.released, before) << "there was more to retire";
}

}  // namespace
}  // namespace tallymill::front
