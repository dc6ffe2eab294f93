#include "collector/forward.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "bus/packed_frames.h"
#include "http/url.h"

namespace tallymill::collector {
namespace {

using http::Answer;
using http::Headers;
using http::Method;
using http::Request;
using http::Response;

constexpr std::string_view our_name = "tallymill-collector";

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  text.remove_prefix(begin);
  return text.substr(0, text.find_last_not_of(" \t") + 1);
}

std::vector<std::string> members_of(std::string_view list) {
  std::vector<std::string> members;
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(','), list.size());
    const std::string_view member = trimmed(list.substr(0, end));
    if (!member.empty()) members.emplace_back(member);
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return members;
}

// Of one connection, whoever says it; and those that Connection names.
bool is_of_the_hop(const std::string& name, const std::vector<std::string>& named) {
  static constexpr std::string_view names[] = {"connection",
                                               "keep-alive",
                                               "proxy-connection",
                                               "proxy-authenticate",
                                               "proxy-authorization",
                                               "te",
                                               "trailer",
                                               "transfer-encoding",
                                               "upgrade"};
  return std::ranges::find(names, name) != std::end(names) ||
         std::ranges::find(named, name) != named.end();
}

template <std::size_t N>
Headers without(const Headers& headers, const std::string_view (&others)[N]) {
  const std::vector<std::string> named = members_of(http::lower_case(headers.list("Connection")));
  Headers kept;
  for (const auto& [name, value] : headers.all()) {
    const std::string low = http::lower_case(name);
    if (is_of_the_hop(low, named) || std::ranges::find(others, low) != std::end(others)) continue;
    kept.add(name, value);
  }
  return kept;
}

std::optional<std::uint64_t> length_of(const Headers& headers) {
  const std::string_view text = headers.get("Content-Length");
  std::uint64_t length = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), length);
  if (text.empty() || read.ec != std::errc() || read.ptr != text.data() + text.size())
    return std::nullopt;
  return length;
}

// What `Prefer: wait=N` lets the front take.
Duration wait_of(const Headers& headers) {
  for (const std::string& member : members_of(headers.list("Prefer"))) {
    if (!member.starts_with("wait=")) continue;
    std::int64_t seconds = 0;
    std::from_chars(member.data() + 5, member.data() + member.size(), seconds);
    return std::chrono::seconds(std::clamp<std::int64_t>(seconds, 0, limits::gateway_wait.count()));
  }
  return {};
}

Response refusal_of(const Error& error) {
  if (error.code == Errc::deadline)
    return http::problem({Errc::deadline, "the front did not answer in time: " + error.message});
  if (error.code == Errc::busy) return http::problem(error);
  return http::problem({Errc::away, "the front is away: " + error.message}, 502);
}

// A goodbye without a code was said by nobody: the connection broke.
int passed_code(int code, int broken) { return code == 1006 || code == 1015 ? broken : code; }

bool is_loop(const Request& request) {
  return request.headers.list("Via").find(our_name) != std::string::npos;
}

metrics::Counter& outcome(metrics::Registry& registry, const char* value) {
  return registry.counter("tallymill_collector_forwarded_total",
                          "Requests and WebSockets that were passed on to the front.",
                          {{"outcome", value}});
}

}  // namespace

ForwardProbe::ForwardProbe(metrics::Registry& registry)
    : requests(registry.gauge("tallymill_collector_forwarding",
                              "Requests and streams under way to the front.")),
      sockets(registry.gauge(
          "tallymill_collector_forward_sockets",
          "WebSockets that are tied to one of the front, or will be when it answers.")),
      answered(outcome(registry, "answered")),
      away(outcome(registry, "away")),
      late(outcome(registry, "late")),
      broken(outcome(registry, "broken")),
      left(outcome(registry, "left")),
      full(outcome(registry, "full")) {}

Result<std::string> front_url(std::string_view said) {
  std::string url(said);
  if (url.find("://") == std::string::npos) url.insert(0, "http://");
  while (url.ends_with('/')) url.pop_back();
  auto parsed = http::parse_url(url);
  if (!parsed) return std::unexpected(std::move(parsed).error());
  if (parsed->socket) return fail(Errc::bad_params, "the front is reached by http:// or https://");
  if (url.find_first_of("?#") != std::string::npos)
    return fail(Errc::bad_params, "the front's URL has no query");
  return url;
}

Headers forwarded_fields(const Request& request) {
  static constexpr std::string_view ours[] = {"host",
                                              "origin",
                                              "content-length",
                                              "expect",
                                              "x-request-id",
                                              "sec-websocket-key",
                                              "via",
                                              "sec-websocket-version",
                                              "sec-websocket-protocol",
                                              "sec-websocket-extensions"};
  Headers fields = without(request.headers, ours);
  const std::string before = request.headers.list("Via");
  fields.add("Via", fmt::format("{}{}1.1 {}", before, before.empty() ? "" : ", ", our_name));
  fields.add("X-Request-Id", request.id);
  return fields;
}

Headers answered_fields(const Headers& front) {
  static constexpr std::string_view ours[] = {"content-length", "content-type", "date",
                                              "x-request-id"};
  return without(front, ours);
}

// One request under way: whoever is first, the front with its answer, its end, the client's end,
// is who decides. The client holds it while it is asked.
class Forward::Relay : public std::enable_shared_from_this<Relay> {
 public:
  Relay(Forward& owner, Answer answer) : owner_(owner), answer_(std::move(answer)) {
    ++owner_.requests_;
    owner_.probe_.requests.add(1);
  }
  ~Relay() {
    --owner_.requests_;
    owner_.probe_.requests.add(-1);
  }
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  void ask(const Request& request) {
    http::ClientRequest asked{.method = request.method,
                              .url = owner_.options_.front + request.target,
                              .headers = forwarded_fields(request),
                              .timeout = owner_.options_.answer + wait_of(request.headers)};
    const auto length = length_of(request.headers);
    if (length.value_or(0) > 0 || request.headers.count("Transfer-Encoding") > 0)
      feed_ = asked.feed = std::make_shared<http::BodyFeed>(length);
    is_head_ = request.method == Method::head;
    id_ = owner_.client_.stream(
        std::move(asked),
        [self = shared_from_this()](const http::ClientResponse& head, std::string_view piece) {
          self->hear(head, piece);
        },
        [self = shared_from_this()](Result<http::ClientResponse> end) {
          self->end(std::move(end));
        });
    // Not who only sends no more: it may still read.
    answer_->on_leaving([weak = weak_from_this()] {
      const auto self = weak.lock();
      if (self && self->answer_ && self->answer_->is_over()) self->cancel();
    });
  }

  // Of the client's body.
  void put(std::string_view piece, std::function<void()> more) {
    if (feed_) feed_->put(piece, std::move(more));
  }
  void finish() {
    if (feed_) feed_->end();
  }
  // The client is gone, unless it was answered before its body had ended.
  void drop() {
    if (answer_) cancel();
  }

 private:
  void cancel() { owner_.client_.cancel(id_); }

  void hear(const http::ClientResponse& head, std::string_view piece) {
    if (began_) return take(piece);
    began_ = true;
    response_ = {.status = head.status,
                 .type = std::string(head.headers.get("Content-Type")),
                 .body = {},
                 .headers = answered_fields(head.headers)};
    const auto length = length_of(head.headers);
    const bool bodiless = head.status == 204 || head.status == 304;
    whole_ = bodiless || (!is_head_ && length &&
                          *length <= static_cast<std::uint64_t>(limits::http_piece.raw()));
    if (whole_ || !answer_) return;
    response_.length = length;
    outlet_ = std::exchange(answer_, std::nullopt)->stream(std::move(response_));
    outlet_->on_closed([weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->cancel();
    });
    outlet_->on_drained([weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->drained();
    });
  }

  void take(std::string_view piece) {
    if (whole_) {
      body_ += piece;
    } else if (outlet_ && !outlet_->send(piece)) {
      waiting_ = piece;
      owner_.client_.hold(id_, true);
    }
  }
  void drained() {
    if (!waiting_.empty() && !outlet_->send(waiting_)) return;
    waiting_.clear();
    owner_.client_.hold(id_, false);
    if (ended_) outlet_->close();
  }

  void end(Result<http::ClientResponse> end) {
    count(end);
    if (!end) {
      if (answer_) std::exchange(answer_, std::nullopt)->send(refusal_of(end.error()));
      if (outlet_) outlet_->cut();
      return;
    }
    ended_ = true;
    if (answer_) {
      response_.body = std::move(body_);
      std::exchange(answer_, std::nullopt)->send(std::move(response_));
    } else if (outlet_ && waiting_.empty()) {
      outlet_->close();
    }
  }
  void count(const Result<http::ClientResponse>& end) const {
    const ForwardProbe& probe = owner_.probe_;
    if (end) return probe.answered.add();
    switch (end.error().code) {
      case Errc::cancelled:
        return probe.left.add();
      case Errc::deadline:
        return probe.late.add();
      default:
        return (began_ ? probe.broken : probe.away).add();
    }
  }

  Forward& owner_;
  std::optional<Answer> answer_;
  http::Client::RequestId id_ = 0;
  std::shared_ptr<http::BodyFeed> feed_;
  std::shared_ptr<http::Outlet> outlet_;
  Response response_;
  std::string body_;     // of a short answer, which goes as a whole
  std::string waiting_;  // a piece that the outlet had no room for
  bool is_head_ = false;
  bool began_ = false;
  bool whole_ = false;
  bool ended_ = false;
};

// The client's body on its way in.
class Forward::Inlet final : public http::BodyReader {
 public:
  explicit Inlet(std::shared_ptr<Relay> relay) : relay_(std::move(relay)) {}
  ~Inlet() override {
    if (!finished_) relay_->drop();
  }
  Inlet(const Inlet&) = delete;
  Inlet& operator=(const Inlet&) = delete;
  Status piece(std::string_view bytes, std::function<void()> more) override {
    relay_->put(bytes, std::move(more));
    return {};
  }
  void finish() override {
    finished_ = true;
    relay_->finish();
  }

 private:
  std::shared_ptr<Relay> relay_;
  bool finished_ = false;
};

// A WebSocket's, counted until the last who holds it lets go.
class Forward::Place {
 public:
  explicit Place(Forward& owner) : owner_(owner) {
    ++owner_.sockets_;
    owner_.probe_.sockets.add(1);
  }
  ~Place() {
    --owner_.sockets_;
    owner_.probe_.sockets.add(-1);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

 private:
  Forward& owner_;
};

// Two WebSockets, of which each says what the other hears.
class Forward::Tie : public std::enable_shared_from_this<Tie> {
 public:
  Tie(std::shared_ptr<Place> place, std::shared_ptr<http::Socket> front)
      : place_(std::move(place)), front_{std::move(front)} {
    front_.socket->hold(true);
  }
  // The client left before it had a socket.
  ~Tie() { front_.socket->close(1001, "the client is gone"); }
  Tie(const Tie&) = delete;
  Tie& operator=(const Tie&) = delete;

  void begin(std::shared_ptr<http::Socket> client) {
    client_.socket = std::move(client);
    bind(client_, front_, 1001);
    bind(front_, client_, 1013);
    front_.socket->hold(false);
  }

 private:
  using Kind = http::Socket::Kind;
  struct End {
    std::shared_ptr<http::Socket> socket = {};
    std::optional<std::pair<Kind, std::string>> waiting = {};  // for room in this end's outlet
  };
  // `broken`: what `to` is told when `from` ends without a goodbye. Sockets that have ended drop
  // their calls, and with them this.
  void bind(End& from, End& to, int broken) {
    from.socket->on_message(
        [self = shared_from_this(), &from, &to](Kind kind, std::string_view message) {
          if (to.socket->send(kind, message)) return;
          to.waiting.emplace(kind, message);
          from.socket->hold(true);
        });
    to.socket->on_drained([self = shared_from_this(), &from, &to] {
      if (!to.waiting || !to.socket->send(to.waiting->first, to.waiting->second)) return;
      to.waiting.reset();
      from.socket->hold(false);
    });
    from.socket->on_closed([self = shared_from_this(), &from, &to, broken](int code) {
      to.socket->close(passed_code(code, broken), from.socket->goodbye());
    });
  }

  std::shared_ptr<Place> place_;
  End front_;
  End client_;
};

Forward::Forward(http::Server& server, metrics::Registry& registry, Options options)
    : options_(std::move(options)),
      probe_(registry),
      client_({.timeout = options_.answer,
               .connections = options_.requests,
               .waiting = 0,
               .message_bytes = Bytes(static_cast<std::int64_t>(bus::most_packed_bytes))},
              server) {}

void Forward::add_routes(http::Router& router) {
  const auto row = [&](Method method, const char* path, http::Role role) {
    router.add({.method = method,
                .path = path,
                .role = role,
                .handler = {.pieces =
                                [this](Request&& request, Answer answer) {
                                  return forward(std::move(request), std::move(answer));
                                }},
                .operation = {},
                .body_bytes = options_.body});
  };
  // The front judges again, by what it knows of its own routes.
  row(Method::get, "/v1/{*}", http::Role::read);
  row(Method::options, "/v1/{*}", http::Role::none);
  row(Method::post, "/v1/{*}", http::Role::submit);
  row(Method::put, "/v1/{*}", http::Role::submit);
  row(Method::del, "/v1/{*}", http::Role::submit);
  row(Method::post, "/v1/jobs/{id}/retry", http::Role::operate);
  for (const char* path : {"/v1/ws", "/v1/wire"})
    router.add({.method = Method::get,
                .path = path,
                .role = http::Role::read,
                .handler = {.asked_socket =
                                [this](Request&& request, Answer answer) {
                                  open_socket(std::move(request), std::move(answer));
                                }},
                .operation = {},
                .body_bytes = limits::wire_message_bytes});
}

std::unique_ptr<http::BodyReader> Forward::forward(Request&& request, Answer answer) {
  if (is_loop(request)) {
    answer.send(http::problem({Errc::bad_params, "the collector is its own front"}, 508));
    return nullptr;
  }
  if (requests_ >= options_.requests) {
    probe_.full.add();
    answer.send(http::problem({Errc::busy, "too many requests are under way to the front"}));
    return nullptr;
  }
  const auto relay = std::make_shared<Relay>(*this, std::move(answer));
  relay->ask(request);
  return std::make_unique<Inlet>(relay);
}

void Forward::open_socket(Request&& request, Answer answer) {
  if (is_loop(request))
    return answer.send(http::problem({Errc::bad_params, "the collector is its own front"}, 508));
  if (sockets_ >= options_.sockets) {
    probe_.full.add();
    return answer.fail({Errc::busy, "too many WebSockets are tied to the front"});
  }
  auto place = std::make_shared<Place>(*this);
  const bool judged_by_verb = request.path == "/v1/wire";
  if (judged_by_verb && options_.guarded && request.caller.role < http::Role::operate)
    dial_if_judged(request, std::move(answer), std::move(place));
  else
    dial(request, std::move(answer), std::move(place));
}

void Forward::dial_if_judged(const Request& request, Answer answer, std::shared_ptr<Place> place) {
  const auto held = std::make_shared<Answer>(std::move(answer));
  client_.request(
      {.url = options_.front + "/v1/kinds"},
      [this, held, request, place = std::move(place)](Result<http::ClientResponse> said) {
        if (held->is_over()) return;
        if (!said) return held->send(refusal_of(said.error()));
        if (said->status == 401) return dial(request, std::move(*held), place);
        held->fail({Errc::denied,
                    "the front asks for no token, so that its wire needs the role "
                    "operate here"});
      });
}

void Forward::dial(const Request& request, Answer answer, std::shared_ptr<Place> place) {
  const auto held = std::make_shared<Answer>(std::move(answer));
  client_.open_socket(
      options_.front + request.target, members_of(request.headers.list("Sec-WebSocket-Protocol")),
      [this, held, place = std::move(place)](Result<std::shared_ptr<http::Socket>> got) {
        if (!got) {
          const bool late = got.error().code == Errc::deadline;
          const bool away = got.error().code == Errc::away || got.error().code == Errc::bad_frame;
          (late ? probe_.late : away ? probe_.away : probe_.answered).add();
          // Others are the front's own refusals.
          return held->send(late || away ? refusal_of(got.error()) : http::problem(got.error()));
        }
        const auto tie = std::make_shared<Tie>(place, std::move(*got));
        probe_.answered.add();
        if (held->is_over()) return;
        held->open([tie](std::shared_ptr<http::Socket> client) { tie->begin(std::move(client)); });
      },
      forwarded_fields(request));
}

}  // namespace tallymill::collector
