// Clients: those who submit, ask again with the same key, cancel, and keep a log of what they were
// told.
//
// Threads: one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/events.h"
#include "tests/sim/model.h"

namespace tallymill::sim {

class World;

[[nodiscard]] Plan plan_of(std::uint64_t content, const Faults& faults);

class Clients {
 public:
  explicit Clients(World& world) : world_(world) {}

  void start();
  void on_answer(const Answer& answer, int intent);
  // No new submits, only what was begun.
  void stop() { stopped_ = true; }
  [[nodiscard]] bool done() const;

 private:
  struct Intent {
    Request request;
    bool settled = false;  // answered for good, or given up
    int tries = 0;
    JobId job{};
    std::uint64_t waiting_for = 0;  // the reply of the last try
  };
  void submit(int intent);
  void cancel(int intent);

  World& world_;
  std::vector<Intent> intents_;
  std::uint64_t next_reply_ = 0;
  bool stopped_ = false;
};

}  // namespace tallymill::sim
