// Answers as JSON. Goal: none is larger than it may be, however it is made, and one that is as
// large is given. Method: labels, points and lists up to the bound and one byte more.
#include "collector/answers.h"

#include <gtest/gtest.h>

#include <ranges>
#include <string>
#include <vector>

#include "base/limits.h"

namespace tallymill::collector {
namespace {

constexpr auto most = static_cast<std::size_t>(limits::answer_bytes.raw());

std::vector<promql::RawSeries> one_sample(std::size_t label_bytes) {
  std::vector<promql::RawSeries> raw(1);
  raw[0].labels = Labels::of({{"long", std::string(label_bytes, 'x')}});
  raw[0].samples.add(1000, 1);
  return raw;
}

TEST(Answers, DataIsAsLongAsItMayBeAndNotOneByteLonger) {
  const std::size_t around = data_of(one_sample(1))->size() - 1;
  const auto fits = data_of(one_sample(most - around));
  ASSERT_TRUE(fits) << fits.error().message;
  EXPECT_EQ(fits->size(), most);
  const auto more = data_of(one_sample(most - around + 1));
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::too_big);
  const http::Response response = answered(more);
  EXPECT_EQ(response.status, 422);
  EXPECT_TRUE(response.body.bytes().contains("\"errorType\":\"execution\""));
  EXPECT_TRUE(response.body.bytes().contains("more than 64 MiB"));
}

TEST(Answers, PointsBeyondTheBoundAreNoAnswer) {
  const std::size_t points = most / 20;  // of 27 bytes
  std::vector<promql::RawSeries> raw(1);
  promql::Value value{
      .type = promql::Type::vector, .scalars = {}, .rows = {{Labels(), {}}}, .text = {}};
  for (std::size_t i = 0; i < points; ++i) {
    raw[0].samples.add(1'700'000'000'500, 0.125);
    value.rows[0].values.push_back(0.125);
  }
  EXPECT_EQ(data_of(raw).error().code, Errc::too_big);
  const promql::Grid grid{1'700'000'000'500, 1000, points};
  EXPECT_EQ(data_of(value, grid, false).error().code, Errc::too_big);
  value = {.type = promql::Type::scalar, .scalars = value.rows[0].values, .rows = {}, .text = {}};
  EXPECT_EQ(data_of(value, grid, false).error().code, Errc::too_big);
}

TEST(Answers, AListIsNotMadeBeyondTheBound) {
  std::size_t made = 0;
  std::string text;
  append_list(text, std::views::iota(0, 1'000'000), [&](int) {
    text.append(1 << 20, 'x');
    ++made;
  });
  EXPECT_EQ(made, 64U);
  EXPECT_EQ(bounded(std::move(text)).error().code, Errc::too_big);
}

}  // namespace
}  // namespace tallymill::collector
