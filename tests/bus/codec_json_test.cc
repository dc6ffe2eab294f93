// Params between msgpack and JSON. Goal: what goes one way comes back the same, and nothing that
// JSON has not gets in. Method: random trees there and back; one case for each refusal.
#include "bus/codec_json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "base/limits.h"

namespace tallymill::bus {
namespace {

using nlohmann::json;

json random_json(std::mt19937_64& rng, int depth) {
  switch (rng() % (depth > 0 ? 8 : 6)) {
    case 0:
      return nullptr;
    case 1:
      return rng() % 2 == 0;
    case 2:
      return static_cast<std::int64_t>(rng() >> (rng() % 64)) * (rng() % 2 == 0 ? 1 : -1);
    case 3:
      return rng() | (std::uint64_t{1} << 63);
    case 4:
      return static_cast<double>(rng()) / 1e6;
    case 5:
      return std::string(rng() % 300, static_cast<char>('a' + rng() % 26)) + "\u00e4\u20ac";
    case 6: {
      json list = json::array();
      for (std::uint64_t i = rng() % 20; i > 0; --i) list.push_back(random_json(rng, depth - 1));
      return list;
    }
    default: {
      json map = json::object();
      for (std::uint64_t i = rng() % 20; i > 0; --i)
        map["k" + std::to_string(rng() % 1000)] = random_json(rng, depth - 1);
      return map;
    }
  }
}

TEST(CodecJson, RandomTreesComeBackTheSameAndNlohmannReadsThemTheSame) {
  const std::uint64_t seed = std::random_device{}();
  std::mt19937_64 rng(seed);
  SCOPED_TRACE("seed " + std::to_string(seed));
  for (int i = 0; i < 2'000; ++i) {
    const json value = random_json(rng, 4);
    const auto bytes = msgpack_of_json(value);
    ASSERT_TRUE(bytes) << bytes.error().message;
    const auto back = json_of_msgpack(*bytes);
    ASSERT_TRUE(back) << back.error().message;
    ASSERT_EQ(*back, value);
    ASSERT_EQ(json::from_msgpack(*bytes), value);
    const auto theirs = json::to_msgpack(value);
    const auto read =
        json_of_msgpack({reinterpret_cast<const char*>(theirs.data()), theirs.size()});
    ASSERT_TRUE(read) << read.error().message;
    ASSERT_EQ(*read, value);
    for (std::size_t cut = 0; cut < std::min<std::size_t>(bytes->size(), 64); ++cut)
      ASSERT_FALSE(json_of_msgpack(std::string_view(*bytes).substr(0, cut)));
  }
}

struct Refused {
  const char* why;
  std::string bytes;
  const char* pointer;
};

TEST(CodecJson, RefusesWhatJsonHasNotAndSaysWhere) {
  using namespace std::string_literals;
  const std::vector<Refused> cases = {
      {"nothing", "", ""},
      {"binary", "\x81\xa1x\xc4\x01z"s, "/x"},
      {"an extension", "\x81\xa1x\xd4\x01z"s, "/x"},
      {"a number as key", "\x81\x01\x02"s, ""},
      {"a key twice", "\x82\xa1x\x01\xa1x\x02"s, "/x"},
      {"text that is not UTF-8", "\x81\xa3y/z\x92\x01\xa1\xff"s, "/y~1z/1"},
      {"a key that is not UTF-8", "\x81\xa1\xff\x01"s, ""},
      {"bytes after the value", "\x01\x02"s, ""},
      {"the byte that is no format", "\xc1"s, ""},
      {"a list that lies", "\xdd\xff\xff\xff\xff\x01"s, ""},
      {"a map that lies", "\xdf\xff\xff\xff\xff\x01"s, ""},
  };
  for (const auto& c : cases) {
    const auto read = json_of_msgpack(c.bytes);
    ASSERT_FALSE(read) << c.why;
    EXPECT_EQ(read.error().code, Errc::bad_frame) << c.why;
    EXPECT_EQ(read.error().field, c.pointer) << c.why;
  }
}

TEST(CodecJson, NestsToTheLimitAndNotOneDeeper) {
  for (const int depth : {limits::msgpack_depth, limits::msgpack_depth + 1}) {
    json value = json::array();
    for (int i = 1; i < depth; ++i) value = json::array({std::move(value)});
    std::string bytes(static_cast<std::size_t>(depth) - 1, '\x91');
    bytes += '\x90';
    EXPECT_EQ(json_of_msgpack(bytes).has_value(), depth == limits::msgpack_depth);
    EXPECT_EQ(msgpack_of_json(value).has_value(), depth == limits::msgpack_depth);
  }
  EXPECT_FALSE(json_of_msgpack(std::string(1'000'000, '\x91')));
}

TEST(CodecJson, ADoubleStaysADoubleAlsoWhereItIsWholeNegativeZeroOrTooLargeForAnInteger) {
  for (const double value : {2.0, -0.0, 18'446'744'073'709'551'616.0, -9'223'372'036'854'775'808.0,
                             std::numeric_limits<double>::infinity(), 0.1}) {
    const auto bytes = msgpack_of_json(value);
    ASSERT_TRUE(bytes);
    const auto back = json_of_msgpack(*bytes);
    ASSERT_TRUE(back && back->is_number_float()) << value;
    EXPECT_EQ(back->get<double>(), value);
    EXPECT_EQ(std::signbit(back->get<double>()), std::signbit(value));
  }
}

TEST(CodecJson, RefusesToSendTextThatIsNotUtf8AndBinary) {
  EXPECT_FALSE(msgpack_of_json({{"x", "\xff"}}));
  EXPECT_FALSE(msgpack_of_json({{"\xff", 1}}));
  EXPECT_FALSE(msgpack_of_json(json::binary({1, 2})));
}

}  // namespace
}  // namespace tallymill::bus
