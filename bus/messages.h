// Messages: every message that crosses between two processes, each as one struct with one list of
// its fields. The list is the wire format: encode and decode (envelope.h) both walk it, so they
// cannot drift apart, and docs/protocol.md and the golden vectors in tests/wire are held against
// it.
//
// On the wire a message is one msgpack map in the header frame: "t" is its verb, then the fields by
// their short names ("t", "N" and "B" belong to the envelope and name no field). A field at its
// default is left out; an unknown key is skipped, so that a newer peer may say more. Text and bytes
// are views into the received frames: copy what must outlive them.
//
//   client <-> front   Hello Submit Ask Watch Put Get | Welcome Accepted Failure Reply Event Gap
//   front   -> worker  Work (on a lane)  Tell Lanes WorkerWelcome (control socket)
//   worker  -> front   Done (results socket)  WorkerHello Beat HopEvent Live (control socket)
//   worker  -> worker  Work (on a lane)
//
// Times are nanoseconds: `_ns` on the monotonic clock of the sender's host, `_unix_ns` on the wall.
//
// Threads: plain values.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tallymill::bus {

// The frames of one message, in order: protocol, headers, params, blobs.
inline constexpr std::string_view protocol_v1 = "T1";

enum class Verb : std::uint8_t {
  // client -> front
  hello,
  submit,
  status,
  result,
  watch,
  jobs,
  ends,
  waterfalls,
  cancel,
  retry,
  timeline,
  workers,
  topology,
  kinds,
  snapshot,
  put,
  get,
  ping,
  // front -> client
  welcome,
  accepted,
  error,
  reply,  // the answer to any question; its params are the answer
  event,  // progress, preview or the end of a job
  gap,
  // between front and workers
  worker_hello,
  worker_welcome,
  beat,
  lanes,
  tell,
  hop_event,
  live,
  work,
  done,
};

[[nodiscard]] std::string_view name_of(Verb verb);
// Nothing for a name of no verb.
[[nodiscard]] bool verb_named(std::string_view name, Verb& verb);

// The fence: a result with any other token than the job's present one is dropped and counted.
struct Token {
  std::int64_t job = 0;
  std::int64_t epoch = 0;    // of the front, raised and synced at each of its starts
  std::int32_t attempt = 0;  // dispatches of the job in this epoch, from 1
  friend auto operator<=>(const Token&, const Token&) = default;
  void fields(auto&& f) {
    f("j", job);
    f("e", epoch);
    f("a", attempt);
  }
};

// A named part of a hop's service time.
struct SpanStamp {
  std::string_view name = {};
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
  std::int32_t depth = 0;
  void fields(auto&& f) {
    f("n", name);
    f("b", begin_ns);
    f("e", end_ns);
    f("d", depth);
  }
};

// One stage's part of an attempt. Zero: not reached.
struct Hop {
  std::string_view stage = {};
  std::string_view worker = {};     // incarnation
  std::int64_t sent_ns = 0;         // by whoever sent the job into this stage's lane
  std::int64_t received_ns = 0;     // by the stage's loop
  std::int64_t started_ns = 0;      // the handler was called
  std::int64_t finished_ns = 0;     // the handler returned, its large files are stored
  std::int64_t handed_ns = 0;       // the result, or the next hop's job, was given to the socket
  std::int64_t clock_error_ns = 0;  // 0 on one host; else the bound of the offset's error
  std::vector<SpanStamp> spans = {};
  void fields(auto&& f) {
    f("st", stage);
    f("w", worker);
    f("se", sent_ns);
    f("re", received_ns);
    f("sa", started_ns);
    f("fi", finished_ns);
    f("ha", handed_ns);
    f("ce", clock_error_ns);
    f("sp", spans);
  }
};

// A file that travels with a message: inline as one of its blob frames, or by its digest.
struct FileRef {
  std::string_view name = {};
  std::string_view media_type = {};
  std::string_view digest = {};  // 64 hex digits: fetch it from the blob store; empty: inline
  std::int64_t bytes = 0;
  std::int32_t blob = -1;  // inline: index among this item's blob frames
  void fields(auto&& f) {
    f("n", name);
    f("m", media_type);
    f("d", digest);
    f("b", bytes);
    f("i", blob, -1);
  }
};

// One hop's place on a route: which lane of which worker the job goes to.
struct LaneRef {
  std::string_view stage = {};
  std::string_view worker = {};    // incarnation
  std::string_view endpoint = {};  // empty in a Work's own hop: it is already there
  void fields(auto&& f) {
    f("s", stage);
    f("w", worker);
    f("e", endpoint);
  }
};

// ---- client -> front ----

// First message of a client, and again after each reconnect.
struct Hello {
  static constexpr Verb verb = Verb::hello;
  std::int64_t request = 0;  // chosen by the client, comes back in the answer; in every question
  // Its name, <= 64 bytes: idempotency keys and fairness are per client.
  std::string_view client = {};
  std::int32_t version = 1;
  void fields(auto&& f) {
    f("r", request);
    f("client", client);
    f("v", version, 1);
  }
};

// Params: the job's parameters. Blobs: its inline inputs.
struct Submit {
  static constexpr Verb verb = Verb::submit;
  std::int64_t request = 0;
  std::string_view kind = {};
  std::int32_t priority = 4;            // 0 lowest .. 9 highest
  std::string_view key = {};            // idempotency key, <= 128 bytes; empty: none
  std::int64_t deadline_unix_ns = 0;    // 0: none
  std::int64_t not_before_unix_ns = 0;  // 0: at once
  std::string_view trace = {};          // W3C traceparent
  std::int64_t parent = 0;              // the job that this one retries or continues
  std::vector<FileRef> inputs = {};
  void fields(auto&& f) {
    f("r", request);
    f("kind", kind);
    f("prio", priority, 4);
    f("key", key);
    f("dl", deadline_unix_ns);
    f("nb", not_before_unix_ns);
    f("tp", trace);
    f("parent", parent);
    f("in", inputs);
  }
};

// Every question about a job or about the front: status result cancel retry timeline workers
// topology kinds snapshot ping jobs ends waterfalls. The verb says which; unused fields stay at
// their defaults.
struct Ask {
  std::int64_t request = 0;
  std::int64_t job = 0;
  // jobs: which; what is empty or 0 rules nothing out
  std::string_view state = {};  // live done failed cancelled expired
  std::string_view kind = {};
  std::string_view stage = {};     // of kinds whose route has it
  std::string_view client = {};    // of this name
  std::int64_t since_unix_ns = 0;  // submitted then or later
  std::string_view text = {};      // an id, or how client, kind, key or error code begin
  std::string_view sort = {};      // newest (or empty), oldest, ended, slowest
  std::string_view cursor = {};    // from the page before
  std::int32_t limit = 0;          // lists: at most so many; 0: a page
  // ends, waterfalls
  std::int64_t after = 0;        // those with a greater sequence number
  std::string_view ledger = {};  // whose sequence `after` is; empty: this one's
  void fields(auto&& f) {
    f("r", request);
    f("id", job);
    f("state", state);
    f("kind", kind);
    f("stage", stage);
    f("client", client);
    f("since", since_unix_ns);
    f("q", text);
    f("sort", sort);
    f("cur", cursor);
    f("n", limit);
    f("after", after);
    f("ledger", ledger);
  }
};

// From now on, and from `since` on in the past, send what happens to these jobs, to all of this
// client's, or to everybody's.
struct Watch {
  static constexpr Verb verb = Verb::watch;
  std::int64_t request = 0;
  std::vector<std::int64_t> ids = {};  // empty: all jobs of the client that said hello
  bool all = false;                    // of everybody, and `ids` besides
  std::int64_t since = -1;       // replay events with a greater sequence number; -1: no replay
  std::string_view ledger = {};  // whose sequence `since` is
  void fields(auto&& f) {
    f("r", request);
    f("ids", ids);
    f("all", all);
    f("since", since, -1);
    f("ledger", ledger);
  }
};

// One piece of a blob on its way into the store. Blob 0: the bytes.
struct Put {
  static constexpr Verb verb = Verb::put;
  std::int64_t request = 0;
  std::string_view digest = {};  // of the whole
  std::int64_t bytes = 0;        // of the whole
  std::int64_t offset = 0;       // of this piece
  void fields(auto&& f) {
    f("r", request);
    f("d", digest);
    f("b", bytes);
    f("o", offset);
  }
};

struct Get {
  static constexpr Verb verb = Verb::get;
  std::int64_t request = 0;
  std::string_view digest = {};
  std::int64_t offset = 0;
  std::int64_t length = 0;
  void fields(auto&& f) {
    f("r", request);
    f("d", digest);
    f("o", offset);
    f("l", length);
  }
};

// ---- front -> client ----

struct Welcome {
  static constexpr Verb verb = Verb::welcome;
  std::int64_t request = 0;
  std::int64_t epoch = 0;         // of the front: another number means that it restarted
  std::string_view ledger = {};   // whose sequence numbers events carry
  std::int64_t head = 0;          // the newest sequence number
  std::int32_t window_jobs = 0;   // submits that may be unanswered at a time
  std::int64_t window_bytes = 0;  // and their bytes
  std::string_view blobs = {};    // folder of the blob store for a client on the same host
  std::string_view version = {};
  void fields(auto&& f) {
    f("r", request);
    f("epoch", epoch);
    f("ledger", ledger);
    f("head", head);
    f("wj", window_jobs);
    f("wb", window_bytes);
    f("blobs", blobs);
    f("v", version);
  }
};

// The job is on disk.
struct Accepted {
  static constexpr Verb verb = Verb::accepted;
  std::int64_t request = 0;
  std::int64_t job = 0;
  std::int64_t seq = 0;
  bool known = false;           // the idempotency key had been used for this very job before
  std::string_view state = {};  // of a known job; empty for a new one
  void fields(auto&& f) {
    f("r", request);
    f("id", job);
    f("seq", seq);
    f("known", known);
    f("state", state);
  }
};

// The answer to a question that could not be answered.
struct Failure {
  static constexpr Verb verb = Verb::error;
  std::int64_t request = 0;
  std::int64_t job = 0;
  std::string_view code = {};  // wire name, base/result.h
  std::string_view message = {};
  std::string_view field = {};  // JSON pointer
  std::int64_t retry_after_ms = 0;
  void fields(auto&& f) {
    f("r", request);
    f("id", job);
    f("code", code);
    f("msg", message);
    f("field", field);
    f("retry_after_ms", retry_after_ms);
  }
};

// Params: the answer, a map. Blobs: the bytes asked for (get, result).
struct Reply {
  static constexpr Verb verb = Verb::reply;
  std::int64_t request = 0;
  std::vector<FileRef> files = {};
  void fields(auto&& f) {
    f("r", request);
    f("files", files);
  }
};

// Something happened to a job. A terminal one ("done", "failed", "cancelled", "expired") is on
// disk, and is the last of its job. Params: the result's values. Blobs: small files, inline.
// Who watches everybody's jobs is told whose they are, and of new ones, but neither results nor
// previews, unless it watches the job, or its client, as well.
struct Event {
  static constexpr Verb verb = Verb::event;
  std::int64_t job = 0;
  std::int64_t seq = 0;        // of a terminal event its own; of progress and preview the last one
  std::string_view what = {};  // accepted progress preview done failed cancelled expired
  double fraction = 0;         // progress
  std::string_view code = {};  // failed: wire name
  std::string_view message = {};
  std::string_view field = {};
  std::int32_t attempts = 0;
  std::int64_t whole_ns = 0;  // from its receipt to this announcement
  std::int64_t took_ns = 0;   // from its receipt to the decision, as lists and `status` say it
  std::vector<FileRef> files = {};
  // To who watches everybody's jobs.
  std::string_view kind = {};
  std::string_view client = {};
  std::int64_t at_unix_ns = 0;  // accepted: when it was submitted; of an end: when it ended
  void fields(auto&& f) {
    f("id", job);
    f("seq", seq);
    f("w", what);
    f("p", fraction);
    f("code", code);
    f("msg", message);
    f("field", field);
    f("att", attempts);
    f("ns", whole_ns);
    f("took", took_ns);
    f("files", files);
    f("kind", kind);
    f("client", client);
    f("at", at_unix_ns);
  }
};

// Whether it is the last that is told of a job.
[[nodiscard]] constexpr bool is_end(std::string_view what) {
  return what == "done" || what == "failed" || what == "cancelled" || what == "expired";
}

// Ends of these numbers are not told: ask for the status of what is waited for.
struct Gap {
  static constexpr Verb verb = Verb::gap;
  std::int64_t request = 0;
  std::int64_t from = 0;
  std::int64_t to = 0;
  void fields(auto&& f) {
    f("r", request);
    f("from", from);
    f("to", to);
  }
};

// ---- front <-> worker ----

// At start, and again after each reconnect or on a new lane number. Params: {"held": [[job, epoch,
// attempt, phase] ...], "kinds": [KindSpec as JSON ...]}; held as in Beat.
struct WorkerHello {
  static constexpr Verb verb = Verb::worker_hello;
  std::string_view incarnation = {};  // fresh at each start of the process
  std::string_view stage = {};
  std::string_view host = {};
  std::string_view boot = {};  // boot id: CLOCK_MONOTONIC is shared by those who have the same one
  std::int64_t pid = 0;
  std::string_view pids = {};  // pid namespace: the pid means the same to those who have this one
  std::int32_t version = 1;
  std::string_view endpoint = {};  // where its lane is bound
  std::int32_t lane = 1;           // raised when a living worker binds anew
  std::int32_t limit_jobs = 0;     // places: jobs and bytes it will hold
  std::int64_t limit_bytes = 0;
  std::int32_t limit_unsettled = 0;  // finished results it will keep until told
  std::int32_t concurrency = 1;      // handler threads
  void fields(auto&& f) {
    f("inc", incarnation);
    f("stage", stage);
    f("host", host);
    f("boot", boot);
    f("pid", pid);
    f("pns", pids);
    f("v", version, 1);
    f("ep", endpoint);
    f("lane", lane, 1);
    f("lj", limit_jobs);
    f("lb", limit_bytes);
    f("lu", limit_unsettled);
    f("con", concurrency, 1);
  }
};

// The answer to a worker_hello. One that answers none asks for it: this front does not know you.
struct WorkerWelcome {
  static constexpr Verb verb = Verb::worker_welcome;
  std::int64_t epoch = 0;
  std::int64_t heartbeat_ms = 0;
  std::string_view blobs = {};  // folder of the blob store on the front's host
  std::string_view store = {};  // its id: that folder is the store only where it has this one
  std::string_view jobs = {};   // the jobs door, for blobs from elsewhere: put and get
  void fields(auto&& f) {
    f("epoch", epoch);
    f("hb", heartbeat_ms);
    f("blobs", blobs);
    f("store", store);
    f("jobs", jobs);
  }
};

// Every heartbeat. Params: {"held": [[job, epoch, attempt, phase] ...]}, phase 0 received, 1
// started, 2 finished and not yet settled. Listing a token keeps its lease.
struct Beat {
  static constexpr Verb verb = Verb::beat;
  std::string_view incarnation = {};
  std::int64_t sent_ns = 0;  // this clock's reading; comes back in Tell to measure the offset
  double busy_ratio = 0;     // of the handler threads since the last beat, 0..1
  std::int64_t missing = 0;  // lane numbers that never came, in total
  bool draining = false;     // it is leaving: send it nothing more
  void fields(auto&& f) {
    f("inc", incarnation);
    f("ns", sent_ns);
    f("busy", busy_ratio);
    f("miss", missing);
    f("dr", draining);
  }
};

// The lanes of later hops that a worker may be told to hand jobs to: connect them ahead of time,
// close those not named.
struct Lanes {
  static constexpr Verb verb = Verb::lanes;
  std::vector<LaneRef> lanes = {};
  void fields(auto&& f) { f("lanes", lanes); }
};

// What the front knows of tokens: "keep" (yours; if it is finished, send the result again),
// "settled" and "void" (drop it), "cancel" and "expire" (stop it and say so in Done).
struct Verdict {
  Token token = {};
  std::string_view what = {};
  void fields(auto&& f) {
    f("k", token);
    f("w", what);
  }
};
struct Tell {
  static constexpr Verb verb = Verb::tell;
  std::vector<Verdict> verdicts = {};
  std::int64_t echo_ns = 0;   // Beat::sent_ns of the last beat
  std::int64_t front_ns = 0;  // the front's clock when it answered
  bool drain = false;         // hand back what has not started, finish the rest, then leave
  bool rebind = false;        // your lane broke at this end: bind the next one and say hello again
  void fields(auto&& f) {
    f("v", verdicts);
    f("echo", echo_ns);
    f("ns", front_ns);
    f("drain", drain);
    f("rb", rebind);
  }
};

// A job reached a point of a hop. Sent at once for "finished" of a hop that has a next one (its
// place is free again) and for "back"; for the others only when the job stays longer than a few
// milliseconds: a Done carries all stamps anyway.
struct HopEvent {
  static constexpr Verb verb = Verb::hop_event;
  Token token = {};
  std::string_view worker = {};
  std::string_view what = {};    // received started finished back
  std::string_view reason = {};  // back: lane_gone, draining
  std::int64_t at_ns = 0;
  void fields(auto&& f) {
    f("k", token);
    f("w", worker);
    f("e", what);
    f("why", reason);
    f("ns", at_ns);
  }
};

// Sign of life from inside a handler. Blob 0 of a preview: the file.
struct Live {
  static constexpr Verb verb = Verb::live;
  Token token = {};
  double fraction = 0;
  std::vector<FileRef> preview = {};
  void fields(auto&& f) {
    f("k", token);
    f("p", fraction);
    f("pv", preview);
  }
};

// A job on a lane. Params: its parameters; for a later hop {"params": ..., "carried": values}.
// Blobs: inline inputs, then inline carried files.
struct Work {
  static constexpr Verb verb = Verb::work;
  Token token = {};
  std::string_view kind = {};
  std::int32_t hop = 0;             // index in `route`
  std::vector<LaneRef> route = {};  // the places the front took, all hops
  std::vector<Hop> hops = {};       // those before this one, whole; this one with sent_ns
  std::string_view from = {};       // "front" or the incarnation that sent it
  std::int64_t number = 0;          // of this job on this lane, from 1
  std::int64_t deadline_ns = 0;     // on the front's monotonic clock; 0: none
  std::int64_t stall_ms = 0;        // longest silence of the handler before the runtime ends itself
  std::string_view trace = {};
  std::vector<FileRef> inputs = {};
  std::vector<FileRef> carried = {};
  void fields(auto&& f) {
    f("k", token);
    f("kind", kind);
    f("hop", hop);
    f("route", route);
    f("hops", hops);
    f("from", from);
    f("num", number);
    f("dl", deadline_ns);
    f("stall", stall_ms);
    f("tp", trace);
    f("in", inputs);
    f("cf", carried);
  }
};

// The end of an attempt, as the last hop it reached tells it. Params: the result's values.
struct Done {
  static constexpr Verb verb = Verb::done;
  Token token = {};
  std::string_view worker = {};
  std::string_view outcome = {};  // ok error stopped
  std::string_view code = {};     // error: wire name
  std::string_view message = {};
  std::string_view field = {};
  bool retry = false;  // error: another attempt may succeed
  std::vector<Hop> hops = {};
  std::vector<FileRef> files = {};
  void fields(auto&& f) {
    f("k", token);
    f("w", worker);
    f("o", outcome);
    f("code", code);
    f("msg", message);
    f("field", field);
    f("retry", retry);
    f("hops", hops);
    f("files", files);
  }
};

// Every struct that is a message of its own, for what must be done for each.
#define TM_MESSAGE_TABLE(X) \
  X(Hello)                  \
  X(Submit)                 \
  X(Ask)                    \
  X(Watch)                  \
  X(Put)                    \
  X(Get)                    \
  X(Welcome)                \
  X(Accepted)               \
  X(Failure)                \
  X(Reply)                  \
  X(Event)                  \
  X(Gap)                    \
  X(WorkerHello)            \
  X(WorkerWelcome)          \
  X(Beat)                   \
  X(Lanes)                  \
  X(Tell)                   \
  X(HopEvent)               \
  X(Live)                   \
  X(Work)                   \
  X(Done)

}  // namespace tallymill::bus
