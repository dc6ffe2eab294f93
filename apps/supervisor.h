// Supervisor: keeps a front, its stages' workers and a collector running as one tree of processes.
//
// A child that dies is started again after a random delay within a bound that doubles while it
// keeps dying young (full jitter), so that a crash loop costs little and is said aloud. Before the
// restart its last words are left in run_dir/deaths/PID.json, where the front reads why a worker
// was lost. What no restart would mend (a usage error, a port in use) ends the whole tree with that
// exit code, for as long as the child has not shown that it can run: by having lived a while, or by
// a byte to the descriptor that TALLYMILL_READY_FD names. A front whose disk fails a moment after
// its start ends with the code of a port in use, and that one word tells the two apart.
//
//   running --SIGTERM--> front told, drains --front gone--> stages told --stages gone--> collector
//   told --all gone--> exit 0
//   a second SIGTERM, in any state: all are killed, exit 130
//
//   invariant: whatever becomes of the collector, the others go on
//   invariant: no child outlives this process (PR_SET_PDEATHSIG), however that ends
//   invariant: at most one process per child at any time; a death is written before a restart
//
// Threads: one; it forks, so the program must have no other.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "apps/log_keeper.h"
#include "base/clock.h"
#include "base/log.h"

namespace tallymill::apps {

struct ChildSpec {
  enum class Role : std::uint8_t {
    stage,
    front,      // drained first, and the stages only after it
    collector,  // goes last; one that cannot run ends nobody
  };
  std::string name;  // "front", "compute-1"
  Role role = Role::stage;
  std::vector<std::string> argv;  // argv[0] is the program's path
};

struct SupervisorOptions {
  std::string run_dir;                             // exists
  std::map<std::string, std::string> environment;  // added to what children inherit
  // What children say is shown in this; they write JSON, of which no field is lost. With console
  // "compute-1 | " stands before it.
  log::Format format = log::Format::console;
  std::string log_folder;  // where all of it is kept; empty: nowhere

  Duration backoff_base = std::chrono::milliseconds(50);
  Duration backoff_cap = std::chrono::seconds(3);
  // Of a collector: nobody waits for it.
  Duration collector_backoff_cap = std::chrono::seconds(30);
  // A child that lived this long is not in a crash loop.
  Duration healthy_after = std::chrono::seconds(3);
  // How long the front may drain, and stages may take to end after it, before they are killed.
  // Killing loses nothing; it makes work be done again.
  Duration drain_bound = std::chrono::minutes(5);
  Duration stop_bound = std::chrono::seconds(10);
};

class Supervisor {
 public:
  Supervisor(SupervisorOptions options, std::vector<ChildSpec> children);
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // A line of our own, shown and kept.
  void say(log::Level level, std::string_view message);
  // Starts all, returns when all are gone: the exit code of the program.
  int run();

 private:
  enum class Phase : std::uint8_t { running, draining, stopping, killing };
  struct Child {
    ChildSpec spec;
    pid_t pid = -1;   // -1: not running
    int output = -1;  // the read end of its stdout and stderr
    int ready = -1;   // the read end of what it says it is ready by
    Instant started{};
    std::optional<Instant> due;  // when to start it again
    int young_deaths = 0;        // in a row
    bool can_run = false;        // it was ready or lived long enough, once, ever
    std::string last_end;        // "signal 9", "exit 70"; for its successor
    std::string partial;         // a line that has not ended
    std::deque<std::string> last_lines;
  };

  void start(Child& child);
  [[noreturn]] void become(const Child& child, int output, int ready, pid_t parent);
  void start_due();
  void wait_for_event(int signals);
  void read_output(Child& child);
  void take_line(Child& child, std::string text);
  void on_signal(int signal);
  void reap();
  void on_death(Child& child, int status);
  void write_death(const Child& child, pid_t pid, int status);
  void plan_restart(Child& child, const std::string& how);
  void give_up(const Child& child, int code);
  void signal_all(int signal);
  void signal_role(ChildSpec::Role role, int signal);
  void end_collector();
  void enter(Phase phase);
  [[nodiscard]] bool anyone_alive() const;
  [[nodiscard]] Instant next_due() const;

  const SupervisorOptions options_;
  std::vector<Child> children_;
  std::optional<LogKeeper> keeper_;
  SystemClock clock_;
  std::mt19937_64 random_{std::random_device{}()};
  Phase phase_ = Phase::running;
  Instant phase_ends_ = Instant::max();  // when patience with it is over
  int exit_code_ = 0;
  bool collector_told_ = false;          // to end
  std::deque<std::string> death_files_;  // oldest first; bounded
};

}  // namespace tallymill::apps
