// Pushes over HTTP. Goal: what is known of a sender's labels, and of a text's samples, has its
// bound, and at the bound and above it every sample is stored where it belongs or the push is
// refused whole. Method: a real server and store; bounds that the test lowers.
#include "collector/write_door.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <limits>
#include <map>

#include "base/limits.h"
#include "tests/collector/write_request.h"
#include "tests/http/raw_client.h"

namespace tallymill::collector {
namespace {

class WriteDoorTest : public ::testing::Test {
 protected:
  WriteDoorTest() {
    std::string path = ::testing::TempDir() + "tallymill-writes-XXXXXX";
    folder_ = ::mkdtemp(path.data());
    store_ = *Store::open(folder_, {.background = false});
  }
  ~WriteDoorTest() override {
    served_.server.stop();
    if (door_) door_->stop();
    store_.reset();
    std::filesystem::remove_all(folder_);
  }
  void open(std::size_t known = limits::known_raw_labels) {
    door_ = std::make_unique<WriteDoor>(*store_, metadata_, exemplars_, served_.registry, known);
    http::Router rows;
    door_->add_routes(rows);
    served_.on_thread([&] {
      door_->start(served_.server);
      served_.server.change(std::move(rows));
    });
  }
  http::WireReply push(std::string_view path, std::string_view fields, const std::string& body) {
    auto client = served_.client();
    return client.ask(fmt::format("POST {}", path),
                      fmt::format("{}Content-Length: {}\r\n", fields, body.size()), body);
  }
  // A request with one sample of each of these, whose value is its number.
  int write(int first, int last, std::size_t padding = 0) {
    std::string request;
    for (int i = first; i <= last; ++i)
      request += time_series(
          label_fields({{"__name__", fmt::format("s{}", i)}, {"pad", std::string(padding, 'p')}}) +
          sample_field(i, ++t_ms_));
    return push("/api/v1/write",
                "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n",
                snappy_block(request))
        .status;
  }
  // The newest value of each metric.
  std::map<std::string, double> stored() {
    constexpr auto ever = std::numeric_limits<std::int64_t>::max();
    std::map<std::string, double> newest;
    const auto all = *store_->select({}, -ever, ever);
    Column samples;
    for (const Source::Found& one : all) {
      EXPECT_TRUE(store_->read(one.series, -ever, ever, samples));
      if (samples.size() > 0) newest[std::string(one.labels.metric())] = samples.value.back();
    }
    return newest;
  }
  [[nodiscard]] double known(const char* what = "") const {
    return served_.metric(std::string("tallymill_collector_known_labels") + what);
  }

  std::string folder_;
  std::unique_ptr<Store> store_;
  MetadataStore metadata_;
  ExemplarStore exemplars_;
  http::Served served_{http::Router()};
  std::unique_ptr<WriteDoor> door_;
  std::int64_t t_ms_ = 1'000;
};

TEST_F(WriteDoorTest, SoManyLabelsAreKnownBySightAndOneMoreIsStoredAllTheSame) {
  open(10);
  EXPECT_EQ(write(1, 10), 204);
  EXPECT_EQ(known(), 10);
  EXPECT_EQ(write(1, 11), 204);
  EXPECT_EQ(known(), 1) << "they begin anew";
  EXPECT_EQ(write(1, 11), 204);
  const auto all = stored();
  EXPECT_EQ(all.size(), 11U);
  for (int i = 1; i <= 11; ++i) EXPECT_EQ(all.at(fmt::format("s{}", i)), i);
}

TEST_F(WriteDoorTest, LabelsThatAreKnownBySightHaveSoManyBytesTogether) {
  open(10);
  EXPECT_EQ(write(1, 1, 2'400), 204);
  const double one = known("_bytes");
  EXPECT_GT(one, 2'400);
  EXPECT_LT(one, 2'560);
  EXPECT_EQ(write(2, 2, 2'400), 204);
  EXPECT_EQ(known(), 2);
  EXPECT_EQ(known("_bytes"), 2 * one) << "of 10 x 512";
  EXPECT_EQ(write(3, 3, 2'400), 204);
  EXPECT_EQ(known(), 1);
  EXPECT_EQ(known("_bytes"), one);
  EXPECT_EQ(write(1, 3, 2'400), 204);
  const auto all = stored();
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(all.at(fmt::format("s{}", i)), i);
}

TEST_F(WriteDoorTest, ATextIsReadAsItsContentTypeSaysAndOtherTypesAreRefused) {
  open();
  const auto import = [&](const std::string& type, const std::string& text) {
    return push("/api/v1/import/prometheus", fmt::format("Content-Type: {}\r\n", type), text)
        .status;
  };
  // Seconds there, milliseconds here.
  EXPECT_EQ(import("application/openmetrics-text; version=1.0.0; charset=utf-8",
                   "# TYPE a gauge\na 1 2.5\n# EOF\n"),
            204);
  EXPECT_EQ(import("text/plain; version=0.0.4", "b 1 2500\n"), 204);
  EXPECT_EQ(store_->span()->first_ms, 2'500);
  EXPECT_EQ(store_->span()->last_ms, 2'500);
  EXPECT_EQ(import("application/openmetrics-text", "a 1\n"), 400) << "without its end";
  for (const char* other : {"application/x-protobuf", "text/html", "text/plain, text/html",
                            "application/openmetrics-text,", "openmetrics-text"})
    EXPECT_EQ(import(other, "a 1\n"), 415) << other;
}

TEST_F(WriteDoorTest, ATextHasAsManySamplesAsItMayAndWithOneMoreNothingIsStored) {
  open();
  std::string text;
  for (std::size_t i = 0; i < limits::write_request_samples; ++i) text += "a 1 1\n";
  const auto import = [&] {
    return push("/api/v1/import/prometheus", "Content-Type: text/plain\r\n", text);
  };
  text += "a 1 1\n";
  const auto refused = import();
  EXPECT_EQ(refused.status, 400);
  EXPECT_NE(refused.body.find("more than 1000000 samples"), std::string::npos) << refused.body;
  EXPECT_TRUE(stored().empty());
  EXPECT_EQ(served_.metric("tallymill_collector_malformed_requests_total"), 1);
  text.resize(text.size() - 6);
  EXPECT_EQ(import().status, 204);
  EXPECT_EQ(stored().at("a"), 1);
}

}  // namespace
}  // namespace tallymill::collector
