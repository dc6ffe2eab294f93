// kill -9 in the middle of commits. Goal: what was reported as stored is there, what was not may be
// there once, and every law holds. Method: a child commits at random and writes to a pipe what was
// acknowledged; the parent kills it after a random number of acknowledgements, opens the ledger and
// compares. A folder goes through 25 cycles.
//
// TALLYMILL_LEDGER_KILLS: how many (25).
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <vector>

#include "front/ledger_check.h"
#include "front/ledger_sqlite.h"
#include "tests/front/ledger_fixture.h"

namespace tallymill::front {
namespace {

constexpr int cycles_of_a_folder = 25;  // each asks again for all that was acknowledged in it

// One acknowledged entry: a job, or the end of `job`.
struct Ack {
  std::int64_t seq;
  std::int64_t job;  // 0: the entry appended job `seq`
};

[[noreturn]] void commit_until_killed(const std::filesystem::path& folder, int pipe,
                                      std::uint64_t seed) {
  std::mt19937_64 random(seed);
  auto opened = open_sqlite_ledger(options_in(folder));
  if (!opened) ::_exit(3);
  std::vector<std::int64_t> live;
  if (!opened->ledger->replay([&](std::vector<LiveJob>&& chunk) {
        for (const LiveJob& job : chunk) live.push_back(job.id.raw());
      }))
    ::_exit(4);
  for (std::int64_t seq = opened->found.head;;) {
    std::vector<Entry> entries;
    std::vector<Ack> acks;
    const auto size = 1 + random() % 50;
    for (std::uint64_t i = 0; i < size; ++i) {
      if (live.size() < 200 || random() % 2 == 0) {
        entries.emplace_back(job_with(++seq, std::string(1 + random() % 3000, 'b')));
        acks.push_back({seq, 0});
        live.push_back(seq);
      } else {
        const std::size_t pick = random() % live.size();
        JobEnd end = end_of_job(++seq, live[pick]);
        end.keep_weight = random() % 2 == 0 ? 1 : 0;
        entries.emplace_back(std::move(end));
        acks.push_back({seq, live[pick]});
        live[pick] = live.back();
        live.pop_back();
      }
    }
    if (!opened->ledger->commit(entries, {})) ::_exit(5);
    const std::size_t bytes = acks.size() * sizeof(Ack);
    if (::write(pipe, acks.data(), bytes) != static_cast<ssize_t>(bytes)) ::_exit(6);
  }
}

// Reads until `kill_after` acknowledgements came, kills, and reads what is left.
std::vector<Ack> acks_until_killed(pid_t child, int pipe, std::size_t kill_after) {
  std::vector<Ack> acks;
  bool killed = false;
  Ack ack{};
  while (::read(pipe, &ack, sizeof ack) == sizeof ack) {
    acks.push_back(ack);
    if (acks.size() < kill_after || killed) continue;
    killed = true;
    EXPECT_EQ(::kill(child, SIGKILL), 0);
  }
  return acks;
}

TEST(LedgerCrash, NothingThatWasAcknowledgedIsLostOverManyKills) {
  std::mt19937_64 random(seed_for("ledger crash"));
  const char* wanted = std::getenv("TALLYMILL_LEDGER_KILLS");
  const int cycles = wanted ? std::atoi(wanted) : cycles_of_a_folder;
  std::optional<TempFolder> folder;
  std::map<std::int64_t, std::int64_t> acked;  // job -> seq of its end, 0 while live
  std::size_t in_all = 0;
  for (int cycle = 0; cycle < cycles; ++cycle) {
    if (cycle % cycles_of_a_folder == 0) {
      folder.emplace();
      acked.clear();
    }
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    const std::uint64_t seed = random();
    const std::size_t kill_after = 1 + random() % 1500;
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) commit_until_killed(folder->path(), pipe[1], seed);
    ::close(pipe[1]);
    const std::vector<Ack> acks = acks_until_killed(child, pipe[0], kill_after);
    ::close(pipe[0]);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << WEXITSTATUS(status);
    in_all += acks.size();
    for (const Ack& ack : acks) {
      if (ack.job == 0) acked.emplace(ack.seq, 0);
      // The job of an end was acknowledged, or committed by a child that died before it could say.
      if (ack.job != 0) acked[ack.job] = ack.seq;
    }

    const auto opened = open_ledger(options_in(folder->path()));
    std::set<std::int64_t> live;
    for (const LiveJob& job : replay(*opened.ledger)) live.insert(job.id.raw());
    auto reader = opened.ledger->reader();
    ASSERT_TRUE(reader);
    for (const auto& [job, end_seq] : acked) {
      const auto row = (*reader)->status(JobId(job));
      ASSERT_TRUE(row) << "job " << job << " was acknowledged and is lost";
      ASSERT_EQ(row->end.has_value(), !live.contains(job));
      if (end_seq > 0) {
        ASSERT_TRUE(row->end) << "the end of job " << job << " was acknowledged and is lost";
        ASSERT_EQ(row->end->seq, end_seq);
      }
    }
    const auto report = check_ledger({folder->path()});
    ASSERT_TRUE(report);
    ASSERT_TRUE(report->clean()) << report->violations[0].law << report->violations[0].what;
  }
  std::cout << cycles << " kills, " << in_all << " acknowledgements, 0 lost\n";
}

}  // namespace
}  // namespace tallymill::front
