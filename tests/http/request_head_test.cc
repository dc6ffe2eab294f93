// The head of a request. Goal: nothing that a caller gives can end a field, say another length or
// send the token twice. Method: heads compared as whole text.
#include "http/request_head.h"

#include <gtest/gtest.h>

namespace tallymill::http {
namespace {

std::string head(const ClientRequest& asked, std::string token = "") {
  return request_head(asked, parse_url("http://a:81/x?y").value(), Secret(std::move(token)));
}
constexpr const char* host = "Host: a:81\r\n";
constexpr const char* agent = "User-Agent: tallymill\r\n";

TEST(RequestHead, SaysNoLengthButItsOwnAndNothingOfTheConnection) {
  ClientRequest asked{.method = Method::post, .body = "12345"};
  for (const char* name : {"Host", "content-length", "Transfer-Encoding", "CONNECTION", "Upgrade",
                           "TE", "Trailer", "Expect", "Keep-Alive"})
    asked.headers.add(name, "7");
  EXPECT_EQ(head(asked),
            std::string("POST /x?y HTTP/1.1\r\n") + host + agent + "Content-Length: 5\r\n\r\n");
}

TEST(RequestHead, AValueCannotBeginAnotherField) {
  ClientRequest asked;
  asked.headers.add("X", "a\r\nY: b");
  asked.headers.add("Z: q\r\nW", "b");
  EXPECT_EQ(head(asked),
            std::string("GET /x?y HTTP/1.1\r\n") + host + agent + "X: a  Y: b\r\n\r\n");
}

TEST(RequestHead, ABodyHasItsLengthAlsoIfItIsEmpty) {
  EXPECT_EQ(head({}).find("Content-Length"), std::string::npos);
  EXPECT_EQ(head({.method = Method::del}).find("Content-Length"), std::string::npos);
  EXPECT_NE(head({.method = Method::post}).find("Content-Length: 0\r\n"), std::string::npos);
  EXPECT_NE(head({.method = Method::put}).find("Content-Length: 0\r\n"), std::string::npos);
  EXPECT_NE(head({.method = Method::del, .body = "x"}).find("Content-Length: 1\r\n"),
            std::string::npos);
}

TEST(RequestHead, TheTokenIsSaidUnlessAnotherIs) {
  EXPECT_NE(head({}, "abc").find("\r\nAuthorization: Bearer abc\r\n"), std::string::npos);
  ClientRequest asked;
  asked.headers.add("authorization", "Basic x");
  EXPECT_EQ(head(asked, "abc").find("abc"), std::string::npos);
}

TEST(RequestHead, AnotherAgentIsSaidInsteadOfOurs) {
  ClientRequest asked;
  asked.headers.add("User-Agent", "loadgen");
  EXPECT_EQ(head(asked),
            std::string("GET /x?y HTTP/1.1\r\n") + host + "User-Agent: loadgen\r\n\r\n");
}

}  // namespace
}  // namespace tallymill::http
