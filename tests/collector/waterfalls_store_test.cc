// Waterfalls on disk. Goal: each is stored once, in order, within count and age, with its cursor,
// and what is no page changes nothing. Method: a file of its own; pages as a front writes them.
#include "collector/waterfalls_store.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "tests/http/raw_client.h"

namespace tallymill::collector {
namespace {

using nlohmann::json;

class WaterfallsStoreTest : public ::testing::Test {
 protected:
  WaterfallsStoreTest() {
    std::string name = (std::filesystem::temp_directory_path() / "falls-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  ~WaterfallsStoreTest() override { std::filesystem::remove_all(folder_); }
  WaterfallsStore open(WaterfallsStore::Options options = {}) {
    auto opened = WaterfallsStore::open(folder_ / "falls.db", options);
    EXPECT_TRUE(opened) << (opened ? "" : opened.error().message);
    return std::move(*opened);
  }
  // Rows first..last of a ledger.
  static json page(const std::string& ledger, int first, int last, bool more = false) {
    json rows = json::array();
    for (int n = first; n <= last; ++n)
      rows.push_back({{"keep_seq", n},
                      {"job", 100 + n},
                      {"kind", n % 2 == 0 ? "box" : "engrave"},
                      {"weight", 1.5},
                      {"timeline", {{"job", 100 + n}}}});
    return {{"schema", 1},  {"ledger", ledger}, {"head", last},
            {"next", last}, {"more", more},     {"waterfalls", rows}};
  }
  static WaterfallsStore::Stored add(WaterfallsStore& store, const json& page,
                                     std::int64_t at = 1'000) {
    const auto parsed = parse_waterfall_page(page.dump());
    EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().message);
    const auto stored = store.add(*parsed, at);
    EXPECT_TRUE(stored) << (stored ? "" : stored.error().message);
    return *stored;
  }
  static json read(WaterfallsStore& store, WaterfallsStore::Asked asked = {}) {
    const auto text = store.page(asked);
    EXPECT_TRUE(text) << (text ? "" : text.error().message);
    return json::parse(*text);
  }

  std::filesystem::path folder_;
};

TEST_F(WaterfallsStoreTest, ARowIsThereOnceHoweverOftenItCame) {
  {
    WaterfallsStore store = open();
    EXPECT_EQ(store.cursor()->ledger, "");
    EXPECT_EQ(add(store, page("L", 1, 3)).added, 3);
    EXPECT_EQ(add(store, page("L", 2, 5)).added, 2);
  }
  WaterfallsStore store = open();
  EXPECT_EQ(store.cursor()->ledger, "L");
  EXPECT_EQ(store.cursor()->after, 5);
  EXPECT_EQ(*store.held(), 5);
  const json all = read(store);
  EXPECT_EQ(all["waterfalls"].size(), 5U);
  for (int n = 1; n <= 5; ++n) EXPECT_EQ(all["waterfalls"][n - 1]["waterfall"]["keep_seq"], n);
  EXPECT_EQ(all["waterfalls"][0]["waterfall"]["weight"], 1.5);
  EXPECT_EQ(all["waterfalls"][0]["ledger"], "L");
}

TEST_F(WaterfallsStoreTest, IsReadPageByPageAndByKindAndByJob) {
  WaterfallsStore store = open();
  add(store, page("L", 1, 9));
  const json first = read(store, {.limit = 4});
  EXPECT_EQ(first["waterfalls"].size(), 4U);
  EXPECT_EQ(first["more"], true);
  const json rest = read(store, {.after = first["next"], .limit = 5});
  EXPECT_EQ(rest["waterfalls"].size(), 5U);
  EXPECT_EQ(rest["more"], false);
  EXPECT_EQ(rest["next"], rest["head"]);
  const json boxes = read(store, {.kind = "box"});
  EXPECT_EQ(boxes["waterfalls"].size(), 4U);
  EXPECT_EQ(json::parse(*store.of_job(107))["waterfall"]["keep_seq"], 7);
  EXPECT_EQ(store.of_job(99).error().code, Errc::not_found);
}

TEST_F(WaterfallsStoreTest, AGapIsCountedWithinALedgerAndShownForAnother) {
  WaterfallsStore store = open();
  json late = page("L", 11, 12);
  late["gap"] = {{"from", 1}, {"to", 10}};
  EXPECT_EQ(add(store, late).missed, 10);
  json other = page("M", 1, 2);
  other["gap"] = {{"from", 0}, {"to", 12}};
  const auto stored = add(store, other);
  EXPECT_TRUE(stored.gap);
  EXPECT_EQ(stored.missed, 0) << "the other ledger's numbers say nothing of these";
  EXPECT_EQ(*store.held(), 4);
  const json gaps = read(store)["gaps"];
  ASSERT_EQ(gaps.size(), 2U);
  EXPECT_EQ(gaps[0]["ledger"], "L");
  EXPECT_EQ(gaps[0]["to"], 12);
  EXPECT_EQ(gaps[1]["from"], 1);
}

TEST_F(WaterfallsStoreTest, SoManyGapsAreRememberedAndOneMoreTakesTheOldestsPlace) {
  WaterfallsStore store = open({.gaps = 3});
  const auto add_gap = [&](int from) {
    json one = page("L", from + 1, from + 1);
    one["gap"] = {{"from", from}, {"to", from}};
    EXPECT_EQ(add(store, one).missed, 1);
  };
  for (const int from : {1, 3, 5}) add_gap(from);
  const json three = read(store)["gaps"];
  ASSERT_EQ(three.size(), 3U);
  EXPECT_EQ(three[2]["from"], 1);
  add_gap(7);
  const json again = read(store)["gaps"];
  ASSERT_EQ(again.size(), 3U);
  EXPECT_EQ(again[0]["from"], 7);
  EXPECT_EQ(again[2]["from"], 3);
}

TEST_F(WaterfallsStoreTest, TheOldestGoByCountAndByAge) {
  WaterfallsStore store = open({.count = 10, .age = std::chrono::seconds(60)});
  const std::int64_t minute = 60'000'000'000;
  EXPECT_EQ(add(store, page("L", 1, 10), minute).removed, 0);
  EXPECT_EQ(add(store, page("L", 11, 11), minute).removed, 1);
  EXPECT_EQ(*store.held(), 10);
  EXPECT_EQ(add(store, page("L", 12, 12), 3 * minute).removed, 10);
  const json left = read(store);
  ASSERT_EQ(left["waterfalls"].size(), 1U);
  EXPECT_EQ(left["waterfalls"][0]["waterfall"]["keep_seq"], 12);
  EXPECT_GT(left["waterfalls"][0]["id"], 11) << "no number is given again";
}

TEST_F(WaterfallsStoreTest, WhatIsNoPageIsRefusedWhole) {
  const json good = page("L", 1, 2);
  std::vector<std::string> bad{"", "[]", "{", "null", std::string(5000, '[')};
  for (const char* member : {"ledger", "next", "waterfalls"}) {
    json without = good;
    without.erase(member);
    bad.push_back(without.dump());
    without[member] = json::array({json::array()});
    bad.push_back(without.dump());
  }
  json odd = good;
  odd["gap"] = {{"from", 3}, {"to", 2}};
  bad.push_back(odd.dump());
  // So many numbers that they cannot be counted.
  constexpr auto last = std::numeric_limits<std::int64_t>::max();
  for (const auto& [from, to] : {std::pair{std::int64_t{-1}, last - 1}, std::pair{0L, last}}) {
    odd["gap"] = {{"from", from}, {"to", to}};
    bad.push_back(odd.dump());
  }
  odd = good;
  odd["waterfalls"][1].erase("keep_seq");
  bad.push_back(odd.dump());
  odd = good;
  json deep = 1;
  for (int i = 0; i < 100; ++i) deep = json::array({deep});
  odd["waterfalls"][1]["timeline"] = deep;
  bad.push_back(odd.dump());
  for (const std::string& text : bad) {
    const auto parsed = parse_waterfall_page(text);
    ASSERT_FALSE(parsed) << text.substr(0, 200);
    EXPECT_EQ(parsed.error().code, Errc::bad_frame);
  }
}

}  // namespace
}  // namespace tallymill::collector
