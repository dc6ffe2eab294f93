// What may be a name, a label, the labels of a series. Goal: the data model of Prometheus and the
// bounds hold at each edge. Method: tables; each bound met and passed by one.
#include "collector/labels_check.h"

#include <gtest/gtest.h>

#include <string>

#include "base/limits.h"

namespace tallymill::collector {
namespace {

using namespace std::string_view_literals;

TEST(LabelsCheck, NamesAreLettersDigitsAndUnderscoresAndColonsInMetrics) {
  for (const std::string_view name : {"a", "Z", "_", "__name__", "a9", "_9"}) {
    EXPECT_TRUE(is_label_name(name)) << name;
    EXPECT_TRUE(is_metric_name(name)) << name;
  }
  for (const std::string_view name : {":", "a:b", "job:rate5m:sum"}) {
    EXPECT_FALSE(is_label_name(name)) << name;
    EXPECT_TRUE(is_metric_name(name)) << name;
  }
  for (const std::string_view name : {""sv, "9a"sv, "a-b"sv, "a.b"sv, " a"sv, "a "sv, "\xc3\xa4"sv,
                                      "a\0"sv, "a{"sv, "@"sv, "["sv, "`"sv, "/"sv}) {
    EXPECT_FALSE(is_label_name(name)) << name;
    EXPECT_FALSE(is_metric_name(name)) << name;
  }
}

TEST(LabelsCheck, SettledLabelsAreSortedAndHaveValues) {
  std::vector<Label> labels = {{"b", "2"}, {"c", ""}, {"a", "1"}, {"__name__", "up"}, {"B", "3"}};
  ASSERT_EQ(settle(labels), LabelFault::none);
  EXPECT_EQ(labels_of(labels).text(), R"(up{B="3", a="1", b="2"})");
  ASSERT_EQ(labels.size(), 4U);
  EXPECT_EQ(labels[0].name, "B");
  EXPECT_EQ(labels[1].name, "__name__");
}

TEST(LabelsCheck, EachFaultIsFound) {
  const auto fault = [](std::vector<Label> labels) { return settle(labels); };
  using enum LabelFault;
  EXPECT_EQ(fault({}), no_labels);
  EXPECT_EQ(fault({{"a", ""}}), no_labels);
  EXPECT_EQ(fault({{"", "x"}}), bad_name);
  EXPECT_EQ(fault({{"a:b", "x"}}), bad_name);
  EXPECT_EQ(fault({{"9", ""}}), bad_name);
  EXPECT_EQ(fault({{"__name__", "a-b"}}), bad_metric_name);
  EXPECT_EQ(fault({{"__name__", "a:b"}}), none);
  EXPECT_EQ(fault({{"a", "\xff"}}), not_utf8);
  EXPECT_EQ(fault({{"a", "\xed\xa0\x80"}}), not_utf8);
  EXPECT_EQ(fault({{"a", "\0"sv}}), none);
  EXPECT_EQ(fault({{"a", "1"}, {"b", "2"}, {"a", "1"}}), twice);
  EXPECT_EQ(fault({{"a", "1"}, {"a", ""}}), twice);
  for (std::size_t i = 0; i < label_faults; ++i)
    EXPECT_FALSE(name_of(static_cast<LabelFault>(i)).empty()) << i;
}

TEST(LabelsCheck, EachBoundIsMetAndNotPassed) {
  const auto fault = [](const std::string& name, const std::string& value) {
    std::vector<Label> labels = {{.name = name, .value = value}};
    return settle(labels);
  };
  using enum LabelFault;
  const std::string name(limits::label_name_bytes, 'n');
  EXPECT_EQ(fault(name, "x"), none);
  EXPECT_EQ(fault(name + "n", "x"), long_name);
  EXPECT_EQ(fault("__name__", name), none);
  EXPECT_EQ(fault("__name__", name + "n"), long_name);
  const std::string value(limits::label_value_bytes, 'v');
  EXPECT_EQ(fault("a", value), none);
  EXPECT_EQ(fault("a", value + "v"), long_value);

  std::vector<std::string> names;
  for (std::size_t i = 0; i <= limits::series_labels; ++i) names.push_back("n" + std::to_string(i));
  std::vector<Label> labels;
  for (std::size_t i = 0; i < limits::series_labels; ++i) labels.push_back({names[i], "x"});
  std::vector<Label> more = labels;
  EXPECT_EQ(settle(labels), none);
  more.push_back({names.back(), "x"});
  EXPECT_EQ(settle(more), too_many);

  std::size_t left = limits::series_bytes;
  std::vector<Label> large;
  for (std::size_t i = 0; left > 0; ++i) {
    const std::size_t bytes = std::min(left - names[i].size(), value.size());
    large.push_back({names[i], std::string_view(value).substr(0, bytes)});
    left -= names[i].size() + bytes;
  }
  std::vector<Label> larger = large;
  EXPECT_EQ(settle(large), none);
  larger.push_back({"a", ""});
  EXPECT_EQ(settle(larger), too_large);
}

TEST(LabelsCheck, AnExemplarHasAsManyCharactersAsItMayAndNotOneMore) {
  std::string value;
  for (std::size_t i = 1; i < limits::exemplar_chars; ++i) value += "\xc3\xa4";
  std::vector<Label> labels = {{"a", value}};
  EXPECT_EQ(settle_exemplar(labels), ExemplarFault::none);
  value += "x";
  labels = {{"a", value}};
  EXPECT_EQ(settle_exemplar(labels), ExemplarFault::too_long);
  labels = {{"a", "x"}, {"a", "x"}};
  EXPECT_EQ(settle_exemplar(labels), ExemplarFault::bad);
  labels = {{"a", "\xff"}};
  EXPECT_EQ(settle_exemplar(labels), ExemplarFault::bad);
  labels = {};
  EXPECT_EQ(settle_exemplar(labels), ExemplarFault::none);
}

TEST(LabelsCheck, TextIsCutAtTheEndOfACharacter) {
  EXPECT_EQ(cut_utf8("abc", 3), "abc");
  EXPECT_EQ(cut_utf8("abc", 2), "ab");
  EXPECT_EQ(cut_utf8("a\xe2\x82\xac", 4), "a\xe2\x82\xac");
  EXPECT_EQ(cut_utf8("a\xe2\x82\xac", 3), "a");
  EXPECT_EQ(cut_utf8("a\xe2\x82\xac", 1), "a");
}

}  // namespace
}  // namespace tallymill::collector
