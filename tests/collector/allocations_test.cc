// Allocations. Goal: a known series costs none in StatsD, a remote write request of known series
// none in its reader, a match of many with one none of each step, a table that is too long none of
// its size. Method: operator new of this program counts.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "base/limits.h"
#include "collector/csv.h"
#include "collector/promql/evaluate.h"
#include "collector/promql/parser.h"
#include "collector/promql/print.h"
#include "collector/remote_write.h"
#include "collector/statsd.h"
#include "tests/collector/promql/memory_source.h"
#include "tests/collector/write_request.h"

namespace {
thread_local std::size_t allocations = 0;
thread_local std::size_t largest = 0;
}  // namespace

// A sanitizer has operators of its own, which know where each piece came from.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool are_counted = false;
#else
constexpr bool are_counted = true;
// Not inlined, where the compiler would take the pair for malloc() and a delete of its own.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  ++allocations;
  if (bytes > largest) largest = bytes;
  void* const at = std::malloc(bytes == 0 ? 1 : bytes);
  if (at == nullptr) throw std::bad_alloc();
  return at;
}
[[gnu::noinline]] void operator delete(void* at) noexcept { std::free(at); }
[[gnu::noinline]] void operator delete(void* at, std::size_t) noexcept { std::free(at); }
#endif

namespace tallymill::collector {
namespace {

template <class Do>
std::size_t allocations_of(Do&& act) {
  const std::size_t before = allocations;
  act();
  return allocations - before;
}

class Allocations : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!are_counted) GTEST_SKIP() << "SKIPPED: allocations under a sanitizer";
  }
};

TEST_F(Allocations, AreCounted) {
  EXPECT_GE(allocations_of([] { (void)std::string(100, 'x').c_str(); }), 1U);
}

TEST_F(Allocations, AStatsdLineOfAKnownSeriesHasNone) {
  const std::string_view lines =
      "api.requests.total:1|c|@0.1|#service:mill,endpoint:/v1/jobs,method:get\n"
      "t:1.5:2.5:3.5|ms|#k:v\ng:-1|g\nu:x|s\nd:7|d\nbad\nbad:x|c\n";
  Statsd statsd;
  statsd.take(lines);
  EXPECT_EQ(allocations_of([&] {
              for (int i = 0; i < 100; ++i) statsd.take(lines);
            }),
            0U);
  EXPECT_EQ(statsd.lines(), 505U);
}

class Known : public WriteSink {
 public:
  std::expected<SeriesId, Refused> series(std::string_view raw) override {
    return SeriesId(static_cast<std::uint32_t>(raw.size()));
  }
  void exemplar(SeriesId, const Exemplar&) override {}
  void metadata(const Metadata&) override {}
};

TEST_F(Allocations, ARequestOfKnownSeriesHasNoneAfterTheFirst) {
  std::string message;
  for (int i = 0; i < 1000; ++i)
    message += time_series(label_fields({{"__name__", "up"}, {"n", std::to_string(i)}}) +
                           sample_field(i, 1000) + exemplar_field({{"trace", "x"}}, 1, 2)) +
               metadata_field(1, "up", "help", "");
  Known sink;
  RemoteWrite request;
  ASSERT_TRUE(request.read_message(message, sink));
  EXPECT_EQ(allocations_of([&] { (void)request.read_message(message, sink); }), 0U);
  EXPECT_EQ(request.points().size(), 1000U);
}

// Lines that are written at each level, to see how long they are, would be two million and more.
TEST_F(Allocations, ALongQueryIsWrittenOnceAndNotAtEachOfItsLevels) {
  std::string query(60, 'a');
  for (int i = 1; i < 1000; ++i) query += "+" + std::string(60, 'a');
  const auto node = promql::parse(query);
  ASSERT_TRUE(node);
  EXPECT_LT(allocations_of([&] { EXPECT_GT(promql::pretty(**node).size(), query.size()); }),
            100'000U);
}

// A set of all labels at all steps would be 200,000 of them, beside the numbers that are counted.
TEST_F(Allocations, AGroupedMatchHasNoneOfEachStep) {
  MemorySource source;
  for (int i = 0; i < 200; ++i)
    source.add(Labels::of({{"__name__", "many"}, {"i", std::to_string(i)}}), 0, i);
  source.add(Labels::of({{"__name__", "one"}}), 0, 1);
  const auto node = promql::parse("many * on () group_left one");
  ASSERT_TRUE(node);
  std::size_t rows = 0;
  EXPECT_LT(allocations_of(
                [&] { rows = promql::evaluate(**node, {0, 1, 1000}, source, {})->rows.size(); }),
            20'000U);
  EXPECT_EQ(rows, 200U);
}

// Which would be as long as all labels together.
TEST_F(Allocations, ATableWhoseHeaderIsTooLongIsRefusedBeforeAnyOfItIsWritten) {
  constexpr std::size_t name_bytes = 1 << 20;
  const std::size_t columns = static_cast<std::size_t>(limits::answer_bytes.raw()) / name_bytes;
  std::vector<promql::RawSeries> raw(columns);
  for (std::size_t i = 0; i < columns; ++i)
    raw[i].labels = Labels::of({{std::to_string(i) + std::string(name_bytes, 'x'), "y"}});
  largest = 0;
  EXPECT_EQ(csv_of(raw).error().code, Errc::too_big);
  EXPECT_LT(largest, name_bytes);
}

}  // namespace
}  // namespace tallymill::collector
