// Goal: what was said last of a metric is known, within the bounds. Method: sayings in tables, with
// bounds that a test can reach.
#include "collector/metadata.h"

#include <gtest/gtest.h>

#include <string>

namespace tallymill::collector {
namespace {

TEST(MetadataStore, WhatIsNotSaidStaysAsItWas) {
  MetadataStore store;
  EXPECT_TRUE(store.add({.name = "b", .type = MetricType::gauge}));
  EXPECT_TRUE(store.add({.name = "a_seconds", .help = "How long.", .unit = "seconds"}));
  EXPECT_TRUE(store.add({.name = "b", .help = "What."}));
  EXPECT_TRUE(store.add({.name = "b", .type = MetricType::counter}));
  const auto all = store.all();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].name, "a_seconds");
  EXPECT_EQ(all[0].type, MetricType::unknown);
  EXPECT_EQ(all[0].unit, "seconds");
  EXPECT_EQ(all[1].type, MetricType::counter);
  EXPECT_EQ(all[1].help, "What.");
  EXPECT_EQ(store.of("b").size(), 1u);
  EXPECT_TRUE(store.of("c").empty());
  EXPECT_EQ(store.all(1).size(), 1u);
  EXPECT_TRUE(store.all(0).empty());
}

TEST(MetadataStore, ANameMoreThanThereMayBeIsRefusedAndKnownOnesGoOn) {
  MetadataStore store(2, 100);
  EXPECT_TRUE(store.add({.name = "a", .help = "1"}));
  EXPECT_TRUE(store.add({.name = "b", .help = "2"}));
  EXPECT_FALSE(store.add({.name = "c", .help = "3"}));
  EXPECT_TRUE(store.add({.name = "a", .help = "other"}));
  EXPECT_EQ(store.stats().metrics, 2u);
  EXPECT_EQ(store.stats().refused, 1u);
  EXPECT_EQ(store.of("a")[0].help, "other");
}

TEST(MetadataStore, TextsFillItUpToItsBytesAndNotAbove) {
  MetadataStore store(10, 20);
  EXPECT_TRUE(store.add({.name = "a", .help = std::string(18, 'x'), .unit = "s"}));
  EXPECT_EQ(store.stats().bytes, 20u);
  EXPECT_FALSE(store.add({.name = "b"}));
  EXPECT_FALSE(store.add({.name = "a", .help = std::string(19, 'y')}));
  EXPECT_EQ(store.of("a")[0].help, std::string(18, 'x'));
  EXPECT_TRUE(store.add({.name = "a", .help = "short"}));
  EXPECT_TRUE(store.add({.name = "b"}));
  EXPECT_EQ(store.stats().bytes, 8u);
}

}  // namespace
}  // namespace tallymill::collector
