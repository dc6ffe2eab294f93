// URLs as people and files write them. Goal: what a request is built from is taken apart rightly,
// and what would reach another host or break a head is refused. Method: tables.
#include "http/url.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace tallymill::http {
namespace {

TEST(Url, RefusesWhatIsNone) {
  for (const char* text : {"",
                           "localhost",
                           "localhost:80",
                           "//localhost/",
                           "ftp://localhost/",
                           "tcp://localhost:1",
                           "http:/localhost/",
                           "http://",
                           "http:///x",
                           "http://:80/",
                           "http://?q",
                           "http://a..b/",
                           "http://.a/",
                           "http://-a/",
                           "http://a b/",
                           "http://a/b c",
                           "http://a/\r\nX: y",
                           "http://a/\t",
                           "http://a\\b/",
                           "http://a/\\b",
                           "http://a%2fb/",
                           "http://m\xc3\xbchle/",
                           "http://a/\xc3\xbc",
                           "http://a/\x7f",
                           "http://user@a/",
                           "http://user:secret@a/",
                           "http://a:80@b/",
                           "http://a:/",
                           "http://a:0/",
                           "http://a:65536/",
                           "http://a:-1/",
                           "http://a:+1/",
                           "http://a:8o/",
                           "http://a:80:80/",
                           "http://::1/",
                           "http://[::1/",
                           "http://[]/",
                           "http://[a]/",
                           "http://[127.0.0.1]/",
                           "http://[::1%lo]/",
                           "http://[::1]80/",
                           "http://[::1]:/"}) {
    const auto url = parse_url(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().code, Errc::bad_params) << text;
  }
  EXPECT_FALSE(parse_url(std::string_view("http://a/\0", 10)));
  EXPECT_FALSE(parse_url("http://" + std::string(254, 'a') + "/"));
  EXPECT_TRUE(parse_url("http://" + std::string(253, 'a') + "/"));
  const auto bound = static_cast<std::size_t>(limits::http_header_bytes.raw()) / 2;
  EXPECT_TRUE(parse_url("http://a/" + std::string(bound - 9, 'x')));
  EXPECT_FALSE(parse_url("http://a/" + std::string(bound - 8, 'x')));
}

TEST(Url, AnErrorQuotesNoSecret) {
  for (const char* text : {"ftp://a/?token=hush", "http://b:hush@a/", "http://a:0/#hush"})
    EXPECT_EQ(parse_url(text).error().message.find("hush"), std::string::npos) << text;
}

TEST(Url, IsTakenApart) {
  const struct {
    const char* text;
    bool socket, tls;
    const char* host;
    int port;
    const char* target;
    const char* authority;
  } rows[] = {
      {"http://a", false, false, "a", 80, "/", "a"},
      {"HTTPS://Mill.Example/", false, true, "mill.example", 443, "/", "mill.example"},
      {"ws://a:80/x", true, false, "a", 80, "/x", "a"},
      {"wss://a:80/x", true, true, "a", 80, "/x", "a:80"},
      {"http://127.0.0.1:7780/v1/jobs?state=done&q=%20", false, false, "127.0.0.1", 7780,
       "/v1/jobs?state=done&q=%20", "127.0.0.1:7780"},
      {"http://[::1]", false, false, "::1", 80, "/", "[::1]"},
      {"https://[FE80::1]:8443?q", false, true, "fe80::1", 8443, "/?q", "[fe80::1]:8443"},
      {"http://a?x=/@", false, false, "a", 80, "/?x=/@", "a"},
      {"http://a/b#c?d", false, false, "a", 80, "/b", "a"},
      {"http://a#b", false, false, "a", 80, "/", "a"},
      {"http://a_b-c.d.:1/", false, false, "a_b-c.d.", 1, "/", "a_b-c.d.:1"},
  };
  for (const auto& row : rows) {
    const auto url = parse_url(row.text);
    ASSERT_TRUE(url) << row.text;
    EXPECT_EQ(url->socket, row.socket) << row.text;
    EXPECT_EQ(url->tls, row.tls) << row.text;
    EXPECT_EQ(url->host, row.host) << row.text;
    EXPECT_EQ(url->port, row.port) << row.text;
    EXPECT_EQ(url->target, row.target) << row.text;
    EXPECT_EQ(url->authority(), row.authority) << row.text;
  }
}

TEST(Url, OneOriginIsWhatOneConnectionCanServe) {
  const auto origin = [](const char* text) { return parse_url(text)->origin(); };
  EXPECT_EQ(origin("http://A/x"), origin("http://a:80/y?z"));
  EXPECT_NE(origin("http://a/"), origin("https://a/"));
  EXPECT_NE(origin("http://a:443/"), origin("https://a/"));
  EXPECT_NE(origin("http://a/"), origin("http://a:81/"));
  EXPECT_NE(origin("http://a/"), origin("http://b/"));
}

}  // namespace
}  // namespace tallymill::http
