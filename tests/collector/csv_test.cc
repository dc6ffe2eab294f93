// Goal: a table that any reader of RFC 4180 reads back, with nothing in it that a spreadsheet would
// calculate. Method: cells and small answers in tables.
#include "collector/csv.h"

#include <gtest/gtest.h>

#include "base/limits.h"
#include "collector/federation.h"

namespace tallymill::collector {
namespace {

std::string cell(std::string_view text) {
  std::string cell;
  append_csv_cell(cell, text);
  return cell;
}

TEST(Csv, CellsAreQuotedWhereTheyMustBeAndAreNoFormulas) {
  EXPECT_EQ(cell("a b"), "a b");
  EXPECT_EQ(cell(""), "");
  EXPECT_EQ(cell("a,b"), "\"a,b\"");
  EXPECT_EQ(cell("a\"b"), "\"a\"\"b\"");
  EXPECT_EQ(cell("a\nb"), "\"a\nb\"");
  for (const char* formula : {"=1+1", "+1", "-1", "@x", "\tx", "\rx"})
    EXPECT_EQ(cell(formula), std::string("\"'") + formula + "\"");
}

std::string time(std::int64_t t_ms) {
  std::string text;
  append_rfc3339(text, t_ms);
  return text;
}

TEST(Csv, TimesAreThoseOfUtc) {
  EXPECT_EQ(time(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(time(1'700'000'000'123), "2023-11-14T22:13:20.123Z");
  EXPECT_EQ(time(-1), "1969-12-31T23:59:59.999Z");
  EXPECT_EQ(time(253'402'300'799'999), "9999-12-31T23:59:59.999Z");
  EXPECT_EQ(time(253'402'300'800'000), "253402300800.000");
  EXPECT_EQ(time(std::numeric_limits<std::int64_t>::min()), "-9223372036854775.808");
}

promql::Value vector_of(promql::Rows rows) {
  return {.type = promql::Type::vector, .scalars = {}, .rows = std::move(rows), .text = {}};
}

TEST(Csv, ColumnsAreTheLabelsOfAllSeries) {
  const auto csv = csv_of(vector_of({{Labels::of({{"__name__", "up"}, {"job", "a"}}), {1, -0.5}},
                                     {Labels::of({{"zone", "=z"}}), {promql::absent, 3}}}),
                          {0, 1000, 2});
  ASSERT_TRUE(csv);
  EXPECT_EQ(*csv,
            "__name__,job,zone,timestamp,value\r\n"
            "up,a,,1970-01-01T00:00:00.000Z,1\r\n"
            "up,a,,1970-01-01T00:00:01.000Z,-0.5\r\n"
            ",,\"'=z\",1970-01-01T00:00:01.000Z,3\r\n");
}

TEST(Csv, AScalarATextAndARangeAreTablesToo) {
  promql::Value scalar{.type = promql::Type::scalar, .scalars = {2}, .rows = {}, .text = {}};
  EXPECT_EQ(*csv_of(scalar, {0, 1, 1}), "timestamp,value\r\n1970-01-01T00:00:00.000Z,2\r\n");
  promql::Value text{.type = promql::Type::string, .scalars = {}, .rows = {}, .text = "a,b"};
  EXPECT_EQ(*csv_of(text, {0, 1, 1}), "timestamp,value\r\n1970-01-01T00:00:00.000Z,\"a,b\"\r\n");
  std::vector<promql::RawSeries> raw(1);
  raw[0].labels = Labels::of({{"job", "a"}});
  raw[0].samples.add(500, 1);
  EXPECT_EQ(*csv_of(raw), "job,timestamp,value\r\na,1970-01-01T00:00:00.500Z,1\r\n");
}

TEST(Csv, ATableThatWouldBeTooLongIsNone) {
  std::vector<promql::RawSeries> raw(1);
  raw[0].labels = Labels::of({{"long", std::string(4096, 'x')}});
  const std::size_t line = 4096 + 1 + 24 + 1 + 1 + 2;
  const auto fits = static_cast<std::size_t>(limits::answer_bytes.raw()) / line;
  for (std::size_t i = 0; i < fits; ++i) raw[0].samples.add(0, 1);
  EXPECT_TRUE(csv_of(raw));
  raw[0].samples.add(0, 1);
  const auto more = csv_of(raw);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::too_big);
}

// As many columns as a header has room for, without a sample.
TEST(Csv, AHeaderThatWouldBeTooLongIsNone) {
  const auto room = static_cast<std::size_t>(limits::answer_bytes.raw()) -
                    std::string_view("timestamp,value\r\n").size();
  std::vector<promql::RawSeries> raw(2);
  raw[0].labels = Labels::of({{std::string(room / 2 - 1, 'a'), "x"}});
  raw[1].labels = Labels::of({{std::string(room - room / 2 - 1, 'b'), "x"}});
  const auto fits = csv_of(raw);
  ASSERT_TRUE(fits);
  EXPECT_EQ(fits->size(), static_cast<std::size_t>(limits::answer_bytes.raw()));
  raw[1].labels = Labels::of({{std::string(room - room / 2, 'b'), "x"}});
  const auto more = csv_of(raw);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::too_big);
}

TEST(Exposed, NumbersAreWrittenAsPrometheusWritesThem) {
  const std::pair<double, const char*> rows[] = {{0, "0"},
                                                 {1, "1"},
                                                 {-1.5, "-1.5"},
                                                 {123456, "123456"},
                                                 {1234567, "1.234567e+06"},
                                                 {1e21, "1e+21"},
                                                 {0.0001, "0.0001"},
                                                 {0.00001, "1e-05"},
                                                 {1e300, "1e+300"},
                                                 {0.1, "0.1"},
                                                 {999999.5, "999999.5"}};
  for (const auto& [value, says] : rows) {
    std::string text;
    append_exposed(text, value);
    EXPECT_EQ(text, says);
  }
}

}  // namespace
}  // namespace tallymill::collector
