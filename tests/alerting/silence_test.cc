// Silence. Goal: what Alertmanager takes is taken and told back, what it refuses is refused with
// the field that is wrong, and a matcher's text means what amtool means by it. Method: bodies as
// they come over HTTP; what 0.25 said to each was asked of it.
#include "alerting/silence.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "alerting/limits.h"

namespace tallymill::alerting {
namespace {

using collector::Labels;
using nlohmann::json;

json body(json matchers) {
  return {{"matchers", std::move(matchers)},
          {"startsAt", "2026-11-28T15:00:00Z"},
          {"endsAt", "2026-11-28T19:00:00.5Z"},
          {"createdBy", "me"},
          {"comment", "new disks"}};
}
json matcher(const std::string& name, const std::string& value, bool regex = false,
             bool equal = true) {
  return {{"name", name}, {"value", value}, {"isRegex", regex}, {"isEqual", equal}};
}
json stage() { return json::array({matcher("stage", "image")}); }

// "E_PARAMS /endsAt", or "ok".
std::string verdict_of(const std::string& text) {
  const auto parsed = parse_silence(text);
  if (parsed) return "ok";
  EXPECT_FALSE(parsed.error().message.empty());
  return std::string(info(parsed.error().code).name) + " " + parsed.error().field;
}
std::string verdict(const json& said) { return verdict_of(said.dump()); }

TEST(SilenceTest, IsToldAsItCame) {
  json all = json::array({matcher("stage", "image"), matcher("a", "x|y", true),
                          matcher("b", "z", false, false), matcher("c", "q.*", true, false)});
  const auto parsed = parse_silence(body(all).dump());
  ASSERT_TRUE(parsed) << parsed.error().message;
  const json told = json_of(*parsed, parsed->starts_ms);
  EXPECT_EQ(told["matchers"], all);
  EXPECT_EQ(told["startsAt"], "2026-11-28T15:00:00.000Z");
  EXPECT_EQ(told["endsAt"], "2026-11-28T19:00:00.500Z");
  EXPECT_EQ(told["createdBy"], "me");
  EXPECT_EQ(told["comment"], "new disks");
  EXPECT_EQ(told["status"]["state"], "active");
}

TEST(SilenceTest, IsPendingUpToItsStartAndExpiredFromItsEnd) {
  const Silence silence{.starts_ms = 100, .ends_ms = 200};
  EXPECT_EQ(silence.state(99), SilenceState::pending);
  EXPECT_EQ(silence.state(100), SilenceState::active);
  EXPECT_EQ(silence.state(199), SilenceState::active);
  EXPECT_EQ(silence.state(200), SilenceState::expired);
}

TEST(SilenceTest, FitsWhatAllItsMatchersFitWholly) {
  const auto parsed = parse_silence(
      body({matcher("stage", "ima.*", true), matcher("host", "b", false, false)}).dump());
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(parsed->fits(Labels::of({{"stage", "image"}, {"host", "a"}})));
  EXPECT_TRUE(parsed->fits(Labels::of({{"stage", "image"}})));
  EXPECT_FALSE(parsed->fits(Labels::of({{"stage", "image"}, {"host", "b"}})));
  EXPECT_FALSE(parsed->fits(Labels::of({{"stage", "an image"}})));
}

TEST(SilenceTest, RefusesWithTheFieldThatIsWrong) {
  EXPECT_EQ(verdict(body(stage())), "ok");
  EXPECT_EQ(verdict_of("[1"), "E_FRAME ");
  EXPECT_EQ(verdict_of("[]"), "E_FRAME ");
  EXPECT_EQ(verdict_of("\"\xff\""), "E_FRAME ");
  EXPECT_EQ(verdict(body(json::array())), "E_PARAMS /matchers");
  EXPECT_EQ(verdict(body(nullptr)), "E_PARAMS /matchers");
  EXPECT_EQ(verdict(body({1})), "E_PARAMS /matchers/0");
  EXPECT_EQ(verdict(body({matcher("a", "x"), matcher("b", "(", true)})),
            "E_PARAMS /matchers/1/value");
  EXPECT_EQ(verdict(body({matcher("a b", "x")})), "E_PARAMS /matchers/0/name");
  EXPECT_EQ(verdict(body({matcher("", "x")})), "E_PARAMS /matchers/0/name");
  EXPECT_EQ(verdict(body({{{"name", "a"}, {"value", "x"}}})), "E_PARAMS /matchers/0/isRegex");
  EXPECT_EQ(verdict(body({{{"name", "a"}, {"value", 3}, {"isRegex", false}}})),
            "E_PARAMS /matchers/0/value");
  for (const char* field : {"startsAt", "endsAt", "createdBy", "comment"}) {
    json without = body(stage());
    without.erase(field);
    EXPECT_EQ(verdict(without), std::string("E_PARAMS /") + field);
    without[field] = 7;
    EXPECT_EQ(verdict(without), std::string("E_PARAMS /") + field);
  }
  for (const char* time : {"yesterday", "", "1e300", "99999-01-01T00:00:00Z"}) {
    json wrong = body(stage());
    wrong["endsAt"] = time;
    EXPECT_EQ(verdict(wrong), "E_PARAMS /endsAt") << time;
  }
  json backwards = body(stage());
  backwards["endsAt"] = backwards["startsAt"];
  EXPECT_EQ(verdict(backwards), "E_PARAMS /endsAt");
}

// As Alertmanager 0.25 answers each: what is "not equal" says something, whatever it is.
TEST(SilenceTest, NeedsAMatcherThatDoesNotFitTheEmptyValue) {
  EXPECT_EQ(verdict(body({matcher("a", "")})), "E_PARAMS /matchers");
  EXPECT_EQ(verdict(body({matcher("a", ".*", true)})), "E_PARAMS /matchers");
  EXPECT_EQ(verdict(body({matcher("a", "x|", true), matcher("b", "")})), "E_PARAMS /matchers");
  EXPECT_EQ(verdict(body({matcher("a", ""), matcher("b", "x")})), "ok");
  EXPECT_EQ(verdict(body({matcher("a", ".+", true)})), "ok");
  EXPECT_EQ(verdict(body({matcher("a", "", false, false)})), "ok");
  EXPECT_EQ(verdict(body({matcher("a", "x", false, false)})), "ok");
}

TEST(SilenceTest, TakesWhatIsAtTheLimitsAndNothingAbove) {
  json many = json::array();
  for (std::size_t i = 0; i < limits::silence_matchers; ++i) many.push_back(matcher("a", "x"));
  EXPECT_EQ(verdict(body(many)), "ok");
  many.push_back(matcher("a", "x"));
  EXPECT_EQ(verdict(body(many)), "E_PARAMS /matchers");

  const std::string longest(limits::silence_text_bytes, 'v');
  EXPECT_EQ(verdict(body({matcher("a", longest)})), "ok");
  EXPECT_EQ(verdict(body({matcher("a", longest + "v")})), "E_PARAMS /matchers/0/value");
  json said = body(stage());
  said["comment"] = longest + "v";
  EXPECT_EQ(verdict(said), "E_PARAMS /comment");

  // Of a repetition that is counted, each is instructions of its own.
  const auto repeated = [&](int times) {
    return verdict(body({matcher("a", "x{1," + std::to_string(times) + "}", true)}));
  };
  EXPECT_EQ(repeated(900), "ok");
  EXPECT_EQ(repeated(1000), "E_PARAMS /matchers/0/value");
  EXPECT_EQ(verdict(body({matcher("a", "x{1,600}", true), matcher("b", "x{1,600}", true)})),
            "E_PARAMS /matchers");
}

TEST(SilenceTest, MatcherIsAlsoAText) {
  const auto text = [](const std::string& said) {
    const auto parsed = parse_matcher(said);
    return parsed ? parsed->text() : "refused";
  };
  EXPECT_EQ(text("stage=image"), "stage=\"image\"");
  EXPECT_EQ(text(" stage = \"image\" "), "stage=\"image\"");
  EXPECT_EQ(text("stage!=image"), "stage!=\"image\"");
  EXPECT_EQ(text("stage=~a|b"), "stage=~\"a|b\"");
  EXPECT_EQ(text("stage!~\"a\\\\.b\""), "stage!~\"a\\\\.b\"");
  EXPECT_EQ(text("stage!~\"a\\.b\""), "stage!~\"a\\\\.b\"");
  EXPECT_EQ(text("a=\"say \\\"hi\\\"\\n\""), "a=\"say \\\"hi\\\"\\n\"");
  EXPECT_EQ(text("a="), "a=\"\"");
  EXPECT_EQ(text("a=b=c"), "a=\"b=c\"");
  for (const char* wrong : {"", "stage", "=x", "a!x", "a=\"x", "a=x\"", "a=\"x\"y\"", "a=\"\\\"",
                            "1a=x", "a b=x", "a=~(", "a=\xff"})
    EXPECT_EQ(text(wrong), "refused") << wrong;
  EXPECT_EQ(verdict(body({"stage=\"image\"", "host=~a|b"})), "ok");
  EXPECT_EQ(verdict(body({"stage"})), "E_PARAMS /matchers/0");
}

}  // namespace
}  // namespace tallymill::alerting
