// A server on the wire: TLS. Goal: with a certificate the same requests, streams and ends are
// served inside of TLS, and nothing outside of it. Method: a certificate made by openssl for this
// run, and OpenSSL's own client over the test's socket.
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cstdlib>
#include <filesystem>

#include "base/limits.h"
#include "base/thread.h"
#include "tests/http/raw_client.h"

namespace tallymill::http {
namespace {

class Tls : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string folder = (std::filesystem::temp_directory_path() / "tallymill-tls-XXXXXX").string();
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    const std::string made =
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 "
        "-subj /CN=localhost -keyout " +
        folder_ + "/key.pem -out " + folder_ + "/certificate.pem 2>/dev/null";
    ASSERT_EQ(std::system(made.c_str()), 0);
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(folder_); }

  static ServerOptions options() {
    return {.certificate = folder_ + "/certificate.pem", .key = folder_ + "/key.pem"};
  }

  inline static std::string folder_;
};

using Context = unique_handle<SSL_CTX, SSL_CTX_free>;
using Session = unique_handle<SSL, SSL_free>;

// A client of TLS over a raw one.
class TlsClient {
 public:
  explicit TlsClient(const Served& served)
      : raw(served.client()),
        context_(SSL_CTX_new(TLS_client_method())),
        session_(SSL_new(context_.get())) {
    SSL_set_fd(session_.get(), raw.fd());
    connected = SSL_connect(session_.get()) == 1;
  }
  void send(const std::string& bytes) {
    (void)SSL_write(session_.get(), bytes.data(), static_cast<int>(bytes.size()));
  }
  // Until `mark` was in it, or the end.
  std::string until(std::string_view mark) {
    std::string got;
    std::array<char, 16384> piece;
    while (got.find(mark) == std::string::npos) {
      const int n = SSL_read(session_.get(), piece.data(), piece.size());
      if (n <= 0) break;
      got.append(piece.data(), static_cast<std::size_t>(n));
    }
    return got;
  }
  // Whether the end was said inside of TLS, so that nobody else can have cut it short.
  bool ended_well() {
    char byte = 0;
    const int n = SSL_read(session_.get(), &byte, 1);
    return n == 0 && SSL_get_error(session_.get(), n) == SSL_ERROR_ZERO_RETURN;
  }
  void end_sending() {
    SSL_shutdown(session_.get());
    raw.end_sending();
  }
  void leave() {
    SSL_shutdown(session_.get());
    raw.close();
  }

  RawClient raw;
  bool connected = false;

 private:
  Context context_;
  Session session_;
};

TEST_F(Tls, AKeyOfAnotherCertificateAndAMissingOneAreRefused) {
  EXPECT_FALSE(Server({}, {.certificate = options().certificate}).open());
  EXPECT_FALSE(Server({}, {.key = options().key}).open());
  EXPECT_FALSE(Server({}, {.certificate = options().key, .key = options().key}).open());
}

TEST_F(Tls, RequestsAreServedInsideAndTheEndIsSaid) {
  Router router;
  add(router, Method::get, "/", [](Request&& request, Answer answer) {
    answer.send(text(request.tls ? "inside" : "outside"));
  });
  Served served(std::move(router), options());
  TlsClient client(served);
  ASSERT_TRUE(client.connected);
  for (int i = 0; i < 3; ++i) {
    client.send(client.raw.request("GET /"));
    EXPECT_NE(client.until("inside").find("HTTP/1.1 200"), std::string::npos);
  }
  client.send(client.raw.request("GET /", "Connection: close\r\n"));
  EXPECT_NE(client.until("inside").find("Connection: close"), std::string::npos);
  EXPECT_TRUE(client.ended_well());
}

TEST_F(Tls, PlainTextAndNothingAtAllAreClosed) {
  auto with = options();
  with.header_time = std::chrono::milliseconds(300);
  Served served(Router{}, with);
  auto plain = served.client();
  plain.send(plain.request("GET /"));
  EXPECT_EQ(plain.rest().find("HTTP/1.1 2"), std::string::npos);
  auto silent = served.client();
  EXPECT_TRUE(silent.ended());
  EXPECT_EQ(served.metric("tallymill_http_cut_total", "header_time"), 1);
}

TEST_F(Tls, AClientThatLeavesAStreamIsSeenToLeave) {
  Router router;
  std::shared_ptr<Outlet> outlet;
  int closed = 0;
  add(router, Method::get, "/", [&](Request&&, Answer answer) {
    outlet = answer.stream(text(""));
    outlet->on_closed([&] { ++closed; });
    EXPECT_TRUE(outlet->send("one"));
  });
  Served served(std::move(router), options());
  TlsClient client(served);
  client.send(client.raw.request("GET /"));
  EXPECT_NE(client.until("one").find("one"), std::string::npos);
  client.leave();
  EXPECT_TRUE(served.becomes([&] { return served.on_thread([&] { return closed == 1; }); }));
}

TEST_F(Tls, AClientThatSendsNoMoreIsToldAndReadsItsAnswer) {
  Router router;
  std::optional<Answer> later;
  int leaving = 0;
  add(router, Method::get, "/", [&](Request&&, Answer answer) {
    answer.on_leaving([&] { ++leaving; });
    later.emplace(std::move(answer));
  });
  Served served(std::move(router), options());
  TlsClient client(served);
  client.send(client.raw.request("GET /"));
  client.end_sending();
  ASSERT_TRUE(served.becomes([&] { return served.on_thread([&] { return leaving == 1; }); }));
  served.on_thread([&] { later->send(text("all the same")); });
  EXPECT_NE(client.until("all the same").find("all the same"), std::string::npos);
}

TEST_F(Tls, AWebSocketIsServedInsideToo) {
  Router router;
  router.add({Method::get,
              "/ws",
              Role::none,
              {.socket =
                   [](Request&&, const std::shared_ptr<Socket>& socket) {
                     EXPECT_TRUE(socket->send(Socket::Kind::text, "inside"));
                     socket->close(4000, "");
                   }},
              {}});
  Served served(std::move(router), options());
  TlsClient client(served);
  client.send(client.raw.request("GET /ws",
                                 "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                                 "Sec-WebSocket-Version: 13\r\n"
                                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));
  EXPECT_NE(client.until("inside").find("HTTP/1.1 101"), std::string::npos);
}

}  // namespace
}  // namespace tallymill::http
