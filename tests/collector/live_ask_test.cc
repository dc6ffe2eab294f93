// What a client of the live feed says. Goal: it is read as it is meant or refused whole. Method: a
// table of messages.
#include "collector/live_ask.h"

#include <gtest/gtest.h>

namespace tallymill::collector {
namespace {

TEST(LiveAsk, TopicsAreSubscribedAndLeft) {
  const auto ask = parse_live_ask(
      R"({"subscribe": [{"topic": "a", "query": "up"}, {"topic": "", "query": "", "x": 1}],
          "unsubscribe": ["b", "c"], "another": {}})");
  ASSERT_TRUE(ask);
  ASSERT_EQ(ask->subscribe.size(), 2U);
  EXPECT_EQ(ask->subscribe[0].name, "a");
  EXPECT_EQ(ask->subscribe[0].query, "up");
  EXPECT_EQ(ask->unsubscribe, (std::vector<std::string>{"b", "c"}));
  EXPECT_TRUE(parse_live_ask(R"({"unsubscribe": []})"));
  EXPECT_FALSE(ask->alerts);
  EXPECT_EQ(parse_live_ask(R"({"alerts": true})")->alerts, true);
  EXPECT_EQ(parse_live_ask(R"({"alerts": false, "subscribe": []})")->alerts, false);
}

TEST(LiveAsk, AnythingElseIsRefused) {
  for (const char* text : {"", "x", "[]", "null", "{}", R"({"subscribe": {}})", R"({"alerts": 1})",
                           R"({"subscribe": [1]})", R"({"subscribe": [{"topic": "a"}]})",
                           R"({"subscribe": [{"topic": 1, "query": "up"}]})",
                           R"({"subscribe": [], "unsubscribe": [1]})",
                           "{\"unsubscribe\": [\"\xff\"]}", R"({"unsubscribe": ["a"]} x)"}) {
    const auto ask = parse_live_ask(text);
    ASSERT_FALSE(ask) << text;
    EXPECT_EQ(ask.error().code, Errc::bad_frame) << text;
  }
}

}  // namespace
}  // namespace tallymill::collector
