// Handles: what handlers hold of a connection, as its coroutine sees it: Exchange (an Answer, and
// the Outlet that it may become) and Handle (a WebSocket).
//
// A handler may keep them longer than there is a connection, or a server. So they hold neither:
// cut_loose() is the end of what they knew, and then they ring nobody, count nothing and keep no
// call.
//
//   invariant: calls are made outside of what they may change: one may close or drop its own handle
//
// Threads: the server's; once cut loose, any.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/limits.h"
#include "http/exchange.h"
#include "http/held_bodies.h"
#include "http/probe.h"

namespace tallymill::http {

// What a handler wants to be told. From inside of it, it may be replaced or dropped.
template <class... Args>
class Call {
 public:
  void set(std::function<void(Args...)> call) {
    call_ = call ? std::make_shared<std::function<void(Args...)>>(std::move(call)) : nullptr;
  }
  void clear() { call_ = nullptr; }
  void operator()(Args... args) const {
    if (const auto held = call_) (*held)(args...);
  }
  void once(Args... args) {
    if (const auto held = std::exchange(call_, nullptr)) (*held)(args...);
  }

 private:
  std::shared_ptr<std::function<void(Args...)>> call_;
};

// What waits for one reader. A message that is larger than the bound is taken when nothing waits.
class OutletQueue {
 public:
  explicit OutletQueue(Probe& probe) : probe_(&probe) {}
  ~OutletQueue() { cut_loose(); }
  OutletQueue(const OutletQueue&) = delete;
  OutletQueue& operator=(const OutletQueue&) = delete;

  struct Message {
    bool binary = false;
    std::string bytes;
  };
  [[nodiscard]] bool put(bool binary, std::string_view bytes) {
    if (probe_ == nullptr) return false;
    if (bytes_ > 0 &&
        bytes_ + bytes.size() > static_cast<std::size_t>(limits::http_outlet_bytes.raw())) {
      probe_->outlet_full().add();
      return false;
    }
    count(static_cast<double>(bytes.size()));
    bytes_ += bytes.size();
    messages_.push_back({binary, std::string(bytes)});
    return true;
  }
  [[nodiscard]] std::list<Message> take() { return std::exchange(messages_, {}); }
  [[nodiscard]] std::optional<Message> take_one() {
    if (messages_.empty()) return std::nullopt;
    Message first = std::move(messages_.front());
    messages_.pop_front();
    return first;
  }
  // What was taken has left.
  void sent(std::size_t bytes) {
    bytes_ -= bytes;
    count(-static_cast<double>(bytes));
  }
  // Nothing leaves any more. REQUIRES: nothing is on its way to sent().
  void cut_loose() {
    if (probe_ != nullptr) count(-static_cast<double>(bytes_));
    probe_ = nullptr;
    messages_.clear();
    bytes_ = 0;
  }
  [[nodiscard]] bool empty() const { return messages_.empty(); }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  void count(double by) { probe_->outlet_bytes().add(by); }
  Probe* probe_;
  std::list<Message> messages_;  // an empty one allocates nothing: each request makes one
  std::size_t bytes_ = 0;
};

// The connection's side of one request: what the handler said, and who is woken by it.
class Exchange final : public Answer::Pending,
                       public Outlet,
                       public std::enable_shared_from_this<Exchange> {
 public:
  // `ring` wakes the connection's coroutine.
  Exchange(Probe& probe, std::function<void()> ring) : queue(probe), ring_(std::move(ring)) {}

  void respond(Response&& said) override {
    body.reset();  // whoever answers has done with it
    if (is_over()) return;
    response = std::move(said);
    leaving_call_.clear();
    ring();
  }
  std::shared_ptr<Outlet> stream(Response&& head) override {
    body.reset();
    if (!is_over()) {
      response = std::move(head);
      leaving_call_.clear();
      streaming = true;
      ring();
    }
    return shared_from_this();
  }
  void open(std::function<void(std::shared_ptr<Socket>)>&& call) override {
    if (is_over()) return;
    opened = std::move(call);
    leaving_call_.clear();
    ring();
  }
  void on_leaving(std::function<void()> call) override {
    if (leaving || gone) return call();
    leaving_call_.set(std::move(call));
  }
  [[nodiscard]] bool is_over() const override { return gone || response || opened; }

  bool send(std::string_view piece) override {
    if (gone || closing || !streaming) return false;
    if (piece.empty()) return true;  // an empty chunk would be the last
    if (!queue.put(false, piece)) return false;
    ring();
    return true;
  }
  void close() override {
    closing = true;
    closed_call_.clear();
    ring();
  }
  void cut() override {
    cut_short = true;
    close();
  }
  [[nodiscard]] std::size_t queued() const override { return queue.bytes(); }
  void on_drained(std::function<void()> call) override {
    if (!gone) drained_call_.set(std::move(call));
  }
  void on_closed(std::function<void()> call) override {
    if (closing) return;
    if (gone || !streaming) return call();
    closed_call_.set(std::move(call));
  }

  void drained() const { drained_call_(); }
  void ring() const {
    if (ring_) ring_();
  }
  // The client sends no more. No stream is written to it, for it would be told that it is gone only
  // by a write; one answer is.
  void half_close() {
    if (streaming) return lose();
    leaving = true;
    leaving_call_.once();
  }
  // The client is gone, or the server leaves.
  void lose() {
    if (std::exchange(gone, true)) return;
    ring();
    drained_call_.clear();
    leaving_call_.once();
    closed_call_.once();
  }
  // The connection has done with it.
  void cut_loose() {
    lose();
    ring_ = nullptr;
    queue.cut_loose();
  }

  OutletQueue queue;
  std::optional<HeldBody> body;  // of a request that is read whole
  std::optional<Response> response;
  std::function<void(std::shared_ptr<Socket>)> opened;  // who takes the WebSocket
  bool streaming = false;
  bool closing = false;
  bool cut_short = false;  // closing, and what was sent is not all
  bool gone = false;
  bool leaving = false;  // the client sends no more
  bool wanted = false;   // who reads the body asked for the next piece

 private:
  std::function<void()> ring_;
  Call<> leaving_call_;
  Call<> drained_call_;
  Call<> closed_call_;
};

// What a handler holds of a WebSocket.
class Handle final : public Socket {
 public:
  Handle(Probe& probe, std::function<void()> ring) : queue(probe), ring_(std::move(ring)) {}

  bool send(Kind kind, std::string_view message) override {
    if (!open || closing || !queue.put(kind == Kind::binary, message)) return false;
    ring();
    return true;
  }
  [[nodiscard]] std::size_t queued() const override { return queue.bytes(); }
  void close(int with, std::string_view why) override {
    closed_.clear();
    end(with, why);
  }
  void hold(bool on) override {
    if (std::exchange(held, on) && !on) ring();
  }
  [[nodiscard]] std::string_view goodbye() const override { return theirs; }
  void on_message(std::function<void(Kind, std::string_view)> call) override {
    if (open) heard_.set(std::move(call));
  }
  void on_drained(std::function<void()> call) override {
    if (open) drained_.set(std::move(call));
  }
  void on_closed(std::function<void(int)> call) override {
    if (!open) return call(code);
    if (!closing) closed_.set(std::move(call));
  }

  // Says goodbye behind what waits.
  void end(int with, std::string_view why) {
    if (!open || std::exchange(closing, true)) return;
    code = with;
    reason = why;
    ring();
  }
  void heard(Kind kind, std::string_view message) const { heard_(kind, message); }
  void drained() const { drained_(); }
  // It is closed: calls that hold this handle go.
  void lose() {
    if (!std::exchange(open, false)) return;
    ring();
    heard_.clear();
    drained_.clear();
    closed_.once(code);
  }
  void cut_loose() {
    lose();
    ring_ = nullptr;
    queue.cut_loose();
  }

  OutletQueue queue;
  bool open = true;
  bool closing = false;
  bool held = false;  // nothing is read
  int code = 1006;
  std::string reason;
  std::string theirs;  // the other end's reason

 private:
  void ring() const {
    if (ring_) ring_();
  }

  std::function<void()> ring_;
  Call<Kind, std::string_view> heard_;
  Call<> drained_;
  Call<int> closed_;
};

}  // namespace tallymill::http
