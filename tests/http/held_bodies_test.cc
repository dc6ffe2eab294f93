// Bodies that a server holds together. Goal: they have as many bytes as they may and not one more,
// counted as they come and until they are answered, and who finds no room harms nobody. Method: a
// real Server with a lowered bound; handlers that keep what they were given.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/http/raw_client.h"

namespace tallymill::http {
namespace {

constexpr std::size_t most = 100'000;

class HeldBodiesTest : public ::testing::Test {
 protected:
  Router routes() {
    Router router;
    add(router, Method::get, "/", [](Request&&, Answer answer) { answer.send(text("ok")); });
    add(router, Method::post, "/", [](Request&& request, Answer answer) {
      answer.send(text(std::to_string(request.body.size())));
    });
    add(router, Method::post, "/later", [this](Request&& request, Answer answer) {
      kept_.emplace_back(std::move(request.body), std::move(answer));
    });
    return router;
  }
  bool holds(std::size_t bytes) {
    return served_->becomes(
        [&] { return served_->metric("tallymill_http_body_bytes") == static_cast<double>(bytes); });
  }
  // A request whose handler keeps it.
  RawClient keep(std::size_t bytes) {
    auto client = served_->client();
    const std::size_t before = served_->on_thread([&] { return kept_.size(); });
    client.send(client.request("POST /later", "Content-Type: application/json\r\nContent-Length: " +
                                                  std::to_string(bytes) + "\r\n") +
                std::string(bytes, 'x'));
    EXPECT_TRUE(served_->becomes(
        [&] { return served_->on_thread([&] { return kept_.size() == before + 1; }); }));
    return client;
  }
  WireReply post(std::size_t bytes) {
    auto client = served_->client();
    return client.post("/", std::string(bytes, 'x'));
  }
  // As chunks of this size.
  static std::string chunked(std::size_t bytes) {
    std::string text;
    for (std::size_t left = bytes; left > 0;) {
      const std::size_t size = std::min<std::size_t>(left, 1000);
      std::array<char, 16> hex{};
      const auto end = std::to_chars(hex.data(), hex.data() + hex.size(), size, 16).ptr;
      text += std::string(hex.data(), end) + "\r\n" + std::string(size, 'x') + "\r\n";
      left -= size;
    }
    return text + "0\r\n\r\n";
  }

  std::vector<std::pair<std::string, Answer>> kept_;  // the server's
  std::optional<Served> served_{std::in_place, routes(), ServerOptions{.bodies_bytes = most}};
};

TEST_F(HeldBodiesTest, HaveAsManyBytesTogetherAsTheyMayAndOneMoreIs503AndOthersGoOn) {
  auto held = keep(60'000);
  EXPECT_TRUE(holds(60'000));
  EXPECT_EQ(post(40'000).body, "40000");
  auto above = served_->client();
  const WireReply refused = above.post("/", std::string(40'001, 'x'));
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.header("Content-Type"), "application/problem+json");
  EXPECT_EQ(refused.header("Retry-After"), "1");
  EXPECT_EQ(refused.header("Connection"), "close");
  EXPECT_TRUE(above.ended());
  EXPECT_TRUE(holds(60'000));

  auto other = served_->client();
  EXPECT_EQ(other.ask("GET /").body, "ok");
  EXPECT_EQ(other.post("/", std::string(40'000, 'x')).body, "40000");
  served_->on_thread([&] { std::exchange(kept_, {}).front().second.send(text("done")); });
  EXPECT_EQ(held.reply().body, "done");
  EXPECT_TRUE(holds(0));
  EXPECT_EQ(post(40'001).body, "40001");
}

TEST_F(HeldBodiesTest, CountAsTheyComeAndNotAsTheyArePromised) {
  std::vector<RawClient> promising;
  for (int i = 0; i < 20; ++i) {
    promising.push_back(served_->client());
    const std::string head = promising.back().request(
        "POST /",
        "Content-Type: application/json\r\nContent-Length: " + std::to_string(most) + "\r\n");
    promising.back().send(head + "0123456789");
  }
  EXPECT_TRUE(holds(200));
  EXPECT_EQ(post(most - 200).status, 200);
  EXPECT_EQ(post(most - 199).status, 503);
  // Who leaves gives its room back.
  promising.clear();
  EXPECT_TRUE(holds(0));
  EXPECT_EQ(post(most).status, 200);
}

TEST_F(HeldBodiesTest, OneThatCanNeverFitIsTooLargeAndNotToldToComeAgain) {
  auto promising = served_->client();
  promising.send(promising.request("POST /", "Content-Type: application/json\r\nContent-Length: " +
                                                 std::to_string(most + 1) + "\r\n"));
  EXPECT_EQ(promising.reply().status, 413);
  for (const bool above : {false, true}) {
    auto client = served_->client();
    const std::string head = client.request(
        "POST /", "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n");
    client.send(head + chunked(most + (above ? 1 : 0)));
    EXPECT_EQ(client.reply().status, above ? 413 : 200);
  }
  EXPECT_TRUE(holds(0));
}

TEST_F(HeldBodiesTest, ThatWereRefusedHoldNothingWhileTheirClientsStillSend) {
  auto held = keep(most - 10);
  auto refused = served_->client();
  refused.send(
      refused.request("POST /", "Content-Type: application/json\r\nContent-Length: 20\r\n") +
      "0123456789");
  EXPECT_TRUE(holds(most));
  refused.send("x");
  EXPECT_EQ(refused.reply().status, 503);
  EXPECT_TRUE(holds(most - 10));
}

TEST_F(HeldBodiesTest, WhoseClientIsGoneCountUntilTheirHandlerHasDoneWithThem) {
  keep(60'000).reset();
  EXPECT_TRUE(served_->becomes([&] { return served_->metric("tallymill_http_connections") == 0; }));
  EXPECT_TRUE(holds(60'000));
  EXPECT_EQ(post(40'001).status, 503);
  served_->on_thread([&] { kept_.clear(); });
  EXPECT_TRUE(holds(0));
  auto held = keep(60'000);
  served_.reset();
  kept_.clear();  // behind the server's end
}

}  // namespace
}  // namespace tallymill::http
