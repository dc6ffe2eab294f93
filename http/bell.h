// Bell: what wakes a coroutine that waits for something of its own thread.
//
// It wakes who waits just now, so that whoever waits looks first whether what it waits for is
// there.
//
// Threads: its executor's one.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace tallymill::http {

class Bell {
 public:
  explicit Bell(const boost::asio::any_io_executor& executor)
      : timer_(executor, std::chrono::steady_clock::time_point::max()) {}
  void ring() { timer_.cancel(); }
  boost::asio::awaitable<void> wait() {
    boost::system::error_code rung;
    co_await timer_.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, rung));
  }
  // Calls it when it rings, from the executor.
  template <class Call>
  void then(Call&& call) {
    timer_.async_wait(std::forward<Call>(call));
  }

 private:
  boost::asio::steady_timer timer_;
};

}  // namespace tallymill::http
