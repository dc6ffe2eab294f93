// The live feed. Goal: each client hears each value once, when it changed; what is over a bound is
// refused and the rest goes on; a client that does not read costs nothing and is told what passed
// it by. Method: a real Server and WebSockets, over series in memory; short ticks.
#include "collector/live.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <future>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "collector/answers.h"
#include "collector/promql/evaluate.h"
#include "collector/promql/parser.h"
#include "http/client.h"
#include "tests/http/raw_client.h"

namespace tallymill::collector {
namespace {

using http::Served;
using http::Socket;
using nlohmann::json;
using std::chrono::milliseconds;

// Series that a test changes while they are read.
class ChangingSource final : public Source {
 public:
  void set(const std::string& name, double value) {
    const std::lock_guard hold(mutex_);
    values_[name] = value;
  }
  Result<std::vector<Found>> select(std::span<const Matcher> matchers, std::int64_t,
                                    std::int64_t) const override {
    const auto end = std::chrono::steady_clock::now() + select_takes;
    while (std::chrono::steady_clock::now() < end) continue;
    const std::lock_guard hold(mutex_);
    std::vector<Found> found;
    std::uint32_t id = 0;
    for (const auto& [name, value] : values_) {
      const SeriesId series(id++);
      if (std::ranges::all_of(matchers, [&](const Matcher& matcher) {
            return matcher.fits(matcher.name() == "__name__" ? name : "");
          }))
        found.push_back({series, Labels::of({{"__name__", name}, {"id", name}})});
    }
    ++selects;
    return found;
  }
  Status read(SeriesId series, std::int64_t, std::int64_t to_ms, Column& into) const override {
    const std::lock_guard hold(mutex_);
    into.clear();
    into.add(to_ms, std::next(values_.begin(), series.raw())->second);
    return {};
  }
  mutable std::atomic<int> selects = 0;
  std::chrono::nanoseconds select_takes{0};  // REQUIRES: set before anybody follows

 private:
  mutable std::mutex mutex_;
  std::map<std::string, double> values_;
};

struct Feeding {
  explicit Feeding(Live::Options options = {.tick = milliseconds(30), .budget = milliseconds(20)})
      : served(http::Router()), live(source, served.registry, options) {
    http::Router rows;
    live.add_routes(rows);
    served.on_thread([&] {
      live.start(served.server);
      served.server.change(std::move(rows));
    });
  }
  ~Feeding() {
    served.server.stop();
    live.stop();
  }
  [[nodiscard]] double metric(const std::string& name) const {
    return served.metric("tallymill_collector_live_" + name);
  }
  ChangingSource source;
  Served served;
  Live live;
};

class Follower {
 public:
  explicit Follower(Feeding& feeding) {
    EXPECT_TRUE(client_.start());
    std::promise<bool> opened;
    client_.open_socket("http://127.0.0.1:" + std::to_string(feeding.served.server.port()) + "/ws",
                        {}, [&](Result<std::shared_ptr<Socket>> got) {
                          if (got) {
                            socket_ = std::move(*got);
                            socket_->on_message([this](Socket::Kind, std::string_view said) {
                              put(json::parse(said));
                            });
                            socket_->on_closed([this](int code) { put({{"closed", code}}); });
                          }
                          opened.set_value(got.has_value());
                        });
    EXPECT_TRUE(opened.get_future().get());
  }
  void say(const json& what) { say(what.dump()); }
  void say(std::string text) {
    client_.post([this, text = std::move(text)] { (void)socket_->send(Socket::Kind::text, text); });
  }
  void follow(const std::string& topic, const std::string& query) {
    say({{"subscribe", json::array({{{"topic", topic}, {"query", query}}})}});
  }
  void hold(bool on) {
    client_.post([this, on] { socket_->hold(on); });
  }
  json next() {
    std::unique_lock hold(mutex_);
    if (!came_.wait_for(hold, std::chrono::seconds(10), [&] { return !said_.empty(); }))
      return "nothing";
    json first = std::move(said_.front());
    said_.pop_front();
    return first;
  }
  std::size_t waiting() {
    const std::lock_guard hold(mutex_);
    return said_.size();
  }
  // The value of a topic in the next message that has it.
  std::string value(const std::string& topic) {
    for (;;) {
      const json said = next();
      if (!said.is_object()) return "nothing";
      if (!said.contains("topics") || !said["topics"].contains(topic)) continue;
      const json& data = said["topics"][topic]["data"];
      if (data["resultType"] == "scalar") return data["result"][1];
      return data["result"].empty() ? "none" : data["result"][0]["value"][1];
    }
  }

 private:
  void put(json what) {
    const std::lock_guard hold(mutex_);
    said_.push_back(std::move(what));
    came_.notify_one();
  }
  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<json> said_;
  std::shared_ptr<Socket> socket_;
  http::Client client_{http::ClientOptions{}};
};

TEST(Live, AValueComesOnceAndAgainWhenItChanged) {
  Feeding feeding;
  feeding.source.set("up", 1);
  Follower client(feeding);
  client.follow("is up", "up");
  EXPECT_EQ(client.value("is up"), "1");
  feeding.source.set("up", 0);
  EXPECT_EQ(client.value("is up"), "0");
  // Ticks go by, and it says nothing.
  const int before = feeding.source.selects;
  ASSERT_TRUE(feeding.served.becomes([&] { return feeding.source.selects > before + 3; }));
  EXPECT_EQ(client.waiting(), 0U);
  client.follow("two", "up + 2");
  EXPECT_EQ(client.value("two"), "2");
  client.say(json{{"unsubscribe", {"is up"}}});
  feeding.source.set("up", 5);
  EXPECT_EQ(client.value("two"), "7");
  EXPECT_TRUE(feeding.served.becomes([&] { return feeding.metric("topics") == 1; }));
  client.follow("nothing", "no_such_series");
  EXPECT_EQ(client.value("nothing"), "none");
  client.follow("n", "1 + 1");
  EXPECT_EQ(client.value("n"), "2");
}

// The alerts' numbers in the messages up to this one, and gaps as "1-3".
std::vector<std::string> alerts_up_to(Follower& client, std::uint64_t last) {
  std::vector<std::string> all;
  while (all.empty() || all.back() != std::to_string(last)) {
    const json said = client.next();
    if (!said.is_object() || !said.contains("alerts")) return all;
    if (said.contains("alerts_gap"))
      all.push_back(
          fmt::format("{}-{}", said["alerts_gap"][0].get<int>(), said["alerts_gap"][1].get<int>()));
    for (const json& one : said["alerts"])
      all.push_back(std::to_string(one["sequence"].get<int>()));
  }
  return all;
}

TEST(Live, AlertsAreToldToThoseWhoAskFromThenOnInTheirOrder) {
  Feeding feeding({.tick = milliseconds(30), .budget = milliseconds(20)});
  std::uint64_t sequence = 0;
  const auto changes = [&](int times) {
    feeding.served.on_thread([&] {
      for (int i = 0; i < times; ++i) {
        ++sequence;
        feeding.live.tell_alert(sequence, fmt::format("{{\"sequence\":{}}}", sequence));
      }
    });
  };
  changes(2);
  Follower client(feeding);
  Follower other(feeding);
  client.say(json{{"alerts", true}});
  feeding.source.set("up", 1);
  client.follow("up", "up");  // heard behind it
  other.follow("up", "up");
  EXPECT_EQ(client.value("up"), "1");
  EXPECT_EQ(other.value("up"), "1");
  changes(3);
  EXPECT_EQ(alerts_up_to(client, 5), (std::vector<std::string>{"3", "4", "5"}));
  client.say(json{{"alerts", false}});
  client.follow("two", "up + 1");
  EXPECT_EQ(client.value("two"), "2");
  changes(1);
  feeding.source.set("up", 4);
  EXPECT_EQ(client.value("two"), "5");
  EXPECT_EQ(other.value("up"), "4");
  EXPECT_EQ(client.waiting(), 0U);
  EXPECT_EQ(other.waiting(), 0U);
}

TEST(Live, SoManyAlertsAreRememberedAndWhoIsFurtherBehindIsToldTheGap) {
  Feeding feeding(
      {.tick = milliseconds(30), .budget = milliseconds(20), .alerts = 3, .alerts_bytes = 3 * 40});
  feeding.source.set("up", 1);
  Follower client(feeding);
  client.say(json{{"alerts", true}});
  client.follow("up", "up");
  EXPECT_EQ(client.value("up"), "1");
  // All of it in one go.
  const auto changes = [&](std::uint64_t from, std::uint64_t to, const std::string& more = "") {
    feeding.served.on_thread([&] {
      for (std::uint64_t i = from; i <= to; ++i)
        feeding.live.tell_alert(i, fmt::format("{{\"sequence\":{}{}}}", i, more));
    });
  };
  changes(1, 4);
  EXPECT_EQ(alerts_up_to(client, 4), (std::vector<std::string>{"1", "2", "3", "4"}));
  changes(5, 9);
  // The first is on its way, or waits behind what was before it and is one of those that are lost.
  using Told = std::vector<std::string>;
  const Told told = alerts_up_to(client, 9);
  EXPECT_TRUE(told == (Told{"5", "6-6", "7", "8", "9"}) || told == (Told{"5-6", "7", "8", "9"}))
      << fmt::format("{}", fmt::join(told, " "));
  EXPECT_EQ(feeding.metric("alert_gaps_total"), 1);
  // Over the bytes one of the three goes; and what was lost before it came here is a gap, too.
  const std::string wide = ",\"x\":\"" + std::string(26, 'x') + "\"";
  changes(10, 10);
  EXPECT_EQ(alerts_up_to(client, 10), (std::vector<std::string>{"10"}));
  changes(12, 15, wide);
  EXPECT_EQ(alerts_up_to(client, 15).back(), "15");
  EXPECT_TRUE(feeding.served.becomes(
      [&] { return feeding.metric("alerts_bytes") > 0 && feeding.metric("alerts_bytes") <= 120; }));
  EXPECT_EQ(feeding.metric("alert_gaps_total"), 3);
}

TEST(Live, ADistinctQueryIsEvaluatedOnceHoweverManyFollowIt) {
  Feeding feeding({.tick = milliseconds(200), .budget = milliseconds(100)});
  feeding.source.set("up", 1);
  std::deque<Follower> clients;
  for (int i = 0; i < 10; ++i) {
    clients.emplace_back(feeding);
    clients.back().follow("a", i % 2 == 0 ? "sum(up)" : "sum( up )");
  }
  for (Follower& client : clients) EXPECT_EQ(client.value("a"), "1");
  EXPECT_EQ(feeding.metric("queries"), 1);
  EXPECT_EQ(feeding.metric("topics"), 10);
  const double messages = feeding.metric("messages_total");
  const int before = feeding.source.selects;
  feeding.source.set("up", 2);
  for (Follower& client : clients) EXPECT_EQ(client.value("a"), "2");
  EXPECT_LE(feeding.source.selects - before, 3) << "one a tick";
  EXPECT_EQ(feeding.metric("messages_total"), messages + 10);
  clients.clear();
  EXPECT_TRUE(feeding.served.becomes([&] { return feeding.metric("queries") == 0; }));
}

TEST(Live, WhatIsWrongOrOneTooManyIsRefusedAndTheRestGoesOn) {
  Feeding feeding({.clients = 2,
                   .client_topics = 2,
                   .topics = 3,
                   .queries = 2,
                   .tick = milliseconds(30),
                   .budget = milliseconds(20)});
  feeding.source.set("up", 1);
  Follower client(feeding);
  const auto refused = [&](const std::string& topic, const std::string& query) {
    client.follow(topic, query);
    for (;;) {
      const json said = client.next();
      if (!said.is_object() || said.contains("closed")) return std::string("nothing");
      if (said.contains("refused")) return said["refused"][0]["error"].get<std::string>();
    }
  };
  EXPECT_NE(refused("a", "up +").find("parse error"), std::string::npos);
  EXPECT_NE(refused("a", "up[1m]").find("instant vector"), std::string::npos);
  EXPECT_NE(refused("", "up").find("name"), std::string::npos);
  EXPECT_NE(refused(std::string(limits::live_topic_bytes + 1, 'a'), "up").find("name"),
            std::string::npos);
  EXPECT_NE(refused("a", std::string(limits::live_query_bytes + 1, ' ')).find("bytes"),
            std::string::npos);
  client.follow(std::string(limits::live_topic_bytes, 'a'),
                "up" + std::string(limits::live_query_bytes - 2, ' '));
  EXPECT_EQ(client.value(std::string(limits::live_topic_bytes, 'a')), "1");
  client.follow("b", "up + 1");
  EXPECT_EQ(client.value("b"), "2");
  EXPECT_NE(refused("c", "up").find("at most 2 topics"), std::string::npos);
  client.follow("b", "up");  // another query for a topic that is there
  EXPECT_EQ(client.value("b"), "1");
  Follower second(feeding);
  second.follow("a", "up");
  EXPECT_EQ(second.value("a"), "1");
  second.follow("b", "up");
  EXPECT_NE(second.next()["refused"][0]["error"].get<std::string>().find("topics"),
            std::string::npos);
  Follower third(feeding);
  EXPECT_EQ(third.next(), (json{{"closed", 1013}}));
  second.say(std::string("nonsense"));
  EXPECT_EQ(second.next(), (json{{"closed", 1008}}));
  feeding.source.set("up", 7);
  EXPECT_EQ(client.value("b"), "7");
}

TEST(Live, OneQueryTooManyIsRefused) {
  Feeding feeding({.queries = 1, .tick = milliseconds(30), .budget = milliseconds(20)});
  Follower client(feeding);
  client.follow("a", "1");
  EXPECT_EQ(client.value("a"), "1");
  client.follow("b", "2");
  EXPECT_NE(client.next()["refused"][0]["error"].get<std::string>().find("queries"),
            std::string::npos);
}

// What a client is told of this query first: "" for a value, or the error.
std::string error_of(Feeding& feeding, const std::string& query) {
  Follower client(feeding);
  client.follow("t", query);
  for (;;) {
    const json said = client.next();
    if (!said.is_object()) return "nothing";
    if (said.contains("topics") && said["topics"].contains("t"))
      return said["topics"]["t"].value("error", "");
  }
}

TEST(Live, AResultIsAsLargeAsItMayBeAndOneByteMoreIsAnError) {
  Feeding any;
  for (int i = 0; i < 20; ++i) any.source.set("s" + std::to_string(i), i);
  const promql::Grid grid{0, 1, 1};
  const auto value = promql::evaluate(**promql::parse("{__name__=~\".+\"}"), grid, any.source, {});
  ASSERT_TRUE(value);
  const std::size_t bytes = data_of(*value, grid, true)->size();
  for (const std::size_t most : {bytes, bytes - 1}) {
    Feeding feeding(
        {.tick = milliseconds(30), .budget = std::chrono::seconds(60), .result_bytes = most});
    for (int i = 0; i < 20; ++i) feeding.source.set("s" + std::to_string(i), i);
    const std::string error = error_of(feeding, "{__name__=~\".+\"}");
    if (most == bytes)
      EXPECT_EQ(error, "");
    else
      EXPECT_NE(error.find(fmt::format("has {} bytes: a topic has at most {}", bytes, most)),
                std::string::npos)
          << error;
    EXPECT_EQ(error_of(feeding, "count({__name__=~\".+\"})"), "") << "the rest goes on";
  }
}

TEST(Live, AllResultsAreAsLargeAsTheyMayBeTogetherAndWhatIsAboveComesWhenThereIsRoom) {
  const auto both = [](Feeding& feeding, Follower& client) {
    client.say(json{{"subscribe",
                     {{{"topic", "a"}, {"query", "{__name__=~\"s.+\"}"}},
                      {{"topic", "b"}, {"query", "{__name__=~\"s.+\"} + 0"}}}}});
    std::map<std::string, std::string> errors;
    while (errors.size() < 2) {
      const json said = client.next();
      if (!said.is_object()) break;
      if (!said.contains("topics")) continue;
      for (const auto& [name, one] : said["topics"].items())
        errors[name] = one.value("error", std::string());
    }
    EXPECT_TRUE(feeding.served.becomes([&] { return feeding.metric("queries") == 2; }));
    return errors;
  };
  const auto fill = [](Feeding& feeding) {
    for (int i = 0; i < 50; ++i) feeding.source.set("s" + std::to_string(i), i);
  };
  Live::Options options{.tick = milliseconds(30), .budget = std::chrono::seconds(60)};
  Feeding any(options);
  fill(any);
  Follower first(any);
  EXPECT_EQ(both(any, first), (std::map<std::string, std::string>{{"a", ""}, {"b", ""}}));
  ASSERT_TRUE(any.served.becomes([&] { return any.metric("result_bytes") > 0; }));
  options.results_bytes = static_cast<std::size_t>(any.metric("result_bytes"));

  Feeding at(options);
  fill(at);
  Follower second(at);
  EXPECT_EQ(both(at, second), (std::map<std::string, std::string>{{"a", ""}, {"b", ""}}));
  --options.results_bytes;
  Feeding above(options);
  fill(above);
  Follower third(above);
  auto errors = both(above, third);
  EXPECT_NE((errors["a"] + errors["b"]).find("all together"), std::string::npos);
  EXPECT_TRUE(errors["a"].empty() || errors["b"].empty()) << errors["a"] << errors["b"];
  // The other one makes room.
  const std::string waits = errors["a"].empty() ? "b" : "a";
  third.say(json{{"unsubscribe", {waits == "a" ? "b" : "a"}}});
  json said;
  do said = third.next();
  while (said.is_object() && !(said.contains("topics") && said["topics"].contains(waits)));
  ASSERT_TRUE(said.is_object()) << said;
  EXPECT_EQ(said["topics"][waits]["status"], "success");
}

TEST(Live, AQueryHasAsManyNumbersInMemoryAsItMayAndOneMoreIsAnError) {
  Feeding feeding({.tick = milliseconds(30), .budget = std::chrono::seconds(60), .samples = 101});
  for (int i = 0; i < 101; ++i) feeding.source.set("s" + std::to_string(i), i);
  EXPECT_EQ(error_of(feeding, "{__name__=~\".+\",__name__!=\"s100\"}"), "");
  EXPECT_NE(error_of(feeding, "{__name__=~\".+\"}").find("too many samples"), std::string::npos);
  EXPECT_EQ(error_of(feeding, "{__name__=~\".+\",__name__!=\"s0\"}"), "") << "the rest goes on";
}

TEST(Live, AQueryForWhichThereIsNoTimeIsToldAsLateAndGoesFirstTheNextTime) {
  {
    Feeding none({.tick = milliseconds(30), .budget = milliseconds(0)});
    Follower client(none);
    client.follow("a", "1");
    const json said = client.next();
    ASSERT_TRUE(said.is_object());
    EXPECT_EQ(said["late"], json::array({"a"}));
    EXPECT_TRUE(said["topics"].empty());
    EXPECT_TRUE(none.served.becomes([&] { return none.metric("late_total") >= 2; }));
  }
  // Each takes a third of the time that there is for all twelve.
  Feeding feeding({.tick = milliseconds(150), .budget = milliseconds(120)});
  feeding.source.set("up", 1);
  feeding.source.select_takes = milliseconds(40);
  Follower client(feeding);
  json ask;
  for (int i = 0; i < 12; ++i)
    ask.push_back({{"topic", std::to_string(i)}, {"query", fmt::format("up + {}", 10 + i)}});
  client.say(json{{"subscribe", ask}});
  std::set<std::string> told;
  bool late = false;
  while (told.size() < 12) {
    const json said = client.next();
    ASSERT_TRUE(said.is_object()) << "some have their turn never";
    late = late || (said.contains("late") && !said["late"].empty());
    for (const auto& [name, value] : said["topics"].items()) told.insert(name);
  }
  EXPECT_TRUE(late);
}

TEST(Live, WhoDoesNotReadIsToldWhatPassedItByAndGoesOn) {
  // Time enough for all queries: one that is late is told of each tick.
  Feeding feeding({.tick = milliseconds(30), .budget = std::chrono::seconds(60)});
  for (int i = 0; i < 2000; ++i) feeding.source.set("s" + std::to_string(i), 0);
  Follower slow(feeding);
  // Results of 150 KB, which change each tick, fill what the system holds for it.
  for (int i = 0; i < 16; ++i)
    slow.follow(std::to_string(i), "{__name__=~\"s.*\"} * 0 + time() + " + std::to_string(i));
  slow.hold(true);
  Follower brisk(feeding);
  brisk.follow("n", "time()");
  // Whether the second that ended had no message but the brisk one's: the system takes no more.
  auto stuck = [&, sent = 0.0]() mutable {
    brisk.value("n");
    const double before = std::exchange(sent, feeding.metric("messages_total"));
    return feeding.metric("clients_behind") == 1 && sent == before + 1;
  };
  int seconds = 0;
  while (!stuck() && seconds < 100) ++seconds;
  ASSERT_LT(seconds, 100) << "all is sent to who does not read";
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(stuck()) << "nothing for who does not read";
  slow.hold(false);
  json gap;
  while (gap.is_null()) {
    const json said = slow.next();
    ASSERT_TRUE(said.is_object());
    if (said.contains("gap")) gap = said["gap"];
  }
  EXPECT_LE(gap[0], gap[1]);
  const json after = slow.next();
  EXPECT_GT(after["tick"], gap[1]);
  EXPECT_FALSE(after["topics"].empty());
}

}  // namespace
}  // namespace tallymill::collector
