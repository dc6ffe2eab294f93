// The ledger on a disk that is full, fails, or was left in the middle of something. Goal: nothing
// acknowledged is lost and nothing is believed that may not be on the disk. Method: a layer under
// SQLite that fails on demand; and, when run as root, a real file system of a few MiB.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "front/ledger_check.h"
#include "front/ledger_fates.h"
#include "front/ledger_files.h"
#include "front/ledger_rows.h"
#include "front/ledger_schema.h"
#include "front/ledger_sqlite.h"
#include "store/sqlite.h"
#include "tests/fakes/failing_sync.h"
#include "tests/fakes/failing_vfs.h"
#include "tests/front/ledger_fixture.h"

namespace tallymill::front {
namespace {

namespace fs = std::filesystem;
using fakes::FailingVfs;

class LedgerDisk : public ::testing::Test {
 protected:
  void SetUp() override {
    FailingVfs::install();
    FailingVfs::reset();
  }
  void TearDown() override { FailingVfs::reset(); }

  [[nodiscard]] LedgerOptions failing() const {
    LedgerOptions options = options_in(folder.path());
    options.vfs = FailingVfs::name;
    return options;
  }
  void expect_clean() {
    const auto report = check_ledger({folder.path()});
    ASSERT_TRUE(report) << report.error().message;
    for (const Violation& v : report->violations) ADD_FAILURE() << v.law << ": " << v.what;
  }

  TempFolder folder;
};

TEST_F(LedgerDisk, AFailedSyncOfACommitStopsTheLedgerAndTheNextStartCopiesTheFile) {
  {
    const auto opened = open_ledger(failing());
    commit(*opened.ledger, {job_with(1)});
    FailingVfs::wal_syncs_left = 0;
    const auto failed = opened.ledger->commit(std::vector<Entry>{job_with(2)}, {});
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, Errc::corrupt);
    FailingVfs::reset();
    // Never tried again, although the disk would take it now.
    EXPECT_FALSE(opened.ledger->commit(std::vector<Entry>{job_with(3)}, {}));
    EXPECT_FALSE(opened.ledger->retire({}, wall_from_ns(0)));
    EXPECT_TRUE(fs::exists(folder.path() / "ledger.failed"));
  }
  struct stat before{};
  ASSERT_EQ(::stat((folder.path() / "ledger.db").c_str(), &before), 0);
  {
    const auto opened = open_ledger(failing());
    EXPECT_TRUE(opened.found.copied);
    EXPECT_EQ(opened.found.epoch, 2);
    EXPECT_FALSE(fs::exists(folder.path() / "ledger.failed"));
    struct stat after{};
    ASSERT_EQ(::stat((folder.path() / "ledger.db").c_str(), &after), 0);
    EXPECT_NE(before.st_ino, after.st_ino);
    const auto live = replay(*opened.ledger);
    ASSERT_GE(live.size(), 1U);
    EXPECT_EQ(live[0].id, JobId(1));
    commit(*opened.ledger, {job_with(10)});
  }
  EXPECT_FALSE(open_ledger(failing()).found.copied);
  expect_clean();
}

TEST_F(LedgerDisk, AFailedSyncOfACheckpointStopsTheLedgerToo) {
  const auto opened = open_ledger(failing());
  FailingVfs::database_syncs_left = 0;
  std::int64_t id = 0;
  Errc code = Errc::busy;
  for (int i = 0; i < 2000 && code == Errc::busy; ++i) {
    const std::vector<Entry> entries{job_with(++id, std::string(8000, 'b'))};
    const auto stored = opened.ledger->commit(entries, {});
    if (!stored) code = stored.error().code;
  }
  EXPECT_EQ(code, Errc::corrupt);
  EXPECT_TRUE(fs::exists(folder.path() / "ledger.failed"));
}

TEST_F(LedgerDisk, AFailedWriteStopsTheLedger) {
  const auto opened = open_ledger(failing());
  commit(*opened.ledger, {job_with(1)});
  FailingVfs::writes_left = 0;
  const auto failed = opened.ledger->commit(std::vector<Entry>{job_with(2)}, {});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Errc::corrupt);
}

TEST_F(LedgerDisk, TheSupervisorCanAskForACopyWhereTheMarkCouldNotBeWritten) {
  commit(*open_ledger(failing()).ledger, {job_with(1), job_with(2), end_of_job(3, 2)});
  LedgerOptions options = failing();
  options.force_copy = true;
  const auto opened = open_ledger(options);
  EXPECT_TRUE(opened.found.copied);
  EXPECT_EQ(opened.found.head, 3);
  EXPECT_EQ(replay(*opened.ledger).size(), 1U);
}

TEST_F(LedgerDisk, ACopyThatFailsLeavesTheLedgerAndTheMark) {
  commit(*open_ledger(failing()).ledger, {job_with(1)});
  std::ofstream(folder.path() / "ledger.failed") << "the last run saw a sync fail";
  FailingVfs::database_syncs_left = 0;
  const auto refused = open_sqlite_ledger(failing());
  ASSERT_FALSE(refused);
  EXPECT_FALSE(fs::exists(folder.path() / "ledger.copy.tmp"));
  FailingVfs::reset();
  const auto opened = open_ledger(failing());
  EXPECT_TRUE(opened.found.copied);
  EXPECT_EQ(replay(*opened.ledger).size(), 1U);
}

TEST_F(LedgerDisk, ACopyWhoseNameMayNotBeOnDiskIsNotTaken) {
  commit(*open_ledger(failing()).ledger, {job_with(1)});
  std::ofstream(folder.path() / "ledger.failed") << "the last run saw a sync fail";
  {
    const fakes::FailingSync disk(folder.path());
    ASSERT_FALSE(open_sqlite_ledger(failing()));
  }
  EXPECT_FALSE(fs::exists(folder.path() / "ledger.copy"));
  EXPECT_TRUE(fs::exists(folder.path() / "ledger.failed"));
  const auto opened = open_ledger(failing());
  EXPECT_TRUE(opened.found.copied);
  EXPECT_EQ(replay(*opened.ledger).size(), 1U);
}

// A front in a crash loop copies at each start, and may be killed at any of them.
TEST_F(LedgerDisk, ADiskThatFailsAtEachStartIsNotFilledWithCopies) {
  std::vector<Entry> jobs;
  for (int id = 1; id <= 50; ++id) jobs.emplace_back(job_with(id, std::string(4000, 'b')));
  commit(*open_ledger(failing()).ledger, jobs);
  std::ofstream(folder.path() / "ledger.failed") << "the last run saw a sync fail";
  const std::set<std::string> known{"ledger.db",   "ledger.db-wal",  "ledger.db-shm",
                                    "ledger.lock", "ledger.reserve", "ledger.failed"};
  bool opens = false;
  int starts = 0;
  for (; !opens; ++starts) {
    ASSERT_LT(starts, 100);
    // What a start before this one left when it was killed.
    for (const char* left : {"", "-journal", "-wal", "-shm"})
      std::ofstream(folder.path() / (std::string("ledger.copy.tmp") + left)) << "half a copy";
    FailingVfs::reset();
    // One sync, or one write, further each time.
    if (starts % 2 == 0)
      FailingVfs::database_syncs_left = starts / 2;
    else
      FailingVfs::writes_left = starts / 2;
    const auto opened = open_sqlite_ledger(failing());
    opens = opened.has_value() && starts % 2 == 0;
    std::set<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder.path()))
      found.insert(entry.path().filename());
    EXPECT_TRUE(std::ranges::includes(known, found)) << "after start " << starts;
  }
  std::cout << "opened at start " << starts << "\n";
  EXPECT_GT(starts, 1);
  FailingVfs::reset();
  EXPECT_EQ(replay(*open_ledger(failing()).ledger).size(), 50U);
  expect_clean();
}

TEST_F(LedgerDisk, ASwapThatACrashInterruptedIsFinishedBeforeTheOldFileIsRead) {
  commit(*open_ledger(failing()).ledger, {job_with(1)});
  fs::copy_file(folder.path() / "ledger.db", folder.path() / "kept");
  {
    const auto opened = open_ledger(failing());
    commit(*opened.ledger, {job_with(2)});
    fs::copy_file(folder.path() / "ledger.db-wal", folder.path() / "kept-wal");
  }
  // The copy has its final name; the old files still stand, with a WAL that must not be applied.
  fs::rename(folder.path() / "kept", folder.path() / "ledger.copy");
  fs::rename(folder.path() / "kept-wal", folder.path() / "ledger.db-wal");
  std::ofstream(folder.path() / "ledger.failed") << "mark";
  std::ofstream(folder.path() / "ledger.copy.tmp") << "half a copy";
  const auto opened = open_ledger(failing());
  EXPECT_FALSE(opened.found.copied);
  const auto live = replay(*opened.ledger);
  ASSERT_EQ(live.size(), 1U);
  EXPECT_EQ(live[0].id, JobId(1));
  EXPECT_FALSE(fs::exists(folder.path() / "ledger.copy.tmp"));
}

TEST_F(LedgerDisk, WhenTheDatabaseCannotGrowJobsAreRefusedAndEndsStillFitIntoTheWal) {
  const auto opened = open_ledger(failing());
  FailingVfs::database_bound = 1 << 19;
  std::int64_t seq = 0;
  std::vector<std::int64_t> accepted;
  bool refused = false;
  for (int i = 0; i < 3000 && !refused; ++i) {
    const std::vector<Entry> entries{job_with(++seq, std::string(4000, 'b'))};
    const auto stored = opened.ledger->commit(entries, {});
    refused = !stored;
    ASSERT_TRUE(stored || stored.error().code == Errc::disk) << stored.error().message;
    if (stored) accepted.push_back(seq);
  }
  ASSERT_TRUE(refused);
  for (std::size_t i = 0; i < 20; ++i) commit(*opened.ledger, {end_of_job(++seq, accepted[i])});
  EXPECT_FALSE(opened.ledger->commit(std::vector<Entry>{job_with(++seq)}, {}));
  // Room again: it goes on by itself.
  FailingVfs::reset();
  commit(*opened.ledger, {job_with(++seq)});
  EXPECT_EQ(replay(*opened.ledger).size(), accepted.size() - 20 + 1);
  expect_clean();
}

// A file system of its own, in memory, `size` large.
class SmallDisk {
 public:
  explicit SmallDisk(const fs::path& at, const char* options) : path_(at) {
    fs::create_directories(at);
    mounted_ = ::mount("tmpfs", at.c_str(), "tmpfs", 0, options) == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  [[nodiscard]] bool mounted() const { return mounted_; }
  void grow(const char* options) {
    EXPECT_EQ(::mount("tmpfs", path_.c_str(), "tmpfs", MS_REMOUNT, options), 0);
  }

 private:
  fs::path path_;
  bool mounted_ = false;
};

TEST_F(LedgerDisk, OnARealFullDiskAcceptedJobsEndAndNothingIsLost) {
  const fs::path at = folder.path() / "small";
  SmallDisk disk(at, "size=5m");
  if (!disk.mounted()) {
    GTEST_SKIP() << "SKIPPED: needs root to mount a small tmpfs; the full disk was NOT tested";
  }
  std::set<std::int64_t> live;
  std::int64_t seq = 0;
  const auto kept_end = [&](std::int64_t job) {
    JobEnd end = end_of_job(++seq, job);
    end.keep_weight = 1;
    return end;
  };
  {
    const auto opened = open_ledger(options_in(at));
    commit(*opened.ledger, {job_with(++seq), job_with(++seq)});
    EXPECT_EQ(commit(*opened.ledger, {kept_end(1)})[0].keep_seq, 1);
    live.insert(2);
    for (bool full = false; !full;) {
      std::vector<Entry> entries;
      for (int i = 0; i < 20; ++i) entries.emplace_back(job_with(++seq, std::string(300, 'b')));
      const auto stored = opened.ledger->commit(entries, {});
      full = !stored;
      ASSERT_TRUE(stored || stored.error().code == Errc::disk) << stored.error().message;
      ASSERT_LT(seq, 1'000'000);
      if (stored)
        for (const Entry& entry : entries)
          if (const auto* job = std::get_if<NewJob>(&entry)) live.insert(job->id.raw());
    }
    ASSERT_GT(live.size(), 500U);
    // What is not stored takes no number.
    EXPECT_FALSE(opened.ledger->commit(
        std::vector<Entry>{kept_end(2), job_with(++seq, std::string(100'000, 'b'))}, {}));
    for (int i = 0; i < 50; ++i) {
      const std::int64_t job = *live.begin();
      EXPECT_EQ(commit(*opened.ledger, {kept_end(job)})[0].keep_seq, 2 + i);
      live.erase(live.begin());
    }
    auto reader = opened.ledger->reader();
    ASSERT_TRUE(reader);
    EXPECT_TRUE((*reader)->body(JobId(*live.begin())));
    disk.grow("size=16m");
    commit(*opened.ledger, {job_with(++seq)});
    live.insert(seq);
  }
  const auto opened = open_ledger(options_in(at));
  std::set<std::int64_t> found;
  for (const LiveJob& job : replay(*opened.ledger)) found.insert(job.id.raw());
  EXPECT_EQ(found, live);
  const auto report = check_ledger({at});
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->clean());
}

TEST_F(LedgerDisk, HalfAGigabyteThroughTheWalLeavesItAboutAsLargeAsItWasGrown) {
  LedgerOptions options = options_in(folder.path());
  options.wal = WalBounds();
  const auto opened = open_ledger(options);
  const fs::path wal = folder.path() / "ledger.db-wal";
  EXPECT_EQ(fs::file_size(wal), static_cast<std::uintmax_t>(limits::wal_grown.raw()));
  std::int64_t seq = 0;
  std::vector<std::int64_t> last;
  std::uintmax_t largest = 0;
  auto reader = opened.ledger->reader();
  ASSERT_TRUE(reader);
  for (int written = 0; written < 500; ++written) {
    std::vector<Entry> entries;
    std::vector<std::int64_t> appended;
    for (int i = 0; i < 256; ++i) {
      appended.push_back(++seq);
      entries.emplace_back(job_with(seq, std::string(4096, 'b')));
    }
    for (const std::int64_t job : last) entries.emplace_back(end_of_job(++seq, job));
    last = std::move(appended);
    commit(*opened.ledger, entries);
    ASSERT_TRUE((*reader)->body(JobId(last.front())));
    ASSERT_TRUE(opened.ledger->retire({.jobs = 1000}, wall_from_ns(0)));
    largest = std::max(largest, fs::file_size(wal));
  }
  std::cout << "largest WAL: " << (largest >> 20)
            << " MiB; database: " << (fs::file_size(folder.path() / "ledger.db") >> 20) << " MiB\n";
  EXPECT_LE(largest, std::uintmax_t{72} << 20);
}

// A ledger as a front of that schema left it: 1 and 1000 are live, 2 has failed, and from version 2
// on 3 is retired; 1 and 3 have keys.
void write_old_ledger(const fs::path& folder, int version) {
  auto db = store::Sqlite::open(folder / "ledger.db", store::Sqlite::Mode::create);
  ASSERT_TRUE(db);
  ASSERT_TRUE(db->exec("PRAGMA journal_mode = WAL"));
  std::ifstream schema(std::string(TALLYMILL_SOURCE_DIR "/tests/front/ledger_v") +
                       std::to_string(version) + ".sql");
  ASSERT_TRUE(db->exec(std::string(std::istreambuf_iterator<char>(schema), {})));
  ASSERT_TRUE(db->exec(
      "INSERT INTO epochs VALUES(1, 0, 'boot', 1);"
      "INSERT INTO jobs(id, client, kind, priority, submitted_ns, intake_ns, queued_ns, key,"
      " content_hash) VALUES(1, 'a', 'k', 4, 1, 1, 1, 'key', 'hash'),"
      " (2, 'b', 'k', 4, 1, 1, 1, NULL, NULL), (1000, 'a', 'k', 4, 1, 1, 1, NULL, NULL);"
      "INSERT INTO ends(seq, job, state, attempts, at_ns, code) VALUES(1001, 2, 1, 1, 5, "
      "'E_STAGE');"
      "INSERT INTO commits VALUES(1000, 4, 1, 0, 0, 0, 2, 0, NULL, NULL);"
      "UPDATE retired SET done = 1, through_seq = 4"));
  ASSERT_TRUE(db->exec(version >= 3 ? "INSERT INTO retired_keys VALUES('a', 'old', 3, 'hash', 1, 0)"
                                    : "INSERT INTO keys VALUES('a', 'key', 1, 'hash', 1, NULL),"
                                      " ('a', 'old', 3, 'hash', 1, 0)"));
  for (const auto& [sql, bytes] :
       {std::pair("UPDATE jobs SET body = ?1", body_of("params")),
        {"UPDATE ends SET timeline = ?1", pack_attempt({}, {2, 1, 1}, "lost", {})}}) {
    auto fill = db->prepare(sql);
    ASSERT_TRUE(fill);
    fill->bind_blob(1, bytes);
    ASSERT_TRUE(fill->run());
  }
  auto row = db->prepare("INSERT INTO commits VALUES(1001, 4, 1, 1, 0, 0, 2, 0, ?1, NULL)");
  ASSERT_TRUE(row);
  const PackedEnd end{0, client_tag("b")};
  row->bind_blob(1, {reinterpret_cast<const char*>(&end), sizeof end});
  ASSERT_TRUE(row->run());
  if (version == 1) return;
  if (version == 5) {  // its slots are today's
    auto slots = Fates::prepare(*db);
    ASSERT_TRUE(slots);
    std::uint32_t tag = 0;
    for (const auto& [job, client] : {std::pair(1, "a"), {2, "b"}, {1000, "a"}})
      ASSERT_EQ(slots->append(JobId(job), client_tag(client), "k", wall_from_ns(1)),
                Fates::Change::made);
    ASSERT_EQ(slots->settle(JobId(2), 1001, EndState::failed, Duration(4), tag),
              Fates::Change::made);
    ASSERT_TRUE(slots->flush());
    return;
  }
  auto fates = db->prepare("INSERT INTO fates VALUES(?1, ?2, ?3)");
  ASSERT_TRUE(fates);
  const auto slots = [&](std::int64_t block, int live, std::vector<std::int64_t> of_jobs) {
    of_jobs.resize(Fates::per_row);
    fates->bind(1, block);
    fates->bind(2, live);
    fates->bind_blob(
        3, {reinterpret_cast<const char*>(of_jobs.data()), of_jobs.size() * sizeof(std::int64_t)});
    ASSERT_TRUE(fates->run());
  };
  const std::int64_t live = -1 - std::int64_t{client_tag("a")};
  slots(0, 1, {0, live, 1001});
  std::vector<std::int64_t> last(Fates::per_row);
  last[1000 % Fates::per_row] = live;
  slots(1000 / Fates::per_row, 1, last);
}

TEST_F(LedgerDisk, LedgersOfTheSchemasBeforeOpenWithAllTheirJobsAndKeys) {
  for (const int version : {1, 2, 3, 4, 5}) {
    const TempFolder old;
    write_old_ledger(old.path(), version);
    const auto opened = open_ledger(options_in(old.path()));
    EXPECT_EQ(opened.found.epoch, 2);
    EXPECT_EQ(opened.found.head, 1001);
    const auto live = replay(*opened.ledger);
    ASSERT_EQ(live.size(), 2U);
    EXPECT_EQ(live[0].id, JobId(1));
    EXPECT_EQ(live[1].id, JobId(1000));
    const auto reader = opened.ledger->reader();
    ASSERT_TRUE(reader);
    const auto slowest = (*reader)->jobs({.client = "b", .sort = JobsSort::slowest, .limit = 10});
    ASSERT_TRUE(slowest) << slowest.error().message;
    ASSERT_EQ(slowest->rows.size(), 1U) << "version " << version;
    EXPECT_EQ(slowest->rows[0].id, JobId(2));
    EXPECT_EQ(slowest->rows[0].end->took, Duration(4));
    const auto keyed = [](std::int64_t id, std::string key) {
      NewJob job = job_with(id);
      job.client = "a";
      job.key = std::move(key);
      job.content_hash = "hash";
      return job;
    };
    const auto outcomes = commit(*opened.ledger, {end_of_job(1002, 1000), keyed(1003, "key"),
                                                  keyed(1004, "old"), keyed(1005, "new")});
    EXPECT_EQ(outcomes[1].what, Outcome::What::known) << "version " << version;
    EXPECT_EQ(outcomes[1].job, JobId(1));
    EXPECT_EQ(outcomes[2].what, Outcome::What::known) << "version " << version;
    EXPECT_EQ(outcomes[2].end, EndState::done);
    EXPECT_EQ(outcomes[3].what, Outcome::What::stored);
    const auto report = check_ledger({old.path()});
    ASSERT_TRUE(report);
    for (const Violation& v : report->violations) ADD_FAILURE() << v.law << ": " << v.what;
  }
}

TEST_F(LedgerDisk, ANewerSchemaAndAnotherProgramsDatabaseAreRefused) {
  {
    auto db = store::Sqlite::open(folder.path() / "ledger.db", store::Sqlite::Mode::create);
    ASSERT_TRUE(db);
    ASSERT_TRUE(db->exec("CREATE TABLE other(x)"));
  }
  auto refused = open_sqlite_ledger(options_in(folder.path()));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::corrupt);
  {
    auto db = store::Sqlite::open(folder.path() / "ledger.db", store::Sqlite::Mode::write);
    ASSERT_TRUE(db);
    ASSERT_TRUE(db->exec("PRAGMA user_version = 99"));
  }
  refused = open_sqlite_ledger(options_in(folder.path()));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::version);
  const auto report = check_ledger({folder.path()});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, Errc::version);
}

TEST_F(LedgerDisk, AFileThatIsNoDatabaseAndAFolderThatCannotBeMadeAreRefused) {
  std::ofstream(folder.path() / "ledger.db") << std::string(10'000, 'x');
  auto refused = open_sqlite_ledger(options_in(folder.path()));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::corrupt);
  std::ofstream(folder.path() / "file") << "x";
  refused = open_sqlite_ledger(options_in(folder.path() / "file" / "folder"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::disk);
}

}  // namespace
}  // namespace tallymill::front
