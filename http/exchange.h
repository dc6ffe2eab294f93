// Exchange: what a handler holds while it answers: Answer (one response), Outlet (a stream of
// pieces, as Server-Sent Events are), Socket (a WebSocket), BodyReader (a body that comes in
// pieces).
//
// They are handles: the connection behind them may be gone at any time, and then what is sent goes
// nowhere. Nobody is waited for: what a slow reader has not taken waits in an outlet up to
// limits::http_outlet_bytes; beyond it send() says no, and `drained` is called when it has room.
//
//   invariant: each request is answered once; an Answer that is dropped unanswered is a 500, unless
//              the client is gone
//
// Threads: the server's, see Server::post().
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/message.h"

namespace tallymill::http {

// A stream of bytes to one client, after its response's head.
class Outlet {
 public:
  virtual ~Outlet() = default;
  // False: it is full (and takes nothing of it) or closed.
  virtual bool send(std::string_view piece) = 0;
  virtual void close() = 0;
  // Broken off: the client is told that what it has is not all.
  virtual void cut() = 0;
  [[nodiscard]] virtual std::size_t queued() const = 0;  // bytes
  // Called when all that waited was handed to the system.
  virtual void on_drained(std::function<void()> drained) = 0;
  // Called once, when the client is gone or the server leaves; not after close() or cut().
  virtual void on_closed(std::function<void()> closed) = 0;
};

class Socket;

// The one response to one request.
class Answer {
 public:
  class Pending {  // the connection's side
   public:
    virtual ~Pending() = default;
    virtual void respond(Response&& response) = 0;
    virtual std::shared_ptr<Outlet> stream(Response&& head) = 0;
    virtual void open(std::function<void(std::shared_ptr<Socket>)>&& opened) = 0;
    virtual void on_leaving(std::function<void()> leaving) = 0;
    // Nobody waits for it any more: what is said goes nowhere.
    [[nodiscard]] virtual bool is_over() const = 0;
  };

  explicit Answer(std::shared_ptr<Pending> pending) : pending_(std::move(pending)) {}
  Answer(Answer&&) noexcept = default;
  Answer& operator=(Answer&& other) noexcept;
  ~Answer();

  void send(Response response);
  void fail(const Error& error) { send(problem(error)); }
  // The response's head now, its body as it comes: until close().
  [[nodiscard]] std::shared_ptr<Outlet> stream(Response head);
  // The WebSocket that was asked for; `opened` is not called when the client has gone meanwhile.
  // REQUIRES: the answer of a Handler::asked_socket.
  void open(std::function<void(std::shared_ptr<Socket>)> opened);
  // Called at most once, when the client is gone before the answer, or sends no more: it may still
  // read, as `nc -N` does, but who waits for something had better answer now. At once when it is so
  // already.
  void on_leaving(std::function<void()> leaving);
  [[nodiscard]] bool pending() const { return pending_ != nullptr; }
  // Nobody waits for it any more.
  [[nodiscard]] bool is_over() const { return pending_ == nullptr || pending_->is_over(); }

 private:
  std::shared_ptr<Pending> pending_;
};

// A body in pieces. Destroyed without finish(): the client is gone, or the answer was given early.
class BodyReader {
 public:
  virtual ~BodyReader() = default;
  // Takes a piece; `more` asks for the next one, now or later. An error ends the request with it.
  virtual Status piece(std::string_view bytes, std::function<void()> more) = 0;
  // That was all of it. The answer is given by whoever has the Answer.
  virtual void finish() = 0;
};

// A WebSocket, either end of it.
class Socket {
 public:
  enum class Kind : std::uint8_t { text, binary };
  virtual ~Socket() = default;
  // False: it is full (and takes nothing of it) or closed.
  virtual bool send(Kind kind, std::string_view message) = 0;
  [[nodiscard]] virtual std::size_t queued() const = 0;
  virtual void close(int code, std::string_view reason) = 0;
  // While it is held nothing more is read, so that whoever sends is held up, for as long as a
  // silent connection is kept at most.
  virtual void hold(bool on) = 0;
  // What the other end said with its goodbye.
  [[nodiscard]] virtual std::string_view goodbye() const = 0;
  virtual void on_message(std::function<void(Kind, std::string_view)> heard) = 0;
  virtual void on_drained(std::function<void()> drained) = 0;
  // Called once, however it ended, but for this end's close().
  virtual void on_closed(std::function<void(int code)> closed) = 0;
};

}  // namespace tallymill::http
