// Events over HTTP: the feed as Server-Sent Events and as a WebSocket.
#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/limits.h"
#include "base/text.h"
#include "front/gateway/gateway.h"
#include "front/gateway/submission.h"

namespace tallymill::gateway {
namespace {

using nlohmann::json;

constexpr const char* starting = "the front starts: what happens is told in a moment";

// Where a client wants to go on.
struct Since {
  std::string ledger;
  std::optional<std::int64_t> seq;
};

// "LEDGER:SEQ", as the id of each end says.
std::optional<Since> since_of(std::string_view id) {
  const auto colon = id.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::int64_t seq = 0;
  const char* begin = id.data() + colon + 1;
  const char* end = id.data() + id.size();
  const auto parsed = std::from_chars(begin, end, seq);
  if (parsed.ec != std::errc{} || parsed.ptr != end || seq < 0) return std::nullopt;
  return Since{std::string(id.substr(0, colon)), seq};
}

struct Wish {
  Interest interest;
  Since since;
};

// bad_params: a filter that there is not, or a number that is none.
Result<Wish> wish_of(const http::Request& request) {
  Wish wish;
  const auto id = request.headers.get("Last-Event-ID");
  if (!id.empty()) {
    auto since = since_of(id);
    if (!since) return fail(Errc::bad_params, "Last-Event-ID is LEDGER:SEQ", "/since");
    wish.since = std::move(*since);
  }
  if (auto once = each_once(request); !once) return std::unexpected(std::move(once).error());
  for (const auto& [name, value] : request.query) {
    if (name == "kind") {
      wish.interest.kind = value;
    } else if (name == "client") {
      wish.interest.client = value;
    } else if (name == "job") {
      const auto parsed =
          std::from_chars(value.data(), value.data() + value.size(), wish.interest.job);
      if (parsed.ec != std::errc{} || parsed.ptr != value.data() + value.size() ||
          wish.interest.job <= 0)
        return fail(Errc::bad_params, "a job's id is a number", "/job");
    } else if (name == "since") {
      auto since = since_of(value);
      if (!since) return fail(Errc::bad_params, "this is LEDGER:SEQ, as an event's id", "/since");
      if (id.empty()) wish.since = std::move(*since);
    } else {
      return fail(Errc::bad_params, "events are chosen by job, kind, client and since",
                  pointer_to(name));
    }
  }
  return wish;
}

std::string id_of(const std::string& ledger, std::int64_t seq) {
  return fmt::format("{}:{}", ledger, seq);
}

std::string hello_json(const Feed& feed) {
  return json{{"event", "hello"}, {"ledger", feed.ledger()}, {"seq", feed.head()}}.dump();
}

// What holds a follower and its way out together until the client is gone.
template <class Out>
struct Subscription {
  std::shared_ptr<Out> out;
  std::shared_ptr<Feed::Follower> follower;
};

}  // namespace

void Gateway::get_events(Request&& request, Answer answer) {
  auto wish = wish_of(request);
  if (!wish) return answer.fail(wish.error());
  if (!feed_->ready()) return answer.fail({Errc::away, starting, {}, Feed::try_again});
  http::Response head{.type = "text/event-stream"};
  head.headers.add("Cache-Control", "no-store");
  const auto outlet = answer.stream(std::move(head));
  std::string hello = "retry: 1000\n";
  if (!wish->since.seq) hello += "id: " + id_of(feed_->ledger(), feed_->head()) + "\n";
  outlet->send(hello + "event: hello\ndata: " + hello_json(*feed_) + "\n\n");
  auto subscription = std::make_shared<Subscription<http::Outlet>>(outlet);
  subscription->follower =
      feed_->follow(std::move(wish->interest), wish->since.seq, wish->since.ledger,
                    [outlet](const Happening& happening) { return outlet->send(happening.sse); });
  outlet->on_drained([subscription] {
    if (const auto follower = subscription->follower) follower->go_on();
  });
  outlet->on_closed([subscription] {
    subscription->follower.reset();
    subscription->out.reset();
  });
  streams_.push_back(outlet);
}

void Gateway::open_socket(Request&& request, const std::shared_ptr<http::Socket>& socket) {
  using Kind = http::Socket::Kind;
  auto wish = wish_of(request);
  if (!wish) return socket->close(1008, wish.error().message);
  if (!feed_->ready()) return socket->close(1013, starting);
  auto subscription = std::make_shared<Subscription<http::Socket>>(socket);
  const auto out = subscription->out;
  out->send(Kind::text, hello_json(*feed_));
  subscription->follower = feed_->follow(
      std::move(wish->interest), wish->since.seq, wish->since.ledger,
      [out](const Happening& happening) { return out->send(Kind::text, happening.json); });
  out->on_drained([subscription] {
    if (const auto follower = subscription->follower) follower->go_on();
  });
  out->on_message([weak = std::weak_ptr(out)](Kind, std::string_view) {
    if (const auto open = weak.lock()) open->close(1003, "this socket only tells");
  });
  out->on_closed([subscription](int) {
    subscription->follower.reset();
    subscription->out.reset();
  });
}

void Gateway::open_wire(Request&& request, const std::shared_ptr<http::Socket>& socket) {
  wires_->open(request.caller, socket);
}

// So that a proxy, or a client behind a dead line, sees that a quiet stream lives.
void Gateway::keep_streams_alive() {
  std::erase_if(streams_, [](const std::weak_ptr<http::Outlet>& stream) {
    const auto outlet = stream.lock();
    if (!outlet) return true;
    if (outlet->queued() == 0) outlet->send(":\n\n");
    return false;
  });
  server_.once(limits::http_ping, [this] { keep_streams_alive(); });
}

}  // namespace tallymill::gateway
