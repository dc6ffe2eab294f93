// What is told of kept waterfalls. Goal: a page fits into a message whatever workers said, goes on
// where it ended, and says what it does not tell. Method: pages as the ledger gives them, at the
// bound and above.
#include "front/told.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "base/limits.h"
#include "bus/codec_json.h"
#include "tests/front/ledger_fixture.h"

namespace tallymill::front {
namespace {

using nlohmann::json;

// Of a worker that says of so many hops that they were.
std::string attempt_with(std::size_t hops) {
  bus::Done done;
  done.token = {1, 1, 1};
  done.hops.resize(hops);
  for (bus::Hop& hop : done.hops) hop.stage = "s";
  return pack_attempt({}, {1, 1, 1}, "ok", header_of(done));
}

Waterfall kept_with(std::int64_t keep_seq, std::size_t attempts, std::size_t hops) {
  Waterfall kept;
  kept.keep_seq = keep_seq;
  kept.weight = 1.5;
  kept.of.job = {.id = JobId(keep_seq), .client = "a", .kind = "box"};
  kept.of.job.end = end_of_job(100 + keep_seq, keep_seq);
  kept.of.job.end->took = Duration(7);
  kept.of.timeline = attempt_with(hops);
  kept.of.failed_attempts.assign(attempts, attempt_with(hops));
  return kept;
}

std::size_t packed_bytes(const json& value) { return bus::msgpack_of_json(value)->size(); }

TEST(WaterfallsJson, ARowTellsOfTheEndOfItsWeightAndOfTheTime) {
  WaterfallsPage page{.waterfalls = {kept_with(3, 1, 2)}, .oldest = 2, .head = 3, .more = false};
  const json told = waterfalls_json(page, 2);
  EXPECT_FALSE(told.contains("gap"));
  EXPECT_EQ(told["next"], 3);
  EXPECT_EQ(told["head"], 3);
  EXPECT_EQ(told["more"], false);
  const json& row = told["waterfalls"].at(0);
  EXPECT_EQ(row["keep_seq"], 3);
  EXPECT_EQ(row["weight"], 1.5);
  EXPECT_EQ(row["seq"], 103);
  EXPECT_EQ(row["state"], "done");
  EXPECT_EQ(row["took_ns"], 7);
  EXPECT_EQ(row["timeline"]["attempts"].size(), 2U);
  EXPECT_EQ(row["timeline"]["attempts"][0]["hops"].size(), 2U);
  EXPECT_FALSE(row.contains("cut"));
}

TEST(WaterfallsJson, WhatIsNotToldIsAGap) {
  const WaterfallsPage page{.waterfalls = {kept_with(8, 0, 1)}, .oldest = 7, .head = 8};
  EXPECT_EQ(waterfalls_json(page, 3)["gap"], (json{{"from", 4}, {"to", 7}}));
  const WaterfallsPage gone{.waterfalls = {}, .oldest = 8, .head = 8};
  EXPECT_EQ(waterfalls_json(gone, 3)["gap"], (json{{"from", 4}, {"to", 8}}));
  EXPECT_EQ(waterfalls_json(gone, 3)["next"], 8) << "what is gone is not asked for again";
  const json beyond = waterfalls_json(gone, 12);
  EXPECT_EQ(beyond["gap"], (json{{"from", 9}, {"to", 12}}));
  EXPECT_EQ(beyond["next"], 8);
  const json none = waterfalls_json(gone, 8);
  EXPECT_FALSE(none.contains("gap"));
  EXPECT_EQ(none["next"], 8);
}

TEST(WaterfallsJson, APageFitsIntoAMessageAndGoesOnWhereItEnded) {
  const auto most = static_cast<std::size_t>(limits::waterfalls_page_bytes.raw());
  WaterfallsPage page{.waterfalls = {}, .oldest = 0, .head = 40, .more = false};
  for (int n = 1; n <= 40; ++n) page.waterfalls.push_back(kept_with(n, 1, 200));
  const json told = waterfalls_json(page, 0);
  const std::size_t rows = told["waterfalls"].size();
  EXPECT_GT(rows, 1U);
  EXPECT_LT(rows, 40U);
  EXPECT_EQ(told["next"], rows);
  EXPECT_EQ(told["more"], true);
  EXPECT_LE(packed_bytes(told["waterfalls"]), most + 8);
  EXPECT_GT(packed_bytes(told["waterfalls"]), most / 2);
}

TEST(WaterfallsJson, OneThatFitsIntoNoMessageOrCannotBeReadIsToldWithoutItsTimeline) {
  std::size_t attempts = 0;
  while (attempts < 20) {
    const json told = waterfalls_json(
        {.waterfalls = {kept_with(1, attempts, limits::header_list)}, .oldest = 0, .head = 1}, 0);
    EXPECT_EQ(told["next"], 1);
    const json& row = told["waterfalls"].at(0);
    EXPECT_NE(row.contains("cut"), row.contains("timeline"));
    if (row.contains("cut")) break;
    ++attempts;
  }
  EXPECT_GT(attempts, 1U);
  EXPECT_LT(attempts, 20U);
  Waterfall broken = kept_with(1, 0, 1);
  broken.of.timeline = "hops";
  const json told = waterfalls_json({.waterfalls = {broken}, .oldest = 0, .head = 1}, 0);
  EXPECT_EQ(told["waterfalls"].at(0)["cut"], true);
  EXPECT_EQ(told["next"], 1);
}

}  // namespace
}  // namespace tallymill::front
