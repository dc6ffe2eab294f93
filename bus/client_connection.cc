#include <fmt/format.h>
#include <sys/random.h>
#include <zmq.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "bus/client_state.h"
#include "bus/frames.h"

namespace tallymill::bus {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds first_backoff{20};
constexpr milliseconds longest_backoff{1000};
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
  close_socket();
}

void Client::State::open() {
  reopen_timer = 0;
  socket.emplace(context, zmq::socket_type::dealer);
  // A new id each time: what the old connection left behind at the front cannot reach this one.
  socket->set(zmq::sockopt::routing_id, fmt::format("{}-{}", instance, ++sockets_made));
  socket->set(zmq::sockopt::linger, 0);
  socket->set(zmq::sockopt::sndhwm, 0);  // the windows bound what is under way
  socket->set(zmq::sockopt::maxmsgsize, limits::max_zmq_frame_bytes.raw());
  socket->set(zmq::sockopt::reconnect_ivl, static_cast<int>(first_backoff.count()));
  socket->set(zmq::sockopt::reconnect_ivl_max, static_cast<int>(longest_backoff.count()));

  // The name of a closed one is free only when its I/O thread has let go of it.
  const std::string events = fmt::format("inproc://monitor-{}", sockets_made);
  TM_CHECK(zmq_socket_monitor(socket->handle(), events.c_str(),
                              ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CONNECT_RETRIED |
                                  ZMQ_EVENT_HANDSHAKE_SUCCEEDED) == 0);
  monitor.emplace(context, zmq::socket_type::pair);
  monitor->set(zmq::sockopt::linger, 0);
  monitor->connect(events);

  handshaken = false;
  refusals = 0;
  silent_ticks = 0;
  phase = Phase::greeting;
  loop->watch(*socket, [this] { on_readable(); });
  loop->watch(*monitor, [this] { on_monitor(); });
  try {
    socket->connect(endpoint);
  } catch (const zmq::error_t& e) {
    fatal = Error{Errc::bad_params, fmt::format("cannot connect to '{}': {}", endpoint, e.what())};
    close_socket();
    return;
  }
  say_hello();
}

void Client::State::close_socket() {
  phase = Phase::closed;
  if (!socket) return;
  loop->unwatch(*monitor);
  loop->unwatch(*socket);
  zmq_socket_monitor(socket->handle(), nullptr, 0);
  monitor.reset();
  socket.reset();
  if (!out.empty()) (void)out.take();
}

void Client::State::lose() {
  const InCallback mark(*this);
  const bool was_ready = phase == Phase::ready;
  close_socket();
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
  (void)send(*socket, packer.take());
}

void Client::State::on_monitor() {
  for (int i = 0; i < limits::messages_per_turn; ++i) {
    zmq::message_t event;
    if (!monitor || !monitor->recv(event, zmq::recv_flags::dontwait)) return;
    zmq::message_t address;
    (void)monitor->recv(address, zmq::recv_flags::dontwait);
    if (event.size() < sizeof(std::uint16_t)) continue;
    std::uint16_t number = 0;
    std::memcpy(&number, event.data(), sizeof number);
    if (number == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) handshaken = true;
    if (number == ZMQ_EVENT_CONNECT_RETRIED) ++refusals;
    // Before the handshake libzmq tries again by itself.
    if (number == ZMQ_EVENT_DISCONNECTED && handshaken) return lose();
  }
}

void Client::State::on_readable() {
  const InCallback mark(*this);
  for (int i = 0; i < limits::messages_per_turn && socket; ++i) {
    if (!receive(*socket, frames)) break;
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
  if (!same_ledger) last_seq = welcome->head;
  watch_again(first || same_ledger);
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
    if (!info(error.code).retry) {
      fatal = std::move(error);
      return close_socket();
    }
    return lose();
  }
  if (SubmitSlot* slot = slot_of(failure->request))
    return answer(*slot, {.tag = slot->tag, .job = JobId(0), .error = &error});
  answer_ask(failure->request, std::unexpected(std::move(error)));
}

void Client::State::on_tick() {
  const InCallback mark(*this);
  if (!socket || (phase == Phase::greeting && !handshaken)) return;
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

void Client::State::send_out() {
  if (out.empty()) return;
  Frames message = out.take();
  // Fails only when the connection is gone; the monitor says so too, and all of it is sent again.
  if (socket) (void)send(*socket, std::move(message));
}

std::string Client::State::where() const {
  if (phase == Phase::ready) return fmt::format("{}: connected, but no answer", endpoint);
  if (handshaken) return fmt::format("{}: something listens there, but no front answers", endpoint);
  if (refusals > 0) return fmt::format("{}: nobody listens there", endpoint);
  return fmt::format("{}: no answer", endpoint);
}

Status Client::start(const std::string& endpoint) {
  State& s = *state_;
  TM_CHECK(s.endpoint.empty());
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
  if (s.fatal) return std::unexpected(*s.fatal);
  if (!told || s.phase != State::Phase::ready) return fail(Errc::away, s.where());
  return {};
}

bool Client::connected() const { return state_->phase == State::Phase::ready; }

}  // namespace tallymill::bus
