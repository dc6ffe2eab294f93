// 1. One thread runs one io_context. A request is an Asked: whoever is first to settle it, its
//    connection, its timer, cancel() or stop(), answers it, and the others find it over.
// 2. A connection (Lane) is one coroutine that serves one Asked after the other: it connects,
// writes,
//    reads, takes the next that waits for its origin, and rests when there is none.
// 3. What ends an Asked from outside cuts its lane, whose coroutine then goes on with the next one
//    over a new connection: an answer that comes late has nobody to be mistaken for.
// 4. A socket (Dialled) has a connection of its own: one coroutine reads, one writes.
// 5. No co_await stands in a condition or in the middle of an expression, and none of its arguments
//    is made in it unless it is trivial: see connection.cc.
#include <utility>  // Boost.Asio 1.74 uses std::exchange in awaitable.hpp and does not include it
// in this order
#include "http/client.h"

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <chrono>
#include <deque>
#include <future>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <thread>
#include <unordered_map>

#include "base/check.h"
#include "base/log.h"
#include "base/thread.h"
#include "http/handles.h"
#include "http/link.h"
#include "http/request_head.h"
#include "http/server.h"
#include "http/url.h"

namespace tallymill::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = beast::http;
namespace websocket = beast::websocket;
using asio::awaitable;
using asio::use_awaitable;
using asio::ip::tcp;
using boost::system::error_code;
using Parser = bhttp::response_parser<bhttp::buffer_body>;

// How long a server may take to answer it.
constexpr std::chrono::milliseconds goodbye{1000};

std::chrono::steady_clock::time_point now() { return std::chrono::steady_clock::now(); }

std::string_view view_of(beast::string_view text) { return {text.data(), text.size()}; }

// Nothing on this thread throws but a lack of memory: the coroutine goes, the client stays.
void log_end(const std::exception_ptr& thrown) {
  if (!thrown) return;
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& error) {
    log::error(fmt::format("a client's connection ended in an exception: {}", error.what()));
  }
}

// What a failure of the wire is to who asked.
Error error_of(error_code failed, const Url& url) {
  const std::string where = url.authority();
  if (failed == bhttp::error::header_limit)
    return {Errc::too_big, fmt::format("the header from {} is over {} bytes", where,
                                       limits::http_header_bytes.raw())};
  if (failed == beast::error::timeout)
    return {Errc::deadline, fmt::format("no answer from {} in time", where)};
  const bool broke = failed == bhttp::error::partial_message ||
                     failed == bhttp::error::end_of_stream || failed == asio::error::eof ||
                     failed == asio::ssl::error::stream_truncated;
  if (broke)
    return {Errc::away, fmt::format("{} closed the connection before its answer ended", where)};
  if (failed.category() == make_error_code(bhttp::error::bad_method).category() ||
      failed.category() == make_error_code(websocket::error::closed).category())
    return {Errc::bad_frame, fmt::format("{} does not speak HTTP: {}", where, failed.message())};
  return {Errc::away, fmt::format("{}: {}", where, failed.message())};
}

Error too_long(Bytes bound) {
  return {Errc::too_big, fmt::format("an answer of more than {} bytes", bound.raw())};
}
Error over() { return {Errc::cancelled, "nobody waits for the answer any more"}; }

class Lane;

// A request and who waits for its answer.
struct Asked {
  explicit Asked(asio::io_context& context) : timer(context) {}
  ~Asked() { Secret::wipe(head); }  // the token stands in it
  Asked(const Asked&) = delete;
  Asked& operator=(const Asked&) = delete;

  [[nodiscard]] bool repeatable() const {
    return !feed && (method == Method::get || method == Method::head);
  }

  Client::RequestId id = 0;
  Method method = Method::get;
  Url url;
  std::string head;
  std::string body;
  std::shared_ptr<BodyFeed> feed;
  Duration time{};
  bool held = false;    // nothing of the answer is read
  Client::Heard heard;  // of a stream
  Client::Answered answered;
  asio::steady_timer timer;
  Lane* lane = nullptr;  // that serves it
  bool over = false;
};

// What the connections to one origin share. It is there as long as one of them is.
struct Origin {
  std::size_t lanes = 0;
  std::vector<Lane*> resting;  // the one that rests shortest last
  std::deque<std::shared_ptr<Asked>> waiting;
};

class AnySocket {
 public:
  virtual ~AnySocket() = default;
  virtual void leave() = 0;
};

}  // namespace

struct Client::State {
  explicit State(ClientOptions&& said)
      : options(std::move(said)), own(std::make_unique<asio::io_context>(1)), context(*own) {}
  State(ClientOptions&& said, asio::io_context& of_server)
      : options(std::move(said)), context(of_server) {}

  [[nodiscard]] Status load_authorities();
  asio::ssl::context* tls_of(const Url& url);
  RequestId ask(ClientRequest&& request, Heard&& heard, Answered&& answered);
  void begin(const std::shared_ptr<Asked>& asked);
  // Answers it, if nobody has.
  void settle(const std::shared_ptr<Asked>& asked, Result<ClientResponse> answer);
  // It is over in this time from now, unless it is settled or allowed more.
  void allow(const std::shared_ptr<Asked>& asked, Duration time);
  [[nodiscard]] std::shared_ptr<Asked> next_of(Origin& origin);
  void leave();

  ClientOptions options;
  Probe probe{nullptr};
  std::atomic<RequestId> last_id{0};
  std::atomic<bool> ended{false};
  std::mutex ending;  // nothing is asked between what ended says and what is posted
  std::atomic<std::thread::id> runs_on{};
  bool leaving = false;
  bool has_system_authorities = false;
  // Before the context, whose end drops the coroutines that stand in them.
  std::map<std::string, Origin> origins;
  std::set<AnySocket*> sockets;

  std::unique_ptr<asio::io_context> own;  // none on a server's thread
  asio::io_context& context;
  std::unordered_map<RequestId, std::shared_ptr<Asked>> asked;  // not answered yet
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
  asio::ssl::context tls{asio::ssl::context::tls_client};
  std::thread thread;
};

namespace {

// A connection to an origin, and its coroutine.
class Lane : public std::enable_shared_from_this<Lane> {
 public:
  Lane(Client::State& client, std::string origin, std::shared_ptr<Asked> first)
      : client_(client),
        origin_name_(std::move(origin)),
        link_(client.context),
        rest_(client.context),
        bell_(client.context),
        asked_(std::move(first)) {
    ++client_.origins[origin_name_].lanes;
  }
  ~Lane() {
    if (asked_) asked_->lane = nullptr;
    depart();
  }
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  awaitable<void> run() {
    const auto self = shared_from_this();
    while (asked_) {
      asked_->lane = this;
      const bool again = co_await serve();
      asked_->lane = nullptr;
      if (!again) link_.close();
      asked_ = client_.next_of(origin());
      if (!asked_ && again && !client_.leaving) co_await rest();
    }
    link_.close();
    depart();
  }

  // It rests: this is what it does next; nothing: it ends.
  void wake(std::shared_ptr<Asked> next) {
    asked_ = std::move(next);
    std::erase(origin().resting, this);
    rest_.cancel();
  }
  // Its Asked is over.
  void cut() {
    link_.close();
    ring();
  }
  // What it waits for of its Asked may be there.
  void ring() { bell_.cancel(); }

 private:
  Origin& origin() { return client_.origins.find(origin_name_)->second; }
  // It serves nobody any more, which who asks next must know before its coroutine is gone.
  void depart() {
    if (std::exchange(departed_, true)) return;
    const auto found = client_.origins.find(origin_name_);
    std::erase(found->second.resting, this);
    if (--found->second.lanes == 0) client_.origins.erase(found);
  }

  awaitable<void> rest() {
    origin().resting.push_back(this);
    error_code woken;
    rest_.expires_after(client_.options.idle);
    co_await rest_.async_wait(asio::redirect_error(use_awaitable, woken));
    std::erase(origin().resting, this);
  }

  // Whether another request may follow on this connection.
  awaitable<bool> serve() {
    error_code failed;
    bool reused = link_.is_quiet();
    if (asked_->over) co_return reused;
    for (;;) {
      if (!reused) co_await connect(failed);
      if (!failed) co_await exchange(failed);
      const bool stale =
          failed && reused && !heard_ && !asked_->over && (sent_ == 0 || asked_->repeatable());
      if (!stale) break;
      reused = false;
    }
    if (asked_->over) co_return false;
    if (refused_) {
      client_.settle(asked_, std::unexpected(std::move(*refused_)));
      co_return false;
    }
    if (failed) {
      client_.settle(asked_, std::unexpected(connected_ ? error_of(failed, asked_->url)
                                                        : link_.why_not(failed, asked_->url)));
      co_return false;
    }
    const bool again = parser_->keep_alive() && buffer_.size() == 0 && sent_all_;
    client_.settle(asked_, std::move(answer_));
    co_return again;
  }

  awaitable<void> connect(error_code& failed) {
    failed = {};
    heard_ = false;
    sent_ = 0;
    refused_.reset();
    buffer_.clear();
    link_.reset();
    asio::ssl::context* const tls = client_.tls_of(asked_->url);
    co_await link_.open(asked_->url, tls, failed);
    connected_ = !failed;
  }

  // The request out, the answer in.
  awaitable<void> exchange(error_code& failed) {
    heard_ = false;
    refused_.reset();
    answer_ = {};
    error_code not_sent;
    const std::array<asio::const_buffer, 2> all{
        asio::const_buffer(asked_->head.data(), asked_->head.size()),
        asio::const_buffer(asked_->body.data(), asked_->body.size())};
    sent_ = co_await link_.write(all, not_sent);
    sent_all_ = !not_sent;
    if (asked_->feed && !not_sent) co_await feed_body(not_sent);
    // A server that took only a part of it may have said why.
    if (sent_ == 0 && not_sent)
      failed = not_sent;
    else
      co_await read_answer(failed);
  }

  // Until that was all, or the server has said something already.
  awaitable<void> feed_body(error_code& failed) {
    const auto feed = asked_->feed;
    sent_all_ = false;
    early_ = false;
    watch_for_answer();
    feed->listen([lane = weak_from_this()] {
      if (const auto at = lane.lock()) at->ring();
    });
    while (!failed && !sent_all_ && !early_ && !asked_->over) {
      if (!feed->has_next()) {
        co_await wait_for_bell();
        continue;
      }
      const std::string bytes = feed->next();
      sent_all_ = feed->was_all();
      const std::array<asio::const_buffer, 2> all{asio::const_buffer(bytes.data(), bytes.size()),
                                                  asio::const_buffer()};
      co_await link_.write(all, failed);
      if (failed) break;
      client_.allow(asked_, asked_->time);
      feed->taken();
    }
    feed->listen(nullptr);
    if (failed) sent_all_ = false;
  }
  // In TLS there may be other things to read than an answer.
  void watch_for_answer() {
    if (link_.tls() != nullptr) return;
    link_.socket().async_wait(tcp::socket::wait_read,
                              [self = shared_from_this()](error_code ended) {
                                if (ended) return;
                                self->early_ = true;
                                self->ring();
                              });
  }
  awaitable<void> wait_for_bell() {
    error_code rung;
    bell_.expires_at(std::chrono::steady_clock::time_point::max());
    co_await bell_.async_wait(asio::redirect_error(use_awaitable, rung));
  }

  awaitable<void> read_answer(error_code& failed) {
    do {
      parser_.emplace();
      parser_->header_limit(static_cast<std::uint32_t>(limits::http_header_bytes.raw()));
      parser_->body_limit(std::numeric_limits<std::uint64_t>::max());  // counted here
      if (asked_->method == Method::head) parser_->skip(true);
      header_bytes_ = 0;
      while (!failed && !parser_->is_header_done()) {
        const bool hungry = parse(failed);
        if (hungry) co_await read_more(failed);
      }
    } while (!failed && parser_->get().result_int() / 100 == 1);
    // The parser is not exact about it.
    if (!failed && header_bytes_ > static_cast<std::size_t>(limits::http_header_bytes.raw()))
      failed = bhttp::error::header_limit;
    if (failed) co_return;
    take_head();
    while (!failed && !refused_ && !asked_->over && !parser_->is_done()) {
      if (asked_->held)
        co_await wait_for_bell();
      else
        co_await read_piece(failed);
    }
  }

  // Parses what is buffered; true: more is needed before it can go on.
  bool parse(error_code& failed) {
    if (buffer_.size() == 0) return true;
    const auto bytes = buffer_.data();
    const std::size_t used = parser_->put(asio::const_buffer(bytes.data(), bytes.size()), failed);
    buffer_.consume(used);
    header_bytes_ += used;
    const bool hungry = failed == bhttp::error::need_more;
    if (hungry || failed == bhttp::error::need_buffer) failed = {};
    return hungry;
  }

  awaitable<void> read_more(error_code& failed) {
    // A chunk's extension has no other bound.
    if (buffer_.size() >= static_cast<std::size_t>(limits::http_header_bytes.raw())) {
      failed = bhttp::error::header_limit;
      co_return;
    }
    const asio::mutable_buffer room =
        buffer_.prepare(static_cast<std::size_t>(limits::http_piece.raw()));
    const std::size_t got = co_await link_.read(room, failed);
    buffer_.commit(got);
    if (got > 0) heard_ = true;
    if (failed != asio::error::eof) co_return;
    // The end of a body that has no other; of anything else it is a break.
    if (!parser_->got_some()) co_return;
    failed = {};
    parser_->put_eof(failed);
  }

  void take_head() {
    const auto& head = parser_->get();
    answer_.status = static_cast<int>(head.result_int());
    std::size_t fields = 0;
    for (const auto& field : head) {
      if (++fields > limits::http_header_fields) {
        refused_ = {Errc::too_big,
                    fmt::format("an answer with more than {} fields", limits::http_header_fields)};
        return;
      }
      answer_.headers.add(std::string(view_of(field.name_string())),
                          std::string(view_of(field.value())));
    }
    const auto length = parser_->content_length();
    if (asked_->heard)
      hear({});
    else if (length && *length > body_bound() && asked_->method != Method::head)
      refused_ = too_long(client_.options.body_bytes);
  }

  awaitable<void> read_piece(error_code& failed) {
    piece_.resize(static_cast<std::size_t>(limits::http_piece.raw()));
    auto& body = parser_->get().body();
    body.data = piece_.data();
    body.size = piece_.size();
    const bool hungry = parse(failed);
    const std::size_t got = piece_.size() - body.size;
    if (got > 0) take_piece({piece_.data(), got});
    if (hungry && !failed && !refused_ && !asked_->over) co_await read_more(failed);
  }

  void take_piece(std::string_view bytes) {
    if (asked_->heard)
      hear(bytes);
    else if (answer_.body.size() + bytes.size() > body_bound())
      refused_ = too_long(client_.options.body_bytes);
    else
      answer_.body += bytes;
  }

  void hear(std::string_view bytes) {
    asked_->heard(answer_, bytes);
    if (!asked_->held) client_.allow(asked_, client_.options.silence);
  }

  [[nodiscard]] std::size_t body_bound() const {
    return static_cast<std::size_t>(client_.options.body_bytes.raw());
  }

  Client::State& client_;
  const std::string origin_name_;
  Link link_;
  asio::steady_timer rest_;
  asio::steady_timer bell_;
  std::shared_ptr<Asked> asked_;
  beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  std::string piece_;
  ClientResponse answer_;
  std::optional<Error> refused_;  // its answer is over a bound
  std::size_t header_bytes_ = 0;  // while that is what is read
  std::size_t sent_ = 0;          // bytes of the request, as far as the system took them
  bool sent_all_ = false;
  bool early_ = false;  // the answer begins before the body has ended
  bool heard_ = false;  // a byte of the answer
  bool connected_ = false;
  bool departed_ = false;
};

// The client's end of a WebSocket.
class Dialled final : public AnySocket, public std::enable_shared_from_this<Dialled> {
 public:
  Dialled(Client::State& client, Url url, std::vector<std::string> protocols, Headers headers,
          Client::Opened opened)
      : client_(client),
        url_(std::move(url)),
        protocols_(std::move(protocols)),
        headers_(std::move(headers)),
        opened_(std::move(opened)),
        link_(client.context),
        timer_(client.context),
        bell_(client.context, std::chrono::steady_clock::time_point::max()) {
    client_.sockets.insert(this);
  }
  ~Dialled() override {
    if (handle_) handle_->cut_loose();
    client_.sockets.erase(this);
  }

  awaitable<void> run() {
    const auto self = shared_from_this();
    timer_.expires_after(client_.options.timeout);
    timer_.async_wait([self](error_code cancelled) {
      if (!cancelled && self->opened_) self->give_up(error_of(beast::error::timeout, self->url_));
    });
    error_code failed;
    asio::ssl::context* const tls = client_.tls_of(url_);
    co_await link_.open(url_, tls, failed);
    if (failed)
      give_up(link_.why_not(failed, url_));
    else if (tls != nullptr)
      co_await speak(*link_.tls());
    else
      co_await speak(link_.socket());
    timer_.cancel();
    link_.close();
  }

  void leave() override {
    give_up(over());
    if (!handle_) return;
    if (!handle_->closing) handle_->code = 1001;
    handle_->lose();
  }

 private:
  void give_up(Error why) {
    if (const auto told = std::exchange(opened_, nullptr)) told(std::unexpected(std::move(why)));
    link_.close();
  }

  template <class Next>
  awaitable<void> speak(Next& next) {
    const auto stream = std::make_shared<websocket::stream<Next&>>(next);
    configure(*stream);
    error_code failed;
    websocket::response_type answer;
    const std::string host = url_.authority();
    co_await stream->async_handshake(answer, host, url_.target,
                                     asio::redirect_error(use_awaitable, failed));
    timer_.cancel();
    if (auto refused = refusal_in(failed, answer)) {
      give_up(std::move(*refused));
      co_return;
    }
    if (!opened_) co_return;
    set_times(*stream, goodbye);
    handle_ = std::make_shared<Handle>(client_.probe, [this] { bell_.cancel(); });
    asio::co_spawn(
        client_.context,
        [self = shared_from_this(), stream] { return self->template write<Next>(stream); },
        log_end);
    std::exchange(opened_, nullptr)(std::shared_ptr<Socket>(handle_));
    co_await read(*stream);
    handle_->lose();
  }

  template <class Stream>
  void set_times(Stream& stream, Duration of_handshakes) {
    websocket::stream_base::timeout times{};
    times.handshake_timeout = of_handshakes;     // the last one too: goodbye and its answer
    times.idle_timeout = 2 * limits::http_ping;  // a ping after half of it
    times.keep_alive_pings = true;
    stream.set_option(times);
  }

  template <class Stream>
  void configure(Stream& stream) {
    set_times(stream, client_.options.timeout);
    // The goodbye is the end for who holds the socket; how the server closes its connection is not
    // waited for.
    stream.control_callback([this, &stream](websocket::frame_type kind, beast::string_view) {
      if (kind != websocket::frame_type::close || !handle_) return;
      if (!handle_->closing) handle_->code = stream.reason().code;
      handle_->theirs = stream.reason().reason.c_str();
      handle_->lose();
    });
    stream.auto_fragment(false);
    stream.read_message_max(static_cast<std::size_t>(client_.options.message_bytes.raw()));
    stream.set_option(websocket::stream_base::decorator([this](websocket::request_type& request) {
      request.set(bhttp::field::user_agent, "tallymill");
      std::string offered;
      for (const auto& protocol : protocols_) offered += (offered.empty() ? "" : ", ") + protocol;
      if (!offered.empty()) request.set(bhttp::field::sec_websocket_protocol, offered);
      for (const auto& [name, value] : headers_.all()) request.insert(name, value);
      if (client_.options.token.empty() || headers_.count("Authorization") > 0) return;
      std::string bearer = "Bearer ";
      bearer.reserve(bearer.size() + client_.options.token.reveal().size());
      bearer += client_.options.token.reveal();
      request.set(bhttp::field::authorization, bearer);
      Secret::wipe(bearer);
    }));
  }

  std::optional<Error> refusal_in(error_code failed, const websocket::response_type& answer) const {
    if (failed == websocket::error::upgrade_declined) return refusal(plain(answer));
    if (failed) return error_of(failed, url_);
    const std::string_view chosen = view_of(answer[bhttp::field::sec_websocket_protocol]);
    if (chosen.empty() || std::ranges::find(protocols_, chosen) != protocols_.end())
      return std::nullopt;
    return Error{Errc::bad_frame,
                 fmt::format("{} chose a protocol that was not offered", url_.authority())};
  }
  static ClientResponse plain(const websocket::response_type& answer) {
    ClientResponse response{static_cast<int>(answer.result_int()), {}, answer.body()};
    for (const auto& field : answer)
      response.headers.add(std::string(view_of(field.name_string())),
                           std::string(view_of(field.value())));
    return response;
  }

  template <class Stream>
  awaitable<void> read(Stream& stream) {
    beast::flat_buffer buffer;
    error_code failed;
    while (handle_->open) {
      if (handle_->held) {
        error_code rung;
        co_await bell_.async_wait(asio::redirect_error(use_awaitable, rung));
        continue;
      }
      co_await stream.async_read(buffer, asio::redirect_error(use_awaitable, failed));
      if (failed) break;
      if (!handle_->closing)
        handle_->heard(stream.got_text() ? Socket::Kind::text : Socket::Kind::binary,
                       {static_cast<const char*>(buffer.data().data()), buffer.size()});
      buffer.consume(buffer.size());
    }
    if (handle_->closing || !handle_->open) co_return;
    handle_->code = failed == websocket::error::closed ? stream.reason().code : 1006;
    if (failed == websocket::error::message_too_big) handle_->code = 1009;
  }

  template <class Next>
  awaitable<void> write(std::shared_ptr<websocket::stream<Next&>> stream) {
    const auto self = shared_from_this();
    error_code failed;
    bool told = true;  // that all has left
    while (handle_->open && !failed) {
      const auto message = handle_->queue.take_one();
      if (message) {
        stream->binary(message->binary);
        const asio::const_buffer bytes(message->bytes.data(), message->bytes.size());
        co_await stream->async_write(bytes, asio::redirect_error(use_awaitable, failed));
        if (!failed && handle_->open) handle_->queue.sent(message->bytes.size());
        told = false;
      } else if (handle_->closing) {
        break;
      } else if (!std::exchange(told, true)) {
        handle_->drained();
      } else {
        error_code rung;
        co_await bell_.async_wait(asio::redirect_error(use_awaitable, rung));
      }
    }
    if (!handle_->open || failed) co_return;
    websocket::close_reason reason(static_cast<std::uint16_t>(handle_->code));
    reason.reason = beast::string_view(handle_->reason).substr(0, reason.reason.max_size());
    co_await stream->async_close(reason, asio::redirect_error(use_awaitable, failed));
  }

  Client::State& client_;
  const Url url_;
  const std::vector<std::string> protocols_;
  const Headers headers_;
  Client::Opened opened_;
  Link link_;
  asio::steady_timer timer_;
  asio::steady_timer bell_;
  std::shared_ptr<Handle> handle_;
};

}  // namespace

Status Client::State::load_authorities() {
  error_code failed;
  (void)tls.set_options(asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1, failed);
  (void)tls.set_verify_mode(options.insecure_tls ? asio::ssl::verify_none : asio::ssl::verify_peer,
                            failed);
  if (options.ca_file.empty()) return {};  // see tls_of()
  (void)tls.load_verify_file(options.ca_file, failed);
  if (failed)
    return tallymill::fail(Errc::bad_params, fmt::format("cannot read the certificates in {}: {}",
                                                         options.ca_file, failed.message()));
  return {};
}

// The system's authorities take 30 ms to read: more than a command that needs none takes in all.
asio::ssl::context* Client::State::tls_of(const Url& url) {
  if (!url.tls) return nullptr;
  error_code without;
  if (options.ca_file.empty() && !std::exchange(has_system_authorities, true))
    (void)tls.set_default_verify_paths(without);
  return &tls;
}

Client::RequestId Client::State::ask(ClientRequest&& request, Heard&& heard, Answered&& answered) {
  const auto made = std::make_shared<Asked>(context);
  made->id = ++last_id;
  made->method = request.method;
  made->heard = std::move(heard);
  made->feed = request.feed;  // its length stands in the head
  made->answered = std::move(answered);
  const Duration time = request.timeout == Duration{} ? options.timeout : request.timeout;
  std::optional<Error> wrong;
  if (auto url = parse_url(request.url)) {
    made->url = std::move(*url);
    made->time = time;
    if (made->url.socket) wrong = {Errc::bad_params, "a WebSocket is opened, not asked"};
    made->head = request_head(request, made->url, options.token);
    if (made->head.size() > static_cast<std::size_t>(limits::http_header_bytes.raw()))
      wrong = {Errc::too_big, "the request's header is over its bound"};
    made->body = std::move(request.body);
  } else {
    wrong = std::move(url.error());
  }
  const RequestId id = made->id;
  auto start = [this, made, time, wrong = std::move(wrong)]() mutable {
    asked.emplace(made->id, made);
    if (wrong) return settle(made, std::unexpected(std::move(*wrong)));
    if (leaving) return settle(made, std::unexpected(over()));
    allow(made, time);
    begin(made);
  };
  if (const std::lock_guard asking(ending); !ended) {
    asio::post(context, std::move(start));
    return id;
  }
  made->answered(std::unexpected(over()));
  return id;
}

void Client::State::begin(const std::shared_ptr<Asked>& made) {
  const std::string name = made->url.origin();
  const auto found = origins.find(name);
  if (found != origins.end() && !found->second.resting.empty())
    return found->second.resting.back()->wake(made);
  if (found == origins.end() || found->second.lanes < options.connections) {
    const auto lane = std::make_shared<Lane>(*this, name, made);
    asio::co_spawn(context, [lane] { return lane->run(); }, log_end);
    return;
  }
  if (found->second.waiting.size() >= options.waiting)
    return settle(made, std::unexpected(Error{
                            Errc::busy, fmt::format("{} requests wait for {} already",
                                                    options.waiting, made->url.authority())}));
  found->second.waiting.push_back(made);
}

void Client::State::settle(const std::shared_ptr<Asked>& made, Result<ClientResponse> answer) {
  if (std::exchange(made->over, true)) return;
  made->timer.cancel();
  asked.erase(made->id);
  if (made->lane == nullptr) {
    const auto origin = origins.find(made->url.origin());
    if (origin != origins.end()) std::erase(origin->second.waiting, made);
  } else if (!answer) {
    made->lane->cut();
  }
  const Answered answered = std::exchange(made->answered, nullptr);
  answered(std::move(answer));
}

void Client::State::allow(const std::shared_ptr<Asked>& made, Duration time) {
  if (made->over) return;
  made->timer.expires_after(time);
  made->timer.async_wait([this, made](error_code cancelled) {
    if (cancelled || made->timer.expiry() > now()) return;
    settle(made, std::unexpected(error_of(beast::error::timeout, made->url)));
  });
}

std::shared_ptr<Asked> Client::State::next_of(Origin& origin) {
  if (origin.waiting.empty()) return nullptr;
  auto next = std::move(origin.waiting.front());
  origin.waiting.pop_front();
  return next;
}

void Client::State::leave() {
  leaving = true;
  while (!asked.empty()) settle(std::shared_ptr(asked.begin()->second), std::unexpected(over()));
  for (auto& [name, origin] : origins)
    while (!origin.resting.empty()) origin.resting.back()->wake(nullptr);
  for (AnySocket* socket : std::vector(sockets.begin(), sockets.end())) socket->leave();
  // What was posted before is done first.
  if (own) asio::post(context, [this] { context.stop(); });
}

Client::Client(ClientOptions options) : state_(std::make_unique<State>(std::move(options))) {}

Client::Client(ClientOptions options, Server& on)
    : state_(std::make_unique<State>(std::move(options), on.context())) {}

Client::~Client() { stop(); }

Status Client::start() {
  TM_CHECK(!state_->thread.joinable() && !state_->ended);
  if (auto loaded = state_->load_authorities(); !loaded) return loaded;
  if (!state_->own) return {};
  state_->thread = std::thread([state = state_.get()] {
    state->runs_on = std::this_thread::get_id();
    name_thread(state->options.thread.c_str());
    state->context.run();
  });
  return {};
}

void Client::stop() {
  TM_CHECK(state_->runs_on.load() != std::this_thread::get_id());
  {
    const std::lock_guard nobody_asks(state_->ending);
    if (state_->ended.exchange(true)) return;
  }
  if (!state_->own) {
    // Nobody else turns it any more.
    state_->leave();
    state_->context.restart();
    while (!state_->origins.empty() || !state_->sockets.empty()) state_->context.run_one();
    return;
  }
  post([state = state_.get()] { state->leave(); });
  if (state_->thread.joinable()) state_->thread.join();
  // Those who asked just now.
  state_->context.restart();
  state_->context.poll();
}

Client::RequestId Client::request(ClientRequest asked, Answered answered) {
  return state_->ask(std::move(asked), nullptr, std::move(answered));
}

Client::RequestId Client::stream(ClientRequest asked, Heard heard, Answered ended) {
  return state_->ask(std::move(asked), std::move(heard), std::move(ended));
}

void Client::hold(RequestId id, bool on) {
  const auto found = state_->asked.find(id);
  if (found == state_->asked.end() || found->second->held == on) return;
  const std::shared_ptr<Asked> asked = found->second;
  asked->held = on;
  if (on) {
    asked->timer.expires_at(std::chrono::steady_clock::time_point::max());
    return;
  }
  state_->allow(asked, state_->options.silence);
  if (asked->lane != nullptr) asked->lane->ring();
}

void Client::cancel(RequestId id) {
  post([state = state_.get(), id] {
    const auto found = state->asked.find(id);
    if (found == state->asked.end()) return;
    state->settle(std::shared_ptr(found->second), std::unexpected(over()));
  });
}

Result<ClientResponse> Client::fetch(ClientRequest asked) {
  TM_CHECK(state_->runs_on.load() != std::this_thread::get_id());
  // Shared: the one who tells may not have left it when the other has gone on.
  const auto told = std::make_shared<std::promise<Result<ClientResponse>>>();
  auto answer = told->get_future();
  (void)request(std::move(asked),
                [told](Result<ClientResponse> got) { told->set_value(std::move(got)); });
  return answer.get();
}

void Client::open_socket(std::string url, std::vector<std::string> protocols, Opened opened,
                         Headers headers) {
  std::unique_lock asking(state_->ending);
  if (state_->ended) {
    asking.unlock();
    return opened(std::unexpected(over()));
  }
  post([state = state_.get(), url = std::move(url), protocols = std::move(protocols),
        headers = std::move(headers), opened = std::move(opened)]() mutable {
    auto parsed = parse_url(url);
    if (!parsed) return opened(std::unexpected(std::move(parsed.error())));
    if (state->leaving) return opened(std::unexpected(over()));
    const auto dialled = std::make_shared<Dialled>(*state, std::move(*parsed), std::move(protocols),
                                                   std::move(headers), std::move(opened));
    asio::co_spawn(state->context, [dialled] { return dialled->run(); }, log_end);
  });
}

void Client::post(std::function<void()> work) { asio::post(state_->context, std::move(work)); }

}  // namespace tallymill::http
