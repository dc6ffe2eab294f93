// Front: the loop that feeds the machine and carries out what it decides.
//
//   jobs socket (ROUTER) --> Desk ----+                    +--> Committer --> ledger
//   control socket (ROUTER) > StageDoor > Machine > effects +--> StageDoor --> lanes, workers
//   results socket (PULL) ------------+                    +--> Desk --> clients
//   committer's mailbox --------------+
//
// A turn of the loop drains each of these into the machine, then judges leases and deadlines, then
// dispatches, then flushes every message that gathered. Disk is the committer's and the errands'
// thread; nothing here blocks.
//
//   invariant: `accepted` and ends leave only from an effect that followed a commit
//   invariant: leases are judged only after the control socket was found empty in the same turn
//
// Threads: run() on one; stop() and drain() from any, also a signal handler's fd callback.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>
#include <zmq.hpp>

#include "base/clock.h"
#include "base/config.h"
#include "base/limits.h"
#include "base/log_budget.h"
#include "base/metrics.h"
#include "base/result.h"
#include "bus/endpoints.h"
#include "bus/envelope.h"
#include "bus/errands.h"
#include "bus/loop.h"
#include "front/bodies.h"
#include "front/body.h"
#include "front/committer.h"
#include "front/desk.h"
#include "front/ledger.h"
#include "front/machine.h"
#include "front/probe.h"
#include "front/stage_door.h"
#include "front/stored_end.h"
#include "store/blobs.h"

namespace tallymill::front {

struct FrontOptions {
  std::vector<std::string> listen{"tcp://127.0.0.1:7750"};
  std::vector<std::string> results{"tcp://127.0.0.1:7751"};
  std::vector<std::string> control{"tcp://127.0.0.1:7752"};
  std::string run_dir;
  std::string data_dir;
  bool insecure = false;
  bool diagnostics = false;  // the kind `synthetic` may be submitted
  Admission admission;
  std::map<std::string, KindPolicy> policies;  // by kind; others have the defaults
  RetainPolicy retain;
  std::int64_t idempotency_keys = limits::idempotency_keys;
  Bytes disk_floor = limits::disk_floor;
  bool copy_ledger = false;  // the last front ended with a failed sync
  Duration measured{};       // how often the copied metrics are renewed; 0: when somebody asks
};

class Front {
 public:
  Front(FrontOptions options, const Clock& clock);
  ~Front();
  Front(const Front&) = delete;
  Front& operator=(const Front&) = delete;

  // Opens ledger and blobs, binds the sockets. busy: a port is taken or another front has the
  // ledger.
  [[nodiscard]] Status open();
  // Until drained or stopped; the exit code.
  [[nodiscard]] int run();
  // Takes no submits any more, finishes what is leased, then run() returns 0.
  void drain();
  // Called on the loop once all that was leased is finished, in place of stop(0): who asks for it
  // stops.
  void on_drained(std::function<void()> call) { on_drained_ = std::move(call); }
  void stop(int exit_code);

  [[nodiscard]] bus::Loop& loop() { return loop_; }
  // From any thread.
  [[nodiscard]] const metrics::Registry& registry() const { return registry_; }
  // Renews the metrics that are copied. REQUIRES: the loop's thread, or that it has ended.
  void measure();
  // For those in this process who speak with it over inproc.
  [[nodiscard]] zmq::context_t& context() { return context_; }

 private:
  // The message or report that is being read: what Append, Settle and Announce effects take their
  // bytes from.
  struct InHand {
    std::string_view header;
    std::string_view params;
    std::span<const zmq::message_t> blobs;
    const bus::Submit* submit = nullptr;
    std::string client;
    std::string kind;
    std::string content_hash;
    Instant intake;
    JobId parent;
    std::vector<std::string> digests;
    const bus::Done* done = nullptr;
    const JobEnd* ended = nullptr;  // of the commit that is reported
    std::int64_t keep_seq = 0;      // of its waterfall; 0: it is not kept
    const NewJob* appended = nullptr;
  };
  struct ReplayPiece {
    std::vector<LiveJob> jobs;
    bool last = false;
    Status status;
  };

  [[nodiscard]] Status bind(std::vector<zmq::socket_t>& sockets, bus::Role role,
                            const std::vector<std::string>& endpoints);
  [[nodiscard]] Status count_connections(zmq::socket_t& door, std::string_view name);
  void read_kinds();
  void write_kinds();
  void stop_broken(std::string_view what, const Error& error);
  void learn(std::vector<KindSpec>&& kinds);
  [[nodiscard]] bool take_kind(KindSpec&& kind);  // whether it was news
  void start_replay();
  void on_replayed();

  // clients
  void on_client();
  void on_item(ConnId conn, const bus::Item& item);
  void on_hello(ConnId conn, const bus::Item& item);
  void on_submit(ConnId conn, const bus::Item& item);
  void take_submit(ConnId conn, ReplyTo reply_to, const bus::Submit& submit,
                   std::string_view header, std::string_view params,
                   std::span<const zmq::message_t> blobs);
  [[nodiscard]] std::optional<Error> submit_refusal(const Conn& from,
                                                    const bus::Submit& submit) const;
  [[nodiscard]] std::optional<Error> disk_refusal(Bytes size) const;
  void refuse_unless_known(ReplyTo reply_to, JobId job, const Error& error);
  void refuse_submit(ReplyTo reply_to, JobId job, const Error& error);
  void spill(ConnId conn, ReplyTo reply_to, const bus::Item& item);
  [[nodiscard]] Result<KindId> kind_of(const bus::Submit& submit, std::string_view params);
  void on_watch(ConnId conn, const bus::Item& item);
  [[nodiscard]] bool may_end(JobId job) const;
  void forget_watches(ConnId conn);
  void replay_ends(ConnId conn);
  void send_replayed(ConnId conn, const EndsQuery& query, std::int64_t until,
                     const Result<EndsPage>& page);
  [[nodiscard]] const StoredEnd& read_or_empty(const JobEnd& end);
  void on_ask(ConnId conn, const bus::Item& item);
  void ask_ledger(ConnId conn, bus::Verb verb, const bus::Ask& ask);
  [[nodiscard]] nlohmann::json status_json(const JobRow& row) const;
  [[nodiscard]] Result<JobsQuery> jobs_query(const bus::Ask& ask) const;
  void list_jobs(ConnId conn, const bus::Ask& ask);
  void list_ends(ConnId conn, const bus::Ask& ask);
  void list_waterfalls(ConnId conn, const bus::Ask& ask);
  void retry_job(ConnId conn, std::int64_t request, JobId job);
  void on_put(ConnId conn, const bus::Item& item);
  void on_get(ConnId conn, const bus::Item& item);
  void reply_json(ConnId conn, std::int64_t request, const nlohmann::json& value);
  void send_result(ConnId conn, std::int64_t request, const JobEnd& end);
  // An end as one watcher is told of it.
  struct Ending {
    const JobEnd& end;
    std::string_view client;
    std::string_view kind;
    const StoredEnd* result = nullptr;  // null: it is told without
    Duration whole{};                   // 0: not known here
  };
  void send_end(ConnId conn, const Ending& ending);
  void tell_accepted(const NewJob& job);
  // Hands `size` bytes to the porters; busy when they have their fill.
  [[nodiscard]] Status carry(Bytes size, bus::Errands::Errand errand);
  [[nodiscard]] bool errand(bus::Errands& who, ConnId conn, std::int64_t request,
                            bus::Errands::Errand errand);

  // workers
  void on_results();
  void on_done(const bus::Item& item);
  void on_live(const bus::Live& live, const bus::Item& item);

  // effects
  void on_committed();
  void carry_out();
  void act(const Append& append);
  void act(const Settle& settle);
  void act(const Remark& remark);
  void act(const Accept& accept);
  void act(const Refuse& refuse);
  void act(const Cancelled& cancelled);
  void act(const Dispatch& dispatch);
  void act(const TellWorker& tell);
  void act(const Announce& announce);
  void act(const CloseLane& close);
  void act(const Rebind& rebind);
  void act(const LinkNews& news);
  void act(const Drained& drained);
  void commit(Entry&& entry);
  void keep_body(NewJob& job);
  [[nodiscard]] std::string_view kind_name(KindId kind) const;
  void count_end(const Announce& announce, const StoredEnd& end, Duration whole, Instant settled);
  void read_bodies();
  void send_read(const Dispatch& dispatch, const Result<NewJob>& job);
  void give_up(const Dispatch& dispatch, const Error& error, std::string_view traceparent);
  void say_of(JobId job, std::string message);
  void say(const Settle& settle);
  void say(const Remark& remark);
  void end_turn();
  void judge();
  void plan_judgement();

  [[nodiscard]] nlohmann::json snapshot_json() const;
  [[nodiscard]] nlohmann::json topology_json() const;
  [[nodiscard]] nlohmann::json kinds_json() const;

  FrontOptions options_;
  const Clock& clock_;
  zmq::context_t context_ = bus::make_context();
  bus::Loop loop_;
  std::vector<zmq::socket_t> jobs_;  // each one socket, bound to all its endpoints
  std::vector<zmq::socket_t> results_;
  std::vector<zmq::socket_t> control_;
  std::vector<std::unique_ptr<bus::Monitor>> monitors_;  // of these three
  std::unique_ptr<store::Blobs> blobs_;
  Opened opened_;
  std::unique_ptr<Committer> committer_;
  std::unique_ptr<LedgerReader> reader_;       // of the questions' thread
  std::unique_ptr<LedgerReader> body_reader_;  // of the bodies'
  std::unique_ptr<Machine> machine_;
  std::unique_ptr<Desk> desk_;
  std::unique_ptr<StageDoor> stages_;
  std::unique_ptr<bus::Errands> errands_;  // to the ledger
  std::unique_ptr<bus::Errands> body_reads_;
  std::unique_ptr<bus::Errands> porters_;  // to the blob store
  log::Budget job_lines_{limits::job_lines_per_second};
  metrics::Registry registry_;
  std::unique_ptr<Probe> probe_;

  bus::Mailbox<ReplayPiece> replayed_{limits::replay_pieces};
  std::vector<ReplayPiece> pieces_;
  std::atomic<bool> stopping_ = false;
  std::thread replayer_;

  std::map<std::string, KindSpec> kinds_;
  bool kinds_unwritten_ = false;  // the disk took them not; the next hello tries again
  InHand hand_;
  Bodies bodies_{limits::cached_bodies};
  std::vector<Dispatch> unread_;  // their bodies are read back from the ledger
  std::vector<std::shared_ptr<std::vector<Dispatch>>> reading_;  // and are being read
  std::int64_t announced_ = 0;  // the last number whose end was announced
  CommitBatch batch_;           // of this turn
  std::vector<CommitReport> reports_;
  bus::Route route_;
  bus::Frames frames_;
  bus::Submit submit_;
  bus::Done done_;
  std::string kept_done_;  // its header, when not all of it is kept
  StoredEnd ended_;
  Bytes unstored_{};  // of blobs and large submits that wait for their porter
  bus::Loop::TimerId judgement_timer_ = 0;
  std::vector<Effect> acting_;
  Instant judged_;  // the last time
  Instant next_judgement_;
  Instant wholes_due_;
  bool draining_ = false;
  bool drained_ = false;
  std::function<void()> on_drained_;
  int exit_code_ = 0;
};

}  // namespace tallymill::front
