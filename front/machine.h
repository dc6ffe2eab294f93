// Machine: the life of every job, as a pure function of events and time.
//
// It holds admission, the waiting jobs, the leases, and what a commit is outstanding for; it owns
// no socket, no disk and no clock. Each call is one event; what must happen in the world because of
// it is appended to effects() in order, and the shell around it (front.h) carries that out. The
// simulator (tests/sim) drives this very code with a faulty network, store and clock, and checks
// the laws after each event.
//
//   committing -> ready | scheduled -> leased -> settling -> gone
//        (the commit)       ^  ^         |  |       (the commit)
//                    backoff+  +---------+  cancel, deadline: leased, but stopping
//
// Bodies are never here: an index entry per live job, of at most 200 bytes with its node.
//
//   invariant: accepted = done + failed + cancelled + expired + waiting + in flight + settling,
//              each term counted where it happens, none from the others
//   invariant: a job is dispatched only after the commit that holds it, never after its cancel or
//              its deadline was queued, and with a token that no worker ever had
//   invariant: a place taken is given back exactly once
//
// Threads: the front's loop.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/limits.h"
#include "base/result.h"
#include "base/units.h"
#include "bus/held.h"
#include "bus/messages.h"
#include "front/keep.h"
#include "front/ledger.h"
#include "front/pool.h"
#include "front/waiting.h"

namespace tallymill::front {

using bus::Held;
using bus::Token;

// Whom to answer: the shell's own handle, opaque here. 0: nobody.
using ReplyTo = std::uint64_t;

// A kind of job as the machine knows it.
struct Kind {
  std::string name;
  std::vector<StageId> route;
  std::int32_t retries = 3;  // after the first attempt
  Duration backoff_base = std::chrono::seconds(1);
  Duration backoff_cap = std::chrono::seconds(60);
  Duration stall = std::chrono::seconds(60);
};

struct Submission {
  ReplyTo reply_to = 0;
  std::string_view client;
  KindId kind = 0;
  std::int32_t priority = 4;
  Bytes size{};
  std::optional<Instant> deadline;
  std::optional<Instant> not_before;
  Instant intake;  // first reading of the clock for it
};

// When a job passed each point at the front. A part of its time is the difference of two.
struct FrontStamps {
  Instant intake;      // the message was read
  Instant queued;      // given to the committer
  Instant accepted;    // the commit's end was seen
  Instant ready;       // of this attempt: began to wait for a place
  Instant dispatched;  // of this attempt
  Instant returned;    // of this attempt: its result, or its loss, was seen
};

// ---- effects ----

struct Append {  // give the body in hand to the committer under this id
  JobId job;
  Instant queued;
};
struct Settle {  // give the end to the committer
  std::int64_t seq = 0;
  JobId job;
  EndState state = EndState::done;
  std::optional<Error> error;
  bool with_result = false;  // the body of the Done in hand is the result
  std::int32_t attempts = 0;
  FrontStamps stamps;
  WorkerId worker = no_worker;  // of the last attempt
  Token token{};
  double keep_weight = 0;  // JobEnd::keep_weight
};
struct Remark {  // give a note to the committer
  std::int64_t seq = 0;
  JobId job;
  Note::What what = Note::What::charged;
  std::int32_t charges = 0;
  std::int32_t failures = 0;
  std::optional<Instant> due;
  bool with_attempt = false;  // the attempt's stamps and outcome belong into its data
  FrontStamps stamps;
  Token token{};
  WorkerId worker = no_worker;
  std::string_view outcome;  // of the attempt: lost, failed
};
struct Accept {
  ReplyTo reply_to = 0;
  JobId job;
  bool known = false;
  std::optional<EndState> end;
};
struct Refuse {
  ReplyTo reply_to = 0;
  JobId job;
  Error error;
};
struct Cancelled {  // the answer to a cancel: "cancelled" or "cancelling"
  ReplyTo reply_to = 0;
  JobId job;
  std::string_view state;
};
struct Dispatch {
  Token token{};
  KindId kind = 0;
  std::array<WorkerId, limits::route_hops> workers{};
  std::int32_t hops = 0;
  std::optional<Instant> deadline;
  Bytes size{};
};
enum class Word : std::uint8_t { keep, settled, void_, cancel, expire };
struct TellWorker {
  WorkerId worker = no_worker;
  Token token{};
  Word word = Word::keep;
};
struct Announce {  // the end is on disk: tell those who watch
  std::int64_t seq = 0;
  JobId job;
  ClientId client = 0;
  KindId kind = 0;
  EndState state = EndState::done;
  Duration attempt_gap{};  // between acceptance and the last attempt's begin of waiting
  FrontStamps stamps;
};
struct CloseLane {  // LINGER 0, never reused
  WorkerId worker = no_worker;
  std::string_view reason;
};
struct Rebind {  // this living worker's lane is closed: it must bind another
  WorkerId worker = no_worker;
};
struct LinkNews {  // for the operator: what `from` hands on does not reach `to`, or does again
  WorkerId from = no_worker;
  WorkerId to = no_worker;
  bool reached = false;
};
struct Drained {};  // nothing is leased and nothing waits for a commit

using Effect = std::variant<Append, Settle, Remark, Accept, Refuse, Cancelled, Dispatch, TellWorker,
                            Announce, CloseLane, Rebind, LinkNews, Drained>;

// ---- what is seen of it ----

struct LaneCount {
  std::int64_t sent = 0;
  std::int64_t received = 0;
  std::int64_t in_flight = 0;
  std::int64_t lost_closed = 0;  // the lane was closed with jobs in it
  std::int64_t lost_dead = 0;    // the process at one of its ends died
  [[nodiscard]] bool balanced() const {
    return sent == received + in_flight + lost_closed + lost_dead;
  }
  LaneCount& operator+=(const LaneCount& o) {
    sent += o.sent;
    received += o.received;
    in_flight += o.in_flight;
    lost_closed += o.lost_closed;
    lost_dead += o.lost_dead;
    return *this;
  }
};

struct Snapshot {
  std::int64_t epoch = 0;
  std::int64_t seq = 0;
  Totals totals;
  Waiting::Counts waiting;
  std::int64_t in_flight = 0;
  std::int64_t settling = 0;
  std::int64_t broken_links = 0;
  bool replaying = false;  // jobs of the ledger are still coming: the law cannot be judged yet
  struct Lane {
    WorkerId from = no_worker;  // no_worker: the front
    WorkerId to = no_worker;    // no_worker: all lanes to `stage` with a dead end
    StageId stage = 0;
    LaneCount count;
  };
  std::vector<Lane> lanes;
  [[nodiscard]] bool jobs_balanced() const;
  [[nodiscard]] bool balanced() const;
};

// Counters that only rise; the probe exports them.
struct MachineCounts {
  std::int64_t dispatched = 0;
  std::int64_t redelivered = 0;  // dispatched again after a lapse
  std::int64_t lapsed = 0;
  std::int64_t charged = 0;
  std::int64_t retried = 0;
  std::int64_t fenced = 0;            // results with another token, dropped
  std::int64_t dropped_stopping = 0;  // results after a cancel or a deadline was queued, dropped
  std::int64_t adopted = 0;
  std::int64_t handed_back = 0;
  std::int64_t refused_busy = 0;
};

struct Admission {
  std::int64_t max_jobs = limits::waiting_jobs;
  Bytes max_bytes = limits::waiting_bytes;
  std::int64_t max_per_client = limits::jobs_per_client;
};

// The end of an attempt as its last worker told it.
struct Finished {
  Token token;
  WorkerId worker = no_worker;
  enum class Outcome : std::uint8_t { ok, error, stopped } outcome = Outcome::ok;
  bool retry = false;
  std::optional<Error> error;
  std::span<const Duration> service;  // of each hop it passed, in order of the route
};

class Machine {
 public:
  struct Options {
    std::int64_t epoch = 0;
    std::int64_t head = 0;  // the highest sequence number ever used
    Totals totals;
    Admission admission;
    std::uint64_t seed = 1;  // of the backoff's jitter, and of which waterfalls are kept
    Instant started;
  };
  explicit Machine(Options options);

  // Before anything else. The same name twice is a bug.
  StageId add_stage(std::string name);
  KindId add_kind(Kind kind);
  // The kind of this name is served in another way from now on. Attempts that are under way end on
  // the route that they took; a job that waits takes the new one. Cost: O(live jobs) for a new
  // route.
  void set_kind(KindId id, Kind kind);
  [[nodiscard]] std::optional<StageId> stage_named(std::string_view name) const;
  [[nodiscard]] std::optional<KindId> kind_named(std::string_view name) const;
  [[nodiscard]] const Kind& kind(KindId id) const { return kinds_[id]; }
  [[nodiscard]] const std::string& stage(StageId id) const { return stages_[id]; }
  [[nodiscard]] std::size_t clients() const { return client_ids_.size(); }
  [[nodiscard]] std::size_t stages() const { return stages_.size(); }
  [[nodiscard]] std::size_t kinds() const { return kinds_.size(); }
  // Small numbers for names of clients. A name has its own for as long as it has live jobs or is
  // held. REQUIRES: let go as often as it was held.
  ClientId hold_client(std::string_view name);
  void let_client_go(ClientId client);
  [[nodiscard]] bool has_room_for_client(std::string_view name) const {
    return client_ids_.size() < limits::clients || client_ids_.contains(std::string(name));
  }
  [[nodiscard]] ClientId client_of(JobId job) const { return jobs_.at(job.raw()).client; }
  // The name that this number has, or had until the event at work.
  [[nodiscard]] const std::string& client_name(ClientId client) const {
    return clients_[client].name;
  }
  [[nodiscard]] KindId kind_of(JobId job) const { return jobs_.at(job.raw()).kind; }
  // Whether jobs of the ledger are still to come.
  [[nodiscard]] bool replaying() const { return replaying_; }
  [[nodiscard]] bool is_live(JobId job) const { return jobs_.contains(job.raw()); }

  // A live job of the ledger; the Instants already rebased on this boot's clock. A kind that is not
  // configured any more: the job stays waiting until it is.
  struct Replayed {
    LiveJob job;
    std::optional<Instant> deadline;
    std::optional<Instant> not_before;
  };
  void replay(std::span<const Replayed> jobs);
  void replay_finished(Instant now);

  // Admission: Append, or Refuse (busy, deadline, disk).
  void submit(const Submission& submission, Instant now);
  // The committer stored (or refused) the entry with this number. In order of numbers.
  void committed(std::int64_t seq, const Outcome& outcome, Instant now);
  // The committer could not store this NewJob: the disk is full.
  void not_committed(std::int64_t seq, const Error& error, Instant now);
  void cancel(ReplyTo reply_to, JobId job, Instant now);

  // A worker said hello: for the first time, after a reconnect, or with another lane.
  Result<WorkerId> hello(const WorkerInfo& info, std::span<const Held> held, Instant now);
  void lane_up(WorkerId worker, Instant now);
  void lane_broke(WorkerId worker, Instant now);
  // The process is known to be dead; `how`: its signal and last words.
  void died(WorkerId worker, const std::string& how, Instant now);
  void leaving(WorkerId worker) { pool_.at(worker).leaving = true; }
  void beat(WorkerId worker, std::span<const Held> held, double busy_ratio, std::int64_t missing,
            Instant now);
  enum class Point : std::uint8_t { received, started, finished, back };
  void hop(WorkerId worker, const Token& token, Point point, Instant now);
  void done(const Finished& finished, Instant now);
  // The stored body of a job that was leased cannot be read, so it was never sent: it ends as
  // failed, for another attempt would read the same.
  // The lease holds while the job's body is read back: no worker can list it yet.
  void reading(const Token& token, Instant now);
  [[nodiscard]] bool is_leased(const Token& token) const;
  void not_sent(const Token& token, Instant now);
  void unreadable(const Token& token, Error error, Instant now);

  // Judges leases, deadlines, due times. REQUIRES: the control sockets were drained in this turn.
  void tick(Instant now);
  // Sends what can be sent. Once per turn, last.
  void dispatch(Instant now);
  // No submit is taken and nothing is sent from now on; Drained when nothing is out any more.
  void drain(Instant now);

  void set_disk_low(bool low) { disk_low_ = low; }

  [[nodiscard]] std::vector<Effect>& effects() { return effects_; }
  // When tick() has something to do next.
  [[nodiscard]] Instant next_due() const;

  [[nodiscard]] Snapshot snapshot() const;
  [[nodiscard]] const MachineCounts& counts() const { return counts_; }
  [[nodiscard]] const Pool& pool() const { return pool_; }
  [[nodiscard]] std::int64_t head() const { return head_; }
  // "waiting", "in_flight", "settling"; empty: not live (or not announced yet).
  [[nodiscard]] std::string_view live_state(JobId job) const;
  [[nodiscard]] std::int64_t live_jobs() const { return static_cast<std::int64_t>(jobs_.size()); }
  [[nodiscard]] Bytes live_bytes() const { return live_bytes_; }
  [[nodiscard]] std::int32_t attempts(JobId job) const;
  // The job's state as the machine has it, for tests; nothing when it is not live.
  enum class State : std::uint8_t {
    committing,
    held,
    ready,
    alone,
    backoff,
    scheduled,
    leased,
    settling
  };
  [[nodiscard]] std::optional<State> state(JobId job) const;
  // The places taken are those of the leases, the queues hold what they should: for tests; O(jobs).
  void check_invariants() const;

 private:
  struct JobEntry {
    Instant intake, queued, accepted, ready;
    Instant deadline = Instant::max();
    Instant due{};
    Bytes size{};
    ClientId client = 0;
    std::int32_t attempt = 0;  // rises with each; after a restart, from what is known of it
    KindId kind = 0;
    State state = State::committing;
    std::uint8_t priority = 4;
    std::uint16_t failures = 0;
    std::uint8_t charges = 0;
    std::uint8_t free_losses = 0;
    bool cancel_requested = false;
    bool deadline_passed = false;
    bool lost_once = false;
  };
  // With its key, the hash table's link and the allocator's rounding below 200 bytes.
  static_assert(sizeof(JobEntry) <= 128);
  struct LeaseHop {
    Taken place;
    std::int32_t lane = 0;  // of the worker, when the place was taken
    bool sent = false;
    bool received = false;
    bool freed = false;
  };
  struct Lease {
    Token token;
    std::array<LeaseHop, limits::route_hops> hops;
    std::int32_t n = 0;
    std::int32_t at = 0;  // the furthest hop that is known to be reached
    RouteId route = 0;
    std::int32_t route_at = 0;  // of an adopted one: where in the route that is
    Instant dispatched;
    Instant listed;                     // last time that a worker listed it
    Instant stopping = Instant::max();  // since when it should stop
    bool started = false;
    bool link_broke = false;
    std::int32_t finished_beats = 0;  // beats that listed it as finished while no result came
  };
  // What waits for a commit, by sequence number.
  struct Pending {
    enum class What : std::uint8_t { append, settle, note } what = What::append;
    JobId job;
    ReplyTo reply_to = 0;
    EndState state = EndState::done;
    WorkerId worker = no_worker;  // to be told "settled"
    Token token{};
    Word word = Word::settled;
    FrontStamps stamps;
    Duration gap{};
    bool tell = false;
  };
  struct Client {
    std::string name;
    std::int64_t live = 0;  // jobs
    std::int64_t held = 0;  // times
  };
  struct LaneTotals {
    LaneCount count;
    StageId stage = 0;
  };
  using LaneKey = std::pair<WorkerId, WorkerId>;  // from, to; of the dead: stage, no_worker

  // admission
  [[nodiscard]] std::optional<Error> refusal(const Submission& submission, Instant now) const;
  void forget(JobId job);
  // waiting
  // `why`: what it waits for again, for the error of one that may not.
  void wait(JobId id, JobEntry& job, Instant now, const std::string& why = {});
  void unwait(JobId id, const JobEntry& job);
  [[nodiscard]] ClientId client_named(std::string_view name);
  void forget_idle(ClientId client);
  [[nodiscard]] RouteId route_along(const std::vector<StageId>& stages);
  [[nodiscard]] Waiting::Ready ready_place(JobId id, const JobEntry& job) const;
  void send(JobId id, JobEntry& job, std::span<const Taken> places, Instant now);
  [[nodiscard]] bool try_send(JobId id, Instant now);
  // leases
  void listed(WorkerId worker, const Held& held, Instant now);
  void claim(WorkerId worker, const Held& held, Instant now);
  void adopt(WorkerId worker, const Held& held, JobId id, JobEntry& job, Instant now);
  [[nodiscard]] bool move_on(Lease& lease, WorkerId worker, const JobEntry& job, Instant now);
  [[nodiscard]] int hop_at(const Lease& lease, WorkerId worker) const;
  void reach(Lease& lease, int hop, bool received, Instant now);
  void leave_hop(Lease& lease, int hop);
  enum class Loss : std::uint8_t { handed_back, free, charged };
  void end_lease(JobId id, Lease& lease, std::optional<Loss> loss = {});
  void lose(JobId id, Loss loss, const std::string& why, Instant now);
  [[nodiscard]] static Error worker_lost(const std::string& why);
  void lapse(JobId id, Instant now);
  [[nodiscard]] bool must_have_got(const Lease& lease, WorkerId worker) const;
  void close_lane(WorkerId worker, std::string_view reason);
  void refused(const Lease& lease, int hop, Instant now);
  void reached(const Lease& lease, int hop, Instant now);
  void bury(WorkerId worker);
  static void hurry(Lease& lease, Instant now);
  [[nodiscard]] bool on_its_way_from(const Lease& lease, WorkerId worker) const;
  [[nodiscard]] LaneKey lane_key(const Lease& lease, int hop) const;
  [[nodiscard]] bool holds(const Lease& lease, WorkerId worker) const;
  LaneTotals& lane(const Lease& lease, int hop);
  // settlement
  // `lease`: of the attempt that ends with the job, if it had one.
  void settle(JobId id, JobEntry& job, EndState state, std::optional<Error> error, bool with_result,
              Instant now, ReplyTo reply_to = 0, const Lease* lease = nullptr);
  void retry(JobId id, JobEntry& job, const Finished& finished, const Lease& lease, Instant now);
  void remark(JobId id, JobEntry& job, Note::What what, std::string_view outcome, Instant now,
              const Lease* lease);
  void cancel_again(ReplyTo reply_to, JobId id);
  void stop(JobId id, JobEntry& job, Note::What why, ReplyTo reply_to, Instant now);
  [[nodiscard]] FrontStamps stamps(const JobEntry& job, const Lease* lease, Instant now) const;
  void check_drained();

  template <class E>
  void emit(E&& effect) {
    effects_.emplace_back(std::forward<E>(effect));
  }

  std::int64_t epoch_;
  std::int64_t head_;
  Totals totals_;
  Admission admission_;
  std::mt19937_64 jitter_;
  Keep keep_;
  Instant recovered_at_;  // when held jobs may be dispatched
  Instant last_tick_;
  bool replaying_ = true;
  bool draining_ = false;
  bool disk_low_ = false;

  std::vector<std::string> stages_;
  std::vector<Kind> kinds_;
  std::vector<RouteId> route_of_kind_;
  std::vector<std::vector<StageId>> routes_;
  std::vector<Client> clients_;  // by ClientId
  std::vector<ClientId> free_clients_;
  std::unordered_map<std::string, ClientId> client_ids_;

  std::unordered_map<std::int64_t, JobEntry> jobs_;
  std::unordered_map<std::int64_t, Lease> leases_;
  // By job, whose cancel is not on disk yet: those who asked for it again.
  std::unordered_map<std::int64_t, std::vector<ReplyTo>> cancels_;
  std::unordered_map<std::int64_t, Pending> pending_;
  std::int64_t settling_ = 0;  // ends among pending_ of jobs that were accepted
  std::set<Waiting::Due> deadlines_;
  Bytes live_bytes_{};
  Waiting waiting_;
  Pool pool_;
  std::map<LaneKey, LaneTotals> lanes_;
  MachineCounts counts_;
  std::vector<Effect> effects_;
  std::vector<Taken> taken_;
};

}  // namespace tallymill::front
