// The feed, and a front that starts, is busy, or has another ledger. Goal: who names a number hears
// each end behind it once, or of one gap first, and goes on where the front says that it is; nobody
// follows what is not known yet. Method: a real server and line, and a ROUTER in the front's place,
// whose answers are the rows.
#include "front/gateway/feed.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "tests/front/gateway/front_side.h"

namespace tallymill::gateway {
namespace {

class FeedTest : public FrontSide {
 protected:
  FeedTest() {
    feed_ = std::make_unique<Feed>(*line_, server_);
    server_.start();
  }
  ~FeedTest() override {
    server_.stop();
    follower_.reset();
    feed_.reset();  // before its line, which then gives up what was asked
  }

  std::int64_t next_watch() { return next_of(bus::Verb::watch); }
  // The ledger is "a1", with ends up to `head`.
  void begin(std::int64_t head) {
    page(next_watch(), {{"ledger", "a1"}, {"seq", head}});
    becomes([this] { return feed_->ready(); });
  }
  void follow(std::int64_t since, const std::string& ledger = "a1") {
    on_thread([&] {
      follower_ = feed_->follow({}, since, ledger, [this](const Happening& happening) {
        told_.push_back(happening.sse.substr(0, happening.sse.find("data")));
        return true;
      });
      return true;
    });
  }
  void happens(std::int64_t seq) {
    answer(bus::Event{.job = seq, .seq = seq, .what = "done", .kind = "box", .client = "c"});
  }
  // What was told, once this was.
  std::vector<std::string> told(const std::string& last) {
    becomes([&] { return !told_.empty() && told_.back() == last; });
    return on_thread([this] { return std::exchange(told_, {}); });
  }

  std::unique_ptr<Feed> feed_;
  std::shared_ptr<Feed::Follower> follower_;  // the server's thread
  std::vector<std::string> told_;             // as well
};

TEST_F(FeedTest, IsReadyWhenTheFrontHasSaidWhereItIs) {
  const std::int64_t first = next_watch();
  EXPECT_FALSE(on_thread([this] { return feed_->ready(); }));
  answer(bus::Failure{.request = first, .code = "E_BUSY", .message = "starting"});
  const std::int64_t second = next_watch();
  EXPECT_NE(second, first);
  EXPECT_FALSE(on_thread([this] { return feed_->ready(); }));
  answer(bus::Reply{.request = second}, *bus::msgpack_of_json({{"ledger", "a1"}, {"seq", 7}}));
  becomes([this] { return feed_->ready(); });
  EXPECT_EQ(on_thread([this] { return feed_->ledger(); }), "a1");
  EXPECT_EQ(on_thread([this] { return feed_->head(); }), 7);
}

using Told = std::vector<std::string>;

std::string told_end(std::int64_t seq) {
  return "id: a1:" + std::to_string(seq) + "\nevent: done\n";
}
std::string told_gap(std::int64_t reached) {
  return "id: a1:" + std::to_string(reached) + "\nevent: gap\n";
}
nlohmann::json end_of(std::int64_t seq) {
  return {{"state", "done"}, {"seq", seq}, {"job", seq}, {"kind", "box"}, {"client", "c"}};
}

TEST_F(FeedTest, EndsBehindANumberAreReadBackPageByPageAndLiveOnesFollow) {
  begin(5);
  follow(1);
  std::int64_t after = 0;
  page(next_of(bus::Verb::ends, &after),
       {{"reached", 3}, {"head", 5}, {"more", true}, {"ends", {end_of(2), end_of(3)}}});
  EXPECT_EQ(after, 1);
  const std::int64_t second = next_of(bus::Verb::ends, &after);
  EXPECT_EQ(after, 3);
  happens(6);  // while the page is on its way
  page(second, {{"reached", 5}, {"head", 5}, {"more", false}, {"ends", {end_of(4)}}});
  EXPECT_EQ(told(told_end(6)), (Told{told_end(2), told_end(3), told_end(4), told_end(6)}));
}

TEST_F(FeedTest, WhatWasForgottenIsReadBackAndWhoHadHeardItHearsOn) {
  begin(5);
  follow(5);
  for (const std::int64_t seq : {6, 7}) happens(seq);
  EXPECT_EQ(told(told_end(7)), (Told{told_end(6), told_end(7)}));
  on_thread([this] {
    feed_->forget(Instant::max());
    return true;
  });
  EXPECT_EQ(on_thread([this] { return feed_->bytes(); }), Bytes{});
  happens(8);
  EXPECT_EQ(told(told_end(8)), Told{told_end(8)});
  follow(5);
  std::int64_t after = 0;
  page(next_of(bus::Verb::ends, &after),
       {{"reached", 7}, {"head", 8}, {"more", false}, {"ends", {end_of(6), end_of(7)}}});
  EXPECT_EQ(after, 5);
  EXPECT_EQ(told(told_end(8)), (Told{told_end(6), told_end(7), told_end(8)}));
}

TEST_F(FeedTest, WhatIsRetiredIsOneGapBeforeWhatIsLeft) {
  begin(5);
  follow(1);
  page(next_of(bus::Verb::ends), {{"reached", 5},
                                  {"oldest", 3},
                                  {"gap", {{"from", 2}, {"to", 3}}},
                                  {"ends", {end_of(4), end_of(5)}}});
  happens(6);
  EXPECT_EQ(told(told_end(6)), (Told{told_gap(3), told_end(4), told_end(5), told_end(6)}));
}

// Nothing of the ledger is told again to who had it, or to who never asked for it.
TEST_F(FeedTest, OneGapAndThenWhatComesWhereAllIsRetiredForeignOrBeyondTheHead) {
  begin(5);
  struct {
    std::int64_t since;
    const char* ledger;
    std::int64_t from, to;
  } const rows[] = {{1, "a1", 2, 5}, {900, "a1", 6, 900}, {2, "dead", 0, 2}, {900, "dead", 0, 900}};
  std::int64_t live = 6;
  for (const auto& row : rows) {
    follow(row.since, row.ledger);
    page(next_of(bus::Verb::ends), {{"reached", live - 1},
                                    {"gap", {{"from", row.from}, {"to", row.to}}},
                                    {"ends", nlohmann::json::array()}});
    happens(live);
    EXPECT_EQ(told(told_end(live)), (Told{told_gap(live - 1), told_end(live)})) << row.since;
    ++live;
  }
}

TEST_F(FeedTest, ABusyFrontIsAskedAgainAndNoGap) {
  begin(5);
  follow(4);
  answer(bus::Failure{.request = next_of(bus::Verb::ends), .code = "E_BUSY", .message = "busy"});
  page(next_of(bus::Verb::ends), {{"reached", 5}, {"ends", {end_of(5)}}});
  EXPECT_EQ(told(told_end(5)), Told{told_end(5)});
}

TEST_F(FeedTest, WhatTheFrontCouldNotSayIsReadBack) {
  begin(5);
  follow(5);
  happens(6);
  EXPECT_EQ(told(told_end(6)), Told{told_end(6)});
  answer(bus::Gap{.from = 7, .to = 9});
  std::int64_t after = 0;
  page(next_of(bus::Verb::ends, &after),
       {{"reached", 9}, {"ends", {end_of(7), end_of(8), end_of(9)}}});
  EXPECT_EQ(after, 6);
  EXPECT_EQ(told(told_end(9)), (Told{told_end(7), told_end(8), told_end(9)}));
}

}  // namespace
}  // namespace tallymill::gateway
