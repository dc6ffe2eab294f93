// Shell: what stands around the machine in the simulator, in the order of front/front.h: in each
// turn it reads results, control, lanes and clients, then the committer's completions, then ticks,
// then dispatches. It carries out every effect, and asks the laws after each.
//
// Threads: one.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "front/machine.h"
#include "tests/sim/coverage.h"
#include "tests/sim/events.h"
#include "tests/sim/model.h"
#include "tests/sim/store.h"

namespace tallymill::sim {

class World;

class Shell {
 public:
  explicit Shell(World& world) : world_(world) {}

  void start();
  void crash();
  void pause(bool paused);
  void drain();
  [[nodiscard]] bool up() const { return machine_ != nullptr; }
  [[nodiscard]] bool paused() const { return paused_; }
  [[nodiscard]] std::uint32_t life() const { return life_; }
  [[nodiscard]] const front::Machine& machine() const { return *machine_; }

  // ---- what arrives, each at its socket; read in the next turn ----
  void on_result(const ResultMsg& result);
  void on_hello(const HelloMsg& hello);
  void on_beat(int worker, std::vector<Held> held);
  void on_hop(int worker, const Token& token, front::Machine::Point point);
  void on_leaving(int worker);
  void on_lane_up(int worker, int lane);
  void on_lane_broke(int worker, int lane);
  void on_death(int worker, std::string how);
  void on_submit(const Request& request);
  void on_cancel(std::uint64_t reply_to, int client, JobId job);

  void set_disk_low(bool low);

 private:
  struct Lane {
    int number = 0;
    bool open = false;
  };
  using Inbox = std::deque<std::function<void()>>;

  void put(Inbox& inbox, std::function<void()> message);
  void wake(Duration delay);
  void turn();
  void read(Inbox& inbox);
  void tick();
  void replay_some();
  // One call of the machine: then its effects, then the laws.
  void feed(const std::function<void()>& call);
  void perform(front::Effect& effect);
  void answer(const Answer& answer);
  void send_job(const front::Dispatch& dispatch);
  void tell(front::WorkerId id, std::function<void(int worker)> what);
  void announce_lanes();
  void open_lane(int worker, int number);
  void on_committed(Op::What what, std::int64_t seq, JobId job,
                    const std::optional<front::Outcome>& outcome);
  [[nodiscard]] std::optional<front::WorkerId> known(int worker) const;
  [[nodiscard]] int index_of(front::WorkerId id) const { return index_.at(id); }
  // What a client says by the wall clock.
  [[nodiscard]] std::optional<Instant> on_clock(const std::optional<WallTime>& at) const;
  [[nodiscard]] JobState state_of(std::int64_t job) const;
  void hit(std::int64_t job, JobEvent event);
  void hit_times();
  // A worker spoke of an attempt, and the machine has heard it: the laws hear it too.
  void heard(const Token& token, int worker, bool started, bool listed);
  void hit_loss(JobId job, const Token& token);

  World& world_;
  std::unique_ptr<front::Machine> machine_;
  std::uint32_t life_ = 0;
  bool paused_ = false;
  bool draining_ = false;
  bool drained_ = false;
  Instant turn_at_ = Instant::max();
  std::uint64_t turn_number_ = 0;
  Inbox results_, control_, lanes_in_, clients_, completions_;
  std::deque<front::Machine::Replayed> to_replay_;
  std::map<int, Lane> lanes_;
  std::vector<int> index_;  // WorkerId -> simulated worker
  std::map<std::uint64_t, Request> questions_;
  std::map<std::int64_t, Instant> deadlines_, dues_;  // of live jobs, for coverage
  const Request* request_in_hand_ = nullptr;
  const ResultMsg* result_in_hand_ = nullptr;
  std::optional<JobEvent> losing_by_;  // coverage: what the present call would lose jobs by
};

}  // namespace tallymill::sim
