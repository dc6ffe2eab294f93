// Webhook. Goal: whatever a server does, send() ends in time and says what to do, and no secret is
// in what it says. Method: real sockets; servers that answer, refuse, hang, trickle, redirect, send
// a gigabyte, speak another language.
#include "alerting/webhook.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "tests/alerting/sink_fixture.h"
#include "tests/http/raw_server.h"

namespace tallymill::alerting {
namespace {

using http::RawPeer;
using http::RawServer;
using std::chrono::milliseconds;

std::size_t length_in(const std::string& head) {
  const std::size_t at = head.find("Content-Length: ");
  return at == std::string::npos ? 0 : std::stoul(head.substr(at + 16));
}

class WebhookTest : public ::testing::Test {
 protected:
  static constexpr const char* token = "s3cr3t-t0ken";
  static constexpr const char* path = "/services/T0/s3cr3t-path";

  void make(const std::string& url, milliseconds timeout = milliseconds(5000)) {
    Webhook::Options options{.name = "ops", .external_url = "http://mill"};
    options.http.url = Secret(std::string(url));
    options.http.token = Secret(std::string(token));
    options.http.timeout = timeout;
    webhook_ = std::make_unique<Webhook>(std::move(options));
    ASSERT_TRUE(webhook_->start());
  }
  Status send() {
    const Status sent = webhook_->send(message_);
    if (!sent) {
      EXPECT_EQ(sent.error().message.find("s3cr3t"), std::string::npos) << sent.error().message;
      EXPECT_EQ(sent.error().message.find("127.0.0.1"), std::string::npos);
    }
    return sent;
  }
  // What the server that answers so makes of it.
  Status against(const std::string& answer, milliseconds timeout = milliseconds(5000)) {
    RawServer server([&](RawPeer& peer, int) {
      // An answer of nothing is an end.
      while (!peer.head().empty() && !answer.empty() && peer.send(answer)) {
      }
    });
    make(server.url(path), timeout);
    const Status sent = send();
    webhook_.reset();
    return sent;
  }
  static Errc code(const Status& sent) { return sent ? Errc::duplicate : sent.error().code; }

  Message message_ = message_of({notice_of(alert_of("Wait", "image", 1000), 1000)});
  std::unique_ptr<Webhook> webhook_;
};

TEST_F(WebhookTest, SendsThePayloadWithItsKeyAndItsToken) {
  std::promise<std::pair<std::string, std::string>> got;
  RawServer server([&](RawPeer& peer, int nth) {
    const std::string head = peer.head();
    const std::string body = peer.take(length_in(head));
    if (nth == 0) got.set_value({head, body});
    (void)peer.answer("ok");
    peer.wait_for_end();
  });
  make(server.url(path));
  ASSERT_TRUE(send());
  const auto [head, body] = got.get_future().get();
  EXPECT_TRUE(head.starts_with("POST /services/T0/s3cr3t-path HTTP/1.1\r\n")) << head;
  EXPECT_NE(head.find("Idempotency-Key: " + message_.key), std::string::npos) << head;
  EXPECT_NE(head.find(std::string("Bearer ") + token), std::string::npos);
  EXPECT_EQ(nlohmann::json::parse(body)["receiver"], "ops");
  webhook_.reset();
}

TEST_F(WebhookTest, ConnectionIsUsedAgainAfterAnAnswerWithABody) {
  RawServer server([&](RawPeer& peer, int) {
    for (std::string head; !(head = peer.head()).empty();) {
      (void)peer.take(length_in(head));
      if (!peer.answer(std::string(1000, 'x'))) return;
    }
  });
  make(server.url());
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(send());
  EXPECT_EQ(server.connections(), 1);
  webhook_.reset();
}

TEST_F(WebhookTest, StatusSaysWhetherToTryAgain) {
  const auto answer = [](const std::string& status, const std::string& fields = "") {
    return "HTTP/1.1 " + status + "\r\n" + fields + "Content-Length: 0\r\n\r\n";
  };
  EXPECT_TRUE(against(answer("204 No Content", "")));
  EXPECT_EQ(code(against(answer("500 Broken"))), Errc::away);
  EXPECT_EQ(code(against(answer("401 No"))), Errc::away);
  EXPECT_EQ(code(against(answer("404 None"))), Errc::away);
  EXPECT_EQ(code(against(answer("400 Bad"))), Errc::bad_params);
  EXPECT_EQ(code(against(answer("413 Long"))), Errc::bad_params);
  EXPECT_EQ(code(against(answer("422 Odd"))), Errc::bad_params);
  const Status later = against(answer("429 Slow", "Retry-After: 7\r\n"));
  EXPECT_EQ(code(later), Errc::rate_limited);
  EXPECT_EQ(later.error().retry_after, milliseconds(7000));
  const Status never = against(answer("503 Off", "Retry-After: 99999999\r\n"));
  EXPECT_EQ(never.error().retry_after, limits::sink_again_slowest);
}

TEST_F(WebhookTest, RedirectIsNotFollowed) {
  std::atomic<int> elsewhere{0};
  RawServer target([&](RawPeer& peer, int) {
    if (!peer.head().empty()) ++elsewhere;
  });
  const Status sent = against("HTTP/1.1 307 Go\r\nLocation: " + target.url("/s3cr3t") +
                              "\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(code(sent), Errc::away);
  EXPECT_NE(sent.error().message.find("redirect"), std::string::npos);
  EXPECT_EQ(elsewhere, 0);
}

TEST_F(WebhookTest, ServerThatHangsIsLeftInTime) {
  RawServer server([](RawPeer& peer, int) { peer.wait_for_end(); });
  make(server.url(path), milliseconds(200));
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(code(send()), Errc::deadline);
  EXPECT_LT(std::chrono::steady_clock::now() - began, milliseconds(3000));
  webhook_.reset();
}

TEST_F(WebhookTest, ServerThatTricklesItsHeadIsLeftInTime) {
  RawServer server([](RawPeer& peer, int) {
    (void)peer.head();
    while (peer.send("H")) (void)::poll(nullptr, 0, 20);
  });
  make(server.url(path), milliseconds(300));
  EXPECT_FALSE(send());
  webhook_.reset();
}

TEST_F(WebhookTest, BodyThatTricklesDoesNotUndoItsStatus) {
  RawServer server([](RawPeer& peer, int) {
    (void)peer.head();
    (void)peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    while (peer.send("x")) (void)::poll(nullptr, 0, 20);
  });
  make(server.url(path), milliseconds(300));
  const auto began = std::chrono::steady_clock::now();
  EXPECT_TRUE(send());
  EXPECT_LT(std::chrono::steady_clock::now() - began, milliseconds(3000));
  webhook_.reset();
}

TEST_F(WebhookTest, GigabyteIsReadToTheLimitAndNoFurther) {
  std::atomic<std::size_t> sent{0};
  std::promise<void> cut;
  RawServer server([&](RawPeer& peer, int) {
    (void)peer.head();
    (void)peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n");
    const std::string piece(65536, 'x');
    while (sent < (std::size_t{1} << 30) && peer.send(piece)) sent += piece.size();
    cut.set_value();
  });
  make(server.url(path));
  EXPECT_TRUE(send());
  cut.get_future().wait();
  // What lies in the buffers of both kernels beside.
  EXPECT_LT(sent, std::size_t{64} << 20);
  webhook_.reset();
}

TEST_F(WebhookTest, ServerThatClosesOrSpeaksAnotherLanguageIsTriedAgain) {
  EXPECT_EQ(code(against("")), Errc::away);
  EXPECT_EQ(code(against("SSH-2.0-OpenSSH\r\n\r\n")), Errc::away);
  EXPECT_EQ(code(against("HTTP/1.1 200 OK\r\nX: " + std::string(200'000, 'x') + "\r\n\r\n")),
            Errc::away);
  make("http://127.0.0.1:1/");
  EXPECT_EQ(code(webhook_->send(message_)), Errc::away);
}

TEST_F(WebhookTest, StopEndsASendThatHangs) {
  std::promise<void> asked;
  RawServer server([&](RawPeer& peer, int) {
    (void)peer.head();
    asked.set_value();
    peer.wait_for_end();
  });
  make(server.url(path), milliseconds(60'000));
  auto sent = std::async(std::launch::async, [&] { return send(); });
  asked.get_future().wait();
  webhook_->stop();
  EXPECT_EQ(code(sent.get()), Errc::cancelled);
  EXPECT_EQ(code(send()), Errc::cancelled);
  webhook_.reset();
}

TEST_F(WebhookTest, UrlThatIsNoneIsNotQuoted) {
  for (const char* url : {"ftp://s3cr3t", "http://user:s3cr3t@host/", "ws://host/", ""}) {
    Webhook::Options options{.name = "ops"};
    options.http.url = Secret(std::string(url));
    Webhook webhook(std::move(options));
    const Status started = webhook.start();
    ASSERT_FALSE(started) << url;
    EXPECT_EQ(started.error().message.find("s3cr3t"), std::string::npos);
  }
}

}  // namespace
}  // namespace tallymill::alerting
