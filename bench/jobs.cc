// How long a page of a list takes over a million ended jobs: each kind of query, its first page,
// one deep in the list, and filters that few jobs or none fit. Bound: 50 ms.
//
// The ledger is filled through its own commits. One client in four, four kinds, one job in a
// hundred failed; a client and a kind that ten jobs have. Each figure is read `--rounds` times 20,
// by a reader beside an open ledger as in the front. Pages that looked for all the time they may
// and go on are told by a figure of their own: how many it takes until the list is through.
//
// Its parts are the queries' names. usage: figures.h. The temporary folder (TMPDIR) decides which
// disk is measured.
#include <fmt/core.h>
#include <time.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/limits.h"
#include "bench/figures.h"
#include "bench/floor/processes.h"
#include "front/ledger.h"
#include "front/ledger_sqlite.h"

namespace tallymill::bench {
namespace {

using front::JobsQuery;
using front::JobsSort;

constexpr std::int64_t jobs = 1'000'000;
constexpr std::int64_t per_commit = 1000;
constexpr int readings = 20;  // a round
constexpr int pages_deep = 250;
constexpr std::int64_t first_ns = 1'700'000'000'000'000'000;

WallTime submitted_at(std::int64_t n) { return wall_from_ns(first_ns + n * 1'000'000); }

front::NewJob job(std::int64_t id, std::int64_t n) {
  const bool rare = n % 100'000 == 77;
  front::NewJob job;
  job.id = JobId(id);
  job.client = rare ? "rare-client" : fmt::format("client-{}", n % 4);
  job.kind = rare ? "rare-kind" : fmt::format("kind-{}", n % 3);
  job.key = fmt::format("order-{:08}", n);
  job.content_hash = "0123456789abcdef0123456789abcdef";
  job.submitted = submitted_at(n);
  job.body.assign(200, 'b');
  return job;
}

void fill(front::Ledger& ledger) {
  std::mt19937_64 random(1);
  std::lognormal_distribution<double> took_ms(3, 1.5);
  std::vector<std::pair<std::int64_t, std::int64_t>> live;  // id, n
  std::int64_t seq = 0;
  for (std::int64_t n = 0; n < jobs;) {
    std::vector<front::Entry> batch;
    for (const auto& [id, of] : live) {
      front::JobEnd end;
      end.seq = ++seq;
      end.job = JobId(id);
      end.state = of % 100 == 50 ? front::EndState::failed : front::EndState::done;
      if (end.state == front::EndState::failed) {
        end.code = "E_STAGE";
        end.message = "the picture is not one";
      }
      end.attempts = 1;
      end.took = Duration(static_cast<std::int64_t>(took_ms(random) * 1e6));
      end.at = submitted_at(of) + end.took;
      end.timeline.assign(96, 't');
      end.result.assign(40, 'r');
      batch.emplace_back(std::move(end));
    }
    live.clear();
    for (const std::int64_t until = n + per_commit; n < until; ++n) {
      live.emplace_back(++seq, n);
      batch.emplace_back(job(seq, n));
    }
    TM_CHECK(ledger.commit(batch, {}));
  }
}

double thread_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
}

// One page, so many times: by the clock, and of the processor, which is the steadier figure on a
// machine that others use too.
void read_pages(front::LedgerReader& reader, const JobsQuery& query, const std::string& name,
                int times) {
  std::vector<double> wall, cpu;
  for (int i = 0; i < times; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const double worked = thread_ms();
    const auto page = reader.jobs(query);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    TM_CHECK(page.has_value());
    wall.push_back(took.count());
    cpu.push_back(thread_ms() - worked);
  }
  print(name, "ms", wall);
  print(name + ", p99", "ms", {quantile(wall, 0.99)});
  print(name + ", processor time", "ms", cpu);
}

void measure(front::LedgerReader& reader, const std::string& name, JobsQuery query, int times) {
  query.limit = limits::jobs_page;
  read_pages(reader, query, name + ", first page", times);
  int pages = 1;
  std::string deep;
  for (; pages < pages_deep; ++pages) {
    const auto page = reader.jobs(query);
    TM_CHECK(page.has_value());
    if (page->next.empty()) break;
    deep = query.cursor = page->next;
  }
  if (deep.empty()) return;
  read_pages(reader, query, fmt::format("{}, page {}", name, pages), times);
}

}  // namespace
}  // namespace tallymill::bench

int main(int argc, char** argv) {
  using namespace tallymill;
  using namespace tallymill::bench;
  const struct {
    const char* name;
    JobsQuery query;
  } queries[] = {
      {"newest", {}},
      {"oldest", {.sort = JobsSort::oldest}},
      {"ended", {.sort = JobsSort::ended}},
      {"slowest", {.sort = JobsSort::slowest}},
      {"failed", {.state = "failed"}},
      {"live", {.state = "live"}},
      {"kind", {.kinds = {{"kind-1"}}}},
      {"client", {.client = "client-1"}},
      {"rare_client", {.client = "rare-client"}},
      {"rare_kind", {.kinds = {{"rare-kind"}}, .sort = JobsSort::ended}},
      {"no_client", {.client = "nobody"}},
      {"since", {.since = submitted_at(jobs - 1000)}},
      {"since_slowest", {.since = submitted_at(jobs / 2), .sort = JobsSort::slowest}},
      {"id", {.text = "4711"}},
      {"key", {.text = "order-0050"}},
      {"no_text", {.text = "nothing"}},
      {"no_text_slowest", {.text = "nothing", .sort = JobsSort::slowest}},
  };
  About about{.name = "jobs", .parts = {}, .rounds = 5};
  for (const auto& each : queries) about.parts.emplace_back(each.name);
  const Asked wanted = asked(about, argc, argv);
  const Folder folder;
  front::LedgerOptions options;
  options.folder = folder.path();
  auto opened = front::open_sqlite_ledger(options);
  TM_CHECK(opened);
  fill(*opened->ledger);
  auto reader = opened->ledger->reader();
  TM_CHECK(reader);
  for (const auto& each : queries)
    if (wanted.wants(each.name)) measure(**reader, each.name, each.query, wanted.rounds * readings);
}
