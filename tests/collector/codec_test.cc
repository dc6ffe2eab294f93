// Packed blocks. Goal: whatever samples a series has come back bit for bit, in as few bytes as
// promised; bytes that are no block are refused and never read beyond. Method: random series of
// each kind with a printed seed; each block cut at each byte, and with bits flipped.
#include "collector/codec.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "base/limits.h"
#include "collector/integers.h"
#include "tests/fakes/flip.h"

namespace tallymill::collector {
namespace {

using Random = std::mt19937_64;

std::string packed(const Column& samples) {
  std::string bytes;
  pack_block(samples.t_ms, samples.value, bytes);
  return bytes;
}

void expect_same(const Column& got, const Column& wanted) {
  ASSERT_EQ(got.t_ms, wanted.t_ms);
  ASSERT_EQ(got.value.size(), wanted.value.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_EQ(std::bit_cast<std::uint64_t>(got.value[i]),
              std::bit_cast<std::uint64_t>(wanted.value[i]))
        << i << ": " << got.value[i] << " is not " << wanted.value[i];
}

void expect_round_trip(const Column& samples) {
  Column got;
  ASSERT_TRUE(unpack_block(packed(samples), got).has_value());
  expect_same(got, samples);
}

std::int64_t between(Random& random, std::int64_t least, std::int64_t most) {
  return std::uniform_int_distribution<std::int64_t>(least, most)(random);
}

constexpr double special[] = {-0.0,
                              0.0,
                              std::numeric_limits<double>::quiet_NaN(),
                              stale_marker,
                              std::numeric_limits<double>::infinity(),
                              -std::numeric_limits<double>::infinity(),
                              std::numeric_limits<double>::max(),
                              std::numeric_limits<double>::denorm_min(),
                              9007199254740992.0,
                              9007199254740994.0,
                              -9007199254740993.0,
                              1e300,
                              0.1 + 0.2};

// Kinds of values, each made by calls one after the other.
std::function<double(Random&)> values_of(Random& random) {
  const double power = std::pow(10.0, static_cast<double>(between(random, 0, 14)));
  double at = static_cast<double>(between(random, 0, 1'000'000));
  switch (between(random, 0, 6)) {
    case 0:  // a counter with resets
      return [at](Random& r) mutable {
        at = between(r, 0, 200) == 0 ? 0 : at + static_cast<double>(between(r, 0, 100));
        return at;
      };
    case 1:  // a gauge in decimals
      return [power](Random& r) { return static_cast<double>(between(r, -9999, 9999)) / power; };
    case 2:  // a gauge of all bits
      return [](Random& r) { return std::normal_distribution<double>(0, 1e6)(r); };
    case 3:  // any bits at all
      return [](Random& r) { return std::bit_cast<double>(r()); };
    case 4:  // one that hardly changes
      return [power](Random& r) { return between(r, 0, 30) == 0 ? 1 / 3.0 : 1 / power; };
    case 5:  // a counter that ends, or is not there now and then
      return [at](Random& r) mutable {
        return between(r, 0, 40) == 0 ? special[between(r, 0, std::ssize(special) - 1)] : ++at;
      };
    default:
      return [](Random& r) { return special[between(r, 0, std::ssize(special) - 1)]; };
  }
}

std::function<std::int64_t(Random&)> times_of(Random& random) {
  std::int64_t at = between(random, -1'000'000'000'000, 4'000'000'000'000);
  const std::int64_t step = between(random, 1, 60'000);
  switch (between(random, 0, 3)) {
    case 0:
      return [=](Random&) mutable { return at += step; };
    case 1:  // jitter
      return [=](Random& r) mutable { return (at += step) + between(r, -10, 10); };
    case 2:  // gaps
      return [=](Random& r) mutable { return at += between(r, 0, 50) == 0 ? step * 1000 : step; };
    default:
      return [](Random& r) { return static_cast<std::int64_t>(r()); };
  }
}

Column random_column(Random& random) {
  const auto t = times_of(random);
  const auto value = values_of(random);
  const std::int64_t sizes[] = {0,  1,  2,   3,    63,   64,
                                65, 66, 128, 1023, 1024, between(random, 0, 1024)};
  Column column;
  for (std::int64_t n = sizes[between(random, 0, std::ssize(sizes) - 1)]; n > 0; --n)
    column.add(t(random), value(random));
  return column;
}

TEST(Codec, EverySeriesComesBackBitForBit) {
  const auto seed = std::random_device()();
  std::printf("seed %u\n", seed);
  Random random(seed);
  for (int i = 0; i < 3000; ++i) {
    SCOPED_TRACE(i);
    ASSERT_NO_FATAL_FAILURE(expect_round_trip(random_column(random)));
  }
}

TEST(Codec, EverySpecialValueComesBackAloneAndAmongOthers) {
  for (const double value : special) {
    Column column;
    column.add(0, value);
    ASSERT_NO_FATAL_FAILURE(expect_round_trip(column));
    for (std::size_t at : {0U, 1U, 50U, 99U}) {
      Column among;
      for (int i = 0; i < 100; ++i) among.add(i, i * 0.25);
      among.value[at] = value;
      ASSERT_NO_FATAL_FAILURE(expect_round_trip(among));
    }
  }
  expect_round_trip({});
}

TEST(Codec, BlocksAreAddedBehindWhatIsThere) {
  Column first;
  Column second;
  Column all;
  for (int i = 0; i < 100; ++i) {
    first.add(i, i);
    second.add(100 + i, 1.5 * i);
  }
  ASSERT_TRUE(unpack_block(packed(first), all).has_value());
  ASSERT_TRUE(unpack_block(packed(second), all).has_value());
  ASSERT_EQ(all.size(), 200U);
  EXPECT_EQ(all.value[150], 75.0);
  EXPECT_EQ(unpack_block("no block", all).error().code, Errc::corrupt);
  EXPECT_EQ(all.size(), 200U);
  EXPECT_EQ(all.value.size(), 200U);
}

TEST(Codec, ARegularCounterTakesAtMost1Point3BytesASample) {
  Random random(7);
  Column counter;
  double total = 1e6;
  for (int i = 0; i < 720; ++i)
    counter.add(1'700'000'000'000 + 15'000 * i,
                total += static_cast<double>(between(random, 0, 200)));
  EXPECT_LE(static_cast<double>(packed(counter).size()) / 720, 1.3);
}

TEST(Codec, WhatDoesNotChangeTakesAFewBytesWhateverItsLength) {
  Column idle;
  for (int i = 0; i < 1024; ++i) idle.add(15'000 * i, 1 / 3.0);
  EXPECT_LE(packed(idle).size(), 24U);
}

TEST(Codec, AStaleMarkerAtTheEndDoesNotMakeTheBlockLarge) {
  Column column;
  for (int i = 0; i < 720; ++i) column.add(i * 1000, i * 7.0 + i % 5);
  const std::size_t without = packed(column).size();
  column.add(720'000, stale_marker);
  EXPECT_LE(packed(column).size(), without + 24);
  expect_round_trip(column);
}

TEST(Codec, ACutBlockIsRefusedWhereverItIsCut) {
  const auto seed = std::random_device()();
  std::printf("seed %u\n", seed);
  Random random(seed);
  for (int i = 0; i < 200; ++i) {
    const std::string bytes = packed(random_column(random));
    for (std::size_t size = 0; size < bytes.size(); size += 1 + bytes.size() / 100) {
      // On the heap and exactly so long: AddressSanitizer sees a read beyond it.
      const std::vector<char> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
      Column got;
      ASSERT_FALSE(unpack_block({cut.data(), cut.size()}, got).has_value()) << i << " " << size;
      ASSERT_EQ(got.size(), 0U);
    }
    Column got;
    ASSERT_FALSE(unpack_block(bytes + '\0', got).has_value());
  }
}

TEST(Codec, GarbledBytesNeverReadBeyondThem) {
  const auto seed = std::random_device()();
  std::printf("seed %u\n", seed);
  Random random(seed);
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = packed(random_column(random));
    bytes.resize(std::min<std::size_t>(bytes.size(), 200));
    const std::int64_t flips = between(random, 1, 4);
    for (std::int64_t n = 0; n < flips && !bytes.empty(); ++n)
      fakes::flip(bytes, random() % (bytes.size() * 8));
    const std::vector<char> exact(bytes.begin(), bytes.end());
    Column got;
    if (unpack_block({exact.data(), exact.size()}, got)) {
      ASSERT_LE(got.size(), limits::block_samples);
      ASSERT_EQ(got.t_ms.size(), got.value.size());
    }
  }
}

TEST(Codec, ABlockOfTheMostSamplesIsReadAndOneThatSaysMoreIsNot) {
  Column most;
  for (std::size_t i = 0; i < limits::block_samples; ++i) most.add(static_cast<int>(i), 1);
  std::string bytes = packed(most);
  Column got;
  ASSERT_TRUE(unpack_block(bytes, got).has_value());
  EXPECT_EQ(got.size(), limits::block_samples);
  // Regular in both columns: the count alone says how many there are.
  std::string more(1, bytes[0]);
  append_varint(more, limits::block_samples + 1);
  more += bytes.substr(1 + varint_size(limits::block_samples));
  EXPECT_EQ(unpack_block(more, got).error().code, Errc::corrupt);
  most.add(5000, 1);
  EXPECT_DEATH(packed(most), "invariant broken");
}

TEST(Integers, AnyColumnComesBack) {
  const auto seed = std::random_device()();
  std::printf("seed %u\n", seed);
  Random random(seed);
  for (int i = 0; i < 2000; ++i) {
    std::vector<std::int64_t> column(static_cast<std::size_t>(between(random, 0, 300)));
    const auto bits = static_cast<unsigned>(between(random, 0, 63));
    for (auto& value : column)
      value = static_cast<std::int64_t>(random() >> (between(random, 0, 20) == 0 ? 0 : bits));
    std::string bytes;
    pack_integers(column, bytes);
    std::vector<std::int64_t> got(column.size());
    Reader from(bytes);
    ASSERT_TRUE(unpack_integers(from, got));
    ASSERT_TRUE(from.at_end());
    ASSERT_EQ(got, column) << i;
  }
}

TEST(Integers, TheLongestColumnIsPackedAndALongerOneIsABug) {
  std::vector<std::int64_t> column(limits::integers_column, 5);
  std::string bytes;
  pack_integers(column, bytes);
  Reader from(bytes);
  std::vector<std::int64_t> got(column.size());
  EXPECT_TRUE(unpack_integers(from, got));
  EXPECT_EQ(got, column);
  column.push_back(5);
  EXPECT_DEATH(pack_integers(column, bytes), "invariant broken");
}

}  // namespace
}  // namespace tallymill::collector
