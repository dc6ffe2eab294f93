// StageDoor: the workers. Their control socket, their lanes, and the messages to them.
//
// Each worker incarnation has one slot, numbered as in the machine's pool: its lane (a PUSH socket
// of its own), the jobs of this turn on their way into it, and what it is to be told. What comes
// from workers is decoded here and given to the machine as events.
//
// Threads: the front's loop.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>
#include <zmq.hpp>

#include "base/schema.h"
#include "bus/envelope.h"
#include "bus/frames.h"
#include "bus/lane.h"
#include "bus/loop.h"
#include "front/body.h"
#include "front/machine.h"

namespace tallymill::front {

struct WorkerFacts {
  std::string incarnation;
  std::string stage;
  std::string host;
  std::string boot;
  std::string pids;
  std::string endpoint;
  std::int64_t pid = 0;
  std::vector<std::string> kinds;
};

class StageDoor {
 public:
  struct Place {
    std::string boot;     // of this host
    std::string pids;     // its pid namespace
    std::string run_dir;  // where a supervisor leaves the last words of dead workers
    std::string blobs;    // folder of the blob store
    std::string store;    // its id
    std::string jobs;     // the jobs door, as it was bound
    std::int64_t epoch = 0;
    bool insecure = false;
  };
  // `announced`: a worker serves these kinds; before its hello reaches the machine.
  using Announced = std::function<void(std::vector<KindSpec>&&)>;
  // `live`: progress and previews.
  using Live = std::function<void(const bus::Live&, const bus::Item&)>;
  // `done`: a result that was asked for again; it comes on the control socket.
  using Done = std::function<void(const bus::Item&)>;

  StageDoor(zmq::context_t& context, bus::Loop& loop, zmq::socket_t& control, Machine& machine,
            Place place, Announced announced, Live live, Done done);

  // Reads at most limits::messages_per_turn messages of the control socket; false when it was
  // empty.
  bool read_control();

  // What the machine decided.
  // too_big: what is sent with the job does not fit a message; corrupt: its body. Nothing was sent.
  [[nodiscard]] Status dispatch(const Dispatch& dispatch, const Body& body);
  void tell(const TellWorker& tell);
  void rebind(WorkerId worker);
  void close_lane(WorkerId worker);
  // To the operator, in the log.
  void say(const LinkNews& news) const;

  // Send what the turn gathered: lanes and jobs; what was decided of the workers' tokens.
  void flush_jobs();
  void flush_verdicts();
  // Looks after workers whose lane broke: a dead process is reported as such, with its last words.
  void look_after_suspects();

  [[nodiscard]] const WorkerFacts* facts(WorkerId worker) const;
  [[nodiscard]] nlohmann::json workers_json() const;
  [[nodiscard]] std::int64_t refused() const { return refused_; }

 private:
  struct Slot {
    WorkerFacts facts;
    bus::Route route;
    std::unique_ptr<bus::Lane> lane;
    bus::Packer jobs;
    std::vector<bus::Verdict> verdicts;
    bool rebind = false;
    std::int64_t beat_ns = 0;  // to be echoed
    Instant beat_at;
    Instant suspect_since = Instant::max();
    bool dirty = false;
  };

  void on_item(const bus::Route& from, const bus::Item& item);
  void on_hello(const bus::Route& from, const bus::Item& item);
  void on_beat(const bus::Route& from, const bus::Item& item);
  void on_hop(const bus::Item& item);
  void welcome(const bus::Route& to);
  void open_lane(WorkerId worker);
  void drop_lane(WorkerId worker);
  void on_lane(WorkerId worker);
  void broke(WorkerId worker);
  void send_jobs(WorkerId worker);
  void send_lanes();
  void reply(const bus::Route& to, bus::Packer& packer);
  Slot& slot(WorkerId worker);

  zmq::context_t& context_;
  bus::Loop& loop_;
  zmq::socket_t& control_;
  Machine& machine_;
  const Place place_;
  const Announced announced_;
  const Live live_;
  const Done done_;
  std::vector<Slot> slots_;  // by WorkerId
  std::vector<WorkerId> dirty_;
  std::set<WorkerId> suspects_;
  bool lanes_changed_ = false;
  bus::Route from_;
  bus::Frames frames_;
  bus::Work work_;
  bus::Submit submit_;
  std::int64_t refused_ = 0;
};

}  // namespace tallymill::front
