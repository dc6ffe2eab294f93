#include "collector/waterfalls.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"

namespace tallymill::collector {
namespace {

// A front that begins together with this one answers the second question, or the third.
constexpr int quiet_failures = 2;

// A page of the front's: as JSON it is some times as large as on its wire.
constexpr Bytes answer_bytes{16 * limits::waterfalls_page_bytes.raw()};
// Reads that wait for the disk.
constexpr std::size_t reads = 64;

std::optional<std::int64_t> number_of(std::string_view text) {
  std::int64_t number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

// Of a page that was read: what of it goes on.
struct Added {
  Result<WaterfallsStore::Stored> stored;
  WaterfallsStore::Cursor cursor;
  bool more = false;
};

}  // namespace

WaterfallsProbe::WaterfallsProbe(metrics::Registry& registry)
    : stored(registry.counter("tallymill_collector_waterfalls_stored_total",
                              "Waterfalls that came from the front and are on disk.")),
      missed(registry.counter("tallymill_collector_waterfalls_missed_total",
                              "Numbers of waterfalls that the front could not tell any more.")),
      gaps(registry.counter("tallymill_collector_waterfall_gaps_total",
                            "Times that the front told of a gap.")),
      failed_pulls(registry.counter("tallymill_collector_waterfall_pulls_failed_total",
                                    "Questions to the front that brought no page.")),
      held(registry.gauge("tallymill_collector_waterfalls_held", "Waterfalls that are kept here.")),
      front_up(registry.gauge("tallymill_collector_front_up",
                              "Whether the front answered the last question.")) {}

Waterfalls::Waterfalls(http::Server& server, metrics::Registry& registry, Options options)
    : server_(server),
      options_(std::move(options)),
      probe_(registry),
      client_({.connections = 1,
               .body_bytes = answer_bytes,
               .token = Secret(std::string(options_.token.reveal()))},
              server) {}

Status Waterfalls::open() {
  auto opened = WaterfallsStore::open(options_.file, options_.store);
  if (!opened && opened.error().code == Errc::corrupt) {
    // Most of it can be asked for again.
    log::error(fmt::format("the waterfalls are damaged and put aside: {}", opened.error().message));
    for (const char* part : {"", "-wal", "-shm"}) {
      std::error_code ignored;
      const std::string name = options_.file.string() + part;
      std::filesystem::rename(name, name + ".damaged", ignored);
    }
    opened = WaterfallsStore::open(options_.file, options_.store);
  }
  if (!opened) return std::unexpected(std::move(opened).error().in("waterfalls"));
  auto cursor = opened->cursor();
  if (!cursor) return std::unexpected(std::move(cursor).error().in("waterfalls"));
  const auto held = opened->held();
  if (!held) return std::unexpected(held.error());
  cursor_ = std::move(*cursor);
  held_ = *held;
  store_ = std::move(*opened);
  return client_.start();
}

void Waterfalls::start() {
  disk_ = std::make_unique<bus::Errands>(server_, reads, "waterfalls");
  probe_.held.set(static_cast<double>(held_));
  pull();
}

void Waterfalls::stop() {
  client_.stop();
  disk_.reset();
}

// ---- from the front ----

void Waterfalls::pull() {
  std::string url = fmt::format("{}/v1/waterfalls?after={}&limit={}", options_.front, cursor_.after,
                                limits::waterfalls_page);
  if (!cursor_.ledger.empty()) url += "&ledger=" + http::percent_encoded(cursor_.ledger);
  client_.request({.url = std::move(url)},
                  [this](Result<http::ClientResponse> got) { hear(std::move(got)); });
}

void Waterfalls::pull_in(Duration delay) {
  server_.once(delay, [this] { pull(); });
}

void Waterfalls::hear(Result<http::ClientResponse> got) {
  if (!got && got.error().code == Errc::cancelled) return;  // we leave
  if (!got) return failed(got.error());
  if (got->status != 200) return failed(http::refusal(*got));
  const auto body = std::make_shared<std::string>(std::move(got->body));
  const bool put = disk_->put([this, body] {
    auto added = std::make_shared<Added>(Added{WaterfallsStore::Stored{}, {}, false});
    if (auto page = parse_waterfall_page(*body)) {
      added->stored = store_->add(*page, to_ns(SystemClock().wall()));
      added->cursor = {std::move(page->ledger), page->next};
      added->more = page->more;
    } else {
      added->stored = std::unexpected(std::move(page).error());
    }
    return [this, added] {
      const bool moved =
          added->cursor.ledger != cursor_.ledger || added->cursor.after != cursor_.after;
      if (added->stored) cursor_ = std::move(added->cursor);
      stored(added->stored, added->more && moved);
    };
  });
  if (!put) pull_in(options_.pull);
}

void Waterfalls::stored(const Result<WaterfallsStore::Stored>& outcome, bool more) {
  if (!outcome) return failed(outcome.error());
  recovered();
  held_ += outcome->added - outcome->removed;
  probe_.held.set(static_cast<double>(held_));
  probe_.stored.add(static_cast<std::uint64_t>(outcome->added));
  if (outcome->gap) probe_.gaps.add();
  probe_.missed.add(static_cast<std::uint64_t>(outcome->missed));
  if (more)
    pull();
  else
    pull_in(options_.pull);
}

void Waterfalls::failed(const Error& error) {
  probe_.failed_pulls.add();
  probe_.front_up.set(0);
  trouble_ = error.message;
  const auto now = std::chrono::steady_clock::now();
  if (failures_ >= quiet_failures && (!told_ || now - *told_ >= limits::front_told)) {
    told_ = now;
    log::warn(fmt::format("no waterfalls from the front, they wait there: {}", error.message));
  }
  const auto bound =
      std::min<std::int64_t>(limits::front_again_slowest.count(), limits::front_again_first.count()
                                                                      << std::min(failures_++, 10));
  pull_in(
      std::chrono::milliseconds(std::uniform_int_distribution<std::int64_t>(1, bound)(random_)));
}

void Waterfalls::recovered() {
  if (failures_ > quiet_failures && told_) log::info("waterfalls come from the front again");
  failures_ = 0;
  trouble_.clear();
  probe_.front_up.set(1);
}

// ---- to who reads ----

void Waterfalls::add_routes(http::Router& router) {
  using Handle = void (Waterfalls::*)(const http::Request&, Answer);
  const auto row = [&](const char* path, Handle handle) {
    router.add(
        {http::Method::get,
         path,
         http::Role::read,
         {.whole = [this, handle](http::Request&& request,
                                  Answer answer) { (this->*handle)(request, std::move(answer)); }},
         {}});
  };
  row("/api/v1/waterfalls", &Waterfalls::list);
  row("/api/v1/waterfalls/{job}", &Waterfalls::get);
}

void Waterfalls::list(const http::Request& request, Answer answer) {
  WaterfallsStore::Asked asked;
  for (const auto& [name, value] : request.query) {
    const auto number = number_of(value);
    if (name == "kind")
      asked.kind = value;
    else if (name == "after" && number && *number >= 0)
      asked.after = *number;
    else if (name == "limit" && number && *number > 0)
      asked.limit = std::min<std::int64_t>(*number, limits::waterfalls_page);
    else
      return answer.fail({Errc::bad_params,
                          "waterfalls are chosen by after, kind and limit; after and limit are "
                          "numbers",
                          "/" + name});
  }
  read(std::move(answer),
       [asked = std::move(asked)](WaterfallsStore& store) { return store.page(asked); });
}

void Waterfalls::get(const http::Request& request, Answer answer) {
  const auto job = number_of(request.part("job"));
  if (!job) return answer.fail({Errc::not_found, "a job is named by its number"});
  read(std::move(answer), [job = *job](WaterfallsStore& store) { return store.of_job(job); });
}

void Waterfalls::read(Answer answer, Read read) {
  const auto held = std::make_shared<Answer>(std::move(answer));
  const bool put = disk_->put([this, held, read = std::move(read)] {
    auto text = std::make_shared<Result<std::string>>(read(*store_));
    return [held, text] {
      if (!*text) return held->fail(text->error());
      http::Response response;
      response.body = http::Body(std::move(**text));
      held->send(std::move(response));
    };
  });
  if (!put) held->fail({Errc::busy, "too many read waterfalls: come again later"});
}

}  // namespace tallymill::collector
