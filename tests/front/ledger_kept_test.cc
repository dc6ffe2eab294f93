// Waterfalls outlive their jobs. Goal: what is kept is there, whole and in order, after its job was
// retired and after a restart, until its own count or age ends it, and no number comes twice.
// Method: small histories; the bounds at the limit and one above.
#include "front/ledger_kept.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/limits.h"
#include "front/ledger_check.h"
#include "tests/front/ledger_fixture.h"

namespace tallymill::front {
namespace {

using namespace std::chrono_literals;

class LedgerKept : public ::testing::Test {
 protected:
  [[nodiscard]] static JobEnd kept_end(std::int64_t seq, std::int64_t job, double weight = 1,
                                       EndState state = EndState::done) {
    JobEnd end = end_of_job(seq, job, state);
    end.keep_weight = weight;
    end.took = Duration(job);
    return end;
  }
  [[nodiscard]] WaterfallsPage page(WaterfallsQuery query = {}) {
    if (query.limit == 0) query.limit = 100;
    if (query.bytes == Bytes(0)) query.bytes = limits::waterfalls_page_bytes;
    if (query.now == WallTime()) query.now = late;
    auto reader = opened.ledger->reader();
    EXPECT_TRUE(reader);
    auto read = (*reader)->waterfalls(query);
    EXPECT_TRUE(read) << read.error().message;
    return read ? std::move(*read) : WaterfallsPage{};
  }
  [[nodiscard]] std::vector<std::int64_t> numbers(const WaterfallsQuery& query = {}) {
    std::vector<std::int64_t> found;
    for (const Waterfall& one : page(query).waterfalls) found.push_back(one.keep_seq);
    return found;
  }
  void retire(const RetainPolicy& policy, WallTime now) {
    for (bool more = true; more;) {
      const auto retired = opened.ledger->retire(policy, now);
      ASSERT_TRUE(retired) << retired.error().message;
      more = *retired;
    }
  }
  void open_again() {
    opened = {};
    opened = open_ledger(options_in(folder.path()));
  }
  void expect_clean() {
    const auto report = check_ledger({folder.path()});
    ASSERT_TRUE(report);
    for (const Violation& v : report->violations) ADD_FAILURE() << v.law << ": " << v.what;
  }

  using Numbers = std::vector<std::int64_t>;
  const WallTime late = wall_from_ns(1'800'000'000'000'000'000);
  // Nothing of jobs stays, all of waterfalls.
  const RetainPolicy jobs_go{.jobs = 0, .key_age = Duration(0), .waterfall_age = Duration::max()};
  TempFolder folder;
  OpenLedger opened = open_ledger(options_in(folder.path()));
};

TEST_F(LedgerKept, AWaterfallHasAllOfItsJobAfterTheJobIsGone) {
  Note lost = note_for(3, 1, Note::What::charged);
  lost.charges = 1;
  lost.data = pack_attempt({}, {1, 1, 1}, "lost", {});
  Note again = note_for(4, 1, Note::What::charged);
  again.charges = 2;
  again.data = pack_attempt({}, {1, 1, 2}, "lost", {});
  commit(*opened.ledger, {job_with(1), job_with(2), lost, again});
  JobEnd end = kept_end(5, 1, 1, EndState::failed);
  end.message = "gave up";
  end.field = "/width_mm";
  const auto outcomes = commit(*opened.ledger, {end, end_of_job(6, 2)});
  EXPECT_EQ(outcomes[0].keep_seq, 1);
  EXPECT_EQ(outcomes[1].keep_seq, 0);
  commit(*opened.ledger, {job_with(7)}, {{5, 77us, 1}, {6, 88us, 0}});
  retire(jobs_go, late);
  open_again();
  auto reader = opened.ledger->reader();
  ASSERT_TRUE(reader);
  EXPECT_EQ((*reader)->status(JobId(1)).error().code, Errc::not_found);

  const WaterfallsPage kept = page();
  ASSERT_EQ(kept.waterfalls.size(), 1U);
  const Waterfall& one = kept.waterfalls[0];
  const NewJob job = job_with(1);
  EXPECT_EQ(one.weight, 1);
  EXPECT_EQ(one.of.job.id, JobId(1));
  EXPECT_EQ(one.of.job.client, job.client);
  EXPECT_EQ(one.of.job.kind, job.kind);
  EXPECT_EQ(one.of.job.submitted, job.submitted);
  EXPECT_EQ(one.of.intake, job.intake);
  EXPECT_EQ(one.of.queued, job.queued);
  ASSERT_TRUE(one.of.job.end);
  EXPECT_EQ(one.of.job.end->seq, 5);
  EXPECT_EQ(one.of.job.end->state, EndState::failed);
  EXPECT_EQ(one.of.job.end->code, end.code);
  EXPECT_EQ(one.of.job.end->message, "gave up");
  EXPECT_EQ(one.of.job.end->field, "/width_mm");
  EXPECT_EQ(one.of.job.end->at, end.at);
  EXPECT_EQ(one.of.job.end->took, Duration(1));
  EXPECT_EQ(one.of.timeline, end.timeline);
  EXPECT_EQ(one.of.failed_attempts, (std::vector<std::string>{lost.data, again.data}));
  EXPECT_EQ(one.of.whole, 77us);
  expect_clean();
}

TEST_F(LedgerKept, NumbersGoOnOverRestartsAndAfterAllWereRetired) {
  commit(*opened.ledger, {job_with(1), job_with(2), job_with(3), job_with(4)});
  commit(*opened.ledger, {kept_end(5, 1), kept_end(6, 2, 2.5)});
  EXPECT_EQ(numbers(), (Numbers{1, 2}));
  EXPECT_EQ(page().waterfalls[1].weight, 2.5);
  retire({.waterfalls = 0}, late);
  EXPECT_EQ(opened.ledger->waterfalls(), 0);
  expect_clean();
  open_again();
  EXPECT_EQ(page().oldest, 2);
  EXPECT_EQ(page().head, 2);
  EXPECT_EQ(commit(*opened.ledger, {kept_end(7, 3)})[0].keep_seq, 3);
  open_again();
  EXPECT_EQ(commit(*opened.ledger, {kept_end(8, 4)})[0].keep_seq, 4);
  EXPECT_EQ(numbers(), (Numbers{3, 4}));
  EXPECT_EQ(opened.ledger->waterfalls(), 2);
  expect_clean();
}

TEST_F(LedgerKept, CountAndAgeEndAWaterfallAndNotWhatEndsItsJob) {
  std::vector<Entry> jobs, ends;
  for (int n = 1; n <= 10; ++n) jobs.emplace_back(job_with(n));
  for (int n = 1; n <= 10; ++n) ends.emplace_back(kept_end(10 + n, n));
  commit(*opened.ledger, jobs);
  commit(*opened.ledger, ends);
  const WallTime last = end_of_job(20, 1).at;
  retire({.age = 0s, .jobs = 0, .key_age = 0s}, last + limits::kept_waterfall_age - 9ns);
  EXPECT_EQ(numbers().size(), 10U);
  retire({.waterfalls = 8}, last);
  EXPECT_EQ(numbers().size(), 8U) << "at the count they stay, above it the oldest go";
  EXPECT_EQ(page().oldest, 2);
  // Of those left the ends are one nanosecond apart.
  retire({}, last + limits::kept_waterfall_age - 5ns);
  EXPECT_EQ(numbers(), (Numbers{5, 6, 7, 8, 9, 10}));
  retire({}, last + limits::kept_waterfall_age);
  EXPECT_EQ(numbers(), (Numbers{10}));
  retire({}, last + limits::kept_waterfall_age + 1ns);
  EXPECT_EQ(numbers(), Numbers{});
  EXPECT_EQ(page().oldest, 10);
  expect_clean();
}

TEST_F(LedgerKept, OnePieceRemovesSoManyAndTheNextOneTheRest) {
  constexpr int many = limits::retire_piece + 1;
  std::vector<Entry> jobs, ends;
  for (int n = 1; n <= many; ++n) jobs.emplace_back(job_with(n));
  for (int n = 1; n <= many; ++n) ends.emplace_back(kept_end(many + n, n));
  commit(*opened.ledger, jobs);
  commit(*opened.ledger, ends);
  const RetainPolicy none{.waterfalls = 0};
  EXPECT_EQ(opened.ledger->retire(none, WallTime()), true);
  EXPECT_EQ(opened.ledger->waterfalls(), 1);
  EXPECT_EQ(opened.ledger->retire(none, WallTime()), false);
  EXPECT_EQ(opened.ledger->waterfalls(), 0);
}

TEST_F(LedgerKept, WhatHasJustEndedWaitsForItsWholeAndThoseBehindWithIt) {
  commit(*opened.ledger, {job_with(1), job_with(2), job_with(3)});
  commit(*opened.ledger, {kept_end(4, 1), kept_end(5, 2), kept_end(6, 3)});
  const WallTime ended = end_of_job(6, 3).at;
  EXPECT_EQ(numbers({.now = ended}), Numbers{});
  EXPECT_FALSE(page({.now = ended}).more) << "there is none to be had now";
  // The third one's is there, alone: no commit came to ride on.
  ASSERT_TRUE(opened.ledger->commit({}, std::vector<Whole>{{4, 9us, 1}, {6, 9us, 3}}));
  EXPECT_EQ(numbers({.now = ended}), (Numbers{1}));
  EXPECT_EQ(page({.now = ended}).waterfalls[0].of.whole, 9us);
  const WallTime second = end_of_job(5, 2).at;
  EXPECT_EQ(numbers({.now = second + limits::waterfall_whole - 1ns}), (Numbers{1}));
  EXPECT_EQ(numbers({.now = ended - 1h}), (Numbers{1, 2, 3})) << "the clock was set back since";
  // A front that was killed never told it.
  const WaterfallsPage all = page({.now = second + limits::waterfall_whole});
  ASSERT_EQ(all.waterfalls.size(), 3U);
  EXPECT_FALSE(all.waterfalls[1].of.whole);
}

TEST_F(LedgerKept, OfManyAttemptsTheLatestAreKept) {
  const std::string attempt = pack_attempt(
      {}, {1, 1, 1}, "lost",
      std::string(static_cast<std::size_t>(limits::kept_attempts_bytes.raw() / 4), 'x'));
  std::vector<Entry> entries{job_with(1)};
  for (int n = 0; n < 6; ++n) {
    Note note = note_for(2 + n, 1, Note::What::attempt_failed);
    note.failures = n + 1;
    note.data = attempt + std::to_string(n);
    entries.emplace_back(note);
  }
  entries.emplace_back(kept_end(9, 1));
  commit(*opened.ledger, entries);
  const std::vector<std::string> kept = page().waterfalls.at(0).of.failed_attempts;
  EXPECT_EQ(kept, (std::vector<std::string>{attempt + "3", attempt + "4", attempt + "5"}));
}

TEST_F(LedgerKept, APageEndsAtItsCountAndAtItsBytes) {
  commit(*opened.ledger, {job_with(1), job_with(2), job_with(3)});
  commit(*opened.ledger, {kept_end(4, 1), kept_end(5, 2), kept_end(6, 3)});
  EXPECT_EQ(numbers({.limit = 2}), (Numbers{1, 2}));
  EXPECT_TRUE(page({.limit = 2}).more);
  EXPECT_EQ(numbers({.after = 2, .limit = 2}), (Numbers{3}));
  EXPECT_FALSE(page({.after = 2, .limit = 2}).more);
  EXPECT_FALSE(page({.after = 2, .limit = 1}).more) << "the last one";
  EXPECT_EQ(numbers({.bytes = Bytes(1)}), (Numbers{1}));
  EXPECT_TRUE(page({.bytes = Bytes(1)}).more);
}

}  // namespace
}  // namespace tallymill::front
