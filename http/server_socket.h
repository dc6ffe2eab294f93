// Server socket: the server's end of a WebSocket: reads in its connection's coroutine, writes in
// one of its own.
//
// Inside of connection.cc: nobody else includes this. Connection is the class there.
//
// Threads: the server's.
// Source: Boost.Beast.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "base/limits.h"
#include "http/connection.h"
#include "http/frame.h"
#include "http/handles.h"
#include "http/write_behind.h"

namespace tallymill::http {

// Beast finds this by the stream's type: the goodbye belongs to what is under it.
template <class Next, class Handler>
void async_teardown(boost::beast::role_type role, WriteBehind<Next>& stream, Handler&& handler) {
  using boost::beast::websocket::async_teardown;
  async_teardown(role, stream.next_layer(), std::forward<Handler>(handler));
}

// How long a client may take for its part of a goodbye.
inline constexpr std::chrono::milliseconds linger{1000};
// What is kept of a buffer that one large message has grown.
inline constexpr std::size_t kept_socket_buffer = std::size_t{64} << 10;

template <class Connection>
class ServerSocket final : public std::enable_shared_from_this<ServerSocket<Connection>> {
 public:
  // `opened`: who speaks with it.
  ServerSocket(std::shared_ptr<Connection> connection,
               std::function<void(std::shared_ptr<Socket>)> opened)
      : opened_(std::move(opened)),
        connection_(std::move(connection)),
        server_(connection_->server_),
        out_(connection_->stream_, [this] { connection_->bell_.ring(); }),
        socket_(out_) {}

  boost::asio::awaitable<void> run() {
    const auto self = this->shared_from_this();
    out_.set_owner(self);
    configure();
    boost::system::error_code failed;
    co_await socket_.async_accept(connection_->parser_->get(),
                                  boost::asio::redirect_error(boost::asio::use_awaitable, failed));
    connection_->in_flight_.reset();
    server_.probe.answered(connection_->route_name_, Method::get, failed ? 400 : 101,
                           std::chrono::steady_clock::now() - connection_->began_);
    if (failed || connection_->cut_) co_return;
    connection_->log_access({.status = 101});
    const Counted counted(server_.probe.sockets());
    handle_ =
        std::make_shared<Handle>(server_.probe, [at = connection_.get()] { at->bell_.ring(); });
    connection_->handle_ = handle_;
    boost::asio::co_spawn(
        connection_->stream_.get_executor(), [self] { return self->write(); }, log_end);
    std::exchange(opened_, nullptr)(handle_);
    if (connection_->last_) handle_->end(1001, "the server leaves");
    co_await read();
    handle_->lose();
  }

 private:
  void configure() {
    boost::beast::websocket::stream_base::timeout times{};
    times.handshake_timeout = limits::http_header_time;
    times.idle_timeout = 2 * server_.ping;  // a ping after half of it
    times.keep_alive_pings = true;
    socket_.set_option(times);
    socket_.auto_fragment(false);
    // The goodbye is the end for the handler; how the client closes its connection is not waited
    // for.
    socket_.control_callback(
        [this](boost::beast::websocket::frame_type kind, boost::beast::string_view) {
          if (kind != boost::beast::websocket::frame_type::close || !handle_) return;
          if (!handle_->closing) handle_->code = socket_.reason().code;
          handle_->theirs = socket_.reason().reason.c_str();
          handle_->lose();
          connection_->wait_until(linger, "linger");
        });
    const Bytes of_route = connection_->route_->body_bytes;
    const Bytes most = of_route > Bytes(0) ? of_route : limits::http_socket_message_bytes;
    socket_.read_message_max(static_cast<std::size_t>(most.raw()));
    if (server_.options.socket_deflate) {
      boost::beast::websocket::permessage_deflate deflate;
      deflate.server_enable = true;
      deflate.compLevel = 1;
      deflate.memLevel = 4;
      deflate.server_no_context_takeover = true;
      deflate.client_no_context_takeover = true;
      socket_.set_option(deflate);
    }
    // The name of ours, when it was offered; never the token that stands beside it.
    const bool offered =
        accepts(connection_->request_.headers.list("Sec-WebSocket-Protocol"), "tallymill.v1");
    socket_.set_option(boost::beast::websocket::stream_base::decorator(
        [offered, id = connection_->request_.id](boost::beast::websocket::response_type& response) {
          if (offered)
            response.set(boost::beast::http::field::sec_websocket_protocol, "tallymill.v1");
          response.set("X-Request-Id", id);
          response.erase(boost::beast::http::field::server);
        }));
  }

  boost::asio::awaitable<void> read() {
    boost::beast::flat_buffer buffer;
    boost::system::error_code failed;
    for (;;) {
      while (handle_->held && handle_->open && !connection_->cut_)
        co_await connection_->bell_.wait();
      if (connection_->cut_) {
        failed = boost::asio::error::operation_aborted;
        break;
      }
      co_await socket_.async_read(buffer,
                                  boost::asio::redirect_error(boost::asio::use_awaitable, failed));
      if (failed) break;
      server_.probe.received_bytes().add(buffer.size());
      if (!handle_->closing)
        handle_->heard(socket_.got_text() ? Socket::Kind::text : Socket::Kind::binary,
                       {static_cast<const char*>(buffer.data().data()), buffer.size()});
      buffer.consume(buffer.size());
      // One large message is not kept room for as long as the socket is open.
      if (buffer.capacity() > kept_socket_buffer) buffer.shrink_to_fit();
    }
    if (handle_->closing) co_return;
    handle_->code = failed == boost::beast::websocket::error::closed ? socket_.reason().code : 1006;
    if (failed == boost::beast::websocket::error::message_too_big) handle_->code = 1009;
    if (failed == boost::beast::error::timeout) server_.probe.cut("silent");
  }

  boost::asio::awaitable<void> write() {
    const auto self = this->shared_from_this();
    boost::system::error_code failed;
    std::optional<std::size_t> leaving;  // bytes of messages that are on their way
    while (handle_->open && !failed) {
      if (!out_.idle()) {
        // Behind Beast's own frames, which have no deadline.
        if (!leaving && !handle_->queue.empty()) watch_reader();
        co_await connection_->bell_.wait();
        continue;
      }
      failed = out_.failed();
      if (leaving) {
        took(*std::exchange(leaving, std::nullopt));
        if (!failed && handle_->queue.empty()) handle_->drained();
      } else if (!handle_->queue.empty()) {
        leaving = co_await hand_out();
      } else if (handle_->closing) {
        break;
      } else {
        co_await connection_->bell_.wait();
      }
    }
    if (!handle_->open || failed) co_return;
    boost::beast::websocket::close_reason reason(static_cast<std::uint16_t>(handle_->code));
    reason.reason = boost::beast::string_view(handle_->reason).substr(0, reason.reason.max_size());
    co_await socket_.async_close(reason,
                                 boost::asio::redirect_error(boost::asio::use_awaitable, failed));
  }

  // From now on it takes what the lowest rate asks for.
  void watch_reader() {
    if (connection_->deadline != SteadyTime::max()) return;
    connection_->acked_.reset();
    connection_->wait_until(server_.grace, Connection::reader_rate);
  }

  // All that waits, on its way; how many bytes.
  boost::asio::awaitable<std::size_t> hand_out() {
    watch_reader();
    std::size_t bytes = 0;
    const auto messages = handle_->queue.take();
    for (const auto& message : messages) {
      bytes += message.bytes.size();
      if (!server_.options.socket_deflate) {
        append_frame(out_.gathered(), message.binary, message.bytes);
        continue;
      }
      boost::system::error_code failed;  // out_ keeps it
      socket_.binary(message.binary);
      co_await socket_.async_write(
          boost::asio::const_buffer(message.bytes.data(), message.bytes.size()),
          boost::asio::redirect_error(boost::asio::use_awaitable, failed));
    }
    out_.flush();
    co_return bytes;
  }

  // They were handed to the system, or never will be.
  void took(std::size_t bytes) {
    if (!connection_->cut_) connection_->deadline = SteadyTime::max();
    server_.probe.sent_bytes().add(bytes);
    handle_->queue.sent(bytes);
  }

  std::function<void(std::shared_ptr<Socket>)> opened_;
  std::shared_ptr<Connection> connection_;
  Shared& server_;
  std::shared_ptr<Handle> handle_;
  WriteBehind<typename Connection::Next> out_;
  boost::beast::websocket::stream<WriteBehind<typename Connection::Next>&> socket_;
};

}  // namespace tallymill::http
