// Client: how a program gives jobs to a front and hears what became of them.
//
//   tallymill::Client client({.name = "shop"});
//   client.connect("tcp://127.0.0.1:7750");
//   auto job = client.submit({.kind = "thumbs", .inputs = {{.path = "photo.jpg"}}});
//   auto end = client.wait(*job);
//   auto png = client.fetch(end->files.at(0));
//
// A client is a set of callbacks on a loop: its own, which runs inside the blocking calls and
// poll(), or one that its maker runs. It reconnects by itself: a lost connection, a silent front
// and a restarted one all lead to a new socket, Hello, Watch from the last sequence number seen,
// and every unanswered submit sent again. That is safe because each submit has an idempotency key,
// the caller's or one made here. Ends that came while it was away are replayed by the front.
//
// Submits are coalesced: what is handed over between two turns of the loop leaves as one message.
//
//   invariant: every submit taken gets exactly one answer, a job's id or an error
//   invariant: at most limits::client_* of anything is held; beyond that a call waits or says busy
//
// Threads: one. A blocking call from inside a callback is a bug.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/limits.h"
#include "base/result.h"
#include "base/units.h"

namespace tallymill::bus {

class Link;
class Loop;
struct Ask;
struct Event;
struct Item;
struct LinkCalls;
enum class Verb : std::uint8_t;

// How a client reaches its front other than by ZeroMQ: see bus/link.h.
using Dial = std::function<Result<std::unique_ptr<Link>>(Loop&, LinkCalls)>;

struct ClientOptions {
  // Idempotency keys, fairness and "my jobs" go by it. Empty: a random one, of this object alone.
  std::string name = {};
  // Without them a submit that was under way when the connection broke is answered `away`: whether
  // the front has it is not known.
  bool automatic_keys = true;
  // Hear of every event of this name's jobs. Without it wait() still works, by asking.
  bool watch = true;
  // connect() gives up as soon as it is clear that nobody listens there.
  bool fail_fast = false;
  Dial dial = {};                              // the endpoint then only stands in errors
  bool insecure = false;                       // an address on another host may be connected to
  Duration timeout = std::chrono::seconds(5);  // of calls that name none
  std::size_t window_jobs = limits::client_window_jobs;
  Bytes window_bytes = limits::client_window_bytes;
  Duration ping_every = limits::client_ping;
};

// A file that a job brings: bytes, a file to read, or the digest of a blob that the front has.
struct InputFile {
  std::string name = {};  // empty with a path: the path's last part
  std::string media_type = {};
  std::string bytes = {};
  std::string path = {};
  std::string digest = {};
  Bytes size{};  // with a digest
};

struct JobRequest {
  std::string kind;
  std::string params = {};  // one msgpack map; empty: none. See set_params().
  std::vector<InputFile> inputs = {};
  int priority = 4;      // 0 lowest .. 9 highest
  std::string key = {};  // idempotency key
  std::optional<WallTime> deadline = {};
  std::optional<WallTime> not_before = {};
  std::string trace = {};  // W3C traceparent
  JobId parent{};

  // bad_frame for JSON that has no msgpack form (text that is not UTF-8, nested too deep).
  Status set_params(const nlohmann::json& json);
};

// The same for the fast path: views, copied before the call returns; no files.
struct RawJob {
  std::string_view kind;
  std::string_view params = {};
  std::uint64_t tag = 0;  // comes back with the answer
  std::int32_t priority = 4;
  std::string_view key = {};
  std::int64_t deadline_unix_ns = 0;
  std::int64_t not_before_unix_ns = 0;
  std::string_view trace = {};
};

// What became of a submit.
struct Submitted {
  std::uint64_t tag = 0;
  JobId job;                     // 0 with an error
  bool known = false;            // its key had been used for this very job before
  const Error* error = nullptr;  // for the call only
};

// A file of a result: inline, or named by its digest; see Client::fetch().
struct ResultFile {
  std::string name;
  std::string media_type;
  std::string bytes;
  std::string digest;  // empty: inline
  Bytes size;
};

// How a job ended.
struct JobResult {
  JobId job;
  std::string state;  // done failed cancelled expired
  Error error{};      // of any but done
  int attempts = 0;
  Duration whole{};    // intake to end, as the front measured; 0: not known here
  std::string values;  // msgpack map
  std::vector<ResultFile> files;
  [[nodiscard]] bool done() const { return state == "done"; }
  [[nodiscard]] nlohmann::json values_json() const;  // an empty object when there are none
};

// The answer to a question.
struct Answer {
  JobId job{};         // of retry: the new one
  std::string params;  // msgpack map
  std::vector<ResultFile> files;
  [[nodiscard]] Result<nlohmann::json> json() const;
};

class Client {
 public:
  explicit Client(ClientOptions options = {});
  // On somebody else's loop, which must outlive the client.
  Client(Loop& loop, ClientOptions options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Waits until the front has said welcome. away: nobody answered in time, and the client goes on
  // trying (unless options.fail_fast); version: the front speaks another protocol.
  Status connect(const std::string& endpoint, std::optional<Duration> timeout = {});
  // The same without waiting.
  Status start(const std::string& endpoint);
  [[nodiscard]] bool connected() const;

  // ---- blocking calls: each returns within its timeout ----

  // The job is on disk. Inputs above limits::inline_bytes are put into the blob store first. busy
  // and rate_limited are tried again, as the front asks, until the time is up; away: no answer.
  [[nodiscard]] Result<JobId> submit(const JobRequest& request,
                                     std::optional<Duration> timeout = {});
  // One answer each, in order.
  [[nodiscard]] std::vector<Result<JobId>> submit_batch(std::span<const JobRequest> requests,
                                                        std::optional<Duration> timeout = {});
  // deadline: the job has not ended in time; it goes on. not_found: no such job. wrong_state: it is
  // done, and its result is no longer kept.
  [[nodiscard]] Result<JobResult> wait(JobId job, std::optional<Duration> timeout = {});
  // A file's bytes: those that came inline, from the blob folder when it is on this host, or from
  // the front, which knows better than file.size how many they are. The timeout is for each answer,
  // not for the whole. corrupt: they do not have their digest; not_found: there is no such blob.
  [[nodiscard]] Result<std::string> fetch(const ResultFile& file,
                                          std::optional<Duration> timeout = {});
  // Into the blob store; the digest. The timeout is for each answer, not for the whole.
  [[nodiscard]] Result<std::string> put(std::string_view bytes,
                                        std::optional<Duration> timeout = {});

  // Asked again and again while a blocking call waits; when it says false the call gives up: away.
  void while_waiting(std::function<bool()> go_on);

  // The answers are the schemas of docs/protocol.md.
  [[nodiscard]] Result<nlohmann::json> status(JobId job);
  [[nodiscard]] Result<JobResult> result(JobId job);
  [[nodiscard]] Result<nlohmann::json> cancel(JobId job);
  // A dead letter once more, as a new job. It is sent once: away when the connection broke before
  // the answer came, and whether there is a new job is not known.
  [[nodiscard]] Result<JobId> retry(JobId job);
  [[nodiscard]] Result<nlohmann::json> jobs(const Ask& which);
  [[nodiscard]] Result<nlohmann::json> ends(const Ask& which);
  [[nodiscard]] Result<nlohmann::json> timeline(JobId job);
  [[nodiscard]] Result<nlohmann::json> workers();
  [[nodiscard]] Result<nlohmann::json> topology();
  [[nodiscard]] Result<nlohmann::json> kinds();
  [[nodiscard]] Result<nlohmann::json> snapshot();
  Status ping(std::optional<Duration> timeout = {});
  // Any of the above by its verb.
  [[nodiscard]] Result<Answer> ask(Verb verb, const Ask& ask, std::optional<Duration> timeout = {});

  // ---- the same with callbacks, which run inside poll() or the loop ----

  // busy: limits::client_jobs are pending. Inputs are inline or by digest: put() large ones first.
  using OnSubmitted = std::function<void(const Submitted&)>;
  Status submit_async(const JobRequest& request, OnSubmitted done);
  // Exactly once; also for a job that has ended already. busy: limits::client_waits are waited for.
  void wait_async(JobId job, std::function<void(Result<JobResult>)> done);
  // busy: limits::client_asks are pending. An answer that does not come is no error here: the
  // question is asked again with each new connection (a retry ends with away instead).
  Status ask_async(Verb verb, const Ask& ask, std::function<void(Result<Answer>)> done);

  // The fast path: no allocation per job once buffers have grown. Answers go to on_submitted, in
  // any order. submit_many() waits for room, and returns when the last job was handed to the
  // socket, not when it was answered; the number taken when the time is up before. submit_now()
  // never waits: how many it took.
  void on_submitted(OnSubmitted done);
  [[nodiscard]] std::size_t submit_many(std::span<const RawJob> jobs,
                                        std::optional<Duration> timeout = {});
  [[nodiscard]] std::size_t submit_now(std::span<const RawJob> jobs);
  [[nodiscard]] std::size_t pending() const;  // submits without an answer

  // Every event of this name's jobs and of those waited for: progress, preview and ends. The views
  // are valid during the call; result_of() copies an end.
  void on_event(std::function<void(const Event&, const Item&)> happened);
  [[nodiscard]] static JobResult result_of(const Event& end, const Item& item);
  // Ends with these numbers will not come: ask for what matters.
  void on_gap(std::function<void(std::int64_t from, std::int64_t to)> gap);

  // Runs what is ready, waiting at most `longest` for something; true when anything ran.
  bool poll(Duration longest);
  // Sends what was coalesced, now.
  void flush();

  // ---- what the front said ----
  [[nodiscard]] const std::string& name() const;
  [[nodiscard]] const std::string& endpoint() const;
  [[nodiscard]] std::int64_t epoch() const;         // 0: not connected yet
  [[nodiscard]] const std::string& ledger() const;  // whose sequence numbers events carry
  [[nodiscard]] std::int64_t last_seq() const;      // the newest one seen
  [[nodiscard]] std::int64_t reconnects() const;    // welcomes after the first
  [[nodiscard]] const std::string& front_version() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tallymill::bus

namespace tallymill {
using bus::Client;
}  // namespace tallymill
