// The offline check finds what is wrong. Goal: each law has a planted damage that the check names,
// by the job where there is one, and an undamaged ledger has none. Method: one history with every
// sort of row, damaged by one SQL statement at a time, as no front would ever do it.
#include "front/ledger_check.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "front/ledger_sqlite.h"
#include "front/stored_end.h"
#include "store/blobs.h"
#include "store/sqlite.h"
#include "tests/front/ledger_fixture.h"

namespace tallymill::front {
namespace {

class LedgerCheck : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened_blobs = store::Blobs::open(folder.path() / "blobs", true);
    ASSERT_TRUE(opened_blobs);
    blobs = std::move(*opened_blobs);
    digest = *blobs->put("an input");
    LedgerOptions options = options_in(folder.path());
    options.blobs = blobs.get();
    const auto opened = open_ledger(options);
    NewJob keyed = job_with(4);
    keyed.key = "key";
    keyed.content_hash = "hash";
    keyed.digests = {digest};
    keyed.body = body_of("params", keyed.digests);
    Note lost = note_for(5, 1, Note::What::charged);
    lost.data = pack_attempt({}, {1, 1, 1}, "lost", {});
    commit(*opened.ledger, {job_with(1), job_with(2), job_with(3), keyed, lost});
    JobEnd first = end_of_job(6, 1);
    JobEnd failed = end_of_job(7, 2, EndState::failed);
    first.keep_weight = 2.5;
    failed.keep_weight = 1;
    commit(*opened.ledger, {first, failed});
    commit(*opened.ledger, {job_with(8), end_of_job(9, 3)}, {{6, Duration(1000)}});
    Note charged = note_for(10, 8, Note::What::charged);
    charged.charges = 1;
    charged.data = lost.data;
    Note retry = note_for(11, 8, Note::What::retry_at);
    retry.charges = retry.failures = 1;
    retry.due = wall_from_ns(1);
    retry.data = attempt_of(8, "failed", {});
    // Waited 2 us from its first stamp to its last.
    JobEnd made = end_of_job(15, 12);
    made.digests = {digest};
    made.timeline = attempt_of(12, "ok", made.digests);
    JobEnd cancelled = end_of_job(16, 13, EndState::cancelled);
    JobEnd expired = end_of_job(17, 14, EndState::expired);
    expired.keep_weight = 1;
    commit(*opened.ledger,
           {charged, retry, job_with(12), job_with(13), job_with(14), made, cancelled, expired});
    commit(*opened.ledger, {job_with(18)}, {{15, Duration(3000)}, {16, Duration(0)}});
    ASSERT_TRUE(opened.ledger->retire({.jobs = 5}, wall_from_ns(0)));
    ASSERT_TRUE(opened.ledger->retire({.jobs = 5, .result_bytes = 40}, wall_from_ns(0)));
  }

  [[nodiscard]] static std::string attempt_of(std::int64_t job, std::string_view outcome,
                                              const std::vector<std::string>& digests) {
    const Token token{job, 1, 1};
    FrontStamps stamps;
    stamps.returned = instant_from_ns(2000);
    bus::Done done;
    done.token = token;
    done.files = files_of(digests);
    return pack_attempt(stamps, token, outcome, header_of(done));
  }

  [[nodiscard]] CheckReport check(bool read_blobs = false) {
    auto report = check_ledger({folder.path(), blobs.get(), read_blobs});
    EXPECT_TRUE(report) << report.error().message;
    return report ? std::move(*report) : CheckReport{};
  }

  // Changes the ledger behind its back and expects to hear of it.
  // `alone`: no other law is broken by it.
  void expect_found(const std::string& damage, const std::string& law, std::int64_t job,
                    bool alone = false) {
    const std::filesystem::path kept = folder.path() / "kept";
    std::filesystem::copy_file(folder.path() / "ledger.db", kept,
                               std::filesystem::copy_options::overwrite_existing);
    {
      auto db = store::Sqlite::open(folder.path() / "ledger.db", store::Sqlite::Mode::write);
      ASSERT_TRUE(db);
      const auto done = db->exec(damage + "; PRAGMA wal_checkpoint(TRUNCATE)");
      ASSERT_TRUE(done) << done.error().message;
    }
    const CheckReport report = check();
    EXPECT_FALSE(report.clean()) << damage;
    const bool found = std::any_of(
        report.violations.begin(), report.violations.end(),
        [&](const Violation& v) { return v.law == law && (job == 0 || v.job == JobId(job)); });
    EXPECT_TRUE(found) << damage;
    for (const Violation& v : report.violations) {
      if (alone) {
        EXPECT_EQ(v.law, law) << damage << ": " << v.what;
      }
      if (!found) std::cout << "  " << v.law << ": " << v.job.raw() << ": " << v.what << "\n";
    }
    for (const char* name : {"ledger.db-wal", "ledger.db-shm"})
      std::filesystem::remove(folder.path() / name);
    std::filesystem::rename(kept, folder.path() / "ledger.db");
  }

  // As SQL has bytes.
  [[nodiscard]] static std::string quoted(std::string_view bytes) {
    std::string text = "x'";
    for (const char byte : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(byte));
    return text + "'";
  }

  TempFolder folder;
  std::unique_ptr<store::Blobs> blobs;
  std::string digest;
};

TEST_F(LedgerCheck, FindsNothingInALedgerThatOnlyTheFrontWrote) {
  const CheckReport report = check(true);
  for (const Violation& v : report.violations) ADD_FAILURE() << v.law << ": " << v.what;
  EXPECT_EQ(report.accepted, 9);
  EXPECT_EQ(report.live, 3);
  EXPECT_EQ(report.ended, 5);
  EXPECT_EQ(report.retired, 1);
  EXPECT_EQ(report.head, 18);
}

TEST_F(LedgerCheck, NamesEveryPlantedDamage) {
  const struct {
    const char* damage;
    const char* law;
    std::int64_t job;
  } planted[] = {
      {"DELETE FROM jobs WHERE id = 8", "a job that was accepted is there", 8},
      {"DELETE FROM jobs WHERE id = 2", "a job that was accepted is there", 2},
      {"INSERT INTO ends(seq, job, state, attempts, at_ns) VALUES(100, 3, 0, 1, 0)",
       "a job has one end", 3},
      {"INSERT INTO ends(seq, job, state, attempts, at_ns) VALUES(100, 8, 0, 1, 0)",
       "a job has one end", 8},
      {"INSERT INTO ends(seq, job, state, attempts, at_ns) VALUES(100, 77, 0, 1, 0)",
       "a job has one end", 77},
      {"DELETE FROM ends WHERE seq = 9", "an ended job has its end", 3},
      {"UPDATE ends SET state = 1 WHERE seq = 9", "ends = kept + retired, in each state", 0},
      {"UPDATE commits SET accepted = accepted + 1 WHERE head = 18", "accepted = ended + live", 0},
      {"UPDATE commits SET accepted = 0 WHERE head = 9", "totals never shrink", 0},
      {"UPDATE commits SET ends = NULL WHERE head = 9", "totals grow by what a commit holds", 0},
      {"UPDATE commits SET ends = x'0100000000000000' WHERE head = 9", "a commit's ends are there",
       0},
      {"UPDATE commits SET ends = x'0000000000000000' WHERE head = 9",
       "a commit knows its ends' clients", 3},
      {"UPDATE retired SET done = 0", "ends = kept + retired, in each state", 0},
      {"UPDATE retired SET result_bytes = 5", "bytes of results = kept + retired", 0},
      {"DELETE FROM retired", "what was retired is counted", 0},
      {"UPDATE fates SET live = 0", "live jobs are found", 0},
      {"UPDATE fates SET slots = x'00'", "a row of slots is whole", 0},
      {"UPDATE fates SET slots = zeroblob(3840)", "a stored job is live or ended", 8},
      {"UPDATE jobs SET client = 'other' WHERE id = 8", "a slot knows its job's client", 8},
      {"UPDATE jobs SET client = 'other' WHERE id = 2", "a slot tells of its job in brief", 2},
      {"UPDATE jobs SET kind = 'other' WHERE id = 8", "a slot tells of its job in brief", 8},
      {"UPDATE ends SET took_ns = 7 WHERE seq = 9", "a slot tells of its job in brief", 3},
      {"UPDATE fates SET latest_ns = 7", "the latest submit never falls", 8},
      {"INSERT INTO retired_keys VALUES('other', 'key', 4, 'hash', 0, 0)",
       "a key stands for one job", 4},
      {"INSERT INTO retired_keys SELECT client, key, 1, 'hash', 0, 0 FROM jobs WHERE id = 4",
       "a key stands for one job", 1},
      {"UPDATE jobs SET key = NULL", "keys are counted", 0},
      {"INSERT INTO retired_keys VALUES('other', 'key', 1, 'hash', 0, 0)", "keys are counted", 0},
      {"UPDATE jobs SET body = NULL WHERE id = 8", "a live job has what its worker needs", 8},
      {"DELETE FROM epochs", "every start raised the epoch", 0},
      {"DELETE FROM meta", "the ledger has an id", 0},
      {"UPDATE jobs SET priority = 77 WHERE id = 8", "a priority is 0 to 9", 8},
      {"DELETE FROM refs", "a used blob is referenced", 4},
      {"INSERT INTO refs VALUES('x', 77)", "notes and references have their job", 77},
      {"INSERT INTO notes VALUES(77, 5, 0, 0, 0, NULL, NULL)",
       "notes and references have their job", 77},
      {"INSERT INTO notes VALUES(8, 500, 0, 0, 0, NULL, NULL)", "no number is above the head", 500},
      {"PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'live > 0',"
       " 'live < 1') WHERE name = 'fates_live'",
       "the file's pages are whole", 0},
  };
  for (const auto& each : planted) expect_found(each.damage, each.law, each.job);
  EXPECT_TRUE(check().clean());
}

TEST_F(LedgerCheck, WhatStandsInTheBytesIsHeldAgainstTheColumns) {
  const char* const read = "what is stored of a job can be read";
  const char* const recorded = "an end is the one that its record tells of";
  const char* const named = "a job's blobs are those that it names";
  const char* const whole = "a whole is the time of an end";
  const char* const itself = "a kept waterfall stands for itself at least";
  const char* const of_end = "a kept waterfall is of an end";
  bus::Submit lacking;
  lacking.inputs = {{.name = "photo", .blob = 0}};
  const struct {
    std::string damage;
    const char* law;
    std::int64_t job;
    bool alone = true;  // not with a slot that tells of another state
  } planted[] = {
      {"UPDATE jobs SET body = x'05' WHERE id = 4", read, 4},
      {"UPDATE jobs SET body = substr(body, 1, length(body) - 1) WHERE id = 8", read, 8},
      {"UPDATE jobs SET body = x'0000000000000000' WHERE id = 12", read, 12},
      {"UPDATE jobs SET body = " + quoted(pack_body(header_of(lacking), "params")) +
           " WHERE id = 8",
       read, 8},
      {"UPDATE jobs SET digests = NULL WHERE id = 4; DELETE FROM refs WHERE job = 4", named, 4},
      {"UPDATE ends SET digests = NULL WHERE seq = 15; DELETE FROM refs WHERE job = 12", named, 12},
      {"UPDATE ends SET timeline = NULL WHERE seq = 9", read, 3},
      {"UPDATE ends SET result = " + quoted(std::string(19, 'Z')) + " WHERE seq = 9", read, 3},
      {"UPDATE ends SET state = 1 - state WHERE seq IN (7, 9)", recorded, 2, false},
      {"UPDATE ends SET state = 5 - state WHERE seq IN (16, 17)", recorded, 13, false},
      {"UPDATE ends SET state = 5 - state WHERE seq IN (16, 17)", recorded, 14, false},
      {"UPDATE ends SET state = 3 - state, code = iif(code = 'E_CANCELLED', 'E_STAGE',"
       " 'E_CANCELLED') WHERE seq IN (7, 16)",
       recorded, 2, false},
      {"UPDATE ends SET timeline = " + quoted(attempt_of(3, "stopped", {})) + " WHERE seq = 9",
       recorded, 3},
      {"UPDATE ends SET timeline = (SELECT timeline FROM ends WHERE seq = 15) WHERE seq = 9",
       recorded, 3},
      {"UPDATE commits SET result_bytes = result_bytes - (SELECT length(result) FROM ends WHERE seq"
       " = 9) WHERE head = 18; UPDATE ends SET result = NULL WHERE seq = 9",
       recorded, 3},
      {"UPDATE retired SET results_through_seq = 15", recorded, 12},
      {"UPDATE retired SET results_through_seq = 6", recorded, 2},
      {"UPDATE notes SET charges = 99 WHERE seq = 11", "charges are attempts that were lost", 8},
      {"UPDATE notes SET charges = 2", "charges are attempts that were lost", 8},
      {"UPDATE notes SET failures = 2 WHERE seq = 11", "failures are attempts that failed", 8},
      {"UPDATE notes SET failures = 1 WHERE seq = 10", "failures are attempts that failed", 8},
      {"UPDATE notes SET data = 'hops' WHERE seq = 10", read, 8},
      {"UPDATE notes SET data = " + quoted(attempt_of(4, "failed", {})) + " WHERE seq = 11", read,
       8},
      {"UPDATE retired SET through_seq = 8", "what was retired is gone", 2},
      {"UPDATE commits SET wholes = x'5a' WHERE head = 18", "a commit's lists are whole", 0},
      {"UPDATE commits SET ends = CAST(ends || x'00' AS BLOB) WHERE head = 17",
       "a commit's lists are whole", 0},
      {"UPDATE commits SET wholes = x'5a5a5a5a5a5a5a5a5a5a5a5a' WHERE head = 18", whole, 0},
      {"UPDATE commits SET wholes = x'03000000e803000000000000' WHERE head = 18", whole, 12},
      {"DELETE FROM kept WHERE keep_seq = 1", "kept waterfalls have no hole", 2},
      {"UPDATE kept SET keep_seq = 9 WHERE keep_seq = 3", "kept waterfalls have no hole", 14},
      {"UPDATE retired SET kept_through = 1", "kept waterfalls have no hole", 1},
      {"UPDATE kept SET weight = 0.5 WHERE keep_seq = 1", itself, 1},
      {"UPDATE kept SET weight = 2 WHERE keep_seq = 2", itself, 2},
      {"UPDATE kept SET seq = 8 WHERE keep_seq = 2", of_end, 2},
      {"UPDATE kept SET state = 3 WHERE keep_seq = 2", of_end, 2},
      {"UPDATE kept SET timeline = " + quoted(attempt_of(14, "lost", {})) + " WHERE keep_seq = 3",
       of_end, 14},
      {"UPDATE kept SET seq = 99 WHERE keep_seq = 3", "no number is above the head", 99, false},
      {"UPDATE kept SET earlier = x'0500000041' WHERE keep_seq = 1", read, 1},
      {"UPDATE kept SET timeline = 'hops' WHERE keep_seq = 1", read, 1},
  };
  for (const auto& each : planted) expect_found(each.damage, each.law, each.job, each.alone);
  for (const char* column : {"through_seq", "results_through_seq"})
    expect_found(std::string("UPDATE retired SET ") + column + " = 99",
                 "no number is above the head", 99);
  EXPECT_TRUE(check().clean());
}

TEST_F(LedgerCheck, AnEndWithoutItsResultNamesNoFiles) {
  StoredEnd stored;
  JobEnd end = end_of_job(15, 12);
  end.timeline = attempt_of(12, "ok", {digest});
  ASSERT_TRUE(read_end(end, stored));
  EXPECT_EQ(stored.done.files.size(), 1U);
  end = end_of_job(16, 12, EndState::cancelled);
  end.timeline = attempt_of(12, "stopped", {digest});
  ASSERT_TRUE(read_end(end, stored));
  EXPECT_TRUE(stored.told);
  EXPECT_TRUE(stored.done.files.empty());
}

TEST_F(LedgerCheck, AStartRefusesAPriorityThatNoJobHas) {
  for (const char* priority : {"10", "77", "-1", "256"}) {
    {
      auto db = store::Sqlite::open(folder.path() / "ledger.db", store::Sqlite::Mode::write);
      ASSERT_TRUE(db);
      ASSERT_TRUE(
          db->exec(std::string("UPDATE jobs SET priority = ") + priority + " WHERE id = 8"));
    }
    const auto opened = open_ledger(options_in(folder.path()));
    const auto replayed = opened.ledger->replay([](std::vector<LiveJob>&&) {});
    ASSERT_FALSE(replayed);
    EXPECT_EQ(replayed.error().code, Errc::corrupt);
    EXPECT_EQ(replayed.error().field, "priority");
    EXPECT_NE(replayed.error().message.find(std::string("job 8: priority is ") + priority),
              std::string::npos)
        << replayed.error().message;
  }
}

TEST_F(LedgerCheck, MissesNoBlobAndReadsThemWhenAsked) {
  const std::filesystem::path file = folder.path() / "blobs" / digest.substr(0, 2) / digest;
  std::ofstream(file) << "AN INPUT";
  EXPECT_TRUE(check().clean());
  EXPECT_EQ(check(true).violations.at(0).law, "a referenced blob is there");
  std::filesystem::remove(file);
  const CheckReport report = check();
  ASSERT_EQ(report.violations.size(), 1U);
  EXPECT_EQ(report.violations[0].job, JobId(4));
}

TEST_F(LedgerCheck, AFlippedPageIsFoundOrTheFileIsRefused) {
  {
    std::fstream file(folder.path() / "ledger.db", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4096 * 3);
    file << std::string(2048, '\x5a');
  }
  for (const char* name : {"ledger.db-wal", "ledger.db-shm"})
    std::filesystem::remove(folder.path() / name);
  const auto report = check_ledger({folder.path()});
  EXPECT_TRUE(!report || !report->clean());
}

TEST_F(LedgerCheck, AFolderWithoutALedgerAndOneOfAnOlderProgramAreSaidSo) {
  auto report = check_ledger({folder.path() / "blobs"});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, Errc::not_found);
  {
    auto db = store::Sqlite::open(folder.path() / "ledger.db", store::Sqlite::Mode::write);
    ASSERT_TRUE(db && db->exec("PRAGMA user_version = 1"));
  }
  report = check_ledger({folder.path()});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, Errc::wrong_state);
}

}  // namespace
}  // namespace tallymill::front
