// Goal: no text makes a door look local that others can reach. Method: a table of endpoints, with
// the forms by which loopback is imitated.
#include "base/address.h"

#include <gtest/gtest.h>

namespace tallymill {
namespace {

TEST(IsLoopback, WhatOnlyThisHostReaches) {
  for (const char* local :
       {"tcp://127.0.0.1:7750", "tcp://127.9.8.7:1", "tcp://localhost:7750", "tcp://[::1]:7750",
        "tcp://[::ffff:127.0.0.1]:1", "tcp://lo:*", "ipc:///run/t/front.ipc", "inproc://x"}) {
    EXPECT_TRUE(is_loopback(local)) << local;
  }
}

TEST(IsLoopback, WhatOthersReachOrWhatCannotBeReadIsNot) {
  for (const char* routable :
       {"tcp://0.0.0.0:7750", "tcp://*:7750", "tcp://10.0.0.1:7750", "tcp://[::]:7750",
        "tcp://eth0:7750", "tcp://127.0.0.1.example.com:7750", "tcp://localhost.example.com:1",
        "tcp://127.1:7750", "tcp://0x7f000001:1", "tcp://10.0.0.1:1;127.0.0.1:2",
        "tcp://127.0.0.1:0;10.0.0.1:7750", "tcp://[::ffff:10.0.0.1]:1", "tcp://127.0.0.1",
        "udp://127.0.0.1:1", "127.0.0.1:7750", "", "tcp://"}) {
    EXPECT_FALSE(is_loopback(routable)) << routable;
  }
}

TEST(ParseEndpoint, ReadsItsParts) {
  const auto tcp = parse_endpoint("tcp://[::1]:7750");
  ASSERT_TRUE(tcp);
  EXPECT_EQ(tcp->host, "::1");
  EXPECT_EQ(tcp->port, 7750);
  EXPECT_EQ(parse_endpoint("tcp://127.0.0.1:*")->port, 0);
  EXPECT_EQ(parse_endpoint("ipc://a/b")->host, "a/b");
}

TEST(ParseEndpoint, ABadOneIsBadParams) {
  for (const char* bad : {"tcp://127.0.0.1:65536", "tcp://127.0.0.1:", "tcp://:5", "tcp://a:-1",
                          "tcp://a:5x", "ipc://", "http://a:1", "nonsense"}) {
    const auto parsed = parse_endpoint(bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().code, Errc::bad_params);
  }
  EXPECT_TRUE(parse_endpoint("ipc://" + std::string(107, 'a')));
  EXPECT_FALSE(parse_endpoint("ipc://" + std::string(108, 'a')));
}

TEST(Beside, ThePortIsTheirsAndTheHostIsTheOneThatWasReached) {
  EXPECT_EQ(beside("tcp://10.0.0.1:7752", "tcp://0.0.0.0:7750"), "tcp://10.0.0.1:7750");
  EXPECT_EQ(beside("tcp://mill:1", "tcp://127.0.0.1:9"), "tcp://mill:9");
  EXPECT_EQ(beside("ipc:///run/c", "tcp://*:9"), "tcp://127.0.0.1:9");
  EXPECT_EQ(beside("ipc:///run/c", "tcp://10.0.0.1:9"), "tcp://10.0.0.1:9");
  EXPECT_EQ(beside("tcp://10.0.0.1:1", "ipc:///run/j"), "ipc:///run/j");
  EXPECT_EQ(beside("tcp://10.0.0.1:1", ""), "");
}

TEST(AddressTowards, IsLoopbackForWhatIsHereOrCannotBeReached) {
  EXPECT_EQ(address_towards("tcp://127.0.0.1:1"), "127.0.0.1");
  EXPECT_EQ(address_towards("ipc:///run/c"), "127.0.0.1");
  EXPECT_EQ(address_towards("nonsense"), "127.0.0.1");
}

}  // namespace
}  // namespace tallymill
