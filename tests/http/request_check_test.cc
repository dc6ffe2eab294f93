// What a header says that is grammar, and is refused all the same.
#include "http/request_check.h"

#include <gtest/gtest.h>

namespace tallymill::http {
namespace {

Request request(std::string target,
                std::initializer_list<std::pair<const char*, const char*>> all) {
  Request made;
  made.target = std::move(target);
  for (const auto& [name, value] : all) made.headers.add(name, value);
  return made;
}
int status(const std::optional<Response>& refused) { return refused ? refused->status : 0; }

TEST(CheckHead, FillsPathAndQueryOrSaysWhyNot) {
  Request good = request("/v1/jobs?q=a%20b", {{"Host", "a"}});
  EXPECT_EQ(status(check_head(good, false)), 0);
  EXPECT_EQ(good.path, "/v1/jobs");
  EXPECT_EQ(find(good.query, "q"), "a b");
  struct {
    Request request;
    Method method;
    bool http_1_0;
    int status;
    bool closes;
  } rows[] = {
      {request("/", {{"Transfer-Encoding", "gzip"}}), Method::get, false, 501, true},
      {request("/", {{"Transfer-Encoding", "chunked"}}), Method::get, true, 501, true},
      {request("/", {{"Content-Length", "1"}, {"Content-Length", "1"}}), Method::get, false, 400,
       true},
      {request("/", {{"Content-Length", "+1"}}), Method::get, false, 400, true},
      {request("/", {{"Host", "a"}, {"Host", "a"}}), Method::get, false, 400, true},
      {request("/", {}), Method::other, false, 501, true},
      {request("/%00", {}), Method::get, false, 400, false},
  };
  for (auto& row : rows) {
    row.request.method = row.method;
    const auto refused = check_head(row.request, row.http_1_0);
    EXPECT_EQ(status(refused), row.status) << row.request.target;
    EXPECT_EQ(refused && refused->close, row.closes) << row.request.target;
  }
}

TEST(CheckHandshake, IsVersion13WithAKeyOf16Bytes) {
  const auto asked = [](const char* version, const char* key) {
    return request("/", {{"Sec-WebSocket-Version", version}, {"Sec-WebSocket-Key", key}});
  };
  constexpr const char* key = "AAAAAAAAAAAAAAAAAAAAAA==";
  EXPECT_EQ(status(check_handshake(asked("13", key), true)), 0);
  EXPECT_EQ(status(check_handshake(asked("13", key), false)), 426);
  EXPECT_EQ(status(check_handshake(asked("8", key), true)), 426);
  EXPECT_EQ(check_handshake(asked("8", key), true)->headers.get("Sec-WebSocket-Version"), "13");
  EXPECT_EQ(status(check_handshake(asked("13", "AAAA"), true)), 400);
  EXPECT_EQ(status(check_handshake(request("/", {{"Sec-WebSocket-Version", "13"}}), true)), 400);
}

TEST(CheckBody, OnlyOfWhatWritesAndOnlyContinueIsExpected) {
  Request get = request("/", {});
  EXPECT_EQ(status(check_body(get, false)), 0);
  EXPECT_EQ(status(check_body(get, true)), 400);
  Request post = request("/", {{"Expect", "100-Continue"}});
  post.method = Method::post;
  EXPECT_EQ(status(check_body(post, true)), 0);
  post.headers.add("Expect", "foo");
  EXPECT_EQ(status(check_body(post, true)), 417);
}

TEST(Traceparent, IsOfTheFormOfW3CAndOfNoOther) {
  const std::string good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  EXPECT_TRUE(is_traceparent(good));
  for (const std::string& bad :
       {std::string(), std::string("hello"), "01" + good.substr(2), good + "-", good.substr(1),
        "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" + std::string()})
    EXPECT_FALSE(is_traceparent(bad)) << bad;
}

}  // namespace
}  // namespace tallymill::http
