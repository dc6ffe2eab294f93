// Model: what a simulated job is, what crosses between the simulated processes, and which faults
// one seed plays.
//
// Threads: one.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "front/machine.h"

namespace tallymill::sim {

using bus::Token;
using front::EndState;
using front::Finished;
using front::Held;
using front::Word;

inline constexpr int stages = 2;  // compute, image
inline constexpr int kinds = 3;   // compute; image; compute then image
inline constexpr int retries = 2;
inline constexpr Duration backoff_base = std::chrono::milliseconds(100);
inline constexpr Duration backoff_cap = std::chrono::seconds(1);
inline constexpr Bytes worker_bytes{100'000};  // that each offers

// What a job does follows from its content alone, so that a retry finds the same.
struct Plan {
  int kind = 0;
  int hops = 1;
  std::array<Duration, 2> service{};
  int fail_first = 0;      // attempts that end in an error, and may be tried again
  bool hopeless = false;   // every attempt ends in an error that is not worth a retry
  bool poison = false;     // kills its worker
  bool hangs = false;      // never returns: its worker ends itself after the stall
  bool deaf = false;       // goes on when it is told to stop
  bool has_input = false;  // refers to a blob
  bool has_output = false;
  Bytes size{100};
};

// Which faults a seed plays, drawn at its start: few seeds play all of them.
struct Faults {
  bool resets = false;   // a connection breaks, and both ends see it
  bool blocks = false;   // the network to a worker stands still for a while
  bool repeats = false;  // results and hop events arrive twice
  bool worker_pauses = false;
  bool worker_crashes = false;
  bool worker_drains = false;
  bool front_crashes = false;
  bool front_pauses = false;
  bool front_drains = false;
  bool disk_full = false;
  bool disk_slow = false;
  bool clock_steps = false;
  bool poison = false;
  bool hangs = false;
  bool slow_jobs = false;  // many are longer than a lease
  bool tight = false;      // small admission bounds
};

struct Profile {
  Faults faults;
  int clients = 2;
  int jobs = 100;
  std::array<int, stages> workers{2, 2};
  Duration faulty = std::chrono::seconds(15);
  bool local = true;  // a supervisor tells the front of deaths
};

// One place of a route, as the header of a job names it.
struct Stop {
  int worker = -1;
  int lane = 0;
};

struct Work {
  Token token;
  std::uint64_t content = 0;
  Plan plan;
  int hop = 0;
  std::array<Stop, 2> route{};
  Instant deadline = Instant::max();
};

struct ResultMsg {
  int worker = -1;
  Token token;
  Finished::Outcome outcome = Finished::Outcome::ok;
  bool retry = false;
  std::uint64_t content = 0;
  bool has_output = false;
  std::array<Duration, 2> service{};
};

struct HelloMsg {
  int worker = -1;
  int stage = 0;
  int lane = 1;
  int concurrency = 1;
  int places = 4;
  std::vector<Held> held;
};

// What a client asks of the front.
struct Request {
  std::uint64_t reply_to = 0;  // unique in the run; 0: nobody listens
  int client = 0;
  int intent = -1;
  std::string key;
  std::uint64_t content = 0;
  Plan plan;
  int priority = 4;
  std::optional<WallTime> deadline;
  std::optional<WallTime> not_before;
};

struct Answer {
  std::uint64_t reply_to = 0;
  bool accepted = false;
  bool known = false;
  JobId job{};
  std::optional<EndState> end;
  Errc error = Errc::busy;
};

}  // namespace tallymill::sim
