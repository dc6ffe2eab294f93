// 1. Each connection is one coroutine (Connection::run): header, guard, body, handler, answer,
// again.
// 2. No co_await stands in a condition or in the middle of an expression, and its arguments are
//    trivial or moved from what has a name: g++ 12 compiles some others into a trap, or frees them
//    twice.
// 3. A handler answers through an Exchange, at once or later; the coroutine sleeps meanwhile on its
//    bell, a timer that never fires and is cancelled by the answer.
#include <utility>  // Boost.Asio 1.74 uses std::exchange in awaitable.hpp and does not include it
// in this order
#include "http/connection.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>

#include "base/limits.h"
#include "base/log.h"
#include "http/access_log.h"
#include "http/bell.h"
#include "http/conditional.h"
#include "http/frame.h"
#include "http/handles.h"
#include "http/large_writes.h"
#include "http/request_check.h"
#include "http/response_head.h"
#include "http/server_socket.h"
#include "http/tcp_acked.h"
#include "http/write_behind.h"

namespace tallymill::http {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = beast::http;
namespace websocket = beast::websocket;
using asio::awaitable;
using asio::use_awaitable;
using asio::ip::tcp;
using Parser = bhttp::request_parser<bhttp::buffer_body>;
using boost::system::error_code;
using std::chrono::milliseconds;

SteadyTime now() { return std::chrono::steady_clock::now(); }
std::string_view view_of(beast::string_view text) { return {text.data(), text.size()}; }

Error bad_request(std::string message) { return {Errc::bad_frame, std::move(message)}; }

// One connection; Stream is a TCP socket, or TLS over one.
template <class Stream>
class Connection final : public AnyConnection,
                         public std::enable_shared_from_this<Connection<Stream>> {
 public:
  Connection(Shared& server, Stream&& stream)
      : server_(server), stream_(std::move(stream)), bell_(stream_.get_executor()) {
    server_.connections.insert(this);
    server_.probe.connections().set(static_cast<double>(server_.connections.size()));
    rest();
  }
  ~Connection() override {
    stir();
    if (exchange_) exchange_->cut_loose();
    if (handle_) handle_->cut_loose();
    server_.connections.erase(this);
    server_.probe.connections().set(static_cast<double>(server_.connections.size()));
    server_.left();
  }

  awaitable<void> run() {
    const auto self = this->shared_from_this();
    error_code failed;
    const auto remote = socket().remote_endpoint(failed);
    if (failed) co_return;
    peer_ = fmt::format("{}:{}", remote.address().to_string(), remote.port());
    bool again = co_await shake_hands();
    while (again) again = co_await serve_one();
    deadline = SteadyTime::max();
    socket().shutdown(tcp::socket::shutdown_both, failed);
    socket().close(failed);
  }

  // A cancel ends only what waits just now: the deadline stays past, and the next sweep cuts again
  // what went on.
  void cut(std::string_view why) override {
    deadline = std::min(deadline, now());
    error_code ignored;
    socket().cancel(ignored);
    if (cut_) return;
    cut_ = why;
    server_.probe.cut(why);
    bell_.ring();
    if (exchange_) exchange_->lose();
  }
  void leave() override {
    last_ = true;
    if (resting) return cut("leaving");
    if (exchange_ && exchange_->streaming) exchange_->lose();
    if (handle_) handle_->end(1001, "the server leaves");
  }
  void abandon() override {
    cut_ = "stopped";
    error_code ignored;
    socket().close(ignored);
    if (exchange_) exchange_->lose();
    if (handle_) handle_->end(1001, "the server leaves");
    if (handle_) handle_->lose();
  }
  void look(SteadyTime at) override {
    // Behind bytes, as a goodbye of TLS is, or a next request, watch_for_end() sees no end.
    if (exchange_ && (is_tls || !watching_)) look_for_end();
    if (deadline == SteadyTime::max()) return;
    if (deadline_of == reader_rate && !acked_) acked_ = tcp_acked(socket().native_handle());
    if (deadline > at) return;
    if (deadline_of == reader_rate && !cut_ && is_read())
      return wait_until(server_.grace, reader_rate);
    cut(deadline_of);
  }

 private:
  friend class ServerSocket<Connection>;

  using Next = Stream;

  tcp::socket& socket() {
    if constexpr (std::is_same_v<Stream, tcp::socket>)
      return stream_;
    else
      return stream_.next_layer();
  }
  static constexpr bool is_tls = !std::is_same_v<Stream, tcp::socket>;
  static constexpr std::string_view reader_rate = "reader_rate";

  // Whether the client took what the lowest rate asks for, in the grace that is over.
  bool is_read() {
    const std::uint64_t before = acked_.value_or(0);
    acked_ = tcp_acked(socket().native_handle());
    const double seconds = std::chrono::duration<double>(server_.grace).count();
    return static_cast<double>(*acked_ - before) >=
           seconds * static_cast<double>(limits::http_bytes_per_second.raw());
  }
  void look_for_end() {
    pollfd asked{socket().native_handle(), POLLRDHUP, 0};
    if (::poll(&asked, 1, 0) <= 0) return;
    if ((asked.revents & (POLLHUP | POLLERR)) != 0) return exchange_->lose();
    exchange_->half_close();
  }

  // In no request: it may be displaced.
  void rest() {
    if (!resting) resting = server_.resting.insert(server_.resting.end(), this);
  }
  void stir() {
    if (resting) server_.resting.erase(*std::exchange(resting, std::nullopt));
  }
  void wait_until(Duration from_now, std::string_view of) {
    deadline = now() + from_now;
    deadline_of = of;
  }

  awaitable<bool> shake_hands() {
    if constexpr (is_tls) {
      wait_until(server_.header_time, "header_time");
      error_code failed;
      co_await stream_.async_handshake(asio::ssl::stream_base::server,
                                       asio::redirect_error(use_awaitable, failed));
      co_return !failed;
    }
    co_return true;
  }

  // One request and its answer; whether another may come.
  awaitable<bool> serve_one() {
    parser_.emplace();
    parser_->header_limit(std::numeric_limits<std::uint32_t>::max());  // held by read_header()
    parser_->body_limit(std::numeric_limits<std::uint64_t>::max());    // counted here, by route
    error_code failed;
    const bool well = co_await read_header(failed);
    if (!well) {
      auto refused = header_refusal(failed);
      if (refused) co_await say(std::move(*refused));
      co_return false;
    }
    stir();
    began_ = now();
    deadline = SteadyTime::max();
    const bool again = co_await answer_one();
    if (exchange_) exchange_->cut_loose();
    exchange_.reset();
    if (!again || last_ || cut_) co_return false;
    rest();
    co_return true;
  }

  // Up to its empty line, and parsed only then: what a fold joins, two readers may take
  // differently, and the parser would not tell.
  awaitable<bool> read_header(error_code& failed) {
    wait_until(first_ ? server_.header_time : server_.idle, first_ ? "header_time" : "idle");
    first_ = false;
    const auto bound = static_cast<std::size_t>(limits::http_header_bytes.raw());
    std::size_t end = std::string_view::npos;
    bool began = false;
    for (std::size_t seen = 0;;) {
      if (!began && buffer_.size() > 0) {
        began = true;
        wait_until(server_.header_time, "header_time");
      }
      const std::string_view text = buffered();
      if (!is_tls && text.starts_with('\x16')) {  // TLS says hello: no line will come
        failed = bhttp::error::bad_method;
        co_return false;
      }
      end = text.find("\r\n\r\n", seen);
      if (end != std::string_view::npos || text.size() >= bound) break;
      seen = text.size() < 3 ? 0 : text.size() - 3;
      co_await read_more(4096, failed);
      if (failed || cut_) co_return false;
    }
    const std::size_t size = end == std::string_view::npos ? end : end + 4;
    if (size > bound) {
      failed = bhttp::error::header_limit;
    } else {
      parse_header(buffered().substr(0, size), failed);
    }
    co_return !failed;
  }
  [[nodiscard]] std::string_view buffered() const {
    return {static_cast<const char*>(buffer_.data().data()), buffer_.size()};
  }
  void parse_header(std::string_view text, error_code& failed) {
    if (text.find("\r\n ") != std::string_view::npos ||
        text.find("\r\n\t") != std::string_view::npos)
      failed = bhttp::error::bad_field;
    else
      buffer_.consume(parser_->put(asio::const_buffer(text.data(), text.size()), failed));
  }

  // What is said of a header that could not be read; nothing to one who only left.
  std::optional<Response> header_refusal(error_code failed) {
    if (cut_ == "header_time" && buffer_.size() > 0) {
      cut_.reset();  // what was cut was the reading
      return problem({Errc::deadline, "the header did not come in time"}, 408);
    }
    if (cut_) return std::nullopt;
    if (failed == bhttp::error::header_limit)
      return problem({Errc::too_big, fmt::format("a header has at most {} bytes",
                                                 limits::http_header_bytes.raw())},
                     431);
    if (failed.category() != make_error_code(bhttp::error::bad_method).category() ||
        failed == bhttp::error::end_of_stream || failed == bhttp::error::partial_message)
      return std::nullopt;
    server_.probe.cut("bad_request");
    return problem(bad_request("not an HTTP/1.1 header: " + failed.message()),
                   failed == bhttp::error::bad_version ? 505 : 400);
  }

  // A response to no request: the connection is closed after it.
  awaitable<void> say(Response response) {
    request_ = {};
    request_.method = Method::other;
    route_name_ = "none";
    began_ = now();
    response.close = true;
    http_1_0_ = false;
    co_await write_whole(std::move(response));
    co_await drain_body();
  }

  awaitable<bool> answer_one() {
    const auto& head = parser_->get();
    http_1_0_ = head.version() < 11;
    keep_ = head.keep_alive() && !last_;
    in_flight_.emplace(server_.probe.in_flight());
    route_name_ = "none";
    auto refused = take_head();
    if (!refused) refused = admit();
    bool again = false;
    if (refused)
      again = co_await reply(std::move(*refused));
    else if (route_->handler.socket)
      co_await upgrade();
    else if (route_->handler.asked_socket)
      again = co_await ask_and_upgrade();
    else
      again = co_await dispatch();
    in_flight_.reset();
    co_return again;
  }

  // The request from the parser's head; a response when it is none that can be answered.
  std::optional<Response> take_head() {
    const auto& head = parser_->get();
    request_ = {};
    request_.method = method_named(view_of(head.method_string()));
    request_.peer = peer_;
    request_.tls = is_tls;
    request_.target = view_of(head.target());
    std::size_t fields = 0;
    for (const auto& field : head) {
      if (++fields > limits::http_header_fields)
        return closing(problem({Errc::too_big, fmt::format("a header has at most {} fields",
                                                           limits::http_header_fields)},
                               431));
      request_.headers.add(std::string(view_of(field.name_string())),
                           std::string(view_of(field.value())));
    }
    request_.id = request_id_of(request_.headers);
    if (request_.id.empty()) request_.id = server_.random_id();
    if (const auto trace = request_.headers.get("traceparent"); is_traceparent(trace))
      request_.trace = trace;
    return check_head(request_, http_1_0_);
  }

  // Route and guard.
  std::optional<Response> admit() {
    const bool upgrade = websocket::is_upgrade(parser_->get());
    const Router& router = server_.router();
    auto match = router.match(request_.method, request_.path);
    route_ = match ? match->route : nullptr;
    if (!match && match.error().code == Errc::not_found && router.otherwise())
      return router.otherwise()();
    if (match) {
      route_name_ = route_->path;
      request_.parts = std::move(match->parts);
    }
    static const Route none{};
    const Route& asked = route_ == nullptr ? none : *route_;
    auto caller = server_.guard->admit(request_, route_ == nullptr ? Role::none : asked.role,
                                       upgrade && is_socket(asked.handler), asked.accepts);
    if (!caller) return problem(caller.error().error, caller.error().status);
    request_.caller = std::move(*caller);
    if (!match) {
      if (match.error().code != Errc::wrong_state) return problem(match.error());
      const std::string allowed = router.allowed(request_.path);
      Response response = request_.method == Method::options ? Response{.status = 204, .type = ""}
                                                             : problem(match.error(), 405);
      response.headers.add("Allow", allowed);
      return response;
    }
    if (is_socket(route_->handler)) {
      auto refused = check_handshake(request_, upgrade);
      if (refused || (parser_->is_done() && buffer_.size() == 0)) return refused;
      return closing(problem(bad_request("a WebSocket begins after the answer to it"), 400));
    }
    if (const auto length = parser_->content_length(); length && *length > body_bound())
      return closing(problem(too_long(), 413));
    return check_body(request_, !parser_->is_done());
  }

  static Response closing(Response response) {
    response.close = true;
    return response;
  }
  [[nodiscard]] std::uint64_t body_bound() const {
    const Bytes bound =
        route_->body_bytes == Bytes{} ? limits::http_body_bytes : route_->body_bytes;
    const auto bytes = static_cast<std::uint64_t>(bound.raw());
    // What is held must be able to fit, or it would be told for ever to come again.
    return route_->handler.whole ? std::min<std::uint64_t>(bytes, server_.bodies->most()) : bytes;
  }
  [[nodiscard]] Error too_long() const {
    return {Errc::too_big, fmt::format("a body has at most {} bytes here", body_bound())};
  }

  // A whole response. When the request's body was not read to its end, what follows cannot be told
  // from it, so that the connection ends.
  awaitable<bool> reply(Response response) {
    if (!parser_->is_done()) response.close = true;
    const bool again = co_await write_whole(std::move(response));
    if (!again) co_await drain_body();
    co_return again;
  }

  // What a client still sends when it was told no: read for a moment, or the close would reset the
  // connection and with it our answer.
  awaitable<void> drain_body() {
    if (cut_) co_return;
    error_code failed;
    wait_until(linger, "linger");
    if constexpr (is_tls)
      co_await stream_.async_shutdown(asio::redirect_error(use_awaitable, failed));
    if (cut_) co_return;
    socket().shutdown(tcp::socket::shutdown_send, failed);
    std::array<char, 4096> sink;
    std::int64_t drained = 0;
    while (!failed && !cut_ && drained < limits::http_drained_body.raw()) {
      const std::size_t got = co_await socket().async_read_some(
          asio::buffer(sink), asio::redirect_error(use_awaitable, failed));
      drained += static_cast<std::int64_t>(got);
    }
  }

  awaitable<bool> dispatch() {
    exchange_ = std::make_shared<Exchange>(server_.probe, [this] {
      bell_.ring();
      // Answered while its body is waited for, which may never come.
      if (!reading_body_ || !exchange_->is_over()) return;
      error_code ignored;
      socket().cancel(ignored);
    });
    received_ = 0;
    body_from_ = began_;
    if (route_->handler.pieces) {
      co_await read_pieces();
    } else {
      co_await read_whole();
      if (!failed_ && !exchange_->response) {
        Request kept = kept_for_answer(request_);
        Request handed = std::exchange(request_, std::move(kept));
        handed.body = std::exchange(body_, {});
        route_->handler.whole(std::move(handed), Answer(exchange_));
      }
    }
    if (!failed_ && !exchange_->response) co_await wait_for_answer();
    if (!exchange_->response) co_return false;
    // No further piece of its body is read: what follows cannot be told from it.
    if (!parser_->is_done()) keep_ = false;
    bool again = false;
    if (exchange_->streaming)
      again = co_await write_stream();
    else
      again = co_await reply(std::move(*exchange_->response));
    co_return again;
  }

  // The next piece of the body into `piece_`; false: it is whole, or cannot be read (failed_).
  awaitable<bool> read_piece() {
    auto& body = parser_->get().body();
    const auto rest = parser_->content_length_remaining();
    piece_.resize(
        static_cast<std::size_t>(std::min(rest.value_or(std::numeric_limits<std::uint64_t>::max()),
                                          static_cast<std::uint64_t>(limits::http_piece.raw()))));
    std::size_t got = 0;
    bool hungry = false;
    while (!parser_->is_done() && got == 0) {
      if (cut_) {
        failed_ = true;
        co_return false;
      }
      // As long as the whole so far may have taken at the lowest rate.
      deadline = body_from_ + server_.grace +
                 std::chrono::seconds(static_cast<std::int64_t>(received_) /
                                      limits::http_bytes_per_second.raw());
      deadline_of = "body_rate";
      body.data = piece_.data();
      body.size = piece_.size();
      error_code failed;
      if (hungry || buffer_.size() == 0) {
        // What stands between pieces, extensions and trailers, is no longer than a header.
        if (buffer_.size() >= static_cast<std::size_t>(limits::http_header_bytes.raw()))
          failed = bhttp::error::header_limit;
        else
          co_await read_body(failed);
        if (failed == asio::error::operation_aborted && !cut_ && exchange_->is_over()) {
          deadline = SteadyTime::max();
          co_return false;
        }
      }
      if (!failed) buffer_.consume(parser_->put(buffer_.cdata(), failed));
      hungry = failed == bhttp::error::need_more;
      if (failed && !hungry && failed != bhttp::error::need_buffer) {
        failed_ = true;
        co_return false;
      }
      got = piece_.size() - body.size;
    }
    deadline = SteadyTime::max();
    piece_.resize(got);
    received_ += got;
    server_.probe.received_bytes().add(got);
    co_return got > 0;
  }

  awaitable<void> read_body(error_code& failed) {
    reading_body_ = true;
    co_await read_more(static_cast<std::size_t>(limits::http_piece.raw()), failed);
    reading_body_ = false;
  }

  awaitable<void> read_more(std::size_t most, error_code& failed) {
    const asio::mutable_buffer room = buffer_.prepare(most);
    const std::size_t got =
        co_await stream_.async_read_some(room, asio::redirect_error(use_awaitable, failed));
    buffer_.commit(got);
  }

  awaitable<void> say_continue() {
    if (lower_case(request_.headers.get("Expect")) != "100-continue" || parser_->is_done() ||
        buffer_.size() > 0 || http_1_0_)
      co_return;
    static constexpr std::string_view text = "HTTP/1.1 100 Continue\r\n\r\n";
    co_await write(asio::const_buffer(text.data(), text.size()));
  }

  // The body into the request; the response when it is refused.
  awaitable<void> read_whole() {
    if (!parser_->is_done()) co_await say_continue();
    bool more = !parser_->is_done();
    if (more) exchange_->body.emplace(server_.bodies);
    while (more) {
      more = co_await read_piece();
      if (!more) break;
      exchange_->response = keep_piece();
      more = !exchange_->response;
    }
    // A client that went ends the reading too.
    if (!exchange_->response && !parser_->is_done()) failed_ = true;
    if (auto refused = body_refusal()) exchange_->response = std::move(*refused);
    if (!exchange_->response && !failed_) co_return;
    std::string().swap(body_);
    exchange_->body.reset();
  }

  // What was read goes to the body; the response when it may not.
  std::optional<Response> keep_piece() {
    if (received_ > body_bound()) return closing(problem(too_long(), 413));
    if (!exchange_->body->add(piece_.size()))
      return closing(problem({Errc::busy,
                              "as many bytes of bodies wait here as may wait: come again later",
                              {},
                              milliseconds(1000)}));
    body_ += piece_;
    return std::nullopt;
  }

  // What is said to a client whose body did not come.
  std::optional<Response> body_refusal() {
    if (!failed_) return std::nullopt;
    if (cut_ == "body_rate") {
      cut_.reset();  // what was cut was the reading
      return closing(problem({Errc::deadline, "the body did not come in time"}, 408));
    }
    if (cut_) return std::nullopt;
    return closing(problem(bad_request("the body is not of its form"), 400));
  }

  // Hands the body over as it comes.
  awaitable<void> read_pieces() {
    Request handed = request_;  // its header says what the body is
    const auto exchange = exchange_;
    std::unique_ptr<BodyReader> reader =
        route_->handler.pieces(std::move(handed), Answer(exchange));
    bool more = reader != nullptr && !exchange->response && !parser_->is_done();
    if (more) co_await say_continue();
    while (more) {
      more = co_await read_piece();
      if (!more) break;
      more = hand_over(*reader, *exchange);
      // Its own flag: the bell rings for the answer too.
      const SteadyTime waits = now();
      while (more && !exchange->wanted && !exchange->is_over()) co_await bell_.wait();
      body_from_ += now() - waits;  // that was not the client
      more = more && !exchange->is_over();
    }
    if (failed_) exchange->lose();
    if (auto refused = body_refusal(); refused && !exchange->response)
      exchange->response = std::move(*refused);
    if (!exchange->is_over() && reader) reader->finish();
  }

  // A piece to who reads the body; false: no further one, and the response says why.
  bool hand_over(BodyReader& reader, Exchange& exchange) {
    exchange.wanted = false;
    if (received_ > body_bound()) {
      exchange.response = closing(problem(too_long(), 413));
      return false;
    }
    auto taken = reader.piece(piece_, [which = exchange.weak_from_this()] {
      const auto at = which.lock();
      if (!at) return;
      at->wanted = true;
      at->ring();
    });
    if (taken || exchange.response) return taken.has_value();
    exchange.response = closing(problem(taken.error()));
    return false;
  }

  awaitable<void> wait_for_answer() {
    watch_for_end();
    while (!exchange_->is_over()) co_await bell_.wait();
  }

  // Tells the exchange at once when the client closes while it is waited for. When bytes come
  // instead, the sweeps look.
  void watch_for_end() {
    if (std::exchange(watching_, true)) return;
    socket().async_wait(tcp::socket::wait_read,
                        [self = this->shared_from_this()](error_code failed) {
                          self->watching_ = false;
                          if (!failed && self->exchange_) self->look_for_end();
                        });
  }

  void finish(Response& response) {
    response = compressed(request_, conditional(request_, std::move(response)));
    hardening_ = Guard::hardening(response);
    if (hardening_.empty()) Guard::harden(response);
    keep_ = keep_ && !response.close && !last_ && !cut_;
    in_flight_.reset();
    server_.probe.answered(route_name_, request_.method, response.status, now() - began_);
    log_access(response);
  }

  void log_access(const Response& response) const {
    if (server_.options.access_log)
      log_request(request_, response.status, response.body.size(), now() - began_);
  }

  HeadFacts facts(std::optional<std::uint64_t> length) {
    return {server_.date(), request_.id, length, http_1_0_, keep_, hardening_};
  }

  awaitable<bool> write_whole(Response response) {
    finish(response);
    head_.clear();
    append_head(head_, response, facts(response.body.size()));
    const bool bodiless = request_.method == Method::head || response.status == 204 ||
                          response.status == 304 || response.status < 200;
    const std::string_view body = bodiless ? std::string_view{} : response.body.bytes();
    const std::array buffers{asio::const_buffer(head_.data(), head_.size()),
                             asio::const_buffer(body.data(), body.size())};
    const bool well = co_await write(buffers);
    co_return well&& keep_;
  }

  // All of it, in time for the slowest reader that is served.
  template <class Buffers>
  awaitable<bool> write(Buffers buffers) {
    if (cut_) co_return false;
    acked_.reset();
    wait_until(server_.grace, reader_rate);
    error_code failed;
    const std::size_t sent = co_await asio::async_write(
        stream_, buffers, large_writes, asio::redirect_error(use_awaitable, failed));
    deadline = SteadyTime::max();
    server_.probe.sent_bytes().add(sent);
    co_return !failed;
  }

  awaitable<bool> write_stream() {
    const auto exchange = exchange_;
    Response head = std::move(*exchange->response);
    const Counted counted(server_.probe.streams());
    const std::optional<std::uint64_t> length = head.length;
    const bool chunked = !http_1_0_ && !length;
    if (http_1_0_ && !length) keep_ = false;
    std::uint64_t sent = 0;
    finish(head);
    head_.clear();
    append_head(head_, head, facts(length));
    bool well = co_await write(asio::const_buffer(head_.data(), head_.size()));
    if (request_.method == Method::head) {
      exchange->lose();
      co_return well&& keep_;
    }
    if (last_) exchange->lose();
    // It is gone for the handler as soon as the server leaves; what waits by then is still written.
    const auto goes_on = [&] {
      return !exchange->gone || (last_ && !cut_ && !exchange->queue.empty());
    };
    while (well && goes_on()) {
      if (exchange->queue.empty()) {
        if (exchange->closing) break;
        watch_for_end();
        co_await bell_.wait();
        continue;
      }
      well = co_await write_queued(*exchange, chunked, sent);
      if (well && exchange->queue.empty()) exchange->drained();
    }
    exchange->lose();
    if (well && chunked && exchange->closing && !exchange->cut_short)
      well = co_await write(asio::const_buffer("0\r\n\r\n", 5));
    // A body that is not as long as was said is told by the end of the connection.
    well = well && exchange->closing && !exchange->cut_short && sent == length.value_or(sent);
    if (well && !keep_) co_await drain_body();
    co_return well&& keep_;
  }

  // What waits, as one chunk.
  awaitable<bool> write_queued(Exchange& exchange, bool chunked, std::uint64_t& sent) {
    const auto messages = exchange.queue.take();
    std::string text;
    for (const auto& message : messages) text += message.bytes;
    const std::size_t size = text.size();
    sent += size;
    if (chunked) text = fmt::format("{:x}\r\n", size) + text + "\r\n";
    const bool well = co_await write(asio::const_buffer(text.data(), text.size()));
    exchange.queue.sent(size);
    co_return well;
  }

  awaitable<void> upgrade() {
    std::function<void(std::shared_ptr<Socket>)> opened = [this](std::shared_ptr<Socket> socket) {
      Request handed = request_;
      route_->handler.socket(std::move(handed), std::move(socket));
    };
    const auto socket =
        std::make_shared<ServerSocket<Connection>>(this->shared_from_this(), std::move(opened));
    co_await socket->run();
  }

  // Whoever is asked says whether there is one.
  awaitable<bool> ask_and_upgrade() {
    exchange_ = std::make_shared<Exchange>(server_.probe, [this] { bell_.ring(); });
    Request handed = request_;
    route_->handler.asked_socket(std::move(handed), Answer(exchange_));
    co_await wait_for_answer();
    if (exchange_->response) {
      const bool again = co_await reply(std::move(*exchange_->response));
      co_return again;
    }
    if (!exchange_->opened || cut_) co_return false;
    auto opened = std::exchange(exchange_->opened, nullptr);
    exchange_->cut_loose();
    exchange_.reset();
    const auto socket =
        std::make_shared<ServerSocket<Connection>>(this->shared_from_this(), std::move(opened));
    co_await socket->run();
    co_return false;
  }

  Shared& server_;
  Stream stream_;
  Bell bell_;
  beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  std::string peer_;
  Request request_;
  const Route* route_ = nullptr;
  std::string_view route_name_ = "none";
  std::optional<Counted> in_flight_;
  std::shared_ptr<Exchange> exchange_;
  std::shared_ptr<Handle> handle_;
  std::string head_;
  std::string_view hardening_;  // of the response, as text
  std::string body_;
  std::string piece_;
  std::uint64_t received_ = 0;
  SteadyTime began_{};
  SteadyTime body_from_{};              // since when the client's body is waited for
  std::optional<std::uint64_t> acked_;  // at the first sweep of a write
  std::optional<std::string_view> cut_;
  bool first_ = true;
  bool http_1_0_ = false;
  bool keep_ = true;
  bool last_ = false;
  bool failed_ = false;  // the body cannot be read
  bool watching_ = false;
  bool reading_body_ = false;  // a piece of it is waited for
};

}  // namespace

void begin_connection(Shared& shared, asio::io_context& context, asio::ssl::context* tls,
                      int socket, bool ipv6) {
  error_code failed;
  tcp::socket held(context);
  (void)held.assign(ipv6 ? tcp::v6() : tcp::v4(), socket, failed);
  if (failed) {
    ::close(socket);
    return;
  }
  const auto serve = [&context](const auto& connection) {
    asio::co_spawn(context, [connection] { return connection->run(); }, log_end);
  };
  if (tls != nullptr)
    serve(std::make_shared<Connection<asio::ssl::stream<tcp::socket>>>(
        shared, asio::ssl::stream<tcp::socket>(std::move(held), *tls)));
  else
    serve(std::make_shared<Connection<tcp::socket>>(shared, std::move(held)));
}

}  // namespace tallymill::http
