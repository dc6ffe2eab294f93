// World: one seed: the front, its store, the workers, the clients, and the faults between them.
//
// Threads: one.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/clients.h"
#include "tests/sim/coverage.h"
#include "tests/sim/events.h"
#include "tests/sim/laws.h"
#include "tests/sim/model.h"
#include "tests/sim/shell.h"
#include "tests/sim/store.h"
#include "tests/sim/worker.h"

namespace tallymill::sim {

class World {
 public:
  World(std::uint64_t seed, Coverage& coverage);

  struct Report {
    std::uint64_t hash = 0;
    std::uint64_t events = 0;
    Duration virtual_time{};
    std::int64_t jobs = 0;
  };
  // Plays the seed to its end. Throws Broken.
  Report run();

  [[nodiscard]] Instant now() const { return events.now(); }
  [[nodiscard]] WallTime wall() const {
    return wall_from_ns(to_ns(events.now()) + wall_offset_.count());
  }
  [[nodiscard]] Worker& worker(int index) { return *workers_.at(static_cast<std::size_t>(index)); }
  [[nodiscard]] const std::vector<std::unique_ptr<Worker>>& workers() const { return workers_; }
  // Its supervisor starts another in its place.
  void restart_slot(int slot, int stage);
  // How often the content was run to an error: what the job itself remembers of the world.
  int& failures(std::uint64_t content) { return failures_[content]; }
  void front_ended();

  Events events;
  Profile profile;
  Coverage& coverage;
  Store store;
  Laws laws;
  Shell shell;
  Clients clients;

 private:
  void plan_faults();
  void one_fault();
  void heal();
  [[nodiscard]] bool at_rest() const;
  void collect_blobs();

  std::vector<std::unique_ptr<Worker>> workers_;
  std::map<std::uint64_t, int> failures_;
  Duration wall_offset_{1'700'000'000'000'000'000};
  bool healing_ = false;
};

}  // namespace tallymill::sim
