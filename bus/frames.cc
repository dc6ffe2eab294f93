#include "bus/frames.h"

#include <fmt/format.h>
#include <zmq.h>

#include <cerrno>

#include "base/check.h"
#include "base/limits.h"

namespace tallymill::bus {
namespace {

// "T1", headers, params, blobs, and one more that tells decode() that there were too many.
constexpr std::size_t most_frames = 3 + limits::batch_blobs + 1;

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

Status status_of(int error) {
  switch (error) {
    case 0:
      return {};
    case EAGAIN:
      return fail(Errc::busy, "nobody is connected there, or its queue is full");
    case EHOSTUNREACH:
      return fail(Errc::away, "no such peer is connected");
    default:
      return fail(Errc::away, fmt::format("cannot send: {}", zmq_strerror(error)));
  }
}

int send_rest(void* socket, Frames& frames, std::size_t from) {
  for (std::size_t i = from; i < frames.size(); ++i) {
    const int error = send_frame(socket, frames[i].handle(), i + 1 < frames.size());
    if (error != 0) return error;
  }
  return 0;
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
  int error = send_first(socket.handle(), frames[0].handle(), frames.size() > 1);
  if (error == 0) error = send_rest(socket.handle(), frames, 1);
  return status_of(error);
}

Status send(zmq::socket_t& router, const Route& to, Frames&& frames) {
  TM_CHECK(!frames.empty());
  zmq::message_t peer(to.peer.data(), to.peer.size());
  int error = send_first(router.handle(), peer.handle(), true);
  if (error == 0 && to.delimiter) {
    zmq::message_t delimiter;
    error = send_frame(router.handle(), delimiter.handle(), true);
  }
  if (error == 0) error = send_rest(router.handle(), frames, 0);
  return status_of(error);
}

}  // namespace tallymill::bus
