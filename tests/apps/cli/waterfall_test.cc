// The waterfall. Goal: every nanosecond between intake and end stands in exactly one part, and what
// does not add up is said. Method: timelines as a front answers them, with stamps chosen by hand.
#include "apps/cli/waterfall.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <ranges>

namespace tallymill::cli {
namespace {

using nlohmann::json;

json hop(std::string stage, std::int64_t sent, std::int64_t received, std::int64_t started,
         std::int64_t finished, std::int64_t handed) {
  return {{"stage", stage},       {"worker", stage + "-1"}, {"sent", sent},
          {"received", received}, {"started", started},     {"finished", finished},
          {"handed", handed},     {"clock_error_ns", 0},    {"spans", json::array()}};
}

// Two hops in one attempt; every part has another length.
json two_hops() {
  json second = hop("image", 12'000, 13'500, 13'600, 23'600, 24'000);
  second["spans"] = {{{"name", "decode"}, {"begin_ns", 14'000}, {"end_ns", 15'000}, {"depth", 0}}};
  return {{"job", 7},
          {"kind", "engrave"},
          {"state", "done"},
          {"intake_ns", 1'000},
          {"whole_ns", 25'000},
          {"parts",
           {{"intake", 200},
            {"commit", 800},
            {"queue", 3'000},
            {"wire:compute", 1'000},
            {"wait:compute", 500},
            {"service:compute", 5'000},
            {"handover:compute", 500},
            {"wire:image", 1'500},
            {"wait:image", 100},
            {"service:image", 10'000},
            {"handover:image", 400},
            {"wire:front", 700},
            {"settle", 1'300}}},
          {"attempts",
           {{{"token", {7, 1, 1}},
             {"worker", "image-1"},
             {"outcome", "ok"},
             {"ready", 2'000},
             {"dispatched", 4'900},
             {"returned", 24'700},
             {"hops", {hop("compute", 5'000, 6'000, 6'500, 11'500, 12'000), second}}}}}};
}

Duration sum_of_parts(const Waterfall& w) {
  Duration sum{};
  for (const WaterfallRow& row : w.rows)
    if (row.part) sum += row.length;
  return sum;
}

TEST(Waterfall, CutsTheWholeIntoPartsWithoutGapOrOverlap) {
  const Waterfall w = waterfall_of(two_hops());
  EXPECT_EQ(w.whole, Duration(25'000));
  EXPECT_EQ(w.parts, w.whole);
  EXPECT_EQ(sum_of_parts(w), w.whole);
  Duration at{};
  for (const WaterfallRow& row : w.rows) {
    if (!row.part) continue;
    EXPECT_EQ(row.begin, at) << row.name;
    at += row.length;
  }
}

TEST(Waterfall, SpansLieInsideTheirServiceAndCountForNothing) {
  const Waterfall w = waterfall_of(two_hops());
  const auto span = std::ranges::find(w.rows, "decode", &WaterfallRow::name);
  ASSERT_NE(span, w.rows.end());
  EXPECT_FALSE(span->part);
  EXPECT_EQ(span->begin, Duration(13'000));
  EXPECT_EQ(span->length, Duration(1'000));
}

TEST(Waterfall, ALostAttemptAndTheBackoffAfterItHaveRowsOfTheirOwn) {
  json timeline = two_hops();
  json lost{{"outcome", "lost"},
            {"ready", 2'000},
            {"dispatched", 2'100},
            {"returned", 2'600},
            {"hops", json::array()}};
  timeline["attempts"][0]["ready"] = 4'000;
  timeline["attempts"].insert(timeline["attempts"].begin(), lost);
  const Waterfall w = waterfall_of(timeline);
  EXPECT_EQ(sum_of_parts(w), w.whole);
  const auto named = [&](std::string_view name) {
    return std::ranges::find(w.rows, name, &WaterfallRow::name)->length;
  };
  EXPECT_EQ(named("lost attempt"), Duration(500));
  EXPECT_EQ(named("backoff"), Duration(1'400));
}

TEST(Waterfall, AJobThatEndedWhileItWaitedWasInTheQueueUntilThen) {
  json timeline = two_hops();
  timeline["attempts"] = json::array();
  timeline["parts"] = {{"intake", 1'000}, {"commit", 1'000}, {"queue", 21'000}, {"settle", 2'000}};
  const Waterfall w = waterfall_of(timeline);
  EXPECT_EQ(sum_of_parts(w), w.whole);
  EXPECT_EQ(std::ranges::find(w.rows, "queue", &WaterfallRow::name)->length, Duration(21'000));
  EXPECT_EQ(w.rows.back().length, Duration(2'000));
}

TEST(Waterfall, AnAttemptThatWasGivenBackUnstartedWaitedUntilThen) {
  json timeline = two_hops();
  json& hop = timeline["attempts"][0]["hops"].back();
  hop["started"] = 0;
  hop["finished"] = 0;
  const Waterfall w = waterfall_of(timeline);
  const auto wait = std::ranges::find(w.rows | std::views::reverse, "wait", &WaterfallRow::name);
  EXPECT_EQ(wait->begin + wait->length, Duration(hop["handed"].get<std::int64_t>() -
                                                 timeline["intake_ns"].get<std::int64_t>()));
}

TEST(Waterfall, TheTextSaysWhetherThePartsAddUp) {
  json timeline = two_hops();
  EXPECT_NE(text_of(waterfall_of(timeline), 100).find("adds up"), std::string::npos);
  timeline["parts"]["queue"] = 60'000;
  EXPECT_NE(text_of(waterfall_of(timeline), 100).find("DOES NOT ADD UP"), std::string::npos);
}

TEST(Waterfall, AJobThatRunsOrAnEmptyAnswerIsNoReasonToFail) {
  for (const json& timeline :
       {json::object(), json{{"job", 1}, {"whole_ns", nullptr}, {"attempts", 3}},
        json{{"intake_ns", 5}, {"parts", {{"intake", 7}}}}}) {
    const Waterfall w = waterfall_of(timeline);
    EXPECT_EQ(w.whole, Duration(0));
    EXPECT_FALSE(text_of(w, 40).empty());
  }
}

TEST(Waterfall, NamesFromTheWireDoNotDriveTheTerminal) {
  json timeline = two_hops();
  timeline["attempts"][0]["hops"][0]["stage"] = "\x1b[2Jx";
  timeline["kind"] = "k\n\x07";
  const std::string text = text_of(waterfall_of(timeline), 100);
  EXPECT_EQ(text.find("\x1b[2J"), std::string::npos);
  EXPECT_EQ(text.find('\x07'), std::string::npos);
}

}  // namespace
}  // namespace tallymill::cli
