// ProberConfig. Goal: what is no file of probes is refused with its place, bounds hold, and secrets
// come from files and variables alone. Method: texts, each with what is said of it.
#include "alerting/prober_config.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace tallymill::alerting {
namespace {

using std::chrono::milliseconds;
using Kind = ProbeConfig::Kind;

// Of one probe that says this.
std::string wrong(const std::string& probe) {
  const auto read = parse_probes("probes:\n- {" + probe + "}\n", "p.yml");
  return read ? "ok" : read.error().message;
}

std::string many(std::size_t n) {
  std::string text = "probes:\n";
  for (std::size_t i = 0; i < n; ++i)
    text += fmt::format("- {{name: p{}, kind: tcp, address: \"a:1\"}}\n", i);
  return text;
}

TEST(ProberConfig, ReadsEachKind) {
  const auto read = parse_probes(R"(probes:
- {name: ssh, kind: tcp, address: "10.0.0.7:22"}
- {name: six, kind: tcp, address: "[::1]:22"}
- {name: shop, kind: http, url: "https://shop/health?key=1", status: 204, body: ok, ca_file: ca.pem, token_env: T}
- {name: cache, kind: redis, address: "cache:6379", username: u, password_file: f, interval: 1m, timeout: 2s}
- {name: books, kind: postgres, dsn_env: D, interval: 100ms}
)",
                                 "p.yml");
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->size(), 5u);
  const ProbeConfig& ssh = (*read)[0];
  EXPECT_EQ(ssh.kind, Kind::tcp);
  EXPECT_EQ(ssh.host, "10.0.0.7");
  EXPECT_EQ(ssh.port, 22);
  EXPECT_EQ(ssh.interval, limits::probe_interval);
  EXPECT_EQ(ssh.timeout, limits::probe_timeout);
  EXPECT_EQ((*read)[1].host, "::1");
  const ProbeConfig& shop = (*read)[2];
  EXPECT_EQ(shop.url, "https://shop/health?key=1");
  EXPECT_EQ(shop.target, "https://shop/health");
  EXPECT_EQ(shop.status, 204);
  EXPECT_EQ(shop.secret_env, "T");
  EXPECT_EQ((*read)[3].timeout, milliseconds(2000));
  EXPECT_EQ((*read)[3].interval, milliseconds(60'000));
  EXPECT_EQ((*read)[4].timeout, milliseconds(100));  // no longer than the interval
}

TEST(ProberConfig, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(wrong("name: a, kind: udp"),
            "p.yml:2:19: expected a kind: tcp, http, redis or postgres");
  EXPECT_EQ(wrong("name: a, kind: tcp, address: here"),
            "p.yml:2:33: expected an address: host:port");
  EXPECT_EQ(wrong("name: a, kind: tcp, address: 'h:0'"),
            "p.yml:2:33: expected an address: host:port");
  EXPECT_EQ(wrong("name: a, kind: tcp, address: 'h:1', status: 200"),
            "p.yml:2:48: 'status' is not of kind tcp");
  EXPECT_EQ(wrong("name: a b, kind: tcp, address: 'h:1'"),
            "p.yml:2:10: a probe needs a name of letters, digits, - _ and ., at most 64 long");
  EXPECT_EQ(wrong("name: a, kind: postgres"),
            "p.yml:2:3: a postgres probe needs a dsn_file or a dsn_env");
  EXPECT_EQ(wrong("name: a, kind: redis, address: 'h:1', password_file: f, password_env: e"),
            "p.yml:2:74: password_file and password_env are two");
  EXPECT_EQ(wrong("name: a, kind: http, url: 'ws://h/'"), "p.yml:2:30: expected http or https");
  EXPECT_EQ(wrong("name: a, kind: http, url: 'http://h/', status: 99"),
            "p.yml:2:51: expected a status: 200 to 599");
  EXPECT_EQ(wrong("name: a, kind: tcp, address: 'h:1', interval: 1s, timeout: 2s"),
            "p.yml:2:63: longer than the interval");
  EXPECT_NE(wrong("name: a, kind: tcp, address: 'h:1', password: secret").find("p.yml:2:"),
            std::string::npos);
}

TEST(ProberConfig, AUrlThatIsNoneIsNotQuoted) {
  const std::string said = wrong("name: a, kind: http, url: 'http://user:s3cr3t@h/'");
  EXPECT_TRUE(said.starts_with("p.yml:2:30: ")) << said;
  EXPECT_EQ(said.find("s3cr3t"), std::string::npos) << said;
}

TEST(ProberConfig, TimesAreBounded) {
  const std::string probe = "name: a, kind: tcp, address: 'h:1', interval: ";
  EXPECT_EQ(wrong(probe + "100ms"), "ok");
  EXPECT_EQ(wrong(probe + "99ms"), "p.yml:2:50: expected 100ms to 1d");
  EXPECT_EQ(wrong(probe + "1d"), "ok");
  EXPECT_EQ(wrong(probe + "25h"), "p.yml:2:50: expected 100ms to 1d");
}

TEST(ProberConfig, SoManyProbesAndNoMore) {
  EXPECT_TRUE(parse_probes(many(limits::probes), "p.yml"));
  const auto above = parse_probes(many(limits::probes + 1), "p.yml");
  ASSERT_FALSE(above);
  EXPECT_EQ(above.error().code, Errc::too_big);
  EXPECT_EQ(above.error().message, "p.yml:66:3: more than 64 probes");
}

TEST(ProberConfig, SoManyBytesAndNoMore) {
  std::string text = many(1) + "#";
  text.resize(limits::probe_file_bytes, ' ');
  EXPECT_TRUE(parse_probes(text, "p.yml"));
  const auto above = parse_probes(text + " ", "p.yml");
  ASSERT_FALSE(above);
  EXPECT_EQ(above.error().code, Errc::too_big);
}

TEST(ProberConfig, ATextIsSoLongAndNoLonger) {
  const std::string probe = "name: a, kind: http, url: 'http://h/', body: ";
  EXPECT_EQ(wrong(probe + std::string(limits::probe_text_bytes, 'b')), "ok");
  EXPECT_NE(wrong(probe + std::string(limits::probe_text_bytes + 1, 'b')), "ok");
}

TEST(ProberConfig, TwoOfANameAreRefused) {
  const auto read = parse_probes(
      "probes:\n- {name: a, kind: tcp, address: 'h:1'}\n- {name: a, kind: tcp, address: 'h:2'}\n",
      "p.yml");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().message, "p.yml:3:10: a second probe of the name 'a'");
}

class ProberSecrets : public ::testing::Test {
 protected:
  ProberSecrets() {
    std::string made = (std::filesystem::temp_directory_path() / "tallymill-XXXXXX").string();
    folder_ = ::mkdtemp(made.data());
  }
  ~ProberSecrets() override { std::filesystem::remove_all(folder_); }

  // With this secret in its file.
  Result<std::vector<ProbeConfig>> read(const std::string& probe, const std::string& secret) {
    std::ofstream(folder_ / "secret") << secret;
    std::ofstream(folder_ / "p.yml")
        << fmt::format("probes:\n- {{name: a, {}_file: {}/secret}}\n", probe, folder_.string());
    return read_probes((folder_ / "p.yml").string());
  }

  std::filesystem::path folder_;
};

TEST_F(ProberSecrets, OneLineWithoutItsEnd) {
  const auto made = read("kind: redis, address: 'h:1', password", "a pass word \r\n");
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->front().secret.reveal(), "a pass word");
}

TEST_F(ProberSecrets, WhatIsNoneIsRefusedAndNotTold) {
  for (const std::string& secret :
       {std::string(), std::string("\n"), std::string("s3cr3t\nmore"), std::string("s3cr3t\0", 7),
        "s3cr3t" + std::string(limits::probe_text_bytes, 'x')}) {
    const auto made = read("kind: redis, address: 'h:1', password", secret);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, Errc::bad_params);
    EXPECT_EQ(made.error().message.find("s3cr3t"), std::string::npos) << made.error().message;
  }
}

TEST_F(ProberSecrets, ADsnIsShownWithoutItsPassword) {
  for (const char* dsn : {"host=db.example port=6000 dbname=books user=u password=s3cr3t",
                          "postgresql://u:s3cr3t@db.example:6000/books"}) {
    const auto made = read("kind: postgres, dsn", dsn);
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(made->front().target, "db.example:6000/books");
  }
}

TEST_F(ProberSecrets, ADsnThatIsNoneIsNotTold) {
  for (const char* dsn : {"s3cr3t", "host=a password='s3cr3t", "postgresql://[s3cr3t"}) {
    const auto made = read("kind: postgres, dsn", dsn);
    ASSERT_FALSE(made) << dsn;
    EXPECT_NE(made.error().message.find("expected a DSN"), std::string::npos);
    EXPECT_EQ(made.error().message.find("s3cr3t"), std::string::npos) << made.error().message;
  }
}

}  // namespace
}  // namespace tallymill::alerting
