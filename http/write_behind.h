// Write behind: a stream whose writes are done as soon as they are taken: they gather behind the
// one that is on its way, and leave together. So a WebSocket with many short messages waiting makes
// one write of them.
//
// Above a bound a write is done when what was on its way before it has left. Whoever puts bytes
// into gathered() waits for idle() before. An error is told by the next write.
//
//   invariant: bytes leave in the order in which they were taken, each call's without a gap
//
// Threads: its executor's one.
#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "http/bell.h"
#include "http/large_writes.h"

namespace tallymill::http {

template <class Next>
class WriteBehind {
 public:
  using executor_type = typename Next::executor_type;
  using next_layer_type = Next;

  // `written`: called when nothing is on its way any more. `owner`: what holds this; it is kept
  // while something is.
  WriteBehind(Next& next, std::function<void()> written)
      : next_(next), written_(std::move(written)), room_(next.get_executor()) {}
  void set_owner(std::weak_ptr<void> owner) { owner_ = std::move(owner); }

  executor_type get_executor() { return next_.get_executor(); }
  next_layer_type& next_layer() { return next_; }
  const next_layer_type& next_layer() const { return next_; }

  // Takes bytes; they leave with the next flush(), or behind what is on its way.
  std::string& gathered() { return gathered_; }
  void flush() {
    if (writing_ || gathered_.empty() || failed_) return;
    writing_ = true;
    leaving_.swap(gathered_);
    boost::asio::async_write(
        next_, boost::asio::buffer(leaving_), large_writes,
        [this, held = owner_.lock()](boost::system::error_code failed, std::size_t) {
          writing_ = false;
          failed_ = failed;
          // What was much once is not kept for all that may be idle for hours.
          if (leaving_.capacity() > kept_bytes) leaving_ = {};
          leaving_.clear();
          flush();
          room_.ring();
          if (!writing_) written_();
        });
  }
  [[nodiscard]] bool idle() const { return !writing_ && (gathered_.empty() || failed_); }
  [[nodiscard]] boost::system::error_code failed() const { return failed_; }

  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    return next_.async_read_some(buffers, std::forward<Token>(token));
  }
  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    const auto begin = [this](auto handler, const Buffers& taken) {
      std::size_t size = 0;
      if (!failed_) {
        const auto end = boost::asio::buffer_sequence_end(taken);
        for (auto at = boost::asio::buffer_sequence_begin(taken); at != end; ++at) {
          const boost::asio::const_buffer piece(*at);
          gathered_.append(static_cast<const char*>(piece.data()), piece.size());
          size += piece.size();
        }
        flush();
      }
      auto done = [this, held = owner_.lock(), handler = std::move(handler),
                   size](auto...) mutable { handler(failed_, size); };
      if (gathered_.size() < gathered_bytes)
        boost::asio::post(get_executor(), std::move(done));
      else
        room_.then(std::move(done));
    };
    return boost::asio::async_initiate<Token, void(boost::system::error_code, std::size_t)>(
        begin, token, buffers);
  }

 private:
  static constexpr std::size_t gathered_bytes = std::size_t{64} << 10;
  static constexpr std::size_t kept_bytes = 4096;

  Next& next_;
  std::function<void()> written_;
  Bell room_;
  std::weak_ptr<void> owner_;
  std::string gathered_;
  std::string leaving_;
  bool writing_ = false;
  boost::system::error_code failed_;
};

}  // namespace tallymill::http
