// What a client holds; private to bus/client*.cc.
//
//   connection  client_connection.cc  link, hello, welcome, pings, reconnects, dispatch
//   submits     client_submits.cc     slots, windows, answers
//   jobs        client_jobs.cc        events, ends, waits, questions
//   blobs       client_blobs.cc       put, fetch
//
// Threads: the client's.
#pragma once

#include <deque>
#include <list>
#include <unordered_map>
#include <unordered_set>
#include <zmq.hpp>

#include "base/check.h"
#include "bus/client.h"
#include "bus/envelope.h"
#include "bus/link.h"
#include "bus/loop.h"
#include "bus/messages.h"

namespace tallymill::bus {

// A submit without an answer: all that sending it again needs.
struct SubmitSlot {
  struct File {
    std::string name;
    std::string media_type;
    std::string digest;
    std::int64_t bytes = 0;
    zmq::message_t blob;  // inline: shares its memory with the one that was sent
  };
  std::int64_t request = 0;  // 0: the slot is free
  std::uint64_t tag = 0;
  std::string text;  // kind, key, trace, params: one buffer that keeps its memory
  std::size_t kind_end = 0;
  std::size_t key_end = 0;
  std::size_t trace_end = 0;
  std::int32_t priority = 4;
  std::int64_t deadline_unix_ns = 0;
  std::int64_t not_before_unix_ns = 0;
  std::int64_t parent = 0;
  std::vector<File> files;
  std::int64_t bytes = 0;
  bool sent = false;  // in the present connection
  std::int64_t sent_tick = 0;
  bool safe = true;  // has a key, so that it may be sent twice
  Client::OnSubmitted done;
};

struct PendingAsk {
  std::function<Status(Packer&, std::int64_t request)> pack = {};
  std::function<void(Result<Answer>)> done = {};
  bool sent = false;
  std::int64_t sent_tick = 0;
  bool once = false;  // not sent again: doing it twice is not doing it once
};

struct Waiting {
  std::uint64_t id = 0;
  std::function<void(Result<JobResult>)> done;
};

// A job whose end is asked for, or will be when there is room.
struct EndAsk {
  bool under_way = false;
  bool again = false;  // once more when this answer is here
};

struct Client::State {
  State(std::unique_ptr<Loop> own, Loop* borrowed, ClientOptions opts);
  ~State();
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  enum class Phase : std::uint8_t {
    closed,    // no link
    greeting,  // hello is under way, or nobody has taken the connection yet
    ready,
  };

  // ---- connection ----
  void open();
  void close_link();
  void give_up(Error why);
  void lose();  // closes, and opens again after a while
  void say_hello();
  void on_change();
  void on_readable();
  void on_tick();
  void on_turn_end();
  void take(const Item& item);
  void take_welcome(const Item& item);
  void take_failure(const Item& item);
  void send_out();
  // Why the front does not answer, as far as that is known: `away`, but where somebody said more.
  [[nodiscard]] Error no_answer() const;

  // Marks that callbacks of the user may run: a blocking call from there would turn the loop inside
  // a turn.
  struct InCallback {
    explicit InCallback(State& s) : state(s), before(s.in_callback) { s.in_callback = true; }
    ~InCallback() { state.in_callback = before; }
    InCallback(const InCallback&) = delete;
    InCallback& operator=(const InCallback&) = delete;
    State& state;
    bool before;
  };

  // Answers and timers go on meanwhile. A front that asks for no pause is given a short one.
  void pause(Duration length) {
    (void)pump([] { return false; }, std::max<Duration>(length, std::chrono::milliseconds(10)));
  }
  // Runs the loop until `done` or the time is up; whether it was done.
  template <class Done>
  bool pump(Done done, Duration timeout) {
    TM_CHECK(!in_callback);
    const Instant until = clock.now() + timeout;
    for (;;) {
      on_turn_end();
      if (done()) return true;
      const Instant now = clock.now();
      if (now >= until || fatal) return false;
      if (go_on && !go_on()) return false;
      loop->turn(go_on ? std::min<Duration>(until - now, limits::client_look) : until - now);
    }
  }

  // ---- submits ----
  SubmitSlot* new_slot();
  void fill(SubmitSlot& slot, const RawJob& job);
  void enqueue(SubmitSlot& slot);
  bool in_window(const SubmitSlot& slot) const;
  void send_slot(SubmitSlot& slot);
  void send_waiting();
  void answer(SubmitSlot& slot, Submitted submitted);
  void take_accepted(const Item& item);
  SubmitSlot* slot_of(std::int64_t request);
  void free_slot(SubmitSlot& slot);
  // The request's number.
  Result<std::int64_t> submit_async(const JobRequest& request, OnSubmitted done);
  class BatchSubmit;
  void resubmit_all();
  void resubmit_overdue();

  // ---- jobs ----
  Status ask(std::function<Status(Packer&, std::int64_t)> pack,
             std::function<void(Result<Answer>)> done, bool once = false);
  Result<Answer> ask_and_wait(std::function<Status(Packer&, std::int64_t)> pack, Duration timeout,
                              bool once = false);
  void send_ask(std::int64_t request);
  void ask_overdue();
  void answer_ask(std::int64_t request, Result<Answer> answer);
  void ask_again();
  void take_reply(const Item& item);
  void take_event(const Item& item);
  void take_gap(const Item& item);
  std::uint64_t wait(JobId job, std::function<void(Result<JobResult>)> done);
  void forget_wait(JobId job, std::uint64_t id);
  void ask_for_end(JobId job);
  void ask_next_ends();
  void end_answered(JobId job, Result<Answer> answer);
  void end_refused(JobId job, Error&& error);
  void end_ask_over(JobId job);
  void ask_for_result(JobId job, const std::function<void(Result<JobResult>)>& done);
  void ended(Result<JobResult> result, JobId job);
  void keep_end(JobResult&& end);
  std::optional<JobResult> take_end(JobId job);
  void watch_job(JobId job);
  void watch_own();
  void watch_again(bool same_ledger);

  // ---- blobs ----
  Result<std::string> put(std::string_view bytes, Duration timeout);
  Result<std::string> fetch(const ResultFile& file, Duration timeout);
  Result<JobRequest> with_blobs(const JobRequest& request, Duration timeout);

  SystemClock clock;
  ClientOptions options;
  std::unique_ptr<Loop> own_loop;
  Loop* loop;
  std::shared_ptr<State*> alive;  // callbacks that a loop cannot forget ask it
  std::string instance;           // random: routing ids and automatic keys begin with it

  zmq::context_t context{1};
  std::unique_ptr<Link> link;
  std::string endpoint;
  Phase phase = Phase::closed;
  std::uint64_t links_made = 0;
  bool handshaken = false;
  int refusals = 0;                   // connections refused since the link was made
  std::optional<Error> last_failure;  // why there is no connection now, if somebody said
  int silent_ticks = 0;
  std::int64_t ticks = 0;
  Duration backoff{0};
  std::optional<Error> fatal;  // why the front will not have us
  Loop::TimerId tick_timer = 0;
  Loop::TimerId reopen_timer = 0;
  bool in_callback = false;
  std::function<bool()> go_on;  // see Client::while_waiting
  Frames frames;
  Packer out;
  std::deque<Frames> stuck;  // what the link had no room for

  std::int64_t epoch = 0;
  std::string ledger;
  std::int64_t last_seq = -1;
  std::string blobs_folder;
  std::string front_version;
  std::int64_t welcomes = 0;
  std::size_t window_jobs = 0;
  std::int64_t window_bytes = 0;

  std::int64_t last_request = 0;
  std::int64_t hello_request = 0;

  std::deque<SubmitSlot> slots;  // a deque: slots stay where they are
  std::vector<std::uint32_t> free_slots;
  std::deque<std::int64_t> waiting;  // requests that are not sent yet, in order
  std::size_t sent_jobs = 0;
  std::int64_t sent_bytes = 0;
  std::int64_t pending_bytes = 0;
  std::uint64_t keys_made = 0;
  OnSubmitted submitted_sink;
  Submit submit_message;
  Accepted accepted_message;
  Event event_message;

  std::unordered_map<std::int64_t, PendingAsk> asks;
  std::unordered_map<std::int64_t, std::vector<Waiting>> waits;
  std::size_t waits_held = 0;
  std::uint64_t last_wait = 0;
  std::unordered_map<std::int64_t, EndAsk> end_asks;
  std::deque<std::int64_t> to_ask;  // those that are not under way, in order
  std::size_t end_asks_under_way = 0;
  std::unordered_set<std::int64_t> fresh;  // own jobs whose end is sure to come as an event
  std::list<JobResult> ends;               // that nobody has waited for yet, oldest first
  std::unordered_map<std::int64_t, std::list<JobResult>::iterator> end_of;
  std::int64_t ends_bytes = 0;
  std::function<void(const Event&, const Item&)> event_sink;
  std::function<void(std::int64_t, std::int64_t)> gap_sink;
};

[[nodiscard]] std::vector<ResultFile> copy_files(const std::vector<FileRef>& refs,
                                                 std::span<const zmq::message_t> blobs);

}  // namespace tallymill::bus
