// How much of SQLite's own speed the ledger leaves: jobs appended and settled per second, against
// bare loops with rows of the same size in the same commits (floor/sqlite_commit.h), interleaved in
// the same call. And what a start costs: replay of live jobs, opening over ended ones.
//
// Its parts are the jobs of a commit, and `start`. usage: figures.h. The temporary folder (TMPDIR)
// decides which disk is measured.
#include "front/ledger.h"

#include <fmt/core.h>
#include <stdlib.h>
#include <time.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "bench/figures.h"
#include "bench/floor/processes.h"
#include "bench/floor/sqlite_commit.h"
#include "front/ledger_sqlite.h"

namespace tallymill::bench {
namespace {

namespace fs = std::filesystem;
using front::Entry;

constexpr std::size_t body_bytes = 200;
constexpr std::size_t timeline_bytes = 96;
// The other columns of our rows, as the database's own page statistics show them.
constexpr std::size_t job_row_bytes = body_bytes + 62;
constexpr std::size_t end_row_bytes = timeline_bytes + 22;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Of all threads. On a machine that others use too this is the steadier figure.
double cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

struct Timer {
  struct Spent {
    double wall, cpu;
  };
  [[nodiscard]] Spent spent() const { return {seconds_since(wall), cpu_seconds() - cpu}; }
  std::chrono::steady_clock::time_point wall = std::chrono::steady_clock::now();
  double cpu = cpu_seconds();
};

// Jobs pass through in order: each commit appends some and settles those of the commit before.
class Ours {
 public:
  explicit Ours(const fs::path& folder) {
    front::LedgerOptions options;
    options.folder = folder;
    auto opened = front::open_sqlite_ledger(options);
    TM_CHECK(opened);
    ledger_ = std::move(opened->ledger);
  }

  // Entries for `commits` commits of `jobs` appends and as many ends; made before the clock runs.
  void prepare(int commits, int jobs) {
    batches_.assign(static_cast<std::size_t>(commits), {});
    for (auto& batch : batches_) {
      std::vector<std::int64_t> appended;
      for (int i = 0; i < jobs; ++i) {
        appended.push_back(++seq_);
        batch.emplace_back(job(seq_));
      }
      for (const std::int64_t id : live_) batch.emplace_back(end(++seq_, id));
      live_ = std::move(appended);
    }
  }

  void run(std::vector<double>* commit_seconds = nullptr) {
    for (const auto& batch : batches_) {
      const auto start = std::chrono::steady_clock::now();
      TM_CHECK(ledger_->commit(batch, {}));
      if (commit_seconds) commit_seconds->push_back(seconds_since(start));
    }
  }

  // A backlog: appends alone.
  void append(int count) {
    std::vector<Entry> batch;
    for (int i = 0; i < count; ++i) {
      batch.emplace_back(job(++seq_));
      if (batch.size() < 2000 && i + 1 < count) continue;
      TM_CHECK(ledger_->commit(batch, {}));
      batch.clear();
    }
  }

 private:
  static front::NewJob job(std::int64_t id) {
    front::NewJob job;
    job.id = JobId(id);
    job.client = "client-" + std::to_string(id % 10);
    job.kind = "synthetic";
    job.submitted = SystemClock().wall();
    job.intake = SystemClock().now();
    job.queued = job.intake + std::chrono::microseconds(5);
    job.body.assign(body_bytes, 'b');
    return job;
  }

  static front::JobEnd end(std::int64_t seq, std::int64_t job) {
    front::JobEnd end;
    end.seq = seq;
    end.job = JobId(job);
    end.attempts = 1;
    end.at = SystemClock().wall();
    end.timeline.assign(timeline_bytes, 't');
    return end;
  }

  std::unique_ptr<front::Ledger> ledger_;
  std::vector<std::vector<Entry>> batches_;
  std::vector<std::int64_t> live_;
  std::int64_t seq_ = 0;
};

class Floor {
 public:
  Floor(const fs::path& file, bool own_wal_policy) : floor_(file, own_wal_policy) {}

  void run(int commits, int jobs, std::vector<double>* commit_seconds = nullptr) {
    for (int c = 0; c < commits; ++c) {
      const auto start = std::chrono::steady_clock::now();
      floor_.begin();
      for (int i = 0; i < jobs; ++i) floor_.append(next_job_++, job_);
      for (; next_end_ < next_job_ - jobs; ++next_end_) floor_.settle(next_end_, end_);
      floor_.commit();
      if (commit_seconds) commit_seconds->push_back(seconds_since(start));
    }
  }
  void checkpoint() { floor_.checkpoint(); }

 private:
  SqliteFloor floor_;
  std::string job_ = std::string(job_row_bytes, 'b');
  std::string end_ = std::string(end_row_bytes, 't');
  std::int64_t next_job_ = 1;
  std::int64_t next_end_ = 1;
};

// `jobs` appended and as many settled per commit.
void compare(const fs::path& folder, int jobs, int commits, int rounds) {
  Ours ours(folder / "ours");
  Floor plain(folder / "plain.db", true);
  Floor never(folder / "never.db", false);
  std::vector<double> our_rate, plain_rate, never_rate, to_plain, to_never;
  std::vector<double> our_cpu, plain_cpu, cpu_ratio;
  std::vector<double> our_commit, plain_commit;
  const double all = static_cast<double>(jobs) * commits;
  for (int round = 0; round <= rounds; ++round) {
    ours.prepare(commits, jobs);
    never.checkpoint();
    std::vector<double> our_seconds, plain_seconds;
    const Timer our_timer;
    ours.run(&our_seconds);
    const Timer::Spent our_spent = our_timer.spent();
    const Timer plain_timer;
    plain.run(commits, jobs, &plain_seconds);
    const Timer::Spent plain_spent = plain_timer.spent();
    const Timer never_timer;
    never.run(commits, jobs);
    const Timer::Spent never_spent = never_timer.spent();
    if (round == 0) continue;  // warms up
    our_rate.push_back(all / our_spent.wall);
    plain_rate.push_back(all / plain_spent.wall);
    never_rate.push_back(all / never_spent.wall);
    our_cpu.push_back(our_spent.cpu / all);
    plain_cpu.push_back(plain_spent.cpu / all);
    cpu_ratio.push_back(plain_spent.cpu / our_spent.cpu);
    to_plain.push_back(plain_spent.wall / our_spent.wall);
    to_never.push_back(never_spent.wall / our_spent.wall);
    our_commit.insert(our_commit.end(), our_seconds.begin(), our_seconds.end());
    plain_commit.insert(plain_commit.end(), plain_seconds.begin(), plain_seconds.end());
  }
  const auto name = [&](std::string_view what) {
    return fmt::format("{}, {} jobs appended and settled per commit", what, jobs);
  };
  print(name("ledger"), "jobs/s", our_rate);
  print(name("floor, sqlite's own checkpoints"), "jobs/s", plain_rate);
  print(name("floor, no checkpoint at all"), "jobs/s", never_rate);
  print(name("ledger / floor"), "ratio", to_plain);
  print(name("ledger / floor without checkpoints"), "ratio", to_never);
  print(name("ledger, processor time"), "s/job", our_cpu);
  print(name("floor, processor time"), "s/job", plain_cpu);
  print(name("ledger / floor by processor time"), "ratio", cpu_ratio);
  print(name("ledger, one commit"), "s", our_commit);
  print(name("floor, one commit"), "s", plain_commit);
}

// A start over many live jobs, and over many ended ones.
void starts(const fs::path& folder, int jobs, int rounds) {
  const auto seconds_to_open = [&](const fs::path& where, std::vector<double>& replayed,
                                   std::vector<double>& first) {
    front::LedgerOptions options;
    options.folder = where;
    const auto start = std::chrono::steady_clock::now();
    auto opened = front::open_sqlite_ledger(options);
    TM_CHECK(opened);
    const double seconds = seconds_since(start);
    std::size_t found = 0;
    TM_CHECK(opened->ledger->replay([&](std::vector<front::LiveJob>&& chunk) {
      if (found == 0) first.push_back(seconds_since(start));
      found += chunk.size();
    }));
    replayed.push_back(seconds_since(start));
    return seconds;
  };
  {
    Ours(folder / "live").append(jobs);
    std::vector<double> open, replayed, first;
    for (int i = 0; i < rounds; ++i)
      open.push_back(seconds_to_open(folder / "live", replayed, first));
    print(fmt::format("open, {} live jobs", jobs), "s", open);
    print(fmt::format("first chunk, {} live jobs", jobs), "s", first);
    print(fmt::format("replay, {} live jobs", jobs), "s", replayed);
  }
  {
    Ours ended(folder / "ended");
    ended.prepare(jobs / 1000, 1000);
    ended.run();
  }
  std::vector<double> open, replayed, first;
  for (int i = 0; i < rounds; ++i)
    open.push_back(seconds_to_open(folder / "ended", replayed, first));
  print(fmt::format("open and replay, {} ended jobs, 1000 live", jobs), "s", replayed);
}

}  // namespace
}  // namespace tallymill::bench

int main(int argc, char** argv) {
  using namespace tallymill::bench;
  const Asked wanted =
      asked({.name = "ledger", .parts = {"1000", "100", "1", "start"}, .rounds = 7}, argc, argv);
  const Folder folder;
  for (const auto& [jobs, commits] : {std::pair{1000, 100}, {100, 200}, {1, 500}})
    if (const std::string part = std::to_string(jobs); wanted.wants(part)) {
      std::filesystem::create_directories(folder.path() / part);
      compare(folder.path() / part, jobs, commits, wanted.rounds);
    }
  if (wanted.wants("start")) starts(folder.path(), 1'000'000, wanted.rounds);
}
