// Goal: targets are asked as the file says, and what they say, or that they say nothing, is in the
// store and in what is told of them. Method: a real HTTP server as the target, a real store; waits
// are for what must come, and end after ten seconds.
#include "collector/scrape.h"

#include <gtest/gtest.h>
#include <libdeflate.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <thread>

#include "http/server.h"

namespace tallymill::collector {
namespace {

using nlohmann::json;

constexpr std::int64_t ever = std::numeric_limits<std::int64_t>::max();

std::string gzip(std::string_view text) {
  libdeflate_compressor* const made = libdeflate_alloc_compressor(6);
  std::string packed(libdeflate_gzip_compress_bound(made, text.size()), '\0');
  packed.resize(
      libdeflate_gzip_compress(made, text.data(), text.size(), packed.data(), packed.size()));
  libdeflate_free_compressor(made);
  return packed;
}

class ScrapeTest : public ::testing::Test {
 protected:
  ScrapeTest() {
    std::string path = ::testing::TempDir() + "tallymill-scraper-XXXXXX";
    folder_ = ::mkdtemp(path.data());
    store_ = *Store::open(folder_, {.background = false});
    http::Router router;
    add(router, "/metrics", [this](http::Request&& request, http::Answer answer) {
      asked_with_ = std::string(request.headers.get("Accept")) + "|" +
                    std::string(request.headers.get("Authorization")) + "|" +
                    std::string(request.headers.get("X-Prometheus-Scrape-Timeout-Seconds"));
      http::Response response{.status = status_.load(), .type = "text/plain"};
      response.body = http::Body("# TYPE a gauge\na " + std::to_string(++asked_) + "\n");
      answer.send(std::move(response));
    });
    add(router, "/gzip", [](http::Request&&, http::Answer answer) {
      http::Response response{.type = "application/openmetrics-text; version=1.0.0"};
      response.headers.add("Content-Encoding", "gzip");
      response.body = http::Body(gzip("# TYPE g gauge\ng 3\n# EOF\n"));
      answer.send(std::move(response));
    });
    add(router, "/bad", [](http::Request&&, http::Answer answer) {
      http::Response response{.type = "text/plain"};
      response.body = http::Body("a 1\nb{ 2\n");
      answer.send(std::move(response));
    });
    add(router, "/large", [](http::Request&&, http::Answer answer) {
      http::Response response{.type = "text/plain"};
      response.body = http::Body(
          std::string(static_cast<std::size_t>(limits::scrape_body_bytes.raw()) + 1, '\n'));
      answer.send(std::move(response));
    });
    add(router, "/sized", [this](http::Request&&, http::Answer answer) {
      http::Response response{.type = "text/plain"};
      response.body = http::Body(std::string(size_.load(), '\n'));
      answer.send(std::move(response));
    });
    add(router, "/silent", [this](http::Request&&, http::Answer answer) {
      held_.push_back(std::make_unique<http::Answer>(std::move(answer)));
    });
    server_ = std::make_unique<http::Server>(std::move(router), http::ServerOptions{});
    EXPECT_TRUE(server_->open());
    server_->start();
  }
  ~ScrapeTest() override {
    scraper_.reset();
    server_->stop();
    store_.reset();
    std::filesystem::remove_all(folder_);
  }
  template <class Handler>
  static void add(http::Router& router, const char* path, Handler handler) {
    router.add({http::Method::get, path, http::Role::none, {.whole = handler}, {}});
  }

  void scrape(const std::string& path, const std::string& interval = "100ms",
              Bytes held = limits::scrapes_held_bytes) {
    const std::string file =
        "scrape_configs: [{job_name: j, scrape_interval: " + interval + ", metrics_path: " + path +
        ", static_configs: [{targets: ['127.0.0.1:" + std::to_string(server_->port()) + "']}]}]";
    auto jobs = parse_scrape_config(file, "s.yml");
    ASSERT_TRUE(jobs) << jobs.error().message;
    scraper_ = std::make_unique<Scraper>(std::move(*jobs), *store_, metadata_, exemplars_,
                                         registry_, held);
    ASSERT_TRUE(scraper_->start());
  }
  Column samples(std::string_view metric) {
    Column samples;
    const auto all = *store_->select({}, -ever, ever);
    for (const Source::Found& one : all) {
      if (one.labels.metric() != metric) continue;
      EXPECT_TRUE(store_->read(one.series, -ever, ever, samples));
    }
    return samples;
  }
  template <class Condition>
  static void until(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    EXPECT_TRUE(condition());
  }
  json told() { return json::parse(scraper_->targets("")).at(0); }
  // That it failed, and why.
  std::string error() {
    until([&] { return samples("up").size() > 0 && told()["health"] == "down"; });
    EXPECT_EQ(samples("up").value.back(), 0);
    return told()["lastError"];
  }

  std::string folder_;
  metrics::Registry registry_;
  MetadataStore metadata_;
  ExemplarStore exemplars_;
  std::unique_ptr<Store> store_;
  std::atomic<int> status_ = 200;
  std::atomic<std::size_t> size_ = 0;
  int asked_ = 0;           // the server's thread
  std::string asked_with_;  // the server's thread
  std::vector<std::unique_ptr<http::Answer>> held_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<Scraper> scraper_;
};

TEST_F(ScrapeTest, ATargetIsAskedAgainAndAgain) {
  scrape("/metrics");
  until([&] { return samples("a").size() >= 3; });
  const json target = told();
  scraper_.reset();
  server_->stop();
  EXPECT_EQ(target["health"], "up");
  EXPECT_EQ(target["lastError"], "");
  EXPECT_EQ(target["labels"]["job"], "j");
  EXPECT_EQ(target["scrapeInterval"], "100ms");
  EXPECT_NE(asked_with_.find("application/openmetrics-text"), std::string::npos);
  EXPECT_TRUE(asked_with_.ends_with("||0.1")) << asked_with_;
  const Column a = samples("a");
  for (std::size_t i = 1; i < a.size(); ++i) {
    EXPECT_EQ(a.value[i], a.value[i - 1] + 1);
    EXPECT_GT(a.t_ms[i], a.t_ms[i - 1]);
  }
  EXPECT_EQ(samples("up").value.front(), 1);
  EXPECT_EQ(samples("scrape_samples_scraped").value.front(), 1);
  EXPECT_EQ(metadata_.of("a").size(), 1u);
}

TEST_F(ScrapeTest, GzipAndOpenMetricsAreRead) {
  scrape("/gzip");
  until([&] { return samples("g").size() > 0; });
  EXPECT_EQ(samples("g").value.front(), 3);
}

TEST_F(ScrapeTest, ATargetThatFailsEndsItsSeriesAndComesBack) {
  scrape("/metrics");
  until([&] { return samples("a").size() > 0; });
  status_ = 503;
  until([&] { return is_stale(samples("a").value.back()); });
  EXPECT_EQ(error(), "server returned HTTP status 503 Service Unavailable");
  status_ = 200;
  until([&] { return !is_stale(samples("a").value.back()); });
}

TEST_F(ScrapeTest, AnAnswerThatIsNoneIsDown) {
  scrape("/bad");
  EXPECT_NE(error().find("line 2"), std::string::npos);
  EXPECT_EQ(samples("a").size(), 0u);
}

TEST_F(ScrapeTest, AnAnswerThatIsTooLargeIsDown) {
  scrape("/large", "2s");  // so much takes its time
  EXPECT_NE(error().find("more than 16777216 bytes"), std::string::npos);
}

TEST_F(ScrapeTest, AnswersAreAsLargeAsTheyMayBeTogetherAndOneByteMoreIsDown) {
  const auto held = [&] {
    for (const auto& family : registry_.snapshot().families)
      if (family.name == "tallymill_collector_scrape_held_bytes") return family.samples[0].value;
    return -1.0;
  };
  size_ = 1'000;
  scrape("/sized", "500ms", Bytes(1'000));
  until([&] { return told()["health"] == "up"; });
  size_ = 1'001;
  EXPECT_NE(error().find("answers of all targets have more than 1000 bytes"), std::string::npos);
  // What they held is given back, or there would be no room.
  size_ = 1'000;
  until([&] { return told()["health"] == "up"; });
  until([&] { return held() == 0; });
}

TEST_F(ScrapeTest, ATargetThatSaysNothingIsLeftAtItsTimeout) {
  scrape("/silent");
  EXPECT_EQ(error(), "no answer within 100ms");
}

TEST_F(ScrapeTest, ItEndsWhileAnAnswerIsOnItsWay) {
  scrape("/silent");
  until([&] { return told()["health"] == "unknown"; });
  scraper_.reset();
}

}  // namespace
}  // namespace tallymill::collector
