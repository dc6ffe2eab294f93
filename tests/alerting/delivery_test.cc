// Delivery. Goal: what waits is told, in an alert's order, under one key at each try, whatever the
// sinks do; one that hangs or takes nothing holds up no other. Method: the real outbox; sinks that
// fail by chance, by plan or not at all; a real webhook that hangs.
#include "alerting/delivery.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>

#include "alerting/alert_json.h"
#include "alerting/webhook.h"
#include "tests/alerting/sink_fixture.h"
#include "tests/fakes/failing_vfs.h"
#include "tests/http/raw_server.h"

namespace tallymill::alerting {
namespace {

using std::chrono::milliseconds;

// A sink of the test: keeps what it is sent, and answers what `answers` says.
class Kept final : public Sink {
 public:
  using Answers = std::function<Status(const Message&)>;
  struct Book {
    std::mutex mutex;  // guards all
    std::vector<Message> tries;
    std::vector<Message> taken;
  };
  Kept(std::string name, std::shared_ptr<Book> book, Answers answers = {})
      : name_(std::move(name)), book_(std::move(book)), answers_(std::move(answers)) {}
  [[nodiscard]] const std::string& name() const override { return name_; }
  Status send(const Message& message) override {
    Status said = answers_ ? answers_(message) : Status();
    const std::lock_guard lock(book_->mutex);
    book_->tries.push_back(message);
    if (said) book_->taken.push_back(message);
    return said;
  }

 private:
  std::string name_;
  std::shared_ptr<Book> book_;
  Answers answers_;
};

// One that does not come back until it is stopped.
class Hanging final : public Sink {
 public:
  [[nodiscard]] const std::string& name() const override { return name_; }
  Status send(const Message&) override {
    std::unique_lock lock(mutex_);
    hangs = true;
    stopped_.wait(lock, [&] { return stopping_; });
    return fail(Errc::cancelled, "stopped");
  }
  void stop() override {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    stopped_.notify_all();
  }
  std::atomic<bool> hangs{false};

 private:
  const std::string name_ = "hanging";
  std::mutex mutex_;
  std::condition_variable stopped_;
  bool stopping_ = false;
};

class DeliveryTest : public ::testing::Test {
 protected:
  void SetUp() override { outbox_ = open_outbox(folder_.path()); }
  void TearDown() override { delivery_.reset(); }

  void start(std::vector<Delivery::Destination> destinations, Delivery::Options options = {}) {
    delivery_.reset();
    options.again = {.first = milliseconds(2), .slowest = milliseconds(20)};
    options.muted_again = milliseconds(5);
    delivery_ = std::make_unique<Delivery>(*outbox_, std::move(destinations), std::move(options),
                                           registry_, clock_);
    ASSERT_TRUE(delivery_->start());
  }
  Delivery::Destination kept(const std::string& name, Kept::Answers answers = {},
                             Route route = {}) {
    auto& book = books_[name];
    if (!book) book = std::make_shared<Kept::Book>();
    return {std::make_unique<Kept>(name, book, std::move(answers)), std::move(route)};
  }
  template <class... All>
  static std::vector<Delivery::Destination> these(All&&... all) {
    std::vector<Delivery::Destination> list;
    (list.push_back(std::forward<All>(all)), ...);
    return list;
  }

  void post(std::vector<Alert> alerts) {
    Outbox::Commit commit{.at_ms = wall_ms()};
    for (Alert& alert : alerts) {
      commit.notices.push_back(notice_of(alert, commit.at_ms));
      commit.alerts.push_back({"f", "g", "r", std::move(alert)});
    }
    ASSERT_TRUE(delivery_->commit(std::move(commit)));
  }
  bool all_told(const std::string& sink) {
    return eventually([&] { return outbox_->waiting(sink).value_or(-1) == 0; });
  }
  std::vector<Message> tries(const std::string& sink) {
    const std::lock_guard lock(books_[sink]->mutex);
    return books_[sink]->tries;
  }
  std::vector<Message> taken(const std::string& sink) {
    const std::lock_guard lock(books_[sink]->mutex);
    return books_[sink]->taken;
  }
  // "firing@10 resolved@20 ...", of one alert.
  static std::string story(const std::vector<Message>& messages, const std::string& stage,
                           const std::string& name = "") {
    std::string text;
    for (const Message& message : messages)
      for (const Notice& notice : message.notices)
        if (notice.alert.labels.get("stage") == stage &&
            (name.empty() || notice.alert.labels.get("alertname") == name))
          text += std::string(word_of(notice.alert)) + "@" +
                  std::to_string(is_over(notice.alert) ? notice.alert.resolved_ms
                                                       : notice.alert.fired_ms) +
                  " ";
    return text;
  }

  TempFolder folder_;
  std::unique_ptr<Outbox> outbox_;
  std::map<std::string, std::shared_ptr<Kept::Book>> books_;
  metrics::Registry registry_;
  SystemClock clock_;
  std::unique_ptr<Delivery> delivery_;
};

TEST_F(DeliveryTest, WhatTheDiskDoesNotNoteIsNotToldAgain) {
  fakes::FailingVfs::install();
  fakes::FailingVfs::reset();
  outbox_ = open_outbox(folder_.path(), {.vfs = fakes::FailingVfs::name});
  start(these(kept("ops", [](const Message&) -> Status {
    fakes::FailingVfs::writes_left = 0;
    return {};
  })));
  post({alert_of("Hot", "a", 10)});
  int woken = 0;
  ASSERT_TRUE(eventually([&] {
    delivery_->wake();
    return !tries("ops").empty() && ++woken > 50;
  }));
  EXPECT_EQ(tries("ops").size(), 1U);
  fakes::FailingVfs::reset();
  ASSERT_TRUE(all_told("ops"));
  EXPECT_EQ(tries("ops").size(), 1U);
  delivery_.reset();
  outbox_.reset();
}

TEST_F(DeliveryTest, NoticeIsToldToEachSink) {
  start(these(kept("a"), kept("b")));
  post({alert_of("Wait", "image", 10)});
  ASSERT_TRUE(all_told("a") && all_told("b"));
  EXPECT_EQ(story(taken("a"), "image"), "firing@10 ");
  EXPECT_EQ(story(taken("b"), "image"), "firing@10 ");
  EXPECT_EQ(taken("a")[0].key, taken("b")[0].key);
}

TEST_F(DeliveryTest, OneThatHangsHoldsUpNoOtherAndNoStop) {
  auto hanging = std::make_unique<Hanging>();
  const Hanging& look = *hanging;
  start(these(Delivery::Destination{std::move(hanging)}, kept("b")));
  for (int i = 0; i < 20; ++i) post({alert_of("Wait", std::to_string(i), 10)});
  ASSERT_TRUE(all_told("b"));
  ASSERT_TRUE(eventually([&] { return look.hangs.load(); }));
  EXPECT_EQ(outbox_->waiting("hanging").value(), 20);
  const auto began = std::chrono::steady_clock::now();
  delivery_->stop();
  EXPECT_LT(std::chrono::steady_clock::now() - began, milliseconds(1000));
  EXPECT_EQ(outbox_->waiting("hanging").value(), 20);
}

TEST_F(DeliveryTest, WebhookThatHangsHoldsUpNoStopAndShowsNoSecret) {
  std::atomic<bool> asked{false};
  http::RawServer server([&](http::RawPeer& peer, int) {
    (void)peer.head();
    asked = true;
    peer.wait_for_end();
  });
  Webhook::Options options{.name = "hook"};
  options.http.url = Secret(server.url("/s3cr3t"));
  options.http.token = Secret(std::string("s3cr3t"));
  options.http.timeout = milliseconds(60'000);
  auto hook = std::make_unique<Webhook>(std::move(options));
  ASSERT_TRUE(hook->start());
  start(these(Delivery::Destination{std::move(hook)}));
  post({alert_of("Wait", "image", 10)});
  ASSERT_TRUE(eventually([&] { return asked.load(); }));
  const auto began = std::chrono::steady_clock::now();
  delivery_->stop();
  EXPECT_LT(std::chrono::steady_clock::now() - began, milliseconds(1000));
}

TEST_F(DeliveryTest, NoLineOfTheLogHasASecret) {
  http::RawServer server([&](http::RawPeer& peer, int) {
    // Says back all that it heard.
    for (std::string head; !(head = peer.head()).empty();) {
      (void)peer.take(std::stoul(head.substr(head.find("Content-Length: ") + 16)));
      (void)peer.send("HTTP/1.1 500 s3cr3t\r\nContent-Length: " + std::to_string(head.size()) +
                      "\r\n\r\n" + head);
    }
  });
  ::testing::internal::CaptureStderr();
  Webhook::Options options{.name = "hook"};
  options.http.url = Secret(server.url("/s3cr3t"));
  options.http.token = Secret(std::string("s3cr3t"));
  auto hook = std::make_unique<Webhook>(std::move(options));
  ASSERT_TRUE(hook->start());
  start(these(Delivery::Destination{std::move(hook)}));
  post({alert_of("Wait", "image", 10)});
  ASSERT_TRUE(eventually([&] {
    const auto told = outbox_->told(alert_of("Wait", "image", 10).labels);
    return !told->empty() && told->front().tries >= 2;
  }));
  delivery_.reset();
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("sink hook"), std::string::npos) << log;
  EXPECT_EQ(log.find("s3cr3t"), std::string::npos) << log;
  const auto told = outbox_->told(alert_of("Wait", "image", 10).labels);
  EXPECT_EQ(told->front().why, "answered 500");
}

TEST_F(DeliveryTest, UnderFailuresByChanceEachAlertIsToldInOrderUnderOneKey) {
  const std::uint64_t seed = seed_for("failures");
  std::mt19937_64 random(seed);
  std::mutex chance_mutex;
  const auto by_chance = [&](const Message&) -> Status {
    const std::lock_guard lock(chance_mutex);
    switch (random() % 5) {
      case 0:
        return fail(Errc::away, "closed");
      case 1:
        return fail(Errc::deadline, "slow");
      case 2:
        return fail(Errc::busy, "answered 503");
      default:
        return {};
    }
  };
  Route grouped{false, {"alertname"}, milliseconds(2), milliseconds(3)};
  start(these(kept("each", by_chance), kept("grouped", by_chance, grouped)), {.seed = seed});
  std::map<std::string, std::string> wanted;
  std::map<std::string, bool> fires;
  for (int i = 1; i <= 120; ++i) {
    std::string stage;
    {
      const std::lock_guard lock(chance_mutex);
      stage = std::to_string(random() % 8);
    }
    const bool fire = !fires[stage];
    fires[stage] = fire;
    post({alert_of("Wait", stage, fire ? i : 1, fire ? 0 : i)});
    wanted[stage] += (fire ? "firing@" : "resolved@") + std::to_string(i) + " ";
    // Some are committed while the sinks are at work, some in a row.
    ASSERT_TRUE(i % 40 != 0 || all_told("each"));
  }
  ASSERT_TRUE(all_told("each") && all_told("grouped"));
  for (const char* sink : {"each", "grouped"}) {
    for (const auto& [stage, text] : wanted) EXPECT_EQ(story(taken(sink), stage), text) << sink;
    // A message of one key has the same bytes each time, and no notice is in two messages.
    std::map<std::string, std::string> bytes, message_of_notice;
    for (const Message& message : tries(sink)) {
      const std::string text = webhook_json(message, sink, "");
      EXPECT_EQ(bytes.try_emplace(message.key, text).first->second, text);
      for (const Notice& notice : message.notices)
        EXPECT_EQ(message_of_notice.try_emplace(notice.key, message.key).first->second,
                  message.key);
    }
  }
}

TEST_F(DeliveryTest, WhatItNeverTakesIsGivenUpAndWhatItFailsAtIsInNobodysWay) {
  const auto poisoned = [](const Message& message) -> Status {
    const auto stage = message.notices[0].alert.labels.get("stage");
    if (stage == "never") return fail(Errc::bad_params, "answered 400");
    if (stage == "fails") return fail(Errc::away, "answered 500");
    return {};
  };
  start(these(kept("a", poisoned)));
  post({alert_of("Wait", "never", 10), alert_of("Wait", "fails", 10)});
  for (int i = 0; i < 30; ++i) post({alert_of("Wait", std::to_string(i), 10)});
  ASSERT_TRUE(eventually([&] { return outbox_->waiting("a").value() == 1; }));
  EXPECT_EQ(taken("a").size(), 30U);
  const auto told = outbox_->told(alert_of("Wait", "never", 1).labels);
  EXPECT_EQ(told->front().outcome, "given_up");
  EXPECT_EQ(told->front().why, "answered 400");
  // The end of what was given up is still told.
  post({alert_of("Wait", "never", 10, 20)});
  ASSERT_TRUE(eventually([&] { return outbox_->waiting("a").value() == 1; }));
}

TEST_F(DeliveryTest, WhatFailsForTooLongIsGivenUp) {
  start(these(kept("a", [](const Message&) -> Status { return fail(Errc::away, "closed"); })),
        {.gives_up = milliseconds(50)});
  post({alert_of("Wait", "image", 10)});
  ASSERT_TRUE(all_told("a"));
  EXPECT_EQ(outbox_->told(alert_of("Wait", "image", 1).labels)->front().outcome, "given_up");
}

TEST_F(DeliveryTest, WhatWasNotToldIsToldAfterARestartUnderTheSameKey) {
  Route grouped{false, {"alertname"}};
  const auto away = [](const Message&) -> Status { return fail(Errc::away, "closed"); };
  start(these(kept("a", away, grouped)));
  post({alert_of("Wait", "x", 10), alert_of("Wait", "y", 10)});
  ASSERT_TRUE(eventually([&] { return tries("a").size() >= 2; }));
  post({alert_of("Wait", "z", 20)});
  delivery_.reset();
  const Message before = tries("a")[0];
  outbox_.reset();
  outbox_ = open_outbox(folder_.path());
  start(these(kept("a", {}, grouped)));
  ASSERT_TRUE(all_told("a"));
  ASSERT_EQ(taken("a").size(), 2U);
  EXPECT_EQ(webhook_json(taken("a")[0], "a", ""), webhook_json(before, "a", ""));
  EXPECT_EQ(story(taken("a"), "z"), "firing@20 ");
}

TEST_F(DeliveryTest, SilencedIsToldWhenTheSilenceEndsAndNotWhenItIsOverBefore) {
  std::atomic<bool> silence{true};
  start(these(kept("a")), {.silenced = [&](const collector::Labels& labels) {
          return silence && labels.get("stage") != "loud";
        }});
  post({alert_of("Wait", "image", 10), alert_of("Wait", "box", 10), alert_of("Wait", "loud", 10)});
  post({alert_of("Wait", "box", 10, 20)});
  ASSERT_TRUE(eventually([&] { return outbox_->waiting("a").value() == 1; }));
  EXPECT_EQ(story(taken("a"), "box"), "");
  EXPECT_EQ(story(taken("a"), "image"), "");
  EXPECT_EQ(story(taken("a"), "loud"), "firing@10 ");
  silence = false;
  delivery_->wake();
  ASSERT_TRUE(all_told("a"));
  EXPECT_EQ(story(taken("a"), "image"), "firing@10 ");
  silence = true;
  post({alert_of("Wait", "image", 10, 30)});  // the end of what was told
  ASSERT_TRUE(all_told("a"));
  EXPECT_EQ(story(taken("a"), "image"), "firing@10 resolved@30 ");
}

TEST_F(DeliveryTest, InhibitedIsToldWhenWhatInhibitsItIsOverAlsoAfterARestart) {
  using collector::Matcher;
  const auto named = [](const char* name) {
    return std::vector{Matcher::of(Matcher::Kind::equal, "alertname", name).value()};
  };
  const std::vector<InhibitRule> rules{{named("Down"), named("Wait"), {"stage"}}};
  start(these(kept("a")), {.inhibit = rules});
  post({alert_of("Down", "image", 10), alert_of("Wait", "image", 10)});
  ASSERT_TRUE(eventually([&] { return outbox_->waiting("a").value() == 1; }));
  start(these(kept("a")), {.inhibit = rules});
  post({alert_of("Wait", "box", 10)});
  ASSERT_TRUE(eventually([&] { return story(taken("a"), "box") == "firing@10 "; }));
  EXPECT_EQ(story(taken("a"), "image"), "firing@10 ");  // Down
  post({alert_of("Down", "image", 10, 20)});
  ASSERT_TRUE(all_told("a"));
  EXPECT_EQ(story(taken("a"), "image"), "firing@10 resolved@20 firing@10 ");
}

TEST_F(DeliveryTest, RemindsOfWhatStandsUntilItIsOver) {
  start(these(kept("a", {}, {.repeat = milliseconds(20)})));
  post({alert_of("Wait", "image", 10)});
  ASSERT_TRUE(eventually([&] { return taken("a").size() >= 4; }));
  EXPECT_TRUE(taken("a")[2].notices.empty());
  EXPECT_EQ(taken("a")[2].standing.size(), 1U);
  post({alert_of("Wait", "image", 10, 20)});
  ASSERT_TRUE(eventually([&] { return story(taken("a"), "image") == "firing@10 resolved@20 "; }));
  ASSERT_TRUE(all_told("a"));
  EXPECT_EQ(taken("a").back().notices.size(), 1U);
}

TEST_F(DeliveryTest, NobodyIsRemindedOfWhatIsSilencedAndTheRestOfItsGroupIs) {
  std::atomic<bool> silence{false};
  start(these(kept("a", {},
                   {.by_all = false, .group_by = {"alertname"}, .repeat = milliseconds(10)})),
        {.silenced = [&](const collector::Labels& labels) {
          return silence && labels.get("stage") != "loud";
        }});
  post({alert_of("Wait", "image", 10), alert_of("Wait", "loud", 10), alert_of("Quiet", "x", 10)});
  const auto quiet = [&] {
    return std::ranges::count_if(taken("a"), [](const Message& message) {
      return message.group_labels.get("alertname") == "Quiet";
    });
  };
  const auto last = [&](const std::string& name) {
    Message found;
    for (const Message& message : taken("a"))
      if (message.group_labels.get("alertname") == name) found = message;
    return found;
  };
  ASSERT_TRUE(eventually([&] { return last("Wait").standing.size() == 2 && quiet() > 1; }));
  silence = true;
  ASSERT_TRUE(eventually([&] { return last("Wait").standing.size() == 1; }));
  EXPECT_EQ(last("Wait").standing[0].alert.labels.get("stage"), "loud");
  const auto before = quiet();
  const std::size_t all = taken("a").size();
  ASSERT_TRUE(eventually([&] { return taken("a").size() > all + 5; }));
  EXPECT_EQ(quiet(), before);
  silence = false;
  ASSERT_TRUE(eventually([&] { return quiet() > before; }));
}

}  // namespace
}  // namespace tallymill::alerting
