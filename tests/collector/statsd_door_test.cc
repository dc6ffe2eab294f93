// Goal: what is sent is in the store a second later, what is lost is counted, and no other host is
// let in unasked. Method: a real socket on loopback and a real store; stop() stores what came, so
// that nobody waits.
#include "collector/statsd_door.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <limits>
#include <thread>

#include "base/limits.h"

namespace tallymill::collector {
namespace {

class StatsdDoorTest : public ::testing::Test {
 protected:
  StatsdDoorTest() {
    std::string path = ::testing::TempDir() + "tallymill-statsd-XXXXXX";
    folder_ = ::mkdtemp(path.data());
    store_ = *Store::open(folder_, {.background = false});
    door_ = *open("127.0.0.1:0");
    sends_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(door_->port());
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(sends_, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  }
  ~StatsdDoorTest() override {
    door_.reset();
    store_.reset();
    ::close(sends_);
    std::filesystem::remove_all(folder_);
  }

  Result<std::unique_ptr<StatsdDoor>> open(const std::string& address, bool insecure = false) {
    return StatsdDoor::open(address, insecure, *store_, metadata_, registry_);
  }
  void send(const std::string& datagram) const {
    EXPECT_EQ(::send(sends_, datagram.data(), datagram.size(), 0),
              static_cast<ssize_t>(datagram.size()));
  }
  // The last value of the series of this text.
  double last(const std::string& text) {
    const std::int64_t ever = std::numeric_limits<std::int64_t>::max();
    Column samples;
    const auto all = *store_->select({}, -ever, ever);
    for (const Source::Found& one : all) {
      if (one.labels.text() != text) continue;
      EXPECT_TRUE(store_->read(one.series, -ever, ever, samples));
      return samples.size() == 0 ? -1 : samples.value.back();
    }
    return -1;
  }
  double metric(std::string_view name, std::string_view why = {}) {
    for (const auto& family : registry_.snapshot().families)
      for (const auto& sample : family.samples)
        if (family.name == name && (why.empty() || sample.labels.at(0).second == why))
          return sample.value;
    return -1;
  }

  std::string folder_;
  metrics::Registry registry_;
  MetadataStore metadata_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<StatsdDoor> door_;
  int sends_ = -1;
};

TEST_F(StatsdDoorTest, LinesAreInTheStoreWhenItHasStopped) {
  door_->start();
  send("hits:2|c|#zone:a\nhits:3|c|#zone:a\ntemperature:21.5|g");
  send("hits:1|c|@0.5|#zone:a\nwait:20|ms\nbad");
  door_->stop();
  EXPECT_EQ(last(R"(hits{zone="a"})"), 7);
  EXPECT_EQ(last("temperature"), 21.5);
  EXPECT_EQ(last("wait_count"), 1);
  EXPECT_EQ(last("wait_sum"), 0.02);
  EXPECT_EQ(metadata_.of("wait").at(0).type, MetricType::histogram);
  EXPECT_EQ(metadata_.of("hits").at(0).type, MetricType::counter);
  EXPECT_EQ(metric("tallymill_collector_statsd_datagrams_total"), 2);
  EXPECT_EQ(metric("tallymill_collector_statsd_lines_total"), 5);
  EXPECT_EQ(metric("tallymill_collector_statsd_faults_total", "no_value"), 1);
  EXPECT_EQ(metric("tallymill_collector_statsd_series"), 3);
}

TEST_F(StatsdDoorTest, ADatagramIsAsLongAsItMayBeAndOneMoreByteLosesItsLastLine) {
  door_->start();
  std::string datagram = "a:1|c\nb:1|c|#t:" + std::string(3'000, 'x');
  datagram += "\nc:1|c|#t:" + std::string(3'000, 'x') + "\nd:1|c|#t:";
  datagram.append(limits::statsd_datagram_bytes - datagram.size(), 'y');
  send(datagram);
  datagram += "y";
  send(datagram);
  door_->stop();
  EXPECT_EQ(last("a"), 2);
  EXPECT_EQ(metric("tallymill_collector_statsd_truncated_datagrams_total"), 1);
  EXPECT_EQ(metric("tallymill_collector_statsd_lines_total"), 7);
}

TEST_F(StatsdDoorTest, WhatTheSystemDropsIsCounted) {
  // Nobody takes anything yet: the socket fills.
  int sent = 200'000;
  const std::string datagram = "hits:1|c";
  for (int i = 0; i < sent; ++i) (void)::send(sends_, datagram.data(), datagram.size(), 0);
  door_->start();
  // The count comes with a datagram that finds room afterwards.
  const char* const name = "tallymill_collector_statsd_dropped_datagrams_total";
  for (; metric(name) == 0; ++sent) {
    send(datagram);
    std::this_thread::yield();
  }
  door_->stop();
  // Of the last ones nothing may be known: no datagram came behind them.
  EXPECT_LE(last("hits") + metric(name), sent);
  EXPECT_GE(last("hits") + metric(name), sent * 0.99);
}

TEST_F(StatsdDoorTest, WhatTheStoreDoesNotTakeIsCountedAndIsInTheNextSums) {
  // A log that is full, and nobody who seals it.
  door_.reset();
  store_.reset();
  store_ = *Store::open(folder_, {.log_bytes = 400, .background = false});
  const Point one{*store_->series(Labels::of({{"__name__", "filler"}})), 1, 1};
  for (int i = 0; i < 1000 && store_->append({&one, 1}); ++i) continue;
  ASSERT_FALSE(store_->append({&one, 1}));
  metrics::Registry registry;
  auto door = *StatsdDoor::open("127.0.0.1:0", false, *store_, metadata_, registry);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(door->port());
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(sends_, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  door->start();
  const auto metric_of = [&](const char* name) {
    for (const auto& family : registry.snapshot().families)
      if (family.name == name) return family.samples[0].value;
    return -1.0;
  };
  send("hits:2|c");
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (metric_of("tallymill_collector_statsd_unstored_total") == 0 &&
         std::chrono::steady_clock::now() < end)
    std::this_thread::yield();
  EXPECT_GE(metric_of("tallymill_collector_statsd_unstored_total"), 1);
  EXPECT_EQ(last("hits"), -1);
  ASSERT_TRUE(store_->seal());
  send("hits:3|c");
  door->stop();
  EXPECT_EQ(last("hits"), 5);
}

TEST_F(StatsdDoorTest, AnAddressThatOthersCanReachNeedsAWord) {
  EXPECT_EQ(open("0.0.0.0:0").error().code, Errc::denied);
  EXPECT_TRUE(open("0.0.0.0:0", true));
  EXPECT_EQ(open("127.0.0.1:" + std::to_string(door_->port())).error().code, Errc::busy);
  for (const char* none : {"", "127.0.0.1", "127.0.0.1:x", "nowhere.invalid:1", ":1"})
    EXPECT_FALSE(open(none, true)) << none;
}

}  // namespace
}  // namespace tallymill::collector
