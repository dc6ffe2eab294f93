// Worker: one simulated worker process: it behaves as bus/messages.h and stages/worker.h say. It
// holds jobs, runs them, hands them on or keeps their results until told, beats, and can be paused,
// killed or drained at any moment.
//
// Threads: one.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "tests/sim/events.h"
#include "tests/sim/model.h"

namespace tallymill::sim {

class World;

class Worker {
 public:
  Worker(World& world, int index, int slot, int stage);

  void start();
  void crash(const std::string& how);
  void pause(bool paused);
  void drain();
  [[nodiscard]] bool alive() const { return alive_; }
  [[nodiscard]] bool paused() const { return paused_; }
  [[nodiscard]] bool empty() const { return desk_.empty(); }
  [[nodiscard]] int index() const { return index_; }
  [[nodiscard]] int slot() const { return slot_; }
  [[nodiscard]] int stage() const { return stage_; }
  [[nodiscard]] int lane() const { return lane_; }
  [[nodiscard]] int places() const { return places_; }

  // Runs `what` in this process: later when it is paused, never when it is dead.
  void run(std::function<void()> what);

  // ---- what arrives ----
  void on_work(const Work& work, int lane);
  void on_word(const Token& token, Word word);
  void on_lanes(const std::vector<Stop>& lanes);
  void on_peer_up(Stop peer);
  void on_peer_broke(Stop peer);
  void on_rebind();
  void on_unknown() { hello(); }
  // Its lane, or a connection to it, broke: it binds the next.
  void on_lane_broke(int lane);
  void on_front_back();

  // Connections, by who made them.
  Channel to_front_control, from_front_control, results, lane_in;
  Instant blocked_until;  // the network between it and the front
  std::map<int, Channel> peers_out;

 private:
  enum class Phase : std::uint8_t { received, started, finished };
  struct Job {
    Work work;
    Phase phase = Phase::received;
    bool stopped = false;  // cancel or deadline: say so
    bool voided = false;
    ResultMsg result;
  };

  void hello();
  void beat();
  void rebind();
  [[nodiscard]] std::vector<Held> held() const;
  void start_next();
  void run_job(const Token& token);
  void finish(const Token& token);
  void stop(const Token& token);
  void hand_on(Job job);
  void end(const Token& token, Finished::Outcome outcome, bool retry);
  void send_result(const ResultMsg& result);
  void say(const Token& token, front::Machine::Point point);
  void forget(const Token& token);
  void leave_if_empty();

  World& world_;
  const int index_;
  const int slot_;
  const int stage_;
  int lane_ = 1;
  int concurrency_ = 1;
  int places_ = 4;
  bool alive_ = true;
  bool paused_ = false;
  bool draining_ = false;
  std::deque<std::function<void()>> deferred_;
  std::map<Token, Job> desk_;
  std::deque<Token> waiting_;
  int running_ = 0;
  std::map<int, int> peers_;  // connected lanes: worker -> lane number
  std::map<int, int> wanted_;
  std::set<std::pair<int, int>> broken_peers_;  // a lane that broke is not used again
};

}  // namespace tallymill::sim
