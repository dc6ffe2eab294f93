#include "bus/frames.h"

#include <fmt/format.h>
#include <zmq.h>

#include <cerrno>

#include "base/check.h"
#include "base/limits.h"

namespace tallymill::bus {
namespace {

bool receive_frame(void* socket, zmq::message_t& into) {
  for (;;) {
    if (zmq_msg_recv(into.handle(), socket, ZMQ_DONTWAIT) >= 0) return true;
    if (errno == EINTR) continue;
    // ETERM: the context is being stopped; there is nothing to read any more.
    TM_CHECK(errno == EAGAIN || errno == ETERM);
    return false;
  }
}

bool receive_rest(void* socket, Frames& into) {
  while (into.back().more()) {
    if (into.size() < most_frames) into.emplace_back();
    // libzmq hands over whole messages: once the first frame is here, so are all.
    if (!receive_frame(socket, into.back())) return false;
  }
  return true;
}

// 0, or the errno.
int send_frame(void* socket, zmq_msg_t* frame, bool more) {
  for (;;) {
    if (zmq_msg_send(frame, socket, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0)) >= 0) return 0;
    if (errno != EINTR) return errno;
  }
}

// The first frame decides. A socket looks at what its I/O thread told it at most once a
// millisecond: when it seems to have no room, make it look before that is believed.
int send_first(void* socket, zmq_msg_t* frame, bool more) {
  const int error = send_frame(socket, frame, more);
  if (error != EAGAIN) return error;
  int events = 0;
  std::size_t size = sizeof events;
  if (zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) != 0) return errno;
  return send_frame(socket, frame, more);
}

Status refused(int error) {
  switch (error) {
    case EAGAIN:
      return fail(Errc::busy, "nobody is connected there, or its queue is full");
    case EHOSTUNREACH:
      return fail(Errc::away, "no such peer is connected");
    default:
      return fail(Errc::away, fmt::format("cannot send: {}", zmq_strerror(error)));
  }
}

// What follows a first frame that was taken. When the connection breaks in between, libzmq refuses
// one frame and then drops all that it is given up to the end of the message, whoever's it is: so
// it is given the rest of this one.
Status send_rest(void* socket, Frames& frames, std::size_t from) {
  int error = 0;
  for (std::size_t i = from; i < frames.size(); ++i) {
    const int answer = send_frame(socket, frames[i].handle(), i + 1 < frames.size());
    if (error == 0) error = answer;
  }
  if (error == 0) return {};
  frames.clear();
  return fail(Errc::away, "the connection broke while a message was being written");
}

}  // namespace

bool receive(zmq::socket_t& socket, Frames& into) {
  into.clear();
  into.emplace_back();
  if (receive_frame(socket.handle(), into.back()) && receive_rest(socket.handle(), into))
    return true;
  into.clear();
  return false;
}

bool receive(zmq::socket_t& router, Route& from, Frames& into) {
  into.clear();
  from.delimiter = false;
  zmq::message_t first;
  if (!receive_frame(router.handle(), first)) return false;
  from.peer.assign(static_cast<const char*>(first.data()), first.size());
  if (!first.more()) return true;
  into.emplace_back();
  if (!receive_frame(router.handle(), into.back())) return false;
  if (into.back().size() == 0 && into.back().more()) {
    from.delimiter = true;
    if (!receive_frame(router.handle(), into.back())) return false;
  }
  return receive_rest(router.handle(), into);
}

Status send(zmq::socket_t& socket, Frames&& frames) {
  TM_CHECK(!frames.empty());
  if (const int error = send_first(socket.handle(), frames[0].handle(), frames.size() > 1))
    return refused(error);
  return send_rest(socket.handle(), frames, 1);
}

Status send(zmq::socket_t& router, const Route& to, Frames&& frames) {
  TM_CHECK(!frames.empty());
  zmq::message_t peer(to.peer.data(), to.peer.size());
  if (const int error = send_first(router.handle(), peer.handle(), true)) return refused(error);
  if (to.delimiter) {
    // A ROUTER that has taken the peer's name refuses nothing of that message any more.
    zmq::message_t delimiter;
    (void)send_frame(router.handle(), delimiter.handle(), true);
  }
  return send_rest(router.handle(), frames, 0);
}

}  // namespace tallymill::bus
