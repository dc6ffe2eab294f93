// The ledger keeps what it said it stored. Goal: every law in front/ledger.h holds over restarts,
// refusals and retention. Method: real files in a temporary folder; each test opens, commits, opens
// again and compares.
#include "front/ledger_sqlite.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/sha256.h"
#include "front/ledger_check.h"
#include "front/ledger_schema.h"
#include "store/blobs.h"
#include "store/sqlite.h"
#include "tests/front/ledger_fixture.h"

namespace tallymill::front {
namespace {

using What = Outcome::What;

TEST(Ledger, AJobThatWasStoredIsReplayedWithAllItsFieldsUntilItsEndIsStored) {
  const TempFolder folder;
  NewJob job = job_with(1);
  job.priority = 7;
  job.deadline = wall_from_ns(5);
  job.not_before = wall_from_ns(3);
  job.key = "once";
  job.content_hash = "hash";
  job.trace = "00-trace";
  job.parent = JobId(77);
  {
    const auto opened = open_ledger(options_in(folder.path()));
    EXPECT_EQ(opened.found.epoch, 1);
    EXPECT_EQ(opened.found.head, 0);
    const auto outcomes = commit(*opened.ledger, {job, job_with(2)});
    ASSERT_EQ(outcomes.size(), 2U);
    EXPECT_EQ(outcomes[0].what, What::stored);
  }
  {
    const auto opened = open_ledger(options_in(folder.path()));
    EXPECT_EQ(opened.found.epoch, 2);
    EXPECT_EQ(opened.found.head, 2);
    EXPECT_EQ(opened.found.totals.accepted, 2);
    const auto live = replay(*opened.ledger);
    ASSERT_EQ(live.size(), 2U);
    EXPECT_EQ(live[0].id, job.id);
    EXPECT_EQ(live[0].client, job.client);
    EXPECT_EQ(live[0].kind, job.kind);
    EXPECT_EQ(live[0].priority, 7);
    EXPECT_EQ(live[0].size, Bytes(std::ssize(job.body)));
    EXPECT_EQ(live[0].deadline, job.deadline);
    EXPECT_EQ(live[0].not_before, job.not_before);
    EXPECT_FALSE(live[0].backoff);
    EXPECT_EQ(live[0].intake, job.intake);
    EXPECT_EQ(live[0].queued, job.queued);
    EXPECT_TRUE(live[0].same_boot);
    auto reader = opened.ledger->reader();
    ASSERT_TRUE(reader);
    const auto body = (*reader)->body(job.id);
    ASSERT_TRUE(body);
    EXPECT_EQ(body->body, job.body);
    EXPECT_EQ(body->key, job.key);
    EXPECT_EQ(body->content_hash, job.content_hash);
    EXPECT_EQ(body->trace, job.trace);
    EXPECT_EQ((*reader)->trace(job.id).value(), job.trace);
    EXPECT_EQ(body->parent, job.parent);
    EXPECT_EQ(body->submitted, job.submitted);
    commit(*opened.ledger, {end_of_job(3, 1)});
  }
  const auto opened = open_ledger(options_in(folder.path()));
  EXPECT_EQ(opened.found.totals.ended[0], 1);
  const auto live = replay(*opened.ledger);
  ASSERT_EQ(live.size(), 1U);
  EXPECT_EQ(live[0].id, JobId(2));
}

TEST(Ledger, ReadingsOfAnotherBootAreMarked) {
  const TempFolder folder;
  LedgerOptions options = options_in(folder.path());
  options.boot = "first boot";
  commit(*open_ledger(options).ledger, {job_with(1), job_with(2)});
  options.boot = "second boot";
  {
    const auto opened = open_ledger(options);
    commit(*opened.ledger, {job_with(3)});
  }
  const auto live = replay(*open_ledger(options).ledger);
  ASSERT_EQ(live.size(), 3U);
  EXPECT_FALSE(live[0].same_boot);
  EXPECT_FALSE(live[1].same_boot);
  EXPECT_TRUE(live[2].same_boot);
}

TEST(Ledger, NotesAreTheStateThatAJobGoesOnFrom) {
  const TempFolder folder;
  {
    const auto opened = open_ledger(options_in(folder.path()));
    Note failed = note_for(4, 1, Note::What::attempt_failed);
    failed.failures = 1;
    failed.data = "hops of the first attempt";
    Note retry = note_for(5, 1, Note::What::retry_at);
    retry.data = "hops of the second attempt";
    retry.failures = 1;
    retry.due = wall_from_ns(99);
    Note charged = note_for(6, 2, Note::What::charged);
    charged.charges = 2;
    commit(*opened.ledger, {job_with(1), job_with(2), job_with(3), failed, retry, charged,
                            note_for(7, 2, Note::What::cancel_requested),
                            note_for(8, 3, Note::What::deadline_passed)});
  }
  const auto opened = open_ledger(options_in(folder.path()));
  auto live = replay(*opened.ledger);
  ASSERT_EQ(live.size(), 3U);
  EXPECT_EQ(live[0].failures, 1);
  EXPECT_EQ(live[0].attempts, 2);
  EXPECT_EQ(live[1].attempts, 1);
  EXPECT_EQ(live[2].attempts, 0);
  EXPECT_TRUE(live[0].backoff);
  EXPECT_EQ(live[0].not_before, wall_from_ns(99));
  EXPECT_TRUE(live[1].cancel_requested);
  EXPECT_EQ(live[2].deadline_passed, true);
  auto reader = opened.ledger->reader();
  ASSERT_TRUE(reader);
  const auto timeline = (*reader)->timeline(JobId(1));
  ASSERT_TRUE(timeline);
  // Whatever the note was for: its attempt is shown.
  EXPECT_EQ(timeline->failed_attempts,
            (std::vector<std::string>{"hops of the first attempt", "hops of the second attempt"}));
  EXPECT_FALSE(timeline->job.end);
}

TEST(Ledger, ASecondEndAnEndOfAnUnknownJobAndANoteAfterTheEndStopTheLedger) {
  for (const Entry& wrong : std::vector<Entry>{end_of_job(9, 1), end_of_job(9, 500),
                                               note_for(9, 1, Note::What::charged)}) {
    const TempFolder folder;
    {
      const auto opened = open_ledger(options_in(folder.path()));
      commit(*opened.ledger, {job_with(1), end_of_job(2, 1)});
      const std::vector<Entry> entries{job_with(8), wrong};
      const auto refused = opened.ledger->commit(entries, {});
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().code, Errc::corrupt);
      EXPECT_FALSE(opened.ledger->commit(std::vector<Entry>{job_with(10)}, {}));
    }
    const auto opened = open_ledger(options_in(folder.path()));
    EXPECT_FALSE(opened.found.copied);  // nothing is wrong with the disk
    EXPECT_EQ(opened.found.totals.accepted, 1);
    EXPECT_EQ(opened.found.totals.ended[0], 1);
  }
}

TEST(Ledger, AKeyStandsForOneContentOfOneClient) {
  const TempFolder folder;
  LedgerOptions options = options_in(folder.path());
  options.keys = 2;
  const auto opened = open_ledger(options);
  const auto keyed = [](std::int64_t id, std::string client, std::string key, std::string hash) {
    NewJob job = job_with(id);
    job.client = std::move(client);
    job.key = std::move(key);
    job.content_hash = std::move(hash);
    return job;
  };
  const auto first = commit(
      *opened.ledger, {keyed(1, "a", "k", "h"), keyed(2, "a", "k", "h"), keyed(3, "a", "k", "x"),
                       keyed(4, "b", "k", "h"), keyed(5, "b", "l", "h"), job_with(6)});
  EXPECT_EQ(first[0].what, What::stored);
  EXPECT_EQ(first[1].what, What::known);
  EXPECT_EQ(first[1].job, JobId(1));
  EXPECT_FALSE(first[1].end);
  EXPECT_EQ(first[2].what, What::conflict);
  EXPECT_EQ(first[3].what, What::stored);
  EXPECT_EQ(first[4].what, What::keys_full);
  EXPECT_EQ(first[5].what, What::stored);
  const auto second =
      commit(*opened.ledger, {end_of_job(7, 1, EndState::failed), keyed(8, "a", "k", "h")});
  EXPECT_EQ(second[1].what, What::known);
  EXPECT_EQ(second[1].end, EndState::failed);
  EXPECT_EQ(replay(*opened.ledger).size(), 2U);
}

TEST(Ledger, AReferenceToABlobThatIsNotThereIsRefusedAndNamed) {
  const TempFolder folder;
  auto blobs = store::Blobs::open(folder.path() / "blobs", true);
  ASSERT_TRUE(blobs);
  const auto there = (*blobs)->put("there");
  ASSERT_TRUE(there);
  LedgerOptions options = options_in(folder.path());
  options.blobs = blobs->get();
  const auto opened = open_ledger(options);
  NewJob good = job_with(1);
  good.digests = {*there};
  NewJob bad = job_with(2);
  bad.digests = {*there, sha256_hex("not there")};
  const auto outcomes = commit(*opened.ledger, {good, bad});
  EXPECT_EQ(outcomes[0].what, What::stored);
  EXPECT_EQ(outcomes[1].what, What::blob_missing);
  EXPECT_EQ(outcomes[1].missing, sha256_hex("not there"));
  const auto garbage = opened.ledger->unreferenced(std::vector{*there, std::string("x")});
  ASSERT_TRUE(garbage);
  EXPECT_EQ(*garbage, std::vector<std::string>{"x"});
}

TEST(Ledger, ASecondOpenerIsRefusedWithThePidOfTheFirst) {
  const TempFolder folder;
  const auto first = open_ledger(options_in(folder.path()));
  const auto second = open_sqlite_ledger(options_in(folder.path()));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::busy);
  EXPECT_NE(second.error().message.find(std::to_string(::getpid())), std::string::npos);
}

TEST(Ledger, OnePieceOfRetentionRemovesSoManyJobsAndTheNextOneTheRest) {
  const TempFolder folder;
  auto opened = open_ledger(options_in(folder.path()));
  constexpr std::int64_t jobs = limits::retire_piece + 2;  // one is kept, one is above the piece
  std::vector<Entry> entries;
  for (std::int64_t id = 1; id <= jobs; ++id) entries.emplace_back(job_with(id));
  for (std::int64_t id = 1; id <= jobs; ++id) entries.emplace_back(end_of_job(jobs + id, id));
  (void)commit(*opened.ledger, entries);
  const auto reader = opened.ledger->reader();
  ASSERT_TRUE(reader);
  const auto is_there = [&](std::int64_t id) { return (*reader)->status(JobId(id)).has_value(); };
  const RetainPolicy policy{.jobs = 1};
  EXPECT_EQ(opened.ledger->retire(policy, wall_from_ns(0)), true);
  EXPECT_FALSE(is_there(limits::retire_piece));
  EXPECT_TRUE(is_there(limits::retire_piece + 1));
  EXPECT_EQ(opened.ledger->retire(policy, wall_from_ns(0)), false);
  EXPECT_FALSE(is_there(jobs - 1));
  EXPECT_TRUE(is_there(jobs));
}

TEST(Ledger, WhatEndedLongerAgoThanItsAgeGoesThoughThereIsRoom) {
  const TempFolder folder;
  auto opened = open_ledger(options_in(folder.path()));
  for (std::int64_t id = 1; id <= 5; ++id) commit(*opened.ledger, {job_with(id)});
  for (std::int64_t id = 1; id <= 5; ++id) {
    JobEnd end = end_of_job(5 + id, id);
    end.at = wall_from_ns(id * 1'000);
    commit(*opened.ledger, {end});
  }
  const auto reader = opened.ledger->reader();
  ASSERT_TRUE(reader);
  const RetainPolicy policy{.age = Duration(2'000), .jobs = 100};
  EXPECT_EQ(opened.ledger->retire(policy, wall_from_ns(5'000)), false);
  for (std::int64_t id = 1; id <= 5; ++id)
    EXPECT_EQ((*reader)->status(JobId(id)).has_value(), id >= 3) << id;
}

TEST(Ledger, ResultsAreBoundedTogetherWithTheirFilesInTheBlobStore) {
  const TempFolder folder;
  constexpr std::int64_t jobs = 5, file = 1'000'000;
  const auto kept = [&](LedgerReader& reader) {
    std::vector<std::int64_t> ids;
    for (std::int64_t id = 1; id <= jobs; ++id)
      if (reader.result(JobId(id))) ids.push_back(id);
    return ids;
  };
  {
    const auto opened = open_ledger(options_in(folder.path()));
    for (std::int64_t id = 1; id <= jobs; ++id) commit(*opened.ledger, {job_with(id)});
    for (std::int64_t id = 1; id <= jobs; ++id) {
      JobEnd end = end_of_job(jobs + id, id);
      end.file_bytes = id == 2 ? file : id == 4 ? 2 * file : 0;
      commit(*opened.ledger, {end});
    }
    const auto reader = opened.ledger->reader();
    ASSERT_TRUE(reader);
    ASSERT_TRUE(opened.ledger->retire({.result_bytes = 4 * file}, wall_from_ns(0)));
    EXPECT_EQ(kept(**reader), (std::vector<std::int64_t>{1, 2, 3, 4, 5}));
    ASSERT_TRUE(opened.ledger->retire({.result_bytes = 3 * file}, wall_from_ns(0)));
    EXPECT_EQ(kept(**reader), (std::vector<std::int64_t>{3, 4, 5}));
  }
  // What is counted is on disk.
  const auto opened = open_ledger(options_in(folder.path()));
  ASSERT_TRUE(opened.ledger->retire({.result_bytes = file}, wall_from_ns(0)));
  const auto reader = opened.ledger->reader();
  ASSERT_TRUE(reader);
  EXPECT_EQ(kept(**reader), std::vector<std::int64_t>{5});
  const auto report = check_ledger({folder.path()});
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->clean());
}

TEST(Ledger, AReplayedJobIsAsLargeAsWithItsInputsAndNeverLargerThanAJobMayBe) {
  const TempFolder folder;
  const auto with_input = [](std::int64_t id, std::int64_t bytes) {
    NewJob job = job_with(id);
    const std::string digest = sha256_hex(std::to_string(id));
    bus::Submit submit;
    submit.kind = "synthetic";
    submit.inputs = {{.name = "photo", .digest = digest, .bytes = bytes}};
    job.body = pack_body(header_of(submit), "params");
    job.digests = {digest};
    return job;
  };
  const NewJob photo = with_input(1, 5'000'000);
  {
    const auto opened = open_ledger(options_in(folder.path()));
    commit(*opened.ledger, {photo, with_input(2, limits::max_job_bytes.raw()), job_with(3)});
  }
  const auto opened = open_ledger(options_in(folder.path()));
  const auto live = replay(*opened.ledger);
  ASSERT_EQ(live.size(), 3U);
  EXPECT_EQ(live[0].size, Bytes(std::ssize(photo.body) + 5'000'000));
  EXPECT_EQ(live[1].size, limits::max_job_bytes);
  EXPECT_EQ(live[2].size, Bytes(std::ssize(job_with(3).body)));
}

}  // namespace
}  // namespace tallymill::front
