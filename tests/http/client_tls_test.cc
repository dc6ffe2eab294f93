// The client inside of TLS. Goal: it speaks with the server whose name it asked for and with nobody
// else. Method: a certificate made by openssl for this run, against a real Server.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "http/client.h"
#include "tests/http/raw_client.h"
#include "tests/http/raw_server.h"

namespace tallymill::http {
namespace {

class ClientTls : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string folder = (std::filesystem::temp_directory_path() / "tallymill-tls-XXXXXX").string();
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    for (const char* name : {"DNS:localhost", "IP:127.0.0.1"}) {
      const std::string made =
          "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 "
          "-subj /CN=tallymill -addext subjectAltName=" +
          std::string(name) + " -keyout " + file(name, "key") + " -out " +
          file(name, "certificate") + " 2>/dev/null";
      ASSERT_EQ(std::system(made.c_str()), 0);
    }
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(folder_); }
  static std::string file(std::string_view name, std::string_view what) {
    return folder_ + "/" + std::string(name.substr(name.find(':') + 1)) + "." + std::string(what);
  }

  // What becomes of "scheme://host" asked of a server with that name, by a client that trusts it.
  static std::string asked(std::string_view name, std::string_view host, ClientOptions options) {
    Router router;
    add(router, Method::get, "/", [](Request&& request, Answer answer) {
      EXPECT_TRUE(request.tls);
      answer.send(text("hello"));
    });
    Served served(std::move(router),
                  {.certificate = file(name, "certificate"), .key = file(name, "key")});
    Client client(std::move(options));
    EXPECT_TRUE(client.start());
    const std::string url =
        "https://" + std::string(host) + ":" + std::to_string(served.server.port());
    for (int i = 0; i < 2; ++i) {
      const auto answer = client.fetch({.url = url});
      if (!answer) return std::string(info(answer.error().code).name);
      EXPECT_EQ(answer->body, "hello");
    }
    EXPECT_EQ(served.metric("tallymill_http_connections"), 1);  // kept
    return "200";
  }
  static ClientOptions trusting(std::string_view name) {
    return {.ca_file = file(name, "certificate")};
  }

  inline static std::string folder_;
};

TEST_F(ClientTls, ACertificateOfAnotherNameIsRefused) {
  EXPECT_EQ(asked("DNS:localhost", "127.0.0.1", trusting("DNS:localhost")), "E_AWAY");
  EXPECT_EQ(asked("IP:127.0.0.1", "localhost", trusting("IP:127.0.0.1")), "E_AWAY");
}

TEST_F(ClientTls, ACertificateThatNobodyVouchesForIsRefused) {
  EXPECT_EQ(asked("DNS:localhost", "localhost", {}), "E_AWAY");
  EXPECT_EQ(asked("DNS:localhost", "localhost", trusting("IP:127.0.0.1")), "E_AWAY");
}

TEST_F(ClientTls, TheServerThatWasAskedForIsTrusted) {
  EXPECT_EQ(asked("DNS:localhost", "localhost", trusting("DNS:localhost")), "200");
  EXPECT_EQ(asked("IP:127.0.0.1", "127.0.0.1", trusting("IP:127.0.0.1")), "200");
}

TEST_F(ClientTls, InsecureTakesAnyCertificate) {
  EXPECT_EQ(asked("DNS:localhost", "127.0.0.1", {.insecure_tls = true}), "200");
}

TEST_F(ClientTls, AFileWithoutCertificatesIsSaidAtTheStart) {
  for (const std::string& file : {std::string("/no/such"), file("DNS:localhost", "key")}) {
    Client client({.ca_file = file});
    const Status started = client.start();
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().code, Errc::bad_params);
  }
}

TEST_F(ClientTls, AServerThatSpeaksNoTlsIsAway) {
  RawServer server([](RawPeer& peer, int) {
    peer.send("HTTP/1.1 400 Bad Request\r\n\r\n");
    peer.wait_for_end();
  });
  Client client({});
  ASSERT_TRUE(client.start());
  EXPECT_EQ(client.fetch({.url = server.url("/", "https")}).error().code, Errc::away);
}

TEST_F(ClientTls, AWebSocketIsHeldToTheSame) {
  Router router;
  router.add({Method::get,
              "/ws",
              Role::none,
              {.socket =
                   [](Request&&, const std::shared_ptr<Socket>& at) {
                     at->on_message(
                         [at](Socket::Kind kind, std::string_view said) { at->send(kind, said); });
                   }},
              {}});
  const char* name = "DNS:localhost";
  Served served(std::move(router),
                {.certificate = file(name, "certificate"), .key = file(name, "key")});
  const std::string port = std::to_string(served.server.port());
  Client client(trusting(name));
  ASSERT_TRUE(client.start());
  std::promise<std::string> refused;
  client.open_socket("wss://127.0.0.1:" + port + "/ws", {}, [&](auto opened) {
    refused.set_value(opened ? "opened" : std::string(info(opened.error().code).name));
  });
  EXPECT_EQ(refused.get_future().get(), "E_AWAY");
  std::promise<std::string> echo;
  client.open_socket("wss://localhost:" + port + "/ws", {}, [&](auto opened) {
    if (!opened) return echo.set_value(opened.error().message);
    (*opened)->on_message(
        [&](Socket::Kind, std::string_view said) { echo.set_value(std::string(said)); });
    (*opened)->send(Socket::Kind::text, "hello");
  });
  EXPECT_EQ(echo.get_future().get(), "hello");
}

}  // namespace
}  // namespace tallymill::http
