// Goal: no target from the wire reaches a handler as another path than the one that was asked for.
// Method: a table of hostile targets that must be refused, one of odd ones with what they mean, and
// encodings that must come back as they went.
#include <gtest/gtest.h>

#include "base/limits.h"
#include "base/utf8.h"
#include "http/message.h"

namespace tallymill::http {
namespace {

using namespace std::string_view_literals;

TEST(ParseTarget, RefusesWhatIsNotAPlainPathOfThisServer) {
  for (const std::string_view hostile :
       {// other forms of a target
        ""sv, "*"sv, "x"sv, "?q=1"sv, "http://127.0.0.1/v1"sv, "HTTP://127.0.0.1"sv,
        "127.0.0.1:80"sv, "%2Fv1"sv, "\\v1"sv, "file:///etc/passwd"sv,
        // empty steps: an authority to some
        "//"sv, "//x"sv, "//x/y"sv, "/v1//jobs"sv, "/v1/jobs//"sv, "///"sv,
        // steps up, and nowhere
        "/.."sv, "/../"sv, "/a/../b"sv, "/a/.."sv, "/."sv, "/a/./b"sv, "/a/."sv, "/%2e%2e"sv,
        "/%2E%2e/x"sv, "/.%2e"sv, "/%2e."sv, "/a/%2e%2E/b"sv, "/a/%2e/b"sv, "/..?x"sv,
        // slashes that would make steps
        "/a%2Fb"sv, "/a%2fb"sv, "/%2F"sv, "/%2f%2e%2e"sv, "/..%2fx"sv, "/a%5Cb"sv, "/a%5c..%5cb"sv,
        "/a\\b"sv, "/..\\x"sv, "/%5c%5chost"sv,
        // escapes that are none
        "/%"sv, "/a%"sv, "/a%2"sv, "/a%zz"sv, "/%%32%65"sv, "/%u002e"sv, "/% 41"sv, "/%-1"sv,
        "/%+1"sv, "/a?b=%"sv, "/a?%4=1"sv, "/a?b=%g0"sv,
        // control characters, raw and escaped
        "/a\0b"sv, "/a%00b"sv, "/a%00"sv, "/a\r\nHost: x"sv, "/a%0d%0aX: y"sv, "/a%0Ab"sv,
        "/a\tb"sv, "/a%09b"sv, "/a\x7f"sv, "/a%7Fb"sv, "/%1b[2J"sv, "/a%c2%85b"sv, "/a\xc2\x9b"sv,
        "/a?b=%00"sv, "/a?b=c%0d%0a"sv, "/a?query=%00"sv, "/a?query=b\nc"sv, "/a?query%0a=b"sv,
        "/a?query=%1b"sv, "/a?queries=b%0ac"sv, "/query%0a?query=b"sv, "/a?%0a=1"sv, "/a?b\0=c"sv,
        "/a?b=%c2%9b"sv,
        // raw characters that no client sends
        "/a b"sv, "/ "sv, " /a"sv, "/a?b=c d"sv, "/a#b"sv, "/#"sv, "/a?b#c"sv,
        // not UTF-8: overlong dots and slashes, surrogates, cut short, stray
        "/%c0%ae%c0%ae"sv, "/%c0%af"sv, "/%e0%80%af"sv, "/%f0%80%80%af"sv, "/\xc0\xae"sv,
        "/%ed%a0%80"sv, "/%f4%90%80%80"sv, "/%c3"sv, "/a%e2%82"sv, "/%ff"sv, "/\x80"sv,
        "/a?b=%ff"sv, "/a?%c3=1"sv, "/%c3/%b6"sv}) {
    const auto target = parse_target(hostile);
    ASSERT_FALSE(target) << hostile << " is " << target->path;
    EXPECT_EQ(target.error().code, Errc::bad_frame) << hostile;
    EXPECT_TRUE(is_utf8(target.error().message));
  }
}

TEST(ParseTarget, OddOnesMeanWhatTheySay) {
  for (const auto& [target, path] : std::initializer_list<std::pair<const char*, const char*>>{
           {"/", "/"},
           {"/?", "/"},
           {"/v1/jobs/7", "/v1/jobs/7"},
           {"/app/", "/app/"},
           {"/...", "/..."},
           {"/..a", "/..a"},
           {"/a..", "/a.."},
           {"/.well-known/x", "/.well-known/x"},
           {"/%61%2Db", "/a-b"},
           {"/a+b", "/a+b"},
           {"/a%20b", "/a b"},
           {"/a%3Fb", "/a?b"},
           {"/a%23b", "/a#b"},
           {"/a:b@c;d=e,f", "/a:b@c;d=e,f"},
           {"/k%C3%a4se", "/k\xc3\xa4se"},
           {"/k\xc3\xa4se", "/k\xc3\xa4se"},
           {"/%c2%a0", "/\xc2\xa0"}}) {
    const auto parsed = parse_target(target);
    ASSERT_TRUE(parsed) << target;
    EXPECT_EQ(parsed->path, path);
    EXPECT_TRUE(parsed->query.empty()) << target;
  }
}

TEST(ParseTarget, PromQLHasLines) {
  EXPECT_EQ(parse_target("/a?query=b%0A%2B%09c%0D&match[]=d%0a&match%5B%5D=e%0a")->query,
            (Pairs{{"query", "b\n+\tc\r"}, {"match[]", "d\n"}, {"match[]", "e\n"}}));
}

TEST(ParseTarget, AnEscapeIsDecodedOnce) {
  EXPECT_EQ(parse_target("/%252e%252e/x")->path, "/%2e%2e/x");
  EXPECT_EQ(parse_target("/a%252Fb")->path, "/a%2Fb");
  EXPECT_EQ(parse_target("/a%2500b")->path, "/a%00b");
  EXPECT_EQ(parse_target("/%25%32%65")->path, "/%2e");
  EXPECT_EQ(parse_target("/a?b=%2541")->query, (Pairs{{"b", "%41"}}));
}

TEST(ParseTarget, TheQueryIsReadAsAFormWritesIt) {
  EXPECT_EQ(parse_target("/a?b=1&c=&d&b=2")->query,
            (Pairs{{"b", "1"}, {"c", ""}, {"d", ""}, {"b", "2"}}));
  EXPECT_EQ(parse_target("/a?q=two+words&r=1%2B1")->query,
            (Pairs{{"q", "two words"}, {"r", "1+1"}}));
  EXPECT_EQ(parse_target("/a?&&b=1&")->query, (Pairs{{"b", "1"}}));
  EXPECT_EQ(parse_target("/a?b=c=d?e/../f")->query, (Pairs{{"b", "c=d?e/../f"}}));
  EXPECT_EQ(parse_target("/a?b=%26c%3D%2F..%5C")->query, (Pairs{{"b", "&c=/..\\"}}));
  EXPECT_EQ(parse_target("/a?=1")->query, (Pairs{{"", "1"}}));
}

TEST(ParseTarget, IsBoundedByWhatAHeaderMayHold) {
  const auto bound = static_cast<std::size_t>(limits::http_header_bytes.raw());
  const std::string largest = "/" + std::string(bound - 1, 'a');
  EXPECT_EQ(parse_target(largest)->path, largest);
  for (const std::string& above :
       {largest + "a", "/?" + std::string(10 * bound, '&'), "/" + std::string(10 * bound, '%')}) {
    const auto target = parse_target(above);
    ASSERT_FALSE(target);
    EXPECT_EQ(target.error().code, Errc::too_big);
    EXPECT_LT(target.error().message.size(), 100u);
  }
}

TEST(PercentEncoded, AnyBytesComeBack) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  const std::string encoded = percent_encoded(all);
  EXPECT_EQ(percent_decoded(encoded), all);
  EXPECT_EQ(percent_encoded("a/b c%\xff~"), "a%2Fb%20c%25%FF~");
  EXPECT_EQ(percent_encoded(""), "");
}

TEST(PercentDecoded, APlusStaysAndABadEscapeIsNone) {
  EXPECT_EQ(percent_decoded("a+b%2b"), "a+b+");
  EXPECT_EQ(percent_decoded("%00"), std::string(1, '\0'));
  for (const char* bad : {"%", "%1", "a%", "%g1", "%1g", "%%41", "%+1"})
    EXPECT_FALSE(percent_decoded(bad)) << bad;
}

TEST(Base64urlDecoded, ReadsTheCanonicalFormOnly) {
  EXPECT_EQ(base64url_decoded(""), "");
  EXPECT_EQ(base64url_decoded("Zg"), "f");
  EXPECT_EQ(base64url_decoded("Zm8"), "fo");
  EXPECT_EQ(base64url_decoded("Zm9v"), "foo");
  EXPECT_EQ(base64url_decoded("Zm9vYmFy"), "foobar");
  EXPECT_EQ(base64url_decoded("-_8"), "\xfb\xff");
  for (const char* bad :
       {"Z", "Zm9vY", "Zg==", "Zg=", "Zh", "Zm9", "+/8", "Zm 9v", "Zm9v\n", "Zm9\xc3"})
    EXPECT_FALSE(base64url_decoded(bad)) << bad;
}

TEST(Form, IsAQueryWhoseTextMayHaveLinesAndTabs) {
  const auto form = parse_form("query=a%0A%2B%09b+c&x=&match[]=1&match[]=2");
  ASSERT_TRUE(form);
  EXPECT_EQ(*form, (Pairs{{"query", "a\n+\tb c"}, {"x", ""}, {"match[]", "1"}, {"match[]", "2"}}));
  EXPECT_TRUE(parse_form("")->empty());
  for (const char* none : {"a=%", "a=%zz", "a=%00", "a=%1b", "a=%ff"})
    EXPECT_FALSE(parse_form(none)) << none;
}

}  // namespace
}  // namespace tallymill::http
