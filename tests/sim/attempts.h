// Attempts: what the front was told of every attempt that is under way, kept apart from the front.
//
// From it follow the laws of charges and places (design: an attempt lost counts against its job
// only when it had started; a broken link, a hand-over back and a death that another job is to
// blame for count against nobody; a worker holds no more than it offers). It hears what the machine
// hears, in the same order, and knows nothing of what the machine makes of it.
//
// A broken law throws Broken.
//
// Threads: one.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>

#include "front/machine.h"
#include "tests/sim/events.h"
#include "tests/sim/model.h"

namespace tallymill::sim {

// A simulated worker, as an attempt's hop names it.
struct HopAt {
  int worker = -1;
  int stage = 0;
  int places = 0;
};

class Attempts {
 public:
  void front_started();

  // A job goes to `first`; `next` is its second hop, if its route has one.
  void sent(const front::Dispatch& dispatch, const HopAt& first, int next, Instant now);
  // A worker listed the token, or said that the attempt got there. Only of leased jobs' present
  // ones.
  void heard(const Token& token, const HopAt& at, bool started, bool listed, Bytes size,
             Instant now);
  // Its hop is done, and it is on its way to the next one.
  void handed_on(const Token& token, int stage);
  void over(std::int64_t job) { all_.erase(job); }
  void link_broke(int worker);

  // Around the call that tells the front of a death.
  void dying(int worker);
  void died() { death_.reset(); }

  // An attempt was lost and noted; `charged`: it counts against its job, which may have charges
  // left (`chargeable`).
  void lost(const Token& token, bool charged, bool chargeable);

 private:
  struct Attempt {
    Token token;
    Instant since;
    int worker = -1;  // that has it, or that it is on its way to
    int stage = 0;
    int next = -1;
    Bytes size{};
    bool there = true;  // takes a place: not on its way from another worker
    bool started = false;
    bool link_broke = false;
  };
  struct Death {
    bool any_started = false;
    std::int64_t first = 0;  // dispatched
  };
  [[nodiscard]] Attempt* find(const Token& token);

  std::map<std::int64_t, Attempt> all_;
  std::map<std::int64_t, int> free_losses_;  // this front remembers them until it ends
  std::optional<Death> death_;
};

}  // namespace tallymill::sim
