#include "front/gateway/wire.h"

#include <fmt/format.h>

#include <utility>

#include "base/limits.h"
#include "base/log.h"
#include "bus/endpoints.h"
#include "bus/frames.h"
#include "bus/messages.h"
#include "bus/packed_frames.h"

namespace tallymill::gateway {
namespace {

using Kind = http::Socket::Kind;

// Codes of RFC 6455, 7.4.1.
constexpr int not_binary = 1003;
constexpr int not_frames = 1007;
constexpr int over_a_bound = 1008;
constexpr int cannot_serve = 1011;
constexpr int try_again_later = 1013;

zmq::message_t shared(const zmq::message_t& frame) {
  zmq::message_t same;
  same.copy(const_cast<zmq::message_t&>(frame));  // it only counts who holds the bytes
  return same;
}

std::int64_t size_of(const bus::Frames& frames) {
  return static_cast<std::int64_t>(bus::packed_bytes(frames));
}

// The same message once more; `change` may change it.
template <class M, class Change>
Status repack(const bus::Item& item, bus::Packer& out, Change change) {
  auto message = bus::read<M>(item);
  if (!message) return std::unexpected(std::move(message).error());
  change(*message);
  if (auto added = out.try_add(item.verb, *message, item.params); !added) return added;
  for (const zmq::message_t& blob : item.blobs) out.add_blob(shared(blob));
  return {};
}
template <class M>
Status repack(const bus::Item& item, bus::Packer& out) {
  return repack<M>(item, out, [](M&) {});
}

Status repack(const bus::Item& item, bus::Packer& out, const std::string& name) {
  switch (item.verb) {
    case bus::Verb::hello:
      return repack<bus::Hello>(item, out, [&](bus::Hello& hello) {
        if (!name.empty()) hello.client = name;
      });
    case bus::Verb::submit:
      return repack<bus::Submit>(item, out);
    case bus::Verb::watch:
      return repack<bus::Watch>(item, out);
    case bus::Verb::put:
      return repack<bus::Put>(item, out);
    case bus::Verb::get:
      return repack<bus::Get>(item, out);
    default:
      return repack<bus::Ask>(item, out);
  }
}

// Which question it is: all have it under the same name. 0: it cannot be read.
std::int64_t request_of(const bus::Item& item) {
  const auto told = bus::read<bus::Gap>(item);  // the message with the fewest other fields
  return told ? told->request : 0;
}

void refuse(std::int64_t request, const Error& error, bus::Packer& out) {
  out.add(bus::Failure{.request = request,
                       .code = info(error.code).name,
                       .message = error.message,
                       .field = error.field});
}

}  // namespace

http::Role role_of(bus::Verb verb) {
  using bus::Verb;
  switch (verb) {
    case Verb::hello:
    case Verb::ping:
    case Verb::status:
    case Verb::result:
    case Verb::watch:
    case Verb::jobs:
    case Verb::ends:
    case Verb::waterfalls:
    case Verb::timeline:
    case Verb::workers:
    case Verb::topology:
    case Verb::kinds:
    case Verb::snapshot:
    case Verb::get:
      return http::Role::read;
    case Verb::submit:
    case Verb::put:
    case Verb::cancel:
      return http::Role::submit;
    case Verb::retry:
    default:  // not a client's: the front refuses it, whoever asks
      return http::Role::operate;
  }
}

Judged judge(bus::Frames&& frames, const http::Caller& caller) {
  bus::Frames read;
  read.reserve(frames.size());
  for (const zmq::message_t& frame : frames) read.push_back(shared(frame));
  const auto envelope = bus::Envelope::decode(std::move(read));
  bool as_it_is = true;
  if (envelope)
    for (const bus::Item& item : envelope->items())
      as_it_is = as_it_is && role_of(item.verb) <= caller.role &&
                 (item.verb != bus::Verb::hello || caller.name.empty());
  Judged judged;
  if (as_it_is) {
    judged.passed = std::move(frames);
    return judged;
  }
  bus::Packer passed;
  bus::Packer answer;
  for (const bus::Item& item : envelope->items()) {
    if (const http::Role least = role_of(item.verb); least > caller.role) {
      ++judged.denied;
      refuse(request_of(item),
             {Errc::denied,
              fmt::format("{} needs a token with the role {}; this one's is {}", name_of(item.verb),
                          http::name_of(least), http::name_of(caller.role))},
             answer);
    } else if (auto repacked = repack(item, passed, caller.name); !repacked) {
      refuse(0, repacked.error(), answer);
    }
  }
  if (!passed.empty()) judged.passed = passed.take();
  if (!answer.empty()) judged.answer = answer.take();
  return judged;
}

Wire::Wire(http::Server& server, Probe& probe, http::Caller caller, zmq::socket_t&& front,
           std::shared_ptr<http::Socket> client)
    : server_(server),
      probe_(probe),
      caller_(std::move(caller)),
      front_(std::move(front)),
      fd_(front_.get(zmq::sockopt::fd)),
      client_(std::move(client)) {
  probe_.wires().add(1);
}

Wire::~Wire() {
  server_.unwatch(fd_);
  probe_.wires().add(-1);
  wait(-waiting_bytes_);
}

bool Wire::hear(Kind kind, std::string_view untrusted) {
  if (kind != Kind::binary) return client_->close(not_binary, "envelopes are binary"), false;
  auto frames = bus::unpack_frames(untrusted);
  if (!frames) return client_->close(not_frames, frames.error().message), false;
  Judged judged = judge(std::move(*frames), caller_);
  probe_.wire_denied().add(judged.denied);
  if (!judged.passed.empty() && !to_front(std::move(judged.passed))) return false;
  if (!judged.answer.empty() && !to_client(judged.answer)) return false;
  // A call on the socket may have taken in the edge that would have told of an answer.
  server_.post([weak = weak_from_this()] {
    if (const auto wire = weak.lock()) wire->move();
  });
  return true;
}

bool Wire::to_front(bus::Frames&& frames) {
  if (to_front_.empty() && bus::send(front_, std::move(frames))) return true;
  // send() moves what it takes. Empty: it was lost on the way, as with any connection that breaks.
  // NOLINTNEXTLINE(bugprone-use-after-move)
  if (frames.empty()) return true;
  const std::int64_t size = size_of(frames);
  if (full(size)) return false;
  to_front_.push_back(std::move(frames));
  wait(size);
  return true;
}

bool Wire::to_client(const bus::Frames& frames) {
  std::string packed = bus::pack_frames(frames);
  if (to_client_.empty() && client_->send(Kind::binary, packed)) return true;
  const auto size = static_cast<std::int64_t>(packed.size());
  if (full(size)) return false;
  to_client_.push_back(std::move(packed));
  wait(size);
  return true;
}

bool Wire::full(std::int64_t more) {
  if (waiting_bytes_ + more <= limits::wire_waiting_bytes.raw()) return false;
  client_->close(over_a_bound, "more waits than may wait");
  return true;
}

void Wire::wait(std::int64_t bytes) {
  waiting_bytes_ += bytes;
  probe_.wire_waiting_bytes().add(static_cast<double>(bytes));
}

void Wire::move() {
  if (std::exchange(moving_, true)) return;
  while (!to_front_.empty()) {
    const std::int64_t size = size_of(to_front_.front());
    if (!bus::send(front_, std::move(to_front_.front())) && !to_front_.front().empty()) break;
    to_front_.pop_front();
    wait(-size);
  }
  for (;;) {
    if (!to_client_.empty()) {
      if (!client_->send(Kind::binary, to_client_.front())) break;
      wait(-static_cast<std::int64_t>(to_client_.front().size()));
      to_client_.pop_front();
    } else if (bus::receive(front_, frames_)) {
      to_client_.push_back(bus::pack_frames(frames_));
      wait(static_cast<std::int64_t>(to_client_.back().size()));
    } else {
      break;
    }
  }
  moving_ = false;
}

void Wires::open(const http::Caller& caller, const std::shared_ptr<http::Socket>& client) {
  if (wires_.size() >= limits::wire_sockets) {
    probe_.wires_refused().add();
    return client->close(try_again_later, "as many clients as may speak so already do");
  }
  auto front = bus::open_socket(context_, bus::Role::client_jobs, front_);
  if (!front) {
    log::error("the wire cannot reach the front: " + front.error().message);
    return client->close(cannot_serve, "the front cannot be reached");
  }
  const int fd = front->get(zmq::sockopt::fd);
  const std::uint64_t id = ++last_id_;
  const auto wire = std::make_shared<Wire>(server_, probe_, caller, std::move(*front), client);
  wires_.emplace(id, wire);
  const std::weak_ptr<Wire> weak = wire;
  const auto move = [weak] {
    if (const auto open = weak.lock()) open->move();
  };
  server_.watch(fd, move);
  client->on_drained(move);
  client->on_message([this, id, weak](Kind kind, std::string_view bytes) {
    const auto open = weak.lock();
    if (!open || open->hear(kind, bytes)) return;
    probe_.wires_refused().add();
    drop(id);
  });
  client->on_closed([this, id](int) { drop(id); });
}

void Wires::drop(std::uint64_t id) { wires_.erase(id); }

}  // namespace tallymill::gateway
