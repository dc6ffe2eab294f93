// The offline check finds what is wrong. Goal: each law has a planted damage that the check names,
// by the job where there is one, and an undamaged ledger has none. Method: one history with every
// sort of row, damaged by one SQL statement at a time, as no front would ever do it.
#include "front/ledger_check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "front/ledger_sqlite.h"
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
    Note note = note_for(5, 1, Note::What::attempt_failed);
    note.data = "hops";
    commit(*opened.ledger, {job_with(1), job_with(2), job_with(3), keyed, note});
    commit(*opened.ledger, {end_of_job(6, 1), end_of_job(7, 2, EndState::failed)});
    commit(*opened.ledger, {job_with(8), end_of_job(9, 3)}, {{6, Duration(1000)}});
    ASSERT_TRUE(opened.ledger->retire({.jobs = 2}, wall_from_ns(0)));
  }

  [[nodiscard]] CheckReport check(bool read_blobs = false) {
    auto report = check_ledger({folder.path(), blobs.get(), read_blobs});
    EXPECT_TRUE(report) << report.error().message;
    return report ? std::move(*report) : CheckReport{};
  }

  // Changes the ledger behind its back and expects to hear of it.
  void expect_found(const std::string& damage, const std::string& law, std::int64_t job) {
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
    for (const Violation& v : report.violations)
      if (!found) std::cout << "  " << v.law << ": " << v.job.raw() << ": " << v.what << "\n";
    for (const char* name : {"ledger.db-wal", "ledger.db-shm"})
      std::filesystem::remove(folder.path() / name);
    std::filesystem::rename(kept, folder.path() / "ledger.db");
  }

  TempFolder folder;
  std::unique_ptr<store::Blobs> blobs;
  std::string digest;
};

TEST_F(LedgerCheck, FindsNothingInALedgerThatOnlyTheFrontWrote) {
  const CheckReport report = check(true);
  for (const Violation& v : report.violations) ADD_FAILURE() << v.law << ": " << v.what;
  EXPECT_EQ(report.accepted, 5);
  EXPECT_EQ(report.live, 2);
  EXPECT_EQ(report.ended, 2);
  EXPECT_EQ(report.retired, 1);
  EXPECT_EQ(report.head, 9);
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
      {"UPDATE commits SET accepted = accepted + 1 WHERE head = 9", "accepted = ended + live", 0},
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
      {"UPDATE fates SET slots = zeroblob(1920)", "a stored job is live or ended", 8},
      {"UPDATE jobs SET client = 'other' WHERE id = 8", "a slot knows its job's client", 8},
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
      {"PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'state <> 0',"
       " 'state <> 3') WHERE name = 'ends_not_done'",
       "the file's pages are whole", 0},
  };
  for (const auto& each : planted) expect_found(each.damage, each.law, each.job);
  EXPECT_TRUE(check().clean());
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
