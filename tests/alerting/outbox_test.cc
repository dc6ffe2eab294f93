// The outbox. Goal: what was committed is there, whole, whatever ended the process or the power;
// notices come to a sink in an alert's order, each until it was taken. Method: the shipping store
// on a real file; a process that is killed; a disk whose power is cut at each point.
#include "alerting/outbox.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bit>
#include <fstream>
#include <limits>
#include <map>
#include <set>

#include "store/sqlite.h"
#include "tests/alerting/sink_fixture.h"
#include "tests/fakes/power_cut_vfs.h"

namespace tallymill::alerting {
namespace {

using fakes::PowerCutVfs;
constexpr std::int64_t any_time = std::numeric_limits<std::int64_t>::max();

class OutboxTest : public ::testing::Test {
 protected:
  void SetUp() override { outbox_ = open_outbox(folder_.path()); }
  void reopen(const Outbox::Options& options = {}) {
    outbox_.reset();
    outbox_ = open_outbox(folder_.path(), options);
  }
  // One transition of one alert, for these sinks.
  void post(Alert alert, std::int64_t at_ms, std::vector<std::string> sinks = {"ops"}) {
    const auto done = outbox_->commit({.at_ms = at_ms,
                                       .alerts = {{"rules.yml", "mill", "rule", alert}},
                                       .notices = {notice_of(alert, at_ms)},
                                       .sinks = std::move(sinks)});
    ASSERT_TRUE(done) << done.error().message;
  }
  std::vector<Outbox::Due> due(const std::string& sink = "ops", std::int64_t now = any_time) {
    auto found = outbox_->due(sink, now, 1000);
    EXPECT_TRUE(found) << found.error().message;
    return found ? std::move(*found) : std::vector<Outbox::Due>();
  }
  std::int64_t waiting(const std::string& sink = "ops") { return outbox_->waiting(sink).value(); }

  TempFolder folder_;
  std::unique_ptr<Outbox> outbox_;
};

TEST_F(OutboxTest, WhatWasCommittedIsReadAsItWas) {
  Alert alert = alert_of("Wait", "image", 1000);
  alert.labels = collector::Labels::of({{"alertname", "Wait"}, {"odd", std::string("a\0\xff", 3)}});
  alert.value = std::numeric_limits<double>::quiet_NaN();
  alert.matched_ms = 5;
  alert.last_sent_ms = 6;
  alert.valid_until_ms = 7;
  post(alert, 1000);
  reopen();
  const auto stored = outbox_->read();
  ASSERT_TRUE(stored);
  EXPECT_EQ(stored->at_ms, 1000);
  ASSERT_EQ(stored->alerts.size(), 1U);
  const StoredAlert& read = stored->alerts[0];
  EXPECT_EQ(read.file + read.group + read.rule, "rules.ymlmillrule");
  EXPECT_EQ(read.alert.labels, alert.labels);
  EXPECT_EQ(read.alert.annotations, alert.annotations);
  EXPECT_EQ(std::bit_cast<std::uint64_t>(read.alert.value),
            std::bit_cast<std::uint64_t>(alert.value));
  EXPECT_EQ(read.alert.state, AlertState::firing);
  EXPECT_EQ(read.alert.active_ms + read.alert.fired_ms, 2000);
  EXPECT_EQ(read.alert.matched_ms * 100 + read.alert.last_sent_ms * 10 + read.alert.valid_until_ms,
            567);
  const auto waits = due();
  ASSERT_EQ(waits.size(), 1U);
  EXPECT_EQ(waits[0].notice.expr, "x > 1");
  EXPECT_EQ(waits[0].notice.at_ms, 1000);
}

TEST_F(OutboxTest, ForgottenAlertIsNotRead) {
  const Alert alert = alert_of("Wait", "image", 1000);
  post(alert, 1000);
  ASSERT_TRUE(
      outbox_->commit({.at_ms = 2000, .forgotten = {{"rules.yml", "mill", "rule", alert}}}));
  EXPECT_TRUE(outbox_->read()->alerts.empty());
  EXPECT_EQ(outbox_->read()->at_ms, 2000);
}

TEST_F(OutboxTest, OfAnAlertOnlyTheEarliestIsDue) {
  post(alert_of("Wait", "image", 1000), 1000);
  post(alert_of("Wait", "image", 1000, 2000), 2000);
  post(alert_of("Wait", "box", 3000), 3000);
  auto first = due();
  ASSERT_EQ(first.size(), 2U);
  EXPECT_EQ(word_of(first[0].notice.alert), "firing");
  EXPECT_TRUE(first[0].followed);
  EXPECT_FALSE(first[1].followed);
  const std::int64_t id = first[0].notice.id;
  ASSERT_TRUE(outbox_->again("ops", std::span(&id, 1), 9000, "closed"));
  EXPECT_EQ(ids_of(due("ops", 8999)), std::vector{first[1].notice.id});
  EXPECT_EQ(outbox_->next_due("ops").value(), 3000);
  ASSERT_TRUE(outbox_->taken("ops", std::span(&id, 1), 9000));
  ASSERT_EQ(due().size(), 2U);
  EXPECT_EQ(word_of(due()[0].notice.alert), "resolved");
}

TEST_F(OutboxTest, EachSinkKeepsItsOwn) {
  post(alert_of("Wait", "image", 1000), 1000, {"ops", "page"});
  const auto ids = ids_of(due("ops"));
  ASSERT_TRUE(outbox_->taken("ops", ids, 1001));
  EXPECT_TRUE(due("ops").empty());
  EXPECT_EQ(due("page").size(), 1U);
  EXPECT_EQ(waiting("ops"), 0);
  EXPECT_EQ(waiting("page"), 1);
}

TEST_F(OutboxTest, WhatWasTakenStandsUntilItsEndIsTaken) {
  post(alert_of("Wait", "image", 1000), 1000);
  ASSERT_TRUE(outbox_->taken("ops", ids_of(due()), 1500));
  auto held = outbox_->held("ops");
  ASSERT_EQ(held->size(), 1U);
  EXPECT_EQ((*held)[0].told_ms, 1500);
  const std::int64_t id = (*held)[0].notice.id;
  ASSERT_TRUE(outbox_->reminded("ops", std::span(&id, 1), 1800));
  reopen();
  EXPECT_EQ((*outbox_->held("ops"))[0].told_ms, 1800);
  post(alert_of("Wait", "image", 1000, 2000), 2000);
  ASSERT_TRUE(outbox_->taken("ops", ids_of(due()), 2001));
  EXPECT_TRUE(outbox_->held("ops")->empty());
}

TEST_F(OutboxTest, ClaimedMessageIsDueAsAWholeWhateverThePage) {
  for (int i = 0; i < 10; ++i) post(alert_of("Wait", std::to_string(i), 1000), 1000);
  const auto all = ids_of(due());
  const std::vector<std::int64_t> some{all[0], all[4], all[9]};
  ASSERT_TRUE(outbox_->claim("ops", some, "message"));
  reopen();
  const auto page = outbox_->due("ops", any_time, 1);
  ASSERT_EQ(page->size(), 3U);
  EXPECT_EQ(ids_of(*page), some);
  EXPECT_EQ((*page)[2].message, "message");
  EXPECT_EQ(outbox_->held("ops")->size(), 3U);
  EXPECT_EQ((*outbox_->held("ops"))[0].told_ms, 0);
}

TEST_F(OutboxTest, OneKeyIsOneNotice) {
  post(alert_of("Wait", "image", 1000), 1000);
  post(alert_of("Wait", "image", 1000), 1000);
  EXPECT_EQ(due().size(), 1U);
  post(alert_of("Wait", "image", 5000), 5000);  // it came back
  EXPECT_EQ(waiting(), 2);
}

TEST_F(OutboxTest, PendingWaitsForNobody) {
  Alert alert = alert_of("Wait", "image", 0);
  alert.state = AlertState::pending;
  post(alert, 1000);
  EXPECT_EQ(waiting(), 0);
  EXPECT_EQ(outbox_->read()->alerts.size(), 1U);
}

TEST_F(OutboxTest, AboveTheLimitANoticeReplacesTheLastOfItsAlert) {
  reopen({.notices = 3});
  post(alert_of("Wait", "image", 1000), 1000);
  post(alert_of("Wait", "image", 1000, 2000), 2000);
  post(alert_of("Wait", "image", 3000), 3000);
  EXPECT_EQ(waiting(), 3);
  EXPECT_EQ(outbox_->merged("ops"), 0);
  post(alert_of("Wait", "image", 3000, 4000), 4000);
  EXPECT_EQ(waiting(), 3);
  EXPECT_EQ(outbox_->merged("ops"), 1);
  post(alert_of("Wait", "box", 5000), 5000);  // nothing to merge with: none is lost
  EXPECT_EQ(waiting(), 4);
  std::vector<std::string> told;
  while (told.size() < 3) {
    const auto first = due();
    told.push_back(std::string(word_of(first[0].notice.alert)) + " " +
                   std::to_string(first[0].notice.at_ms));
    ASSERT_TRUE(outbox_->taken("ops", std::vector{first[0].notice.id}, 6000));
  }
  EXPECT_EQ(told, (std::vector<std::string>{"firing 1000", "resolved 2000", "resolved 4000"}));
}

TEST_F(OutboxTest, WhatWasTriedIsNotMerged) {
  reopen({.notices = 1});
  post(alert_of("Wait", "image", 1000), 1000);
  const auto ids = ids_of(due());
  ASSERT_TRUE(outbox_->claim("ops", ids, "message"));
  post(alert_of("Wait", "image", 1000, 2000), 2000);
  EXPECT_EQ(waiting(), 2);
  EXPECT_EQ(ids_of(due()), ids);
}

TEST_F(OutboxTest, MutedIsDroppedWithItsEnd) {
  post(alert_of("Wait", "image", 1000), 1000);
  post(alert_of("Wait", "image", 1000, 2000), 2000);
  post(alert_of("Wait", "image", 3000), 3000);
  ASSERT_TRUE(outbox_->muted("ops", due()[0].notice.id, 2500, "silenced"));
  ASSERT_EQ(waiting(), 1);
  EXPECT_EQ(due()[0].notice.at_ms, 3000);
}

TEST_F(OutboxTest, SaysWhereAnAlertWasToldAndWhereItWaits) {
  post(alert_of("Wait", "image", 1000), 1000, {"ops", "page"});
  ASSERT_TRUE(outbox_->again("page", ids_of(due("page")), 2000, "answered 500"));
  ASSERT_TRUE(outbox_->taken("ops", ids_of(due("ops")), 1500));
  const auto told = outbox_->told(alert_of("Wait", "image", 1).labels);
  ASSERT_EQ(told->size(), 2U);
  EXPECT_EQ((*told)[0].sink + (*told)[0].outcome + (*told)[0].state, "opstakenfiring");
  EXPECT_EQ((*told)[0].tries, 1);
  EXPECT_EQ((*told)[1].sink + (*told)[1].outcome + (*told)[1].why, "pagewaitinganswered 500");
  EXPECT_EQ((*told)[0].key, (*told)[1].key);
}

TEST_F(OutboxTest, WhatWasToldIsForgottenAboveItsLimit) {
  reopen({.told = 2});
  for (int i = 0; i < 3; ++i) {
    post(alert_of("Wait", "image", 1000 + i), 1000 + i);
    ASSERT_TRUE(outbox_->taken("ops", ids_of(due()), 1500 + i));
  }
  const auto told = outbox_->told(alert_of("Wait", "image", 1).labels);
  ASSERT_EQ(told->size(), 2U);
  EXPECT_EQ((*told)[0].at_ms, 1501);
}

TEST_F(OutboxTest, WhatWaitsForASinkThatIsGoneIsGivenUp) {
  post(alert_of("Wait", "image", 1000), 1000, {"ops", "page"});
  const std::vector<std::string> known{"page"};
  ASSERT_TRUE(outbox_->only(known, 2000));
  EXPECT_TRUE(due("ops").empty());
  EXPECT_EQ(waiting("ops"), 0);
  EXPECT_EQ(due("page").size(), 1U);
}

TEST_F(OutboxTest, FileOfANewerVersionIsRefused) {
  outbox_.reset();
  {
    auto file = store::Sqlite::open(folder_.path() / "alerts.db", store::Sqlite::Mode::write);
    ASSERT_TRUE(file->exec("PRAGMA user_version = 3"));
  }
  const auto opened = Outbox::open(folder_.path() / "alerts.db");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::version);
}

// An alert and its notice, with what was promised of them.
Outbox::Commit numbered_commit(int number) {
  const Alert alert = alert_of("Wait", std::to_string(number), 1000 + number);
  return {.at_ms = 1000 + number,
          .alerts = {{"rules.yml", "mill", "rule", alert}},
          .notices = {notice_of(alert, 1000 + number)},
          .sinks = {"ops", "page"}};
}

// How many commits are there; -1: one is there in part, or one is missing between others.
int whole_commits(Outbox& outbox) {
  const auto stored = outbox.read();
  const auto ops = outbox.due("ops", any_time, 100'000);
  const auto page = outbox.due("page", any_time, 100'000);
  if (!stored || !ops || !page) return -1;
  const auto count = static_cast<int>(stored->alerts.size());
  std::set<std::string> alerts, for_page;
  for (const StoredAlert& one : stored->alerts)
    alerts.insert(std::string(one.alert.labels.get("stage")));
  for (const Outbox::Due& one : *page)
    for_page.insert(std::string(one.notice.alert.labels.get("stage")));
  for (int i = 0; i < count; ++i)
    if (!alerts.contains(std::to_string(i))) return -1;
  return alerts == for_page && stored->at_ms == (count == 0 ? 0 : 999 + count) ? count : -1;
}

TEST(OutboxKill, CommitIsWholeOrNotThereWhenTheProcessIsKilled) {
  std::mt19937_64 random(seed_for("kills"));
  for (int life = 0; life < 10; ++life) {
    const TempFolder folder;
    int acked[2];
    ASSERT_EQ(::pipe(acked), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto outbox = Outbox::open(folder.path() / "alerts.db");
      for (int i = 0; outbox && i < 10'000; ++i) {
        if (!(*outbox)->commit(numbered_commit(i))) break;
        (void)!::write(acked[1], "x", 1);
      }
      ::_exit(1);
    }
    ::close(acked[1]);
    const int before_kill = static_cast<int>(1 + random() % 40);
    int promised = 0;
    char one = 0;
    while (promised < before_kill && ::read(acked[0], &one, 1) == 1) ++promised;
    // At any point of the next one.
    for (auto spin = random() % 200'000; spin > 0; --spin) asm volatile("");
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    while (::read(acked[0], &one, 1) == 1) ++promised;
    ::close(acked[0]);
    const auto outbox = open_outbox(folder.path());
    const int there = whole_commits(*outbox);
    EXPECT_GE(there, promised);
    EXPECT_LE(there, promised + 1);
  }
}

TEST(OutboxPower, NothingCommittedIsMissingWhereverThePowerWent) {
  std::mt19937_64 random(seed_for("power cuts"));
  const TempFolder folder;
  (void)open_outbox(folder.path());
  PowerCutVfs::install();
  PowerCutVfs::begin((folder.path() / "alerts.db").string());
  std::vector<std::size_t> promised;  // the operations before each commit was acknowledged
  {
    const auto outbox = open_outbox(folder.path(), {.vfs = PowerCutVfs::name});
    for (int i = 0; i < 60; ++i) {
      ASSERT_TRUE(outbox->commit(numbered_commit(i)));
      promised.push_back(PowerCutVfs::now());
      // What says how far it came, in between: "ops" has taken some.
      const auto due = outbox->due("ops", any_time, i % 3 == 0 ? 1 : 0);
      ASSERT_TRUE(outbox->taken("ops", ids_of(*due), 5000));
    }
  }
  PowerCutVfs::end();
  std::vector<std::size_t> points(200);
  for (std::size_t& point : points) point = random() % (PowerCutVfs::now() + 1);
  std::ranges::sort(points);
  PowerCutVfs::Cuts cuts;
  for (const std::size_t point : points) {
    const auto image = cuts.at(point, random);
    const TempFolder cut;
    std::ofstream(cut.path() / "alerts.db", std::ios::binary) << image.database;
    std::ofstream(cut.path() / "alerts.db-wal", std::ios::binary) << image.wal;
    const auto outbox = open_outbox(cut.path());
    ASSERT_NE(outbox, nullptr) << "point " << point;
    const auto least = std::ranges::upper_bound(promised, point) - promised.begin();
    const int there = whole_commits(*outbox);
    EXPECT_GE(there, least) << "point " << point;
  }
}

}  // namespace
}  // namespace tallymill::alerting
