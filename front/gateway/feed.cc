#include "front/gateway/feed.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/limits.h"
#include "bus/codec_json.h"

namespace tallymill::gateway {
namespace {

using nlohmann::json;

constexpr std::chrono::milliseconds gather{10};

Bytes size_of(const Happening& happening) {
  return Bytes(static_cast<std::int64_t>(happening.json.size() + happening.sse.size()));
}

Happening gap(std::int64_t from, std::int64_t to) {
  Happening happening;
  happening.what = "gap";
  happening.json = json{{"event", "gap"}, {"from", from}, {"to", to}}.dump();
  return happening;
}

Happening happening_of(const bus::Event& event) {
  Happening happening{event.seq,
                      event.job,
                      std::string(event.what),
                      std::string(event.kind),
                      std::string(event.client),
                      {}};
  json told{{"event", event.what},
            {"seq", event.seq},
            {"job", event.job},
            {"kind", event.kind},
            {"client", event.client}};
  if (event.at_unix_ns != 0) told["at_unix_ns"] = event.at_unix_ns;
  if (event.what == "progress") told["fraction"] = event.fraction;
  if (happening.is_end()) told["attempts"] = event.attempts;
  if (event.took_ns != 0) told["took_ns"] = event.took_ns;
  if (event.whole_ns != 0) told["whole_ns"] = event.whole_ns;
  if (!event.code.empty()) {
    told["code"] = event.code;
    told["message"] = event.message;
    told["field"] = event.field;
  }
  happening.json = told.dump();
  return happening;
}

// Of a row of the wire's `ends`.
Happening happening_of(const json& end) {
  json told{{"event", end.value("state", "")},
            {"seq", end.value("seq", std::int64_t{0})},
            {"job", end.value("job", std::int64_t{0})},
            {"kind", end.value("kind", "")},
            {"client", end.value("client", "")},
            {"at_unix_ns", end.value("end_unix_ns", std::int64_t{0})},
            {"attempts", end.value("attempts", 0)}};
  for (const char* name : {"took_ns", "code", "message", "field"})
    if (const auto at = end.find(name); at != end.end()) told[name] = *at;
  Happening happening{told["seq"].get<std::int64_t>(),   told["job"].get<std::int64_t>(),
                      told["event"].get<std::string>(),  told["kind"].get<std::string>(),
                      told["client"].get<std::string>(), {}};
  happening.json = told.dump();
  return happening;
}

}  // namespace

bool Interest::wants(const Happening& happening) const {
  if (happening.what == "gap") return true;
  return (job == 0 || job == happening.job) && (kind.empty() || kind == happening.kind) &&
         (client.empty() || client == happening.client);
}

Feed::Feed(Line& line, http::Server& server) : line_(line), server_(server) {
  line_.on_event([this](const bus::Item& item) { on_event(item); });
  watch();
}

void Feed::watch() {
  // A line that ends gives up its questions, and may outlive this.
  line_.watch(
      {.all = true}, [this, alive = std::weak_ptr(alive_)](const Result<const bus::Item*>& said) {
        if (alive.expired()) return;
        const auto told = said ? bus::json_of_msgpack((*said)->params)
                               : Result<json>(std::unexpected(said.error()));
        if (!told) {
          away_.write(log::Level::warn, "events are not watched yet: " + told.error().message,
                      SystemClock().now());
          server_.once(try_again, [this, alive] {
            if (!alive.expired()) watch();
          });
          return;
        }
        ledger_ = told->value("ledger", "");
        head_ = ring_since_ = told->value("seq", std::int64_t{0});
        if (ended_) ended_(0);
      });
}

std::shared_ptr<Feed::Follower> Feed::follow(Interest interest, std::optional<std::int64_t> since,
                                             const std::string& ledger, Tell tell) {
  std::shared_ptr<Follower> follower(new Follower(*this, std::move(interest), std::move(tell)));
  followers_.insert(follower.get());
  follower->at_ = first_ + ring_.size();
  follower->seen_ = since.value_or(head_);
  follower->behind_ = since.has_value();
  // Of numbers that are not ours the front says what is missing.
  if (since && (ledger != ledger_ || *since > head_)) read_back(*follower, ledger);
  pump(*follower);
  return follower;
}

void Feed::on_event(const bus::Item& item) {
  if (item.verb == bus::Verb::gap) {
    if (const auto said = bus::read<bus::Gap>(item)) lose(said->to);
    return;
  }
  if (item.verb != bus::Verb::event) return;
  if (const auto event = bus::read<bus::Event>(item); event && event->what != "preview")
    add(happening_of(*event));
}

// The ends up to this number did not come: the ledger has them.
void Feed::lose(std::int64_t last) {
  first_ += ring_.size();
  ring_.clear();
  bytes_ = {};
  head_ = ring_since_ = std::max(head_, last);
  for (Follower* follower : followers_) follower->behind_ = true;
  untold_ = true;
  if (ended_) ended_(0);
  if (!gathering_) tell_all();
}

// What stands between two ends has no id: it is not replayed. `reached`: 0, or where a client goes
// on that breaks off here.
void Feed::render(Happening& happening, std::int64_t reached) const {
  if (reached > 0) happening.sse = fmt::format("id: {}:{}\n", ledger_, reached);
  happening.sse += "event: " + happening.what + "\ndata: " + happening.json + "\n\n";
}

void Feed::add(Happening&& happening) {
  render(happening, happening.is_end() ? happening.seq : 0);
  if (happening.is_end()) head_ = std::max(head_, happening.seq);
  happening.heard = SystemClock().now();
  bytes_ = bytes_ + size_of(happening);
  ring_.push_back(std::move(happening));
  while (ring_.size() > limits::gateway_events ||
         (bytes_ > limits::gateway_events_bytes && ring_.size() > 1))
    drop_first();
  untold_ = true;
  if (ended_ && ring_.back().is_end()) ended_(ring_.back().job);
  if (!gathering_) tell_all();
}

void Feed::drop_first() {
  bytes_ -= size_of(ring_.front());
  if (ring_.front().is_end()) ring_since_ = ring_.front().seq;
  ring_.pop_front();
  ++first_;
}

void Feed::forget(Instant before) {
  while (!ring_.empty() && ring_.front().heard < before) drop_first();
  if (ring_.empty()) std::deque<Happening>().swap(ring_);  // its map stays as large as it ever was
}

void Feed::tell_all() {
  untold_ = false;
  for (Follower* follower : std::vector(followers_.begin(), followers_.end()))
    if (followers_.contains(follower)) pump(*follower);
  if (std::exchange(gathering_, true)) return;
  server_.once(gather, [this] {
    gathering_ = false;
    if (untold_) tell_all();
  });
}

void Feed::pump(Follower& follower) {
  if (follower.asking_ || !tell_read_back(follower)) return;
  // Its place has left the ring: what it missed is in the ledger.
  if (!follower.behind_ && follower.at_ < first_) follower.behind_ = true;
  if (follower.behind_) {
    if (follower.seen_ < ring_since_) return read_back(follower, ledger_);
    follower.behind_ = false;
    follower.at_ = first_;
  }
  while (follower.at_ < first_ + ring_.size()) {
    const Happening& next = ring_[follower.at_ - first_];
    // From before the end that it saw last.
    const bool known = next.is_end() ? next.seq <= follower.seen_ : next.seq < follower.seen_;
    if (!known && follower.interest_.wants(next) && !follower.tell_(next)) return;
    if (!known && next.is_end()) follower.seen_ = next.seq;
    ++follower.at_;
  }
}

bool Feed::tell_read_back(Follower& follower) {
  while (!follower.read_back_.empty()) {
    auto& [told, reached] = follower.read_back_.front();
    if (told && follower.interest_.wants(*told)) {
      if (told->sse.empty()) render(*told, reached);
      if (!follower.tell_(*told)) return false;
    }
    follower.seen_ = reached;
    follower.read_back_.pop_front();
  }
  return true;
}

void Feed::read_back(Follower& follower, const std::string& ledger) {
  if (std::exchange(follower.asking_, true)) return;
  line_.ask(bus::Verb::ends, {.after = follower.seen_, .ledger = ledger},
            [this, at = &follower, ledger,
             alive = std::weak_ptr(follower.alive_)](const Result<const bus::Item*>& said) {
              if (alive.expired()) return;
              if (said) {
                at->asking_ = false;
                return take_page(*at, **said);
              }
              // Busy, or slow: what the ledger has is no gap.
              away_.write(log::Level::warn, "ends are not read back yet: " + said.error().message,
                          SystemClock().now());
              server_.once(try_again, [this, at, ledger, alive] {
                if (alive.expired()) return;
                at->asking_ = false;
                read_back(*at, ledger);
              });
            });
}

void Feed::take_page(Follower& follower, const bus::Item& item) {
  const auto page = bus::json_of_msgpack(item.params);
  if (!page) return log::error("a page of ends cannot be read: " + page.error().message);
  const auto reached = page->value("reached", std::int64_t{0});
  const json ends = page->value("ends", json::array());
  if (const auto missing = page->find("gap"); missing != page->end()) {
    const auto to = missing->value("to", std::int64_t{0});
    // Numbers of another ledger, or beyond ours, count nothing: it goes on at the head.
    follower.read_back_.push_back({gap(missing->value("from", std::int64_t{0}), to),
                                   ends.empty() ? reached : std::min(to, reached)});
  }
  for (const json& end : ends) {
    Happening told = happening_of(end);
    const std::int64_t seq = told.seq;
    follower.read_back_.push_back({std::move(told), seq});
  }
  follower.read_back_.push_back({std::nullopt, reached});
  pump(follower);
}

}  // namespace tallymill::gateway
