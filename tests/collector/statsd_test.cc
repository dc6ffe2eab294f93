// StatsD. Goal: lines add up to what their senders counted, bad ones count by their reason, and a
// flood of names stays within its bounds. Method: tables of lines; what flush() gives, as text; a
// random stream against plain sums, seed printed.
#include "collector/statsd.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

#include "base/limits.h"

namespace tallymill::collector {
namespace {

using namespace std::string_view_literals;
using enum StatsdFault;

class Values : public StatsdSink {
 public:
  explicit Values(const Statsd& statsd) : statsd_(statsd) {}
  void value(std::uint32_t slot, double value) override {
    EXPECT_EQ(slot, next_++);
    const Labels labels = statsd_.labels(slot);
    EXPECT_TRUE(of.try_emplace(labels.text(), value).second) << labels.text();
  }
  std::map<std::string, double> of;

 private:
  const Statsd& statsd_;
  std::uint32_t next_ = 0;
};

std::map<std::string, double> flushed(Statsd& statsd) {
  Values values(statsd);
  statsd.flush(values);
  return values.of;
}
// Those that are not zero.
std::string told(Statsd& statsd) {
  std::string all;
  for (const auto& [series, value] : flushed(statsd))
    if (value != 0) all += fmt::format("{} {}\n", series, value);
  return all;
}
std::string told_of(std::string_view lines) {
  Statsd statsd;
  statsd.take(lines);
  return told(statsd);
}

TEST(Statsd, CountersAddUpGaugesAreTheirLastValueAndSetsCountWhatIsNew) {
  Statsd statsd;
  statsd.take(
      "hits:1|c\nhits:2|c\r\n\nhits:0.5|c|@0.5\ntemp:20|g\ntemp:21.5|g\nusers:a|s\nusers:b|s\n"
      "users:a|s\nusers:a:b|s");
  EXPECT_EQ(told(statsd), "hits 4\ntemp 21.5\nusers 3\n");
  EXPECT_EQ(statsd.lines(), 9U);
  statsd.take("hits:1|c\nusers:a|s");
  EXPECT_EQ(told(statsd), "hits 5\ntemp 21.5\nusers 1\n");
  EXPECT_EQ(told(statsd), "hits 5\ntemp 21.5\n");
}

TEST(Statsd, AGaugeWithASignIsMoved) {
  EXPECT_EQ(told_of("a:-5|g"), "a -5\n");
  EXPECT_EQ(told_of("a:10|g\na:-4|g\na:+1.5|g"), "a 7.5\n");
  EXPECT_EQ(told_of("a:10:-4:+1|g"), "a 7\n");
  EXPECT_EQ(told_of("a:10|g\na:3|g|@0.1"), "a 3\n");
}

TEST(Statsd, SeveralValuesOfALineAllCount) {
  EXPECT_EQ(told_of("a:1:2:3|c"), "a 6\n");
  EXPECT_EQ(told_of("a:1:2|c|@0.1"), "a 30\n");
}

TEST(Statsd, NamesAndTagsOfAnyLengthThatDifferInOneByteAreTwoSeries) {
  for (std::size_t n = 1; n <= 50; ++n) {
    Statsd statsd;
    for (int twice = 0; twice < 2; ++twice) {
      for (std::size_t at = 0; at < n; ++at) {
        std::string text(n, 'a');
        text[at] = 'b';
        statsd.take(fmt::format("{}:1|c\nname:2|c|#k:{}\n", text, text));
      }
    }
    const auto all = flushed(statsd);
    EXPECT_EQ(all.size(), 2 * n);
    EXPECT_EQ(statsd.spellings(), 2 * n);
    for (const auto& [series, value] : all)
      EXPECT_EQ(value, series.starts_with("name{") ? 4 : 2) << series;
  }
}

TEST(StatsdLine, TextsAreTheSameIfAllOfTheirBytesAre) {
  for (std::size_t n = 0; n <= 50; ++n) {
    const std::string text(n, 'a');
    const std::string copy = text;
    EXPECT_TRUE(same_text(text, copy));
    EXPECT_FALSE(same_text(text, copy + 'a'));
    for (std::size_t at = 0; at < n; ++at) {
      std::string other = text;
      other[at] = 'b';
      EXPECT_FALSE(same_text(text, other)) << n << ' ' << at;
    }
  }
}

TEST(StatsdLine, TheFirstSuchByteIsFoundWhereverItIs) {
  // 0x80 and what is one off: what eight bytes at a time could take for it.
  for (const char filler : "a\x7f\x80\0\x39\x3b\xba"sv) {
    for (std::size_t n = 0; n <= 40; ++n) {
      std::string text(n, filler);
      EXPECT_EQ(find_near(text, ':'), n);
      for (std::size_t at = n; at-- > 0;) {
        text[at] = ':';
        EXPECT_EQ(find_near(text, ':'), at) << n;
      }
    }
  }
}

TEST(Statsd, ATimingIsAHistogramOfSeconds) {
  Statsd statsd;
  statsd.take("t:320|ms|#k:v\nt:0.02:1e9|ms|#k:v\nt:-1|ms|#k:v");
  const auto values = flushed(statsd);
  EXPECT_EQ(values.size(), le_bound_count + 3);
  EXPECT_EQ(values.at(R"(t_bucket{k="v", le="2.4576e-05"})"), 2);  // and what cannot be
  EXPECT_EQ(values.at(R"(t_bucket{k="v", le="+Inf"})"), 4);
  EXPECT_EQ(values.at(R"(t_count{k="v"})"), 4);
  EXPECT_DOUBLE_EQ(values.at(R"(t_sum{k="v"})"), 0.320 + 0.00002 + 1e6 - 0.001);
  double before = 0;
  for (std::size_t i = 0; i < le_bound_count; ++i) {
    const double le = static_cast<double>(le_bounds_ns[i]) / 1e9;
    const double count = values.at(fmt::format(R"(t_bucket{{k="v", le="{}"}})", le));
    EXPECT_EQ(count, le < 0.320 ? 2 : 3) << le;
    EXPECT_GE(count, before);
    before = count;
  }
}

TEST(Statsd, WhatHAndDMeasureStaysAsItIs) {
  for (const std::string_view type : {"h", "d"}) {
    Statsd statsd;
    statsd.take(fmt::format("a:0.25:1:1.0001:1024:5e9|{}", type));
    const auto values = flushed(statsd);
    EXPECT_EQ(values.at(R"(a_bucket{le="0.125"})"), 0);
    EXPECT_EQ(values.at(R"(a_bucket{le="0.25"})"), 1);
    EXPECT_EQ(values.at(R"(a_bucket{le="1"})"), 2);
    EXPECT_EQ(values.at(R"(a_bucket{le="2"})"), 3);
    EXPECT_EQ(values.at(R"(a_bucket{le="512"})"), 3);
    EXPECT_EQ(values.at(R"(a_bucket{le="1024"})"), 4);
    EXPECT_EQ(values.at(R"(a_bucket{le="1073741824"})"), 4);
    EXPECT_EQ(values.at(R"(a_bucket{le="+Inf"})"), 5);
    EXPECT_EQ(values.at("a_count"), 5);
    EXPECT_DOUBLE_EQ(values.at("a_sum"), 0.25 + 1 + 1.0001 + 1024 + 5e9);
  }
}

TEST(Statsd, ASampleRateCountsForTheLinesThatWereNotSent) {
  Statsd statsd;
  for (int i = 0; i < 300; ++i) statsd.take("t:1|ms|@0.3");
  const auto values = flushed(statsd);
  EXPECT_NEAR(values.at("t_count"), 1000, 1);
  EXPECT_NEAR(values.at("t_sum"), 1, 1e-9);
}

TEST(Statsd, NamesAndTagsBecomeLabels) {
  const std::initializer_list<std::pair<std::string_view, std::string_view>> table = {
      {"api.get-user:1|c", "api_get_user 1\n"},
      {"1st:1|c", "_1st 1\n"},
      {"\xc3\xa4:1|c", "__ 1\n"},
      {"a b/c:1|c", "a_b_c 1\n"},
      {"a:1|c|#k:v", "a{k=\"v\"} 1\n"},
      {"a:1|c|#k:v,k.2:w:x,2:y", "a{_2=\"y\", k=\"v\", k_2=\"w:x\"} 1\n"},
      {"a:1|c|#bare,k:,:v,,k:v2", "a{bare=\"true\", k=\"v2\"} 1\n"},
      {"a:1|c|#k:", "a 1\n"},
      {"a:1|c|#", "a 1\n"},
      {"a:1|c|#__name__:b,le:1", "a{exported___name__=\"b\", exported_le=\"1\"} 1\n"},
      {"a:1|c|#k:\xff\x22", "a{k=\"?\\\"\"} 1\n"},
      {"a:1|c|@1|#k:v|c:ci-123|T1656581400|e:it|card:low", "a{k=\"v\"} 1\n"},
      {"a:1|c|#k:v|@0.5", "a{k=\"v\"} 2\n"}};
  for (const auto& [line, what] : table) EXPECT_EQ(told_of(line), what) << line;
}

TEST(Statsd, OneSeriesMayBeWrittenInManyWays) {
  Statsd statsd;
  statsd.take("a.b:1|c|#x:1,y:2\na.b:1|c|#y:2,x:1\na_b:1|c|#x:1,y:2\na.b:1|c|#x:1,y:2,z:");
  EXPECT_EQ(told(statsd), "a_b{x=\"1\", y=\"2\"} 4\n");
  EXPECT_EQ(statsd.series(), 1U);
  EXPECT_EQ(statsd.spellings(), 4U);
  // The same bytes cut otherwise.
  statsd.take("a:1|c|#b\nab:1|c\na:1|c|#b");
  EXPECT_EQ(told(statsd), "a_b{x=\"1\", y=\"2\"} 4\nab 1\na{b=\"true\"} 2\n");
}

TEST(Statsd, ABadLineCountsByItsReasonAndForNothingElse) {
  const std::initializer_list<std::pair<std::string_view, StatsdFault>> table = {
      {":1|c"sv, no_name},
      {"a"sv, no_value},
      {"a|c"sv, no_value},
      {"a:"sv, no_value},
      {"a:|c"sv, no_value},
      {"|"sv, no_value},
      {"a:1"sv, bad_type},
      {"a:1|"sv, bad_type},
      {"a:1|x"sv, bad_type},
      {"a:1|C"sv, bad_type},
      {"a:1|cc"sv, bad_type},
      {"a:1|m"sv, bad_type},
      {"a:1||c"sv, bad_type},
      {"a:x|c"sv, bad_value},
      {"a:1 |c"sv, bad_value},
      {"a:1:|c"sv, bad_value},
      {"a::1|c"sv, bad_value},
      {"a:1:x|c"sv, bad_value},
      {"a:NaN|g"sv, bad_value},
      {"a:inf|g"sv, bad_value},
      {"a:1e999|g"sv, bad_value},
      {"a:0x10|g"sv, bad_value},
      {"a:1\0|g"sv, bad_value},
      {"a:-1|c"sv, negative_counter},
      {"a:2:-1|c"sv, negative_counter},
      {"a:1|c|@"sv, bad_rate},
      {"a:1|c|@0"sv, bad_rate},
      {"a:1|c|@-1"sv, bad_rate},
      {"a:1|c|@1.5"sv, bad_rate},
      {"a:1|c|@nan"sv, bad_rate},
      {"a:1|c|@x"sv, bad_rate},
      {"a:1|c|@1e-7"sv, bad_rate},
      {"a:1|c|0.1"sv, bad_section},
      {"a:1|c||@1"sv, bad_section},
      {"_e{5,4}:title|text"sv, not_a_metric},
      {"_sc|name|0"sv, not_a_metric}};
  for (const auto& [line, fault] : table) {
    Statsd statsd;
    statsd.take(line);
    EXPECT_EQ(statsd.faults(fault), 1U) << line;
    EXPECT_EQ(statsd.lines(), 0U) << line;
    EXPECT_EQ(told(statsd), "") << line;
    statsd.take(fmt::format("b:1|c\n{}\nb:2|c", line));
    EXPECT_EQ(told(statsd), "b 3\n") << line;
    EXPECT_EQ(statsd.faults(fault), 2U) << line;
  }
}

TEST(Statsd, ANameKeepsTheTypeThatItCameWith) {
  Statsd statsd;
  statsd.take(
      "a:1|c\na:1|g\na:1|ms|#k:v\nt:1|ms\nt:1|h\nt_sum:1|g\nt_bucket:1|c|#k:v\nx_count:1|c\nx:1|h\n"
      "h:1|h\nh:1|d");
  EXPECT_EQ(statsd.faults(other_type), 6U);
  EXPECT_EQ(statsd.lines(), 5U);
  const auto values = flushed(statsd);
  EXPECT_EQ(values.at("a"), 1);
  EXPECT_EQ(values.at("t_count"), 1);
  EXPECT_EQ(values.at("x_count"), 1);
  EXPECT_EQ(values.at("h_count"), 2);
  EXPECT_EQ(statsd.type(0), MetricType::counter);
  EXPECT_EQ(statsd.type(1), MetricType::histogram);
}

TEST(Statsd, LinesNamesAndTagsAreAsLongAsTheyMayAndNotMore) {
  const auto fault = [](const std::string& line) {
    Statsd statsd;
    statsd.take(line);
    for (std::size_t i = 0; i < statsd_faults; ++i)
      if (statsd.faults(static_cast<StatsdFault>(i)) != 0)
        return std::string(name_of(static_cast<StatsdFault>(i)));
    return std::string("ok");
  };
  const std::string head = "a:1|s|@1|x";
  EXPECT_EQ(fault(head + std::string(limits::statsd_line_bytes - head.size(), 'x')), "ok");
  EXPECT_EQ(fault(head + std::string(limits::statsd_line_bytes - head.size() + 1, 'x')),
            "too_long");
  const std::string name(limits::label_name_bytes, 'n');
  EXPECT_EQ(fault(name + ":1|c"), "ok");
  EXPECT_EQ(fault(name + "n:1|c"), "bad_labels");
  EXPECT_EQ(fault(name + ":1|ms"), "bad_labels");  // with _bucket
  EXPECT_EQ(fault(name.substr(7) + ":1|ms"), "ok");
  EXPECT_EQ(fault("a:1|c|#k:" + std::string(limits::label_value_bytes, 'v')), "ok");
  EXPECT_EQ(fault("a:1|c|#k:" + std::string(limits::label_value_bytes + 1, 'v')), "bad_labels");
  std::string tags;
  for (std::size_t i = 0; i + 2 < limits::series_labels; ++i) tags += fmt::format("t{},", i);
  EXPECT_EQ(fault("a:1|c|#last," + tags), "ok");
  EXPECT_EQ(fault("a:1|c|#last,more," + tags), "bad_labels");
  EXPECT_EQ(fault("a:1|ms|#" + tags), "ok");
  EXPECT_EQ(fault("a:1|ms|#last," + tags), "bad_labels");  // with le
}

TEST(Statsd, ThereIsRoomForSoManySeriesAndThoseThatAreThereGoOn) {
  const auto flood = [](Statsd& statsd, std::size_t series, std::string_view type) {
    for (std::size_t i = 0; i < series; ++i) statsd.take(fmt::format("a:1|{}|#n:{}", type, i));
  };
  {
    Statsd statsd;
    flood(statsd, limits::statsd_series + 2, "c");
    EXPECT_EQ(statsd.series(), limits::statsd_series);
    EXPECT_EQ(statsd.faults(no_room), 2U);
    statsd.take("a:1|c|#n:0\nnew:1|c");
    EXPECT_EQ(flushed(statsd).at("a{n=\"0\"}"), 2);
    EXPECT_EQ(statsd.faults(no_room), 3U);
  }
  {
    Statsd statsd;
    flood(statsd, limits::statsd_histograms + 1, "ms");
    EXPECT_EQ(statsd.histograms(), limits::statsd_histograms);
    EXPECT_EQ(statsd.faults(no_room), 1U);
    statsd.take("b:1|c");
    EXPECT_EQ(statsd.lines(), limits::statsd_histograms + 1);
  }
  Statsd statsd;
  flood(statsd, limits::statsd_sets + 1, "s");
  EXPECT_EQ(statsd.sets(), limits::statsd_sets);
  EXPECT_EQ(statsd.faults(no_room), 1U);
}

TEST(Statsd, SpellingsAreBoundedAndOneMoreCountsAllTheSame) {
  Statsd statsd;
  const std::size_t ways = limits::statsd_spellings + 10;
  for (std::size_t i = 0; i < ways; ++i) statsd.take(fmt::format("a:1|c|#e{}:", i));
  EXPECT_EQ(statsd.spellings(), limits::statsd_spellings);
  EXPECT_EQ(statsd.series(), 1U);
  EXPECT_EQ(told(statsd), fmt::format("a {}\n", ways));
}

TEST(Statsd, SpellingsHaveSoManyBytesTogetherAndOneMoreCountsAllTheSame) {
  Statsd statsd;
  std::string padding;
  for (int i = 10; i < 50; ++i) padding += fmt::format(",{}{}:", std::string(150, 'p'), i);
  const std::string first = fmt::format("a:1|c|#e{:05}:{}", 0, padding);
  statsd.take(first);
  const std::size_t one = statsd.spelling_bytes();
  EXPECT_EQ(one, first.size() - std::string_view(":1|c|#").size());
  const std::size_t most = most_spelling_bytes / one;
  for (std::size_t i = 1; i < most; ++i) statsd.take(fmt::format("a:1|c|#e{:05}:{}", i, padding));
  EXPECT_EQ(statsd.spellings(), most);
  EXPECT_LE(statsd.spelling_bytes(), most_spelling_bytes);
  statsd.take(fmt::format("a:1|c|#e{:05}:{}", most, padding));
  EXPECT_EQ(statsd.spellings(), most);
  EXPECT_EQ(told(statsd), fmt::format("a {}\n", most + 1));
}

TEST(Statsd, ASetIsExactUpToItsBoundAndCountsWhatIsAbove) {
  Statsd statsd;
  for (int round = 0; round < 2; ++round)
    for (std::size_t i = 0; i < limits::statsd_set_values; ++i)
      statsd.take(fmt::format("s:{}|s", i));
  EXPECT_EQ(statsd.set_overflow(), 0U);
  statsd.take("s:more|s\ns:more|s");
  EXPECT_EQ(statsd.set_overflow(), 2U);
  EXPECT_EQ(flushed(statsd).at("s"), static_cast<double>(limits::statsd_set_values));
  statsd.take("s:more|s");
  EXPECT_EQ(flushed(statsd).at("s"), 1);
}

TEST(Statsd, ARandomStreamAddsUp) {
  const auto seed = std::random_device{}();
  fmt::print("statsd: seed {}\n", seed);
  std::mt19937_64 random(seed);
  Statsd statsd;
  std::map<std::string, double> counts;
  std::map<std::string, double> gauges;
  std::string datagram;
  for (int i = 0; i < 50'000; ++i) {
    const auto k = random() % 700;
    const auto value = random() % 1000;
    if (random() % 2 == 0) {
      datagram += fmt::format("c{}:{}|c|@0.125|#k:{},z:1\n", k % 7, value, k);
      counts[fmt::format("c{}{{k=\"{}\", z=\"1\"}}", k % 7, k)] += static_cast<double>(value) * 8;
    } else {
      datagram += fmt::format("g{}:{}|g\n", k, value);
      gauges[fmt::format("g{}", k)] = static_cast<double>(value);
    }
    if (random() % 30 == 0) {
      statsd.take(datagram);
      datagram.clear();
    }
  }
  statsd.take(datagram);
  counts.merge(gauges);
  EXPECT_EQ(flushed(statsd), counts) << "seed " << seed;
}

TEST(Statsd, AMutatedDatagramIsReadOrCounted) {
  const auto seed = std::random_device{}();
  fmt::print("statsd, mutated: seed {}\n", seed);
  std::mt19937_64 random(seed);
  const std::string whole = "a.b:1:2|c|@0.5|#k:v,l:w\nt:1.5|ms\ng:-1|g\nu:x|s|#k:v\nd:7|d|#a|c:1\n";
  Statsd statsd;
  std::size_t lines = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = whole;
    for (auto times = 1 + random() % 6; times > 0; --times)
      bytes[random() % bytes.size()] =
          random() % 2 == 0 ? static_cast<char>(random()) : whole[random() % whole.size()];
    for (std::string_view rest = bytes; !rest.empty();) {
      std::string_view line = take_until(rest, '\n');
      if (line.ends_with('\r')) line.remove_suffix(1);
      lines += line.empty() ? 0 : 1;
    }
    const std::vector<char> sized(bytes.begin(), bytes.end());
    statsd.take({sized.data(), sized.size()});
  }
  std::size_t counted = statsd.lines();
  for (std::size_t i = 0; i < statsd_faults; ++i)
    counted += statsd.faults(static_cast<StatsdFault>(i));
  EXPECT_EQ(counted, lines);
  EXPECT_LE(statsd.series(), limits::statsd_series);
  (void)flushed(statsd);
}

}  // namespace
}  // namespace tallymill::collector
