// tallymill_sim: plays seeds against the shipping machine and says which law broke.
#include <unistd.h>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>

#include "tests/sim/world.h"

namespace {

using tallymill::sim::Broken;
using tallymill::sim::Coverage;
using tallymill::sim::World;

struct Flags {
  std::uint64_t seed = 1;
  std::uint64_t count = 1000;
  bool expect_finding = false;  // a mutant: the first finding is the success
  bool twice = false;           // each seed again: its hash must be the same
  bool coverage = false;
  bool log = false;
};

Flags flags;
std::uint64_t playing = 0;

void found(const char* law) {
  std::printf("seed %llu: broken: %s\n  again: tallymill_sim --seed %llu\n",
              static_cast<unsigned long long>(playing), law,
              static_cast<unsigned long long>(playing));
  std::fflush(stdout);
}

// A TM_CHECK of the machine under test.
void on_abort(int) {
  found("an invariant inside the machine (above)");
  _exit(flags.expect_finding ? 0 : 1);
}

bool parse(int argc, char** argv) {
  if (const char* seeds = std::getenv("TALLYMILL_SIM_SEEDS"))
    flags.count = std::strtoull(seeds, nullptr, 10);
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--expect-finding") {
      flags.expect_finding = true;
    } else if (flag == "--twice") {
      flags.twice = true;
    } else if (flag == "--log") {
      flags.log = true;
    } else if (flag == "--coverage") {
      flags.coverage = true;
    } else if (i + 1 < argc && (flag == "--seed" || flag == "--count")) {
      const std::uint64_t value = std::strtoull(argv[++i], nullptr, 10);
      if (flag == "--seed")
        flags.seed = value, flags.count = 1;
      else
        flags.count = value;
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (!parse(argc, argv)) {
    std::fprintf(stderr,
                 "usage: tallymill_sim [--seed N] [--count N, default TALLYMILL_SIM_SEEDS or 1000 "
                 "(1 with --seed)] [--twice] [--coverage] [--log] "
                 "[--expect-finding]\n");
    return 2;
  }
  std::printf("seed %llu, %llu seeds\n", static_cast<unsigned long long>(flags.seed),
              static_cast<unsigned long long>(flags.count));
  std::fflush(stdout);
  std::signal(SIGABRT, on_abort);

  Coverage coverage;
  std::uint64_t hash = 0, events = 0;
  std::int64_t jobs = 0;
  double virtual_hours = 0;
  const std::clock_t begun = std::clock();
  for (playing = flags.seed; playing < flags.seed + flags.count; ++playing) {
    try {
      World world(playing, coverage);
      world.events.set_log(flags.log);
      const auto report = world.run();
      if (flags.twice && World(playing, coverage).run().hash != report.hash)
        throw Broken{"one seed is one run"};
      hash = hash * 31 + report.hash;
      events += report.events;
      jobs += report.jobs;
      virtual_hours += std::chrono::duration<double>(report.virtual_time).count() / 3600;
    } catch (const Broken& broken) {
      found(broken.law.c_str());
      return flags.expect_finding ? 0 : 1;
    }
  }
  const double seconds = static_cast<double>(std::clock() - begun) / CLOCKS_PER_SEC;
  const bool unmet = flags.coverage && coverage.print(stdout, flags.count) > 0;
  std::printf(
      "%llu seeds, hash %016llx: %lld jobs, %llu events, %.1f virtual hours in %.1f s of CPU: "
      "%.0f seeds and %.0f events a second\n",
      static_cast<unsigned long long>(flags.count), static_cast<unsigned long long>(hash),
      static_cast<long long>(jobs), static_cast<unsigned long long>(events), virtual_hours, seconds,
      static_cast<double>(flags.count) / seconds, static_cast<double>(events) / seconds);
  if (flags.expect_finding) {
    std::printf("the planted bug was not found\n");
    return 1;
  }
  return unmet ? 1 : 0;
}
