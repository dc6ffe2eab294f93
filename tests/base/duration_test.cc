// Durations are Prometheus', in both directions. Goal: what is written is read as it was meant, and
// what Prometheus refuses is refused. Method: pairs of both, and texts that are none.
#include "base/duration.h"

#include <gtest/gtest.h>

#include <utility>

namespace tallymill {
namespace {

TEST(Duration, IsWrittenAsBrieflyAsItGoes) {
  for (const auto& [ms, said] : {std::pair<std::int64_t, const char*>{0, "0s"},
                                 {1, "1ms"},
                                 {60'000, "1m"},
                                 {3'661'000, "1h1m1s"},
                                 {31'536'000'000, "1y"},
                                 {1'209'600'000, "2w"}}) {
    EXPECT_EQ(duration_text(ms), said);
    EXPECT_EQ(ms == 0 ? 0 : *duration_ms(said), ms);
  }
  for (const char* none : {"", "5", "m", "1m1h", "1s1s", "300y", "99999999999999999999s", "1.5h"})
    EXPECT_FALSE(duration_ms(none)) << none;
  EXPECT_TRUE(duration_ms("292y"));
}

TEST(Duration, AUnitIsFoundWhereItBegins) {
  for (const auto& [text, bytes] : {std::pair<const char*, std::size_t>{"ms]", 2},
                                    {"m", 1},
                                    {"s5m", 1},
                                    {"y", 1},
                                    {"", 0},
                                    {"5m", 0},
                                    {"x", 0}})
    EXPECT_EQ(duration_unit_bytes(text), bytes) << text;
}

}  // namespace
}  // namespace tallymill
