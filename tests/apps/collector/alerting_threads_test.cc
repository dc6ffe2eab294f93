// The threads of alerting over a store. Goal: while samples come, rules are judged by their timers
// and on arrival, reloaded, silenced and asked about, and the store seals and forgets, none waits
// for another for ever, and whoever listens is told of each change of an alert once and in order.
// Method: all of them on threads of their own, until each did its part a number of times; it stops
// while they go on; under ThreadSanitizer too, which knows the order of all locks.
#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "alerting/alerting.h"
#include "alerting/explain.h"
#include "apps/store_sink.h"
#include "tests/alerting/sink_fixture.h"
#include "tests/collector/store_fixture.h"

namespace tallymill::apps {
namespace {

using namespace std::chrono_literals;
using alerting::Alerting;
using alerting::eventually;
using collector::labels;
using collector::Matcher;

// `round`: each is another content, and each third has a group less.
std::string rules_of(std::size_t round) {
  std::string text =
      "groups:\n- name: timers\n  interval: 25ms\n  rules:\n"
      "  - {alert: Waits, expr: m > 1, for: 10ms, labels: {round: r" +
      std::to_string(round % 5) + "}}\n" +
      "  - {alert: Stays, expr: m > 1}\n"
      "  - {record: of_all, expr: sum(m)}\n";
  if (round % 3 != 0)
    text += "- name: gone\n  interval: 40ms\n  rules:\n  - {alert: Goes, expr: m > 1}\n";
  return text;
}

alerting::SinkConfig sink_of(alerting::SinkConfig::Kind kind, const std::string& name) {
  alerting::SinkConfig sink{.name = name, .kind = kind};
  if (kind == alerting::SinkConfig::Kind::publish)
    sink.endpoint = "tcp://127.0.0.1:*";
  else
    sink.url = "http://127.0.0.1:1/";
  return sink;
}

Matcher matcher(const std::string& name, const std::string& value) {
  return *Matcher::of(Matcher::Kind::equal, name, value);
}

class AlertingThreadsTest : public collector::StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    options_.clock = &system_;
    store_ = open();
    sink_ = std::make_unique<StoreSink>(*store_);
    reload(0);
    using Kind = alerting::SinkConfig::Kind;
    Alerting::Options options{
        .rules = {(root_ / "*.yml").string()},
        .outbox = root_ / "alerts.db",
        .feed = [this](std::uint64_t sequence, const std::string& said) { hear(sequence, said); }};
    options.sinks.sinks = {sink_of(Kind::webhook, "hook"), sink_of(Kind::alertmanager, "manager"),
                           sink_of(Kind::publish, "feed")};
    options.sinks.inhibit = {{.source = {matcher("alertname", "Stays")},
                              .target = {matcher("alertname", "Waits")},
                              .equal = {"i"}}};
    auto opened = Alerting::open(options, *store_, *sink_, context_, registry_, system_);
    ASSERT_TRUE(opened) << opened.error().message;
    alerting_ = std::move(*opened);
    store_->listen(&alerting_->arrivals());
    ASSERT_TRUE(alerting_->start());
  }
  void TearDown() override {
    if (store_) store_->listen(nullptr);
    alerting_.reset();
    sink_.reset();
    store_.reset();
    StoreTest::TearDown();
  }

  // Each is called on one thread.
  void put(std::size_t round) {
    const std::int64_t t_ms = to_ns(system_.wall()) / 1'000'000;
    std::vector<collector::Point> points;
    for (std::size_t i = 0; i < 5; ++i)
      if (const auto series = store_->series(labels(i + round / 50 % 4 * 5)))
        points.push_back({*series, t_ms, static_cast<double>((round / 7 + i) % 3)});
    if (t_ms > last_put_ms_) check(store_->append(points), "append");
    last_put_ms_ = t_ms;
  }
  void reload(std::size_t round) {
    write_file(root_ / "rules.new", rules_of(round));
    std::filesystem::rename(root_ / "rules.new", root_ / "rules.yml");
    if (!alerting_) return;
    // Others get their turn: this one holds up all of them.
    const std::uint64_t until = heard_ + 5;
    (void)eventually([&] { return heard_ >= until; }, 500ms);
    const auto reloaded = alerting_->reload();
    if (!reloaded && reloaded.error().code != Errc::cancelled) check(reloaded, "reload");
  }
  void ask() {
    (void)alerting_->alerts();
    (void)alerting_->groups(collector::RuleSource::Kind::all);
    alerting_->look([&](std::span<const alerting::GroupStatus> groups) {
      for (const auto& group : groups)
        if (group.status.size() != group.rules->rules.size()) wrong("rules without a status");
    });
    check(alerting::explain(*alerting_, {.name = "Stays"}), "explain");
    (void)alerting_->delivery().inhibitor(labels(0));
    (void)registry_.snapshot();
  }
  void silence() {
    const std::int64_t now_ms = alerting_->now_ms();
    const auto id = alerting_->set_silence({.matchers = {matcher("alertname", "Goes")},
                                            .starts_ms = now_ms,
                                            .ends_ms = now_ms + 60'000,
                                            .created_by = "test",
                                            .comment = "test"});
    check(id, "set a silence");
    if (id) check(alerting_->expire_silence(*id), "expire a silence");
  }
  void keep() {
    check(store_->seal(), "seal");
    check(store_->merge(), "merge");
    check(store_->thin(), "thin");
    store_->expire();
  }
  // Of an alert, by its labels: it fires, is over, fires.
  void hear(std::uint64_t sequence, const std::string& said) {
    if (sequence != ++heard_) wrong("a change is missing, or there twice");
    const auto notice = nlohmann::json::parse(said);
    bool& fires = fires_[notice["fingerprint"]];
    const std::string state = notice["state"];
    if (state == "firing" && fires) wrong("fires twice: " + said);
    if (state == "resolved" && !fires) wrong("is over, and never fired: " + said);
    if (state == "firing" || state == "resolved") fires = state == "firing";
  }

  void wrong(const std::string& what) {
    const std::lock_guard lock(wrong_mutex_);
    wrong_.insert(what);
  }
  template <typename T>
  void check(const T& done, const std::string& what) {
    if (!done) wrong(what + ": " + done.error().message);
  }

  SystemClock system_;
  metrics::Registry registry_;
  zmq::context_t context_{1};
  std::unique_ptr<collector::Store> store_;
  std::unique_ptr<StoreSink> sink_;
  std::unique_ptr<Alerting> alerting_;
  std::int64_t last_put_ms_ = 0;  // used by put()
  std::atomic<std::uint64_t> heard_ = 0;
  std::map<std::string, bool> fires_;  // used by the feed, one call at a time
  std::mutex wrong_mutex_;             // guards what follows
  std::set<std::string> wrong_;
};

TEST_F(AlertingThreadsTest, AllThatHappensAtOnceIsDoneAndToldInOrderAlsoWhileItStops) {
  const std::vector<std::function<void(std::size_t)>> parts = {
      [&](std::size_t round) { put(round); }, [&](std::size_t round) { reload(round); },
      [&](std::size_t) { ask(); }, [&](std::size_t) { silence(); }, [&](std::size_t) { keep(); }};
  constexpr std::size_t least = 5;
  std::vector<std::atomic<std::size_t>> rounds(parts.size());
  std::atomic<bool> ended = false;
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < parts.size(); ++i)
    threads.emplace_back([&, i] {
      while (!ended) parts[i](rounds[i]++);
    });
  const bool all_did = eventually(
      [&] {
        return heard_ >= 100 &&
               std::ranges::all_of(rounds, [](const auto& done) { return done >= least; });
      },
      60s);
  alerting_->stop();
  const std::atomic<std::size_t>& asked = rounds[2];
  const std::uint64_t heard = heard_;
  const std::size_t until = asked + 3;
  EXPECT_TRUE(eventually([&] { return asked >= until; })) << "it is asked after its end, too";
  ended = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(all_did) << heard << " changes heard, asked " << asked << " times";
  EXPECT_EQ(heard_, heard) << "nobody is told after stop()";
  EXPECT_EQ(wrong_, std::set<std::string>());
}

}  // namespace
}  // namespace tallymill::apps
