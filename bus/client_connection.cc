#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>

#include "base/check.h"
#include "base/utf8.h"
#include "bus/client_state.h"

namespace tallymill::bus {
namespace {

using std::chrono::milliseconds;

constexpr Duration first_backoff = limits::reconnect_first;
constexpr Duration longest_backoff = limits::reconnect_slowest;
// Refusals until fail_fast believes that nobody listens: the first may be a front that is starting.
constexpr int refusals_believed = 3;

std::string random_text() {
  unsigned char bytes[8];
  TM_CHECK(getrandom(bytes, sizeof bytes, 0) == sizeof bytes);
  std::string text;
  for (const unsigned char b : bytes) text += fmt::format("{:02x}", b);
  return text;
}

}  // namespace

Client::State::State(std::unique_ptr<Loop> own, Loop* borrowed, ClientOptions opts)
    : options(std::move(opts)),
      own_loop(std::move(own)),
      loop(borrowed != nullptr ? borrowed : own_loop.get()),
      alive(std::make_shared<State*>(this)),
      instance(random_text()),
      window_jobs(options.window_jobs),
      window_bytes(options.window_bytes.raw()) {
  if (options.name.empty()) options.name = "anonymous-" + instance;
  loop->at_turn_end([held = std::weak_ptr<State*>(alive)] {
    if (const auto state = held.lock()) (*state)->on_turn_end();
  });
  tick_timer = loop->every(options.ping_every, [this] { on_tick(); });
}

Client::State::~State() {
  loop->cancel(tick_timer);
  if (reopen_timer != 0) loop->cancel(reopen_timer);
  close_link();
}

void Client::State::open() {
  reopen_timer = 0;
  handshaken = false;
  refusals = 0;
  silent_ticks = 0;
  phase = Phase::greeting;
  // A new id each time: what the old connection left behind at the front cannot reach this one.
  LinkCalls calls{.changed = [this] { on_change(); }, .readable = [this] { on_readable(); }};
  auto opened = options.dial
                    ? options.dial(*loop, std::move(calls))
                    : open_zmq_link(context, *loop,
                                    {.endpoint = endpoint,
                                     .routing_id = fmt::format("{}-{}", instance, ++links_made),
                                     .insecure = options.insecure},
                                    std::move(calls));
  if (!opened) {
    phase = Phase::closed;
    // One that was connected before goes on trying: others may give back what they use.
    if (welcomes > 0) return void(reopen_timer = loop->once(longest_backoff, [this] { open(); }));
    fatal = std::move(opened).error();
    return;
  }
  link = std::move(*opened);
}

void Client::State::close_link() {
  phase = Phase::closed;
  stuck.clear();
  if (!out.empty()) (void)out.take();
  link.reset();
}

void Client::State::lose() {
  const InCallback mark(*this);
  const bool was_ready = phase == Phase::ready;
  close_link();
  // One that had worked is tried again at once; one that never did, ever more slowly.
  backoff =
      was_ready ? Duration(0) : std::clamp<Duration>(2 * backoff, first_backoff, longest_backoff);
  if (reopen_timer == 0) reopen_timer = loop->once(backoff, [this] { open(); });
  resubmit_all();
  ask_again();
}

void Client::State::say_hello() {
  hello_request = last_request += 2;
  Packer packer;
  packer.add(Hello{.request = hello_request, .client = options.name});
  // Fails only when the connection is gone again, which the monitor tells too.
  (void)link->send(packer.take());
}

void Client::State::on_change() {
  Link::Change change;
  while (link && link->next(change)) {
    if (change.why) last_failure = std::move(change.why);
    switch (change.what) {
      case Link::Change::What::connected:
        handshaken = true;
        say_hello();
        break;
      case Link::Change::What::failed:
        ++refusals;
        if (last_failure && !info(last_failure->code).retry) return give_up(*last_failure);
        break;
      case Link::Change::What::disconnected:
        // Before the handshake libzmq tries again by itself.
        if (handshaken) return lose();
        break;
    }
  }
}

// Another try would end as this one did.
void Client::State::give_up(Error why) {
  fatal = std::move(why);
  close_link();
}

void Client::State::on_readable() {
  const InCallback mark(*this);
  for (int i = 0; i < limits::messages_per_turn && link; ++i) {
    if (!link->receive(frames)) break;
    silent_ticks = 0;
    const auto envelope = Envelope::decode(std::move(frames));
    frames.clear();
    // Not of this protocol: whoever sent it is not a front that can be answered.
    if (!envelope) continue;
    for (const Item& item : envelope->items()) take(item);
  }
}

void Client::State::take(const Item& item) {
  switch (item.verb) {
    case Verb::accepted:
      return take_accepted(item);
    case Verb::event:
      return take_event(item);
    case Verb::reply:
      return take_reply(item);
    case Verb::error:
      return take_failure(item);
    case Verb::welcome:
      return take_welcome(item);
    case Verb::gap:
      return take_gap(item);
    default:
      return;
  }
}

void Client::State::take_welcome(const Item& item) {
  const auto welcome = read<Welcome>(item);
  if (!welcome || welcome->request != hello_request || phase != Phase::greeting) return;
  phase = Phase::ready;
  last_failure.reset();
  backoff = Duration(0);
  epoch = welcome->epoch;
  blobs_folder = welcome->blobs;
  front_version = welcome->version;
  const auto least = [](auto ours, auto theirs) {
    return theirs > 0 ? std::min(ours, theirs) : ours;
  };
  window_jobs = least(options.window_jobs, static_cast<std::size_t>(welcome->window_jobs));
  window_bytes = least(options.window_bytes.raw(), welcome->window_bytes);
  const bool first = welcomes++ == 0;
  const bool same_ledger = !first && ledger == welcome->ledger;
  ledger = welcome->ledger;
  const std::int64_t before = last_seq;
  if (!same_ledger) last_seq = welcome->head;
  watch_again(first || same_ledger);
  if (!first && !same_ledger && gap_sink) gap_sink(before + 1, welcome->head);
  ask_again();
  send_waiting();
}

void Client::State::take_failure(const Item& item) {
  const auto failure = read<Failure>(item);
  if (!failure) return;
  const auto code = errc_named(failure->code);
  Error error{code.value_or(Errc::bad_frame), std::string(failure->message),
              std::string(failure->field), milliseconds(failure->retry_after_ms)};
  if (!code) error.message = fmt::format("{}: {}", failure->code, failure->message);
  if (failure->request == hello_request) {
    if (!info(error.code).retry) return give_up(std::move(error));
    return lose();
  }
  if (SubmitSlot* slot = slot_of(failure->request))
    return answer(*slot, {.tag = slot->tag, .job = JobId(0), .error = &error});
  answer_ask(failure->request, std::unexpected(std::move(error)));
}

void Client::State::on_tick() {
  const InCallback mark(*this);
  if (!link || (phase == Phase::greeting && !handshaken)) return;
  // An answer that the front could not give (this client's pipe was full) is asked for again.
  if (++ticks % limits::client_overdue_pings == 0 && phase == Phase::ready) {
    resubmit_overdue();
    ask_overdue();
  }
  if (silent_ticks >= limits::client_silent_pings) return lose();
  if (silent_ticks++ == 0 || phase != Phase::ready) return;
  if (out.full()) send_out();
  out.add(Verb::ping, Ask{.request = last_request += 2});
}

void Client::State::on_turn_end() {
  send_waiting();
  send_out();
}

// What the link has no room for now waits here, and nothing overtakes it. The front's answers to
// what it has make the next turn, and room.
void Client::State::send_out() {
  if (phase != Phase::ready) return;
  if (!out.empty()) stuck.push_back(out.take());
  while (!stuck.empty()) {
    const auto sent = link->send(std::move(stuck.front()));
    // away: the connection broke and took the message along; lose() is to follow, and asks anew.
    if (!sent && sent.error().code != Errc::away) return;
    stuck.pop_front();
  }
}

Error Client::State::no_answer() const {
  if (fatal) return *fatal;
  if (last_failure) return *last_failure;
  const char* why = "no answer";
  if (phase == Phase::ready)
    why = "connected, but no answer";
  else if (handshaken)
    why = "something listens there, but no front answers";
  else if (refusals > 0)
    why = "nobody listens there";
  return {Errc::away, fmt::format("{}: {}", endpoint, why)};
}

Status Client::start(const std::string& endpoint) {
  State& s = *state_;
  TM_CHECK(s.endpoint.empty());
  if (!is_utf8(s.options.name))
    return fail(Errc::bad_params, "a client's name is UTF-8 text", "/client");
  if (s.options.name.size() > limits::client_name_bytes)
    return fail(Errc::bad_params,
                fmt::format("a client's name has at most {} bytes", limits::client_name_bytes));
  s.endpoint = endpoint;
  s.open();
  if (s.fatal) return std::unexpected(*s.fatal);
  return {};
}

Status Client::connect(const std::string& endpoint, std::optional<Duration> timeout) {
  State& s = *state_;
  if (auto started = start(endpoint); !started) return started;
  const bool told = s.pump(
      [&] {
        return s.phase == State::Phase::ready || s.fatal ||
               (s.options.fail_fast && !s.handshaken && s.refusals >= refusals_believed);
      },
      timeout.value_or(s.options.timeout));
  if (s.fatal || !told || s.phase != State::Phase::ready) return std::unexpected(s.no_answer());
  return {};
}

bool Client::connected() const { return state_->phase == State::Phase::ready; }

}  // namespace tallymill::bus
