// The codec and its one door. Goal: every message comes back as it went, whoever packed it; and no
// bytes, however they lie, get past a limit or outside their frame. Method: random messages held
// against their field lists and against two other msgpack libraries; every truncation; each limit
// at and one above.
#include "bus/envelope.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <msgpack.hpp>
#include <random>

#include "base/limits.h"
#include "bus/codec_json.h"
#include "bus/msgpack_reader.h"
#include "tests/wire/meaning.h"

namespace tallymill::bus {
namespace {

using nlohmann::json;

zmq::message_t frame(std::string_view bytes) { return {bytes.data(), bytes.size()}; }

// Frames of one message from another msgpack library.
Frames packed_elsewhere(const json& header, const json& params = json::object(), int blobs = 0) {
  Frames frames;
  frames.push_back(frame("T1"));
  const auto h = json::to_msgpack(header);
  frames.emplace_back(h.data(), h.size());
  const auto p = json::to_msgpack(params);
  frames.emplace_back(p.data(), p.size());
  for (int i = 0; i < blobs; ++i) frames.push_back(frame("blob"));
  return frames;
}

Frames copy_of(const Frames& frames) {
  Frames copies;
  for (const auto& f : frames) copies.emplace_back(f.data(), f.size());
  return copies;
}

Errc code_of(Frames&& frames) {
  const auto decoded = Envelope::decode(std::move(frames));
  EXPECT_FALSE(decoded);
  return decoded ? Errc::corrupt : decoded.error().code;
}

json json_of(const msgpack::object& object) {
  switch (object.type) {
    case msgpack::type::BOOLEAN:
      return object.via.boolean;
    case msgpack::type::POSITIVE_INTEGER:
      return object.via.u64;
    case msgpack::type::NEGATIVE_INTEGER:
      return object.via.i64;
    case msgpack::type::FLOAT32:
    case msgpack::type::FLOAT64:
      return object.via.f64;
    case msgpack::type::STR:
      return std::string(object.via.str.ptr, object.via.str.size);
    case msgpack::type::ARRAY: {
      json list = json::array();
      for (const auto& element : object.via.array) list.push_back(json_of(element));
      return list;
    }
    case msgpack::type::MAP: {
      json map = json::object();
      for (const auto& [key, value] : object.via.map)
        map[std::string(key.via.str.ptr, key.via.str.size)] = json_of(value);
      return map;
    }
    default:
      return nullptr;
  }
}

// ---- there and back ----

struct Expected {
  json header;
  std::string params;
  std::vector<std::string> blobs;
};

template <class M>
Expected add_random(Packer& packer, Randomizer& random) {
  const M message = random.message<M>();
  Expected expected{meaning(verb_of<M>(), message), "\x80", {}};
  if (random.below(2) == 0) {
    expected.params =
        *msgpack_of_json({{"x", random()}, {"s", std::string(random.below(99), 's')}});
    packer.add(verb_of<M>(), message, expected.params);
  } else {
    packer.add(verb_of<M>(), message);
  }
  for (std::uint64_t i = random.below(3); i > 0; --i) {
    expected.blobs.emplace_back(random.below(200), 'b');
    EXPECT_EQ(packer.add_blob(frame(expected.blobs.back())),
              static_cast<std::int32_t>(expected.blobs.size()) - 1);
  }
  return expected;
}

template <class M>
void expect_same(const Item& item, const Expected& expected) {
  const auto message = read<M>(item);
  ASSERT_TRUE(message) << message.error().message;
  ASSERT_EQ(meaning(item.verb, *message), expected.header);
  // Into a message that holds something else already.
  static M again;
  ASSERT_TRUE(read_into(item, again));
  ASSERT_EQ(meaning(item.verb, again), expected.header);
  ASSERT_EQ(item.params, expected.params);
  ASSERT_EQ(item.blobs.size(), expected.blobs.size());
  for (std::size_t i = 0; i < item.blobs.size(); ++i)
    ASSERT_EQ(item.blobs[i].to_string_view(), expected.blobs[i]);
  // What msgpack-cxx makes of the same header.
  const auto theirs = msgpack::unpack(item.header.data(), item.header.size());
  json header = json_of(theirs.get());
  header.erase("N");
  header.erase("B");
  ASSERT_EQ(header, expected.header);
}

template <class M>
void round_trip(std::uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  Randomizer random(seed);
  Packer packer;
  for (int round = 0; round < 60; ++round) {
    random.forget();
    std::vector<Expected> all;
    const std::uint64_t batch = round % 3 == 0 ? 1 : 1 + random.below(20);
    for (std::uint64_t i = 0; i < batch; ++i) all.push_back(add_random<M>(packer, random));
    EXPECT_EQ(packer.size(), batch);
    auto decoded = Envelope::decode(packer.take());
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_TRUE(packer.empty());
    // Small frames live inside their zmq_msg_t: views must survive that the envelope moves.
    const Envelope envelope = std::move(*decoded);
    ASSERT_EQ(envelope.items().size(), batch);
    for (std::size_t i = 0; i < batch; ++i)
      ASSERT_NO_FATAL_FAILURE(expect_same<M>(envelope.items()[i], all[i]));
  }
}

#define TM_ROUND_TRIP(M) \
  TEST(EnvelopeRoundTrip, M) { round_trip<M>(std::random_device{}()); }
TM_MESSAGE_TABLE(TM_ROUND_TRIP)
#undef TM_ROUND_TRIP

TEST(Envelope, ManyKindsOfMessagesTravelTogether) {
  Packer packer;
  Submit submit;
  submit.kind = "box";
  submit.inputs = {{.name = "a.png", .media_type = "image/png", .bytes = 3, .blob = 0}};
  packer.add(submit, "\x81\xa1x\x01");
  EXPECT_EQ(packer.add_blob(frame("abc")), 0);
  Ask ask;
  ask.request = 9;
  packer.add(Verb::status, ask);
  auto envelope = Envelope::decode(packer.take());
  ASSERT_TRUE(envelope) << envelope.error().message;
  ASSERT_EQ(envelope->items().size(), 2u);
  EXPECT_EQ(envelope->items()[0].verb, Verb::submit);
  EXPECT_EQ(read<Submit>(envelope->items()[0])->priority, 4);
  EXPECT_EQ(envelope->items()[0].blobs[0].to_string_view(), "abc");
  EXPECT_EQ(envelope->items()[1].verb, Verb::status);
  EXPECT_EQ(read<Ask>(envelope->items()[1])->request, 9);
  EXPECT_TRUE(envelope->items()[1].blobs.empty());
}

TEST(Envelope, EveryVerbHasANameOfItsOwn) {
  for (int i = 0; i <= static_cast<int>(Verb::done); ++i) {
    Verb verb{};
    ASSERT_TRUE(verb_named(name_of(static_cast<Verb>(i)), verb));
    EXPECT_EQ(verb, static_cast<Verb>(i));
  }
  Verb verb{};
  for (const char* name : {"", "x", "submi", "submitt", "Submit", "\xff", "worker_hellp"})
    EXPECT_FALSE(verb_named(name, verb)) << name;
}

struct NameCollector {
  std::vector<std::string> names;
  template <class T>
  void operator()(const char* name, const T&, const std::type_identity_t<T>& = {}) {
    names.emplace_back(name);
  }
};

template <class M>
void expect_own_names() {
  M message;
  NameCollector collected;
  message.fields(collected);
  auto names = collected.names;
  for (const char* reserved : {"t", "N", "B"}) names.emplace_back(reserved);
  std::ranges::sort(names);
  EXPECT_EQ(std::ranges::adjacent_find(names), names.end());
}

TEST(Envelope, NoMessageUsesAnEnvelopesKeyOrANameTwice){
#define TM_NAMES(M) expect_own_names<M>();
    TM_MESSAGE_TABLE(TM_NAMES)
#undef TM_NAMES
}

// ---- other people's packers ----

TEST(Envelope, KeysMayComeInAnyOrderAndUnknownOnesAreSkipped) {
  Randomizer random(std::random_device{}());
  for (int round = 0; round < 300; ++round) {
    random.forget();
    const json header = meaning(Verb::work, random.message<Work>());
    std::vector<std::string> keys;
    for (const auto& [key, value] : header.items()) keys.push_back(key);
    for (int i = 0; i < 3; ++i) keys.push_back("new" + std::to_string(i));
    std::ranges::shuffle(keys, std::mt19937_64(random()));
    std::string bytes = "\xde";
    bytes += '\0';
    bytes += static_cast<char>(keys.size());
    for (const auto& key : keys) {
      bytes += *msgpack_of_json(key);
      bytes += *msgpack_of_json(header.contains(key) ? header[key] : json{{"deep", {1, "x"}}});
    }
    Frames frames;
    frames.push_back(frame("T1"));
    frames.push_back(frame(bytes));
    const auto envelope = Envelope::decode(std::move(frames));
    ASSERT_TRUE(envelope) << envelope.error().message;
    EXPECT_EQ(envelope->items()[0].params, "\x80");
    const auto work = read<Work>(envelope->items()[0]);
    ASSERT_TRUE(work) << work.error().message;
    ASSERT_EQ(meaning(Verb::work, *work), header);
  }
}

TEST(Envelope, NilMeansTheDefaultAndTheLastOfTwoKeysHolds) {
  auto envelope = Envelope::decode(
      packed_elsewhere({{"t", "submit"}, {"kind", nullptr}, {"prio", nullptr}, {"in", nullptr}}));
  ASSERT_TRUE(envelope);
  const auto submit = read<Submit>(envelope->items()[0]);
  ASSERT_TRUE(submit) << submit.error().message;
  EXPECT_EQ(submit->kind, "");
  EXPECT_EQ(submit->priority, 4);

  Frames frames;
  frames.push_back(frame("T1"));
  frames.push_back(frame("\x83\xa1t\xa4ping\xa1r\x01\xa1r\x02"));
  envelope = Envelope::decode(std::move(frames));
  ASSERT_TRUE(envelope);
  EXPECT_EQ(read<Ask>(envelope->items()[0])->request, 2);
}

TEST(Envelope, AWrongFieldIsNamed) {
  struct Case {
    json header;
    const char* field;
  };
  const std::vector<Case> cases = {
      {{{"t", "submit"}, {"kind", 7}}, "/kind"},
      {{{"t", "submit"}, {"prio", 1LL << 40}}, "/prio"},
      {{{"t", "submit"}, {"prio", 1.5}}, "/prio"},
      {{{"t", "submit"}, {"dl", "soon"}}, "/dl"},
      {{{"t", "submit"}, {"r", 18'446'744'073'709'551'615u}}, "/r"},
      {{{"t", "submit"}, {"key", "\xff"}}, "/key"},
      {{{"t", "submit"}, {"in", {{{"n", 1}}}}}, "/in"},
      {{{"t", "submit"}, {"in", json::object()}}, "/in"},
  };
  for (const auto& c : cases) {
    const auto envelope = Envelope::decode(packed_elsewhere(c.header));
    ASSERT_TRUE(envelope) << c.field;
    const auto submit = read<Submit>(envelope->items()[0]);
    ASSERT_FALSE(submit) << c.field;
    EXPECT_EQ(submit.error().code, Errc::bad_frame);
    EXPECT_EQ(submit.error().field, c.field);
  }
}

// ---- what is refused ----

TEST(Envelope, RefusesFramesThatAreNotOfThisProtocol) {
  EXPECT_EQ(code_of({}), Errc::bad_frame);
  const auto with_first = [](std::string_view first) {
    Frames frames = packed_elsewhere({{"t", "ping"}});
    frames[0] = frame(first);
    return frames;
  };
  EXPECT_EQ(code_of(with_first("")), Errc::bad_frame);
  EXPECT_EQ(code_of(with_first("GET / HTTP/1.1")), Errc::bad_frame);
  EXPECT_EQ(code_of(with_first("T1x")), Errc::bad_frame);
  EXPECT_EQ(code_of(with_first("T2")), Errc::version);
  Frames alone;
  alone.push_back(frame("T1"));
  EXPECT_EQ(code_of(std::move(alone)), Errc::bad_frame);
  EXPECT_EQ(code_of(packed_elsewhere(json::array({1}))), Errc::bad_frame);
  EXPECT_EQ(code_of(packed_elsewhere({{"t", "dance"}})), Errc::bad_frame);
  EXPECT_EQ(code_of(packed_elsewhere({{"r", 1}})), Errc::bad_frame);
  EXPECT_EQ(code_of(packed_elsewhere({{"t", "ping"}, {"N", 0}})), Errc::bad_frame);
  EXPECT_EQ(code_of(packed_elsewhere({{"t", "ping"}, {"N", -1}})), Errc::bad_frame);
  EXPECT_EQ(code_of(packed_elsewhere({{"t", "ping"}, {"N", 2}})), Errc::bad_frame);
  EXPECT_EQ(code_of(packed_elsewhere({{"t", "ping"}, {"N", "2"}})), Errc::bad_frame);
  EXPECT_EQ(code_of(packed_elsewhere({{"t", "ping"}, {"B", 1}})), Errc::bad_frame);
  EXPECT_EQ(code_of(packed_elsewhere({{"t", "ping"}, {"B", -1}})), Errc::bad_frame);
  EXPECT_EQ(code_of(packed_elsewhere({{"t", "ping"}, {"B", 1}}, {}, 2)), Errc::bad_frame);
  EXPECT_EQ(code_of(packed_elsewhere({{"t", "ping"}}, {}, 1)), Errc::bad_frame);
}

TEST(Envelope, RefusesEveryTruncationAndEveryByteTooMany) {
  Packer packer;
  Randomizer random(7);
  for (int i = 0; i < 3; ++i) packer.add(random.message<Work>(), "\x81\xa3key\x93\x01\x02\xa1z");
  const Frames whole = packer.take();
  for (const std::size_t which : {1u, 2u}) {
    const auto bytes = whole[which].to_string_view();
    for (std::size_t cut = which == 2 ? 1 : 0; cut < bytes.size(); ++cut) {
      Frames frames = copy_of(whole);
      frames[which] = frame(bytes.substr(0, cut));
      ASSERT_EQ(code_of(std::move(frames)), Errc::bad_frame) << "frame " << which << " at " << cut;
    }
    Frames frames = copy_of(whole);
    frames[which] = frame(std::string(bytes) + "\x80");
    ASSERT_EQ(code_of(std::move(frames)), Errc::bad_frame);
  }
}

TEST(Envelope, RefusesDepthBombsAndLengthLies) {
  const auto with = [](std::string_view header, std::string_view params) {
    Frames frames;
    frames.push_back(frame("T1"));
    frames.push_back(frame(header));
    frames.push_back(frame(params));
    return frames;
  };
  constexpr std::string_view ping = "\x81\xa1t\xa4ping";
  const std::string bomb(1'000'000, '\x91');
  EXPECT_EQ(code_of(with(ping, bomb)), Errc::bad_frame);
  EXPECT_EQ(code_of(with("\x82\xa1t\xa4ping\xa1x" + bomb.substr(0, 60'000), "\x80")),
            Errc::bad_frame);
  using namespace std::string_view_literals;
  for (const auto lie :
       {"\xdd\xff\xff\xff\xff\x01"sv, "\xdf\x7f\xff\xff\xff\x01"sv, "\xdb\xff\xff\xff\xffx"sv,
        "\xc6\xff\xff\xff\xffx"sv, "\xc9\xff\xff\xff\xff\x01x"sv, "\xdc\xff\xff"sv, "\xd9\x02x"sv,
        "\xde\x00\x02\x01\x02\x03"sv, "\xc1"sv}) {
    EXPECT_EQ(code_of(with(ping, lie)), Errc::bad_frame);
    EXPECT_EQ(code_of(with("\x82\xa1t\xa4ping\xa1x" + std::string(lie), "\x80")), Errc::bad_frame);
    EXPECT_EQ(code_of(with(lie, "\x80")), Errc::bad_frame);
  }
  for (const int depth : {limits::msgpack_depth, limits::msgpack_depth + 1}) {
    const std::string params = std::string(static_cast<std::size_t>(depth) - 1, '\x91') + '\x90';
    EXPECT_EQ(Envelope::decode(with(ping, params)).has_value(), depth == limits::msgpack_depth);
  }
}

// One frame set that is exactly at a limit for more == 0 and one above it for more == 1.
TEST(Envelope, HoldsEachLimitAtItAndNotOneAbove) {
  const auto size = [](Bytes bytes, std::size_t more) {
    return static_cast<std::size_t>(bytes.raw()) + more;
  };
  for (const std::size_t more : {0u, 1u}) {
    const auto expect = [&](const char* what, Frames&& frames, Errc above = Errc::too_big) {
      const auto decoded = Envelope::decode(std::move(frames));
      ASSERT_EQ(decoded.has_value(), more == 0) << what;
      if (!decoded) {
        EXPECT_EQ(decoded.error().code, above) << what;
      }
    };
    // {"t": "ping", "x": text32}
    std::string header = "\x82\xa1t\xa4ping\xa1x\xdb";
    const std::size_t text = size(limits::header_bytes, more) - header.size() - 4;
    for (int shift = 24; shift >= 0; shift -= 8) header += static_cast<char>(text >> shift);
    header += std::string(text, 'x');
    Frames frames = packed_elsewhere({{"t", "ping"}});
    frames[1] = frame(header);
    expect("header_bytes", std::move(frames));

    frames = packed_elsewhere({{"t", "ping"}});
    std::string params = "\xdb";
    const std::size_t body = size(limits::params_bytes, more) - 5;
    for (int shift = 24; shift >= 0; shift -= 8) params += static_cast<char>(body >> shift);
    params += std::string(body, 'x');
    frames[2] = frame(params);
    expect("params_bytes", std::move(frames));

    frames = packed_elsewhere({{"t", "ping"}, {"B", 1}}, {}, 1);
    frames[3] = zmq::message_t(size(limits::frame_bytes, more));
    expect("frame_bytes", std::move(frames));

    const auto blobs = limits::item_blobs + more;
    expect("item_blobs",
           packed_elsewhere({{"t", "ping"}, {"B", blobs}}, {}, static_cast<int>(blobs)));

    json keys = {{"t", "ping"}};
    for (std::size_t i = 1; i < limits::header_keys + more; ++i) keys["k" + std::to_string(i)] = i;
    expect("header_keys", packed_elsewhere(keys), Errc::bad_frame);

    const auto n = limits::batch_jobs + more;
    std::string headers = "\x82\xa1t\xa4ping\xa1N\xcd";
    headers += static_cast<char>(n >> 8);
    headers += static_cast<char>(n);
    for (std::size_t i = 1; i < n; ++i) headers += "\x81\xa1t\xa4ping";
    frames = packed_elsewhere({});
    frames[1] = frame(headers);
    frames[2] = frame(std::string(n, '\x80'));
    expect("batch_jobs", std::move(frames));

    // 64 messages with 64 blobs each; one more message with one more blob.
    std::string owners = "\x83\xa1t\xa4ping\xa1N" + std::string(1, static_cast<char>(64 + more)) +
                         "\xa1"
                         "B\x40";
    for (int i = 1; i < 64; ++i)
      owners +=
          "\x82\xa1t\xa4ping\xa1"
          "B\x40";
    if (more == 1)
      owners +=
          "\x82\xa1t\xa4ping\xa1"
          "B\x01";
    frames = packed_elsewhere({}, {}, static_cast<int>(limits::batch_blobs + more));
    frames[1] = frame(owners);
    frames[2] = frame("");
    expect("batch_blobs", std::move(frames));

    // 64 headers of 64 KiB, the last one as long as there is room or a byte longer.
    const auto padded = [](std::string begin, std::size_t bytes) {
      const std::size_t rest = bytes - begin.size() - 5;
      begin += '\xdb';
      for (int shift = 24; shift >= 0; shift -= 8) begin += static_cast<char>(rest >> shift);
      return begin + std::string(rest, 'x');
    };
    const std::size_t whole = size(limits::header_bytes, 0);
    const std::size_t fit = size(limits::header_frame_bytes, 0) / whole;
    std::string full =
        padded("\x83\xa1t\xa4ping\xa1N" + std::string(1, static_cast<char>(fit + 1)) + "\xa1x",
               whole - 100);
    for (std::size_t i = 1; i < fit; ++i) full += padded("\x82\xa1t\xa4ping\xa1x", whole);
    full += padded("\x82\xa1t\xa4ping\xa1x", 100 + more);
    frames = packed_elsewhere({});
    frames[1] = frame(full);
    frames[2] = frame("");
    expect("header_frame_bytes", std::move(frames));

    // Eight blobs fill the envelope but for what the other frames take.
    frames = packed_elsewhere({{"t", "ping"}, {"B", 9}}, {}, 9);
    std::size_t total = 0;
    for (int i = 0; i < 3; ++i) total += frames[static_cast<std::size_t>(i)].size();
    for (std::size_t i = 3; i < 10; ++i)
      total += (frames[i] = zmq::message_t(size(limits::frame_bytes, 0))).size();
    frames[10] = zmq::message_t(1000);
    frames[11] = zmq::message_t(size(limits::envelope_bytes, more) - total - 1000);
    expect("envelope_bytes", std::move(frames));

    std::string ids = "\x82\xa1t\xa5watch\xa3ids\xdc";
    const auto list = limits::header_list + more;
    ids += static_cast<char>(list >> 8);
    ids += static_cast<char>(list);
    ids += std::string(list, '\x07');
    frames = packed_elsewhere({});
    frames[1] = frame(ids);
    const auto watch = Envelope::decode(std::move(frames));
    ASSERT_TRUE(watch);
    EXPECT_EQ(read<Watch>(watch->items()[0]).has_value(), more == 0) << "header_list";
  }
}

TEST(Envelope, AFullBatchComesThroughWhole) {
  Packer packer;
  Submit submit;
  submit.kind = "synthetic";
  while (!packer.full()) {
    submit.request = static_cast<std::int64_t>(packer.size());
    packer.add(submit);
  }
  EXPECT_EQ(packer.size(), limits::batch_jobs);
  const auto envelope = Envelope::decode(packer.take());
  ASSERT_TRUE(envelope) << envelope.error().message;
  for (std::size_t i = 0; i < limits::batch_jobs; ++i)
    ASSERT_EQ(read<Submit>(envelope->items()[i])->request, static_cast<std::int64_t>(i));
}

TEST(Packer, RefusesWhatTheDoorWouldRefuseAndGoesOn) {
  Packer packer;
  const std::string long_text(static_cast<std::size_t>(limits::header_bytes.raw()), 'x');
  Failure failure;
  failure.message = long_text;
  const auto header = packer.try_add(failure);
  ASSERT_FALSE(header);
  EXPECT_EQ(header.error().code, Errc::too_big);
  const auto params = packer.try_add(
      Reply{}, std::string(static_cast<std::size_t>(limits::params_bytes.raw()) + 1, '\0'));
  ASSERT_FALSE(params);
  EXPECT_EQ(params.error().code, Errc::too_big);
  EXPECT_TRUE(packer.empty());
  EXPECT_EQ(packer.bytes(), 0u);
  failure.message = "short";
  ASSERT_TRUE(packer.try_add(failure));
  const auto envelope = Envelope::decode(packer.take());
  ASSERT_TRUE(envelope);
  EXPECT_EQ(read<Failure>(envelope->items()[0])->message, "short");
}

TEST(Packer, ClosesItsEnvelopeLongBeforeTheDoorsLimits) {
  Packer packer;
  const std::string params = *msgpack_of_json(std::string(100'000, 'p'));
  while (!packer.full()) packer.add(Submit{}, params);
  EXPECT_LE(packer.size(), 12u);
  EXPECT_TRUE(Envelope::decode(packer.take()));
  while (!packer.full()) {
    packer.add(Submit{});
    for (std::size_t i = 0; i < limits::item_blobs; ++i) packer.add_blob(frame("b"));
  }
  const auto envelope = Envelope::decode(packer.take());
  EXPECT_TRUE(envelope) << envelope.error().message;
}

// ---- the cursor, against msgpack-cxx ----

TEST(MsgpackReader, SkipsExactlyWhatMsgpackCxxUnpacks) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 rng(seed);
  const msgpack::unpack_limit bounds(2'000, 2'000, 2'000, 2'000, 2'000, limits::msgpack_depth);
  int whole = 0;
  for (int round = 0; round < 50'000; ++round) {
    std::string bytes;
    const std::uint64_t length = 1 + rng() % 40;
    // Half of the bytes are format bytes with an extra, the rest small numbers.
    for (std::uint64_t i = 0; i < length; ++i)
      bytes += static_cast<char>(rng() % 2 == 0 ? 0x80 + rng() % 0x80 : rng() % 8);
    MsgpackReader reader(bytes);
    const bool ours = reader.skip();
    bool theirs = true;
    std::size_t end = 0;
    try {
      (void)msgpack::unpack(bytes.data(), bytes.size(), end, nullptr, nullptr, bounds);
    } catch (const msgpack::unpack_error&) {
      theirs = false;
    }
    ASSERT_EQ(ours, theirs) << "round " << round;
    if (!ours) continue;
    ++whole;
    ASSERT_EQ(static_cast<std::size_t>(reader.at() - bytes.data()), end) << "round " << round;
  }
  EXPECT_GT(whole, 1'000);
}

TEST(MsgpackReader, AValueOfAnotherTypeMovesNothing) {
  const std::string values = "\x05\xa1x\xc3\xcb\x3f\xf8" + std::string(6, '\0') + "\x90\x80\xc0";
  MsgpackReader reader(values);
  std::string_view text;
  std::int64_t number = 0;
  std::uint64_t positive = 0;
  double real = 0;
  bool flag = false;
  EXPECT_FALSE(reader.read(text) || reader.read(flag) || reader.nil());
  EXPECT_TRUE(reader.read(number));
  EXPECT_FALSE(reader.read(number) || reader.read(positive) || reader.read(real));
  EXPECT_TRUE(reader.read(text));
  EXPECT_FALSE(reader.read(text));
  EXPECT_TRUE(reader.read(flag) && flag);
  EXPECT_FALSE(reader.read(number));
  EXPECT_TRUE(reader.read(real));
  EXPECT_EQ(real, 1.5);
  std::uint32_t n = 9;
  EXPECT_FALSE(reader.map(n));
  EXPECT_TRUE(reader.list(n) && n == 0);
  EXPECT_TRUE(reader.map(n) && n == 0);
  EXPECT_TRUE(reader.nil() && reader.at_end());
  EXPECT_EQ(reader.type(), MsgpackReader::Type::none);

  MsgpackReader large("\xcf\xff\xff\xff\xff\xff\xff\xff\xff");
  EXPECT_FALSE(large.read(number));
  EXPECT_TRUE(large.read(positive));
  MsgpackReader negative("\xff");
  EXPECT_FALSE(negative.read(positive));
  EXPECT_TRUE(negative.read(number) && number == -1);
}

}  // namespace
}  // namespace tallymill::bus
