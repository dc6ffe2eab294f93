// Remote write. Goal: a request gives exactly its points, and whatever else comes is an error and
// never more than that. Method: requests built field by field (write_request.h); every prefix of
// one, thousands of mutated ones; random ones against what they were made from, seeds printed.
#include "collector/remote_write.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "base/limits.h"
#include "collector/labels_check.h"
#include "collector/raw_labels.h"
#include "tests/collector/write_request.h"

namespace tallymill::collector {
namespace {

using namespace std::string_view_literals;

// A store with a cache of one: what it was asked, and series in the order in which they came.
class Store : public WriteSink {
 public:
  std::expected<SeriesId, Refused> series(std::string_view raw) override {
    std::vector<Label> labels;
    if (!read_raw_labels(raw, labels)) return std::unexpected(Refused::malformed);
    if (settle(labels) != LabelFault::none) return std::unexpected(Refused::bad_labels);
    const Labels made = labels_of(labels);
    if (made.get("full") != "") return std::unexpected(Refused::no_room);
    const auto [at, is_new] =
        ids_.try_emplace(made.text(), SeriesId(static_cast<std::uint32_t>(ids_.size())));
    if (is_new) names.push_back(made.text());
    return at->second;
  }
  void exemplar(SeriesId series, const Exemplar& exemplar) override {
    std::string line =
        fmt::format("{} #{}", names.at(series.raw()), labels_of(exemplar.labels).text());
    told.push_back(fmt::format("{} {} @{}", line, exemplar.value, exemplar.t_ms.value_or(-1)));
  }
  void metadata(const Metadata& metadata) override {
    told.push_back(fmt::format("{} is {} '{}' in '{}'", metadata.name, name_of(*metadata.type),
                               *metadata.help, *metadata.unit));
  }
  std::vector<std::string> names;
  std::vector<std::string> told;

 private:
  std::map<std::string, SeriesId> ids_;
};

// All that came of a request, as text.
std::string read(std::string_view message) {
  Store store;
  RemoteWrite request;
  const auto counts = request.read_message(message, store);
  if (!counts) return fmt::format("{} {}", info(counts.error().code).name, counts.error().message);
  std::string all;
  for (const Point& point : request.points())
    all += fmt::format("{} {}@{};", store.names.at(point.series.raw()), point.value, point.t_ms);
  for (const std::string& line : store.told) all += line + ";";
  EXPECT_EQ(counts->samples, request.points().size());
  const std::pair<std::string_view, std::size_t> other[] = {
      {"bad series", counts->bad_series},         {"bad samples", counts->bad_samples},
      {"no room series", counts->no_room_series}, {"no room samples", counts->no_room_samples},
      {"dropped", counts->dropped_exemplars},     {"bad metadata", counts->bad_metadata},
      {"histograms", counts->histograms}};
  for (const auto& [what, times] : other)
    if (times != 0) all += fmt::format("{} {};", times, what);
  return all;
}
std::string code(std::string_view message) {
  const std::string all = read(message);
  return all.starts_with("E_") ? all.substr(0, all.find(' ')) : "ok";
}

const TextPairs up = {{"__name__", "up"}, {"job", "a"}};

TEST(RemoteWrite, ARequestIsItsPoints) {
  EXPECT_EQ(read(time_series(label_fields(up) + sample_field(1, 1000) + sample_field(0.5, -1)) +
                 time_series(label_fields({{"__name__", "x"}}) + sample_field(2, 0)) +
                 time_series(label_fields(up) + sample_field(3, INT64_MIN))),
            "up{job=\"a\"} 1@1000;up{job=\"a\"} 0.5@-1;x 2@0;"
            "up{job=\"a\"} 3@-9223372036854775808;");
  EXPECT_EQ(read(""), "");
  EXPECT_EQ(read(time_series("")), "");
  EXPECT_EQ(read(time_series(label_fields(up))), "");  // nothing of a series: it is not made
  EXPECT_EQ(read(time_series(label_fields(up) + bytes_field(2, ""))), "up{job=\"a\"} 0@0;");
}

TEST(RemoteWrite, AStaleMarkerKeepsItsBits) {
  Store store;
  RemoteWrite request;
  ASSERT_TRUE(
      request.read_message(time_series(label_fields(up) + sample_field(stale_marker, 7)), store));
  EXPECT_TRUE(is_stale(request.points()[0].value));
}

TEST(RemoteWrite, FieldsMayComeInAnyOrderAndOfATwiceSaidOneTheLastCounts) {
  const std::string name = label_field("__name__", "up");
  const std::string job = label_field("job", "a");
  const std::string sample = sample_field(1, 2);
  const std::string backwards = bytes_field(
      1, joined({bytes_field(2, "up"), varint_field(3, 1), bytes_field(1, "__name__")}));
  const std::string twice = bytes_field(1, joined({bytes_field(1, "no"), bytes_field(1, "job"),
                                                   bytes_field(2, "no"), bytes_field(2, "a")}));
  const std::string twice_sample =
      bytes_field(2, joined({varint_field(2, 9), double_field(1, 5), varint_field(2, 2),
                             varint_field(3, 1), double_field(1, 1)}));
  for (const std::string& fields :
       {joined({name, job, sample}), joined({sample, name, job}), joined({name, sample, job}),
        joined({job, sample, name}), joined({job, name, sample}),
        joined({varint_field(9, 1), name, bytes_field(77, "x"), job, sample}),
        joined({name, job, varint_field(5, 1), sample, double_field(6, 1), tag(7, 5), "1234"}),
        joined({name, sample, job, label_field("empty", "")}), joined({backwards, twice, sample}),
        joined({name, job, twice_sample})})
    EXPECT_EQ(read(varint_field(2, 1) + time_series(fields) + bytes_field(4, "x")),
              "up{job=\"a\"} 1@2;");
}

TEST(RemoteWrite, SeriesThatTheSinkRefusesAreCountedAndTheOthersRead) {
  const std::string good = time_series(label_fields(up) + sample_field(1, 1));
  const std::string two = sample_field(2, 2) + sample_field(3, 3);
  for (const TextPairs& bad :
       {TextPairs{}, TextPairs{{"a", ""}}, TextPairs{{"", "x"}}, TextPairs{{"a", "\xff"}},
        TextPairs{{"__name__", "a-b"}}, TextPairs{{"a", "x"}, {"a", "y"}}, TextPairs{{"a-b", "x"}},
        TextPairs(limits::series_labels + 1, {"a", "x"}),
        TextPairs{{"a", std::string(limits::label_value_bytes + 1, 'x')}}})
    EXPECT_EQ(read(joined({time_series(label_fields(bad) + two), good})),
              "up{job=\"a\"} 1@1;1 bad series;2 bad samples;");
  EXPECT_EQ(read(time_series(label_fields({{"full", "x"}}) + two) + good),
            "up{job=\"a\"} 1@1;1 no room series;2 no room samples;");
}

TEST(RemoteWrite, MetadataExemplarsAndHistogramsAreToldOrCounted) {
  EXPECT_EQ(read(metadata_field(1, "a", "How many.", "s") + metadata_field(99, "b", "", "") +
                 metadata_field(1, "a-b", "", "") + metadata_field(1, "a", "\xff", "") +
                 metadata_field(1, "a", "", std::string(limits::label_name_bytes + 1, 'x')) +
                 metadata_field(7, "c", std::string(limits::metric_help_bytes + 1, 'x'), "")),
            "a is counter 'How many.' in 's';b is unknown '' in '';c is stateset '" +
                std::string(limits::metric_help_bytes, 'x') + "' in '';3 bad metadata;");
  EXPECT_EQ(read(time_series(
                exemplar_field({{"trace", "t"}, {"job_id", "1"}}, 0.5, 9) + label_fields(up) +
                exemplar_field({}, 1, 2) +
                exemplar_field({{"a", std::string(limits::exemplar_chars, 'x')}}, 1, 2) +
                exemplar_field({{"a", "x"}, {"a", "y"}}, 1, 2) +
                exemplar_field(TextPairs(200, {"a", "x"}), 1, 2) + bytes_field(4, "a histogram"))),
            "up{job=\"a\"} #{job_id=\"1\", trace=\"t\"} 0.5 @9;up{job=\"a\"} #{} 1 @2;"
            "3 dropped;1 histograms;");
}

TEST(RemoteWrite, WhatIsNotOfThisMessageIsRefused) {
  const std::string labels = label_fields(up);
  const std::string sample = sample_field(1, 1);
  const std::string group = tag(9, 3) + tag(9, 4);
  const auto long_number = std::string(9, '\xff');
  for (const std::string& message :
       {std::string("\x0a"),
        std::string("\x0a\x05"),
        std::string("\x0a\x05xxxx"),
        std::string("\x80"),
        std::string("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        std::string("\0", 1),
        std::string("\x02\0", 2),
        varint_field(std::uint64_t{1} << 29, 1),
        tag(9, 0) + long_number + "\x02",
        tag(9, 0) + long_number + "\x80\x01",
        tag(9, 1) + "1234567",
        tag(9, 5) + "123",
        tag(9, 6),
        tag(9, 7),
        group,
        varint_field(1, 1),
        varint_field(3, 1),
        double_field(1, 1),
        time_series(varint_field(1, 1)),
        time_series(labels + varint_field(2, 1)),
        time_series(labels + double_field(3, 1)),
        time_series(labels + varint_field(4, 1)),
        time_series(joined({labels, group, sample})),
        time_series(labels + bytes_field(2, varint_field(1, 1))),
        time_series(labels + bytes_field(2, bytes_field(1, "12345678"))),
        time_series(labels + bytes_field(2, tag(1, 5) + "1234")),
        time_series(labels + bytes_field(2, double_field(2, 1))),
        time_series(labels + bytes_field(2, group)),
        time_series(labels + bytes_field(2, double_field(1, 1).substr(0, 5))),
        time_series(bytes_field(1, varint_field(1, 1)) + sample),
        time_series(bytes_field(1, varint_field(2, 1)) + sample),
        time_series(bytes_field(1, "\x0a\x09name") + sample),
        time_series(bytes_field(1, group) + sample),
        time_series(labels + bytes_field(3, bytes_field(1, "\x0a\x09name"))),
        time_series(labels + bytes_field(3, varint_field(1, 1))),
        time_series(labels + bytes_field(3, varint_field(2, 1))),
        time_series(labels + bytes_field(3, bytes_field(3, ""))),
        bytes_field(3, bytes_field(1, "")),
        bytes_field(3, varint_field(2, 1)),
        bytes_field(3, varint_field(4, 1)),
        bytes_field(3, varint_field(5, 1)),
        bytes_field(3, group)})
    EXPECT_EQ(code(joined({time_series(labels + sample), message})), "E_PARAMS")
        << fmt::format("{:?}", message);
  EXPECT_EQ(read(varint_field(9, UINT64_MAX) + tag((1u << 29) - 1, 0) + "\x01"), "");
}

TEST(RemoteWrite, ABlockIsJudgedByItsLengthBeforeItIsTakenOut) {
  const std::string message = time_series(label_fields(up) + sample_field(1, 1));
  const auto read_block = [](std::string_view block) {
    Store store;
    RemoteWrite request;
    const auto counts = request.read(block, store);
    return counts ? fmt::format("{}", counts->samples) : counts.error().message;
  };
  const std::string block = snappy_block(message);
  EXPECT_EQ(read_block(block), "1");
  EXPECT_EQ(read_block(snappy_block("")), "0");
  EXPECT_EQ(read_block(""), "the request is no snappy block");
  // Framed, as files are.
  EXPECT_EQ(read_block("\xff\x06\x00\x00sNaPpY"sv), "the snappy block says more than it can hold");
  EXPECT_EQ(read_block(message), "the snappy block is damaged");  // of plain protobuf
  const std::string body = block.substr(varint(message.size()).size());
  const std::size_t most = static_cast<std::size_t>(limits::write_request_bytes.raw());
  EXPECT_EQ(read_block(varint(message.size() + 1) + body), "the snappy block is damaged");
  EXPECT_EQ(read_block(varint(message.size() - 1) + body), "the snappy block is damaged");
  EXPECT_EQ(read_block(varint(0) + body), "the snappy block is damaged");
  EXPECT_EQ(read_block(varint(most) + body), "the snappy block says more than it can hold");
  EXPECT_TRUE(read_block(varint(most + 1) + body).starts_with("the request is of 33554433 bytes"));
  EXPECT_TRUE(read_block(varint(UINT32_MAX) + body).starts_with("the request is of 4294967295"));
  EXPECT_EQ(read_block(varint(std::uint64_t{1} << 32) + body), "the request is no snappy block");
}

TEST(RemoteWrite, ARequestIsAsLargeAsItsBoundAndNotMore) {
  const std::size_t most = static_cast<std::size_t>(limits::write_request_bytes.raw());
  const auto with = [](std::size_t bytes) {  // of zeros in a field that is not known
    std::string message = tag(9, 2) + varint(bytes - 5);
    message.resize(bytes, '\0');
    Store store;
    RemoteWrite request;
    const auto counts = request.read(snappy_block(message), store);
    return counts ? Errc::busy : counts.error().code;
  };
  EXPECT_EQ(with(most), Errc::busy);
  EXPECT_EQ(with(most + 1), Errc::too_big);
}

TEST(RemoteWrite, ARequestHasAsManySamplesAsItsBoundAndNotOneMore) {
  std::string fields = label_fields(up);
  for (std::size_t i = 0; i < limits::write_request_samples / 2; ++i) fields += bytes_field(2, "");
  const std::string half = time_series(fields);
  Store store;
  RemoteWrite request;
  EXPECT_EQ(request.read_message(half + half, store).value().samples,
            limits::write_request_samples);
  const auto counts =
      request.read_message(half + half + time_series(label_fields(up) + sample_field(1, 1)), store);
  ASSERT_FALSE(counts);
  EXPECT_EQ(counts.error().code, Errc::too_big);
  // The next request is one like any other.
  EXPECT_EQ(request.read(snappy_block(time_series(label_fields(up) + sample_field(1, 1))), store)
                .value()
                .samples,
            1U);
}

TEST(RawLabels, AreTheSameOnlyAsEverySenderWritesThem) {
  const std::string large(300, 'x');
  const TextPairs pairs = {{"__name__", "up"}, {"job", "a"}, {"large", large}};
  const Labels labels = Labels::of(pairs);
  const std::string raw = label_fields(pairs);
  EXPECT_TRUE(same_labels(raw, labels));
  EXPECT_TRUE(same_labels("", Labels()));
  EXPECT_FALSE(same_labels("", labels));
  EXPECT_FALSE(same_labels(raw, Labels()));
  for (std::size_t i = 0; i < raw.size(); ++i) {
    EXPECT_FALSE(same_labels(std::string_view(raw).substr(0, i), labels)) << i;
    EXPECT_FALSE(same_labels(std::string_view(raw).substr(i + 1), labels)) << i;
    std::string other = raw;
    other[i] = static_cast<char>(other[i] ^ 1);
    EXPECT_FALSE(same_labels(other, labels)) << i;
  }
  EXPECT_FALSE(same_labels(raw + label_field("z", "1"), labels));
  EXPECT_FALSE(same_labels(raw + label_field("z", ""), labels));
  EXPECT_FALSE(same_labels(label_fields({pairs[1], pairs[0], pairs[2]}), labels));
  EXPECT_FALSE(same_labels(bytes_field(1, bytes_field(2, "up") + bytes_field(1, "__name__")),
                           Labels::of({{"__name__", "up"}})));
  EXPECT_FALSE(same_labels(std::string(100, '\x0a') + std::string(100, '\xff'), labels));
  // A label with more in it: the second name would be the one that counts.
  const std::string job = bytes_field(1, "job") + bytes_field(2, "a");
  const Labels only_job = Labels::of({{"job", "a"}});
  EXPECT_TRUE(same_labels(bytes_field(1, job), only_job));
  EXPECT_FALSE(same_labels(bytes_field(1, job + bytes_field(1, "other")), only_job));
  EXPECT_FALSE(same_labels(bytes_field(1, job + varint_field(9, 1)), only_job));
  // One that is shorter than what is in it, at the end of its memory.
  for (std::size_t bytes = 0; bytes < job.size(); ++bytes) {
    const std::string cut = bytes_field(1, std::string_view(job).substr(0, bytes));
    const std::vector<char> sized(cut.begin(), cut.end());
    EXPECT_FALSE(same_labels({sized.data(), sized.size()}, only_job)) << bytes;
  }
  // A name and a value that could be cut otherwise.
  EXPECT_FALSE(same_labels(label_field("ab", "c"), Labels::of({{"a", "bc"}})));
}

struct Made {
  std::string message;
  std::string told;
};

// A request with some of everything that senders write.
Made random_request(std::mt19937_64& random) {
  Made made;
  for (auto series = random() % 5; series > 0; --series) {
    TextPairs pairs = {{"__name__", fmt::format("m{}", random() % 3)}};
    for (char name = 'a'; name < 'f'; ++name)
      if (random() % 2 == 0)
        pairs.emplace_back(std::string(1, name), std::string(1 + random() % 200, 'v'));
    std::string fields = label_fields(pairs);
    for (auto samples = random() % 4; samples > 0; --samples) {
      const double value = static_cast<double>(random() % 1000) / 8;
      const auto t_ms = static_cast<std::int64_t>(random() >> (random() % 64));
      fields += sample_field(value, t_ms);
      made.told += fmt::format("{} {}@{};", Labels::of(pairs).text(), value, t_ms);
    }
    made.message += time_series(fields);
  }
  return made;
}

TEST(RemoteWrite, WhatIsWrittenIsRead) {
  const auto seed = std::random_device{}();
  fmt::print("remote write, what is written: seed {}\n", seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 2'000; ++i) {
    const Made made = random_request(random);
    ASSERT_EQ(read(made.message), made.told) << "seed " << seed << ", request " << i;
  }
}

TEST(RemoteWrite, EveryPrefixIsReadOrRefused) {
  const std::string message = time_series(label_fields(up) + sample_field(1, 1'700'000'000'000) +
                                          exemplar_field({{"trace", "t"}}, 0.5, 9)) +
                              metadata_field(1, "a", "help", "s") +
                              time_series(label_fields(up) + sample_field(2, 2));
  int read_ones = 0;
  for (std::size_t i = 0; i <= message.size(); ++i) {
    // Of its own size, so that a sanitizer sees a byte too many.
    const std::vector<char> prefix(message.begin(),
                                   message.begin() + static_cast<std::ptrdiff_t>(i));
    read_ones += code({prefix.data(), prefix.size()}) == "ok" ? 1 : 0;
  }
  EXPECT_EQ(read_ones, 4);  // behind each field of the request, and before the first
  const std::string block = snappy_block(message);
  for (std::size_t i = 0; i < block.size(); ++i) {
    const std::vector<char> prefix(block.begin(), block.begin() + static_cast<std::ptrdiff_t>(i));
    Store store;
    RemoteWrite request;
    EXPECT_FALSE(request.read({prefix.data(), prefix.size()}, store)) << i;
  }
}

TEST(RemoteWrite, AMutatedRequestIsReadOrRefused) {
  const auto seed = std::random_device{}();
  fmt::print("remote write, mutated: seed {}\n", seed);
  std::mt19937_64 random(seed);
  int read_ones = 0;
  RemoteWrite request;
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = random_request(random).message;
    const bool in_block = i % 2 == 0;
    if (in_block) bytes = snappy_block(bytes);
    for (auto times = 1 + random() % 4; times > 0 && !bytes.empty(); --times) {
      const std::size_t at = random() % bytes.size();
      if (random() % 4 == 0) {
        bytes.erase(at, 1 + random() % 8);
      } else {
        bytes[at] = static_cast<char>(random());
      }
    }
    const std::vector<char> sized(bytes.begin(), bytes.end());
    Store store;
    const std::string_view view(sized.data(), sized.size());
    const auto counts = in_block ? request.read(view, store) : request.read_message(view, store);
    read_ones += counts ? 1 : 0;
  }
  EXPECT_GT(read_ones, 200) << "seed " << seed;
  EXPECT_LT(read_ones, 19'000) << "seed " << seed;
}

}  // namespace
}  // namespace tallymill::collector
