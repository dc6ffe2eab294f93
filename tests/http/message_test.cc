// Goal: no value of a request or an answer breaks a head or a JSON text, and lists are read as they
// are meant. Method: fields and errors with hostile bytes in them, and tables of lists.
#include "http/message.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace tallymill::http {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

TEST(Headers, AValueCannotEndItsLine) {
  Headers headers;
  headers.add("Location", "/v1/jobs/1\r\nSet-Cookie: a=b");
  headers.add("X-Name", std::string("a\0b\x7f\x1b[1m\tc", 10));
  EXPECT_EQ(headers.get("location"), "/v1/jobs/1  Set-Cookie: a=b");
  EXPECT_EQ(headers.get("X-Name"), "a b  [1m\tc");
}

TEST(Headers, ANameThatIsNoTokenIsNotAdded) {
  Headers headers;
  for (const char* name : {"", "X Y", "X:Y", "X\r\nY", "X\tY", "X\x7fY", "N\xc3\xa4me"})
    headers.add(name, "1");
  EXPECT_TRUE(headers.all().empty());
}

TEST(Headers, NamesAreFoundWithoutRegardToCase) {
  Headers headers;
  headers.add("Accept-Encoding", "gzip");
  headers.add("ACCEPT-ENCODING", "br;q=0");
  EXPECT_EQ(headers.get("accept-encoding"), "gzip");
  EXPECT_EQ(headers.count("Accept-encoding"), 2u);
  EXPECT_EQ(headers.list("accept-encoding"), "gzip, br;q=0");
  EXPECT_EQ(headers.get("Accept"), "");
  EXPECT_EQ(headers.list("Accept"), "");
  EXPECT_EQ(headers.count("Accept"), 0u);
}

TEST(MethodNamed, OnlyTheExactNamesAreMethods) {
  for (const Method method :
       {Method::get, Method::head, Method::post, Method::put, Method::del, Method::options})
    EXPECT_EQ(method_named(name_of(method)), method);
  EXPECT_EQ(name_of(Method::del), "DELETE");
  for (const char* none : {"", "get", "GET ", "PATCH", "TRACE", "CONNECT", "GETT"})
    EXPECT_EQ(method_named(none), Method::other) << none;
}

TEST(NameOf, ARoleIsNamedAsInTheTokenFile) {
  EXPECT_EQ(name_of(Role::none), "none");
  EXPECT_EQ(name_of(Role::read), "read");
  EXPECT_EQ(name_of(Role::submit), "submit");
  EXPECT_EQ(name_of(Role::operate), "operate");
}

TEST(Request, APartIsFoundByItsNameAndOtherwiseEmpty) {
  const Request request = {.parts = {{"id", "7"}, {"id", "8"}}};
  EXPECT_EQ(request.part("id"), "7");
  EXPECT_EQ(request.part("name"), "");
  EXPECT_FALSE(find(request.parts, "name"));
}

TEST(Body, ItsViewIsNarrowedWithoutACopy) {
  const auto owner = std::make_shared<const std::string>("0123456789");
  Body shared(std::string_view(*owner), owner);
  shared.narrow(2, 5);
  EXPECT_EQ(shared.bytes(), "23456");
  EXPECT_EQ(shared.bytes().data(), owner->data() + 2);
  shared.narrow(5, 0);
  EXPECT_EQ(shared.size(), 0u);

  Body own = "0123456789";
  own.narrow(9, 1);
  EXPECT_EQ(own.bytes(), "9");
}

TEST(BodyDeathTest, WhatItDoesNotHoldStopsTheProcess) {
  Body body = "0123456789";
  EXPECT_DEATH(body.narrow(11, 0), "invariant");
  EXPECT_DEATH(body.narrow(5, 6), "invariant");
  EXPECT_DEATH(body.narrow(1, std::string::npos), "invariant");
}

TEST(JsonResponse, BytesThatAreNoTextStillMakeJson) {
  const Response response = json_response({{"name", "a\xff"}}, 202);
  EXPECT_EQ(response.status, 202);
  EXPECT_EQ(response.type, "application/json");
  EXPECT_EQ(json::parse(response.body.bytes()), json({{"name", "a\xef\xbf\xbd"}}));
}

TEST(Problem, SaysTheCodeTheFieldAndWhenToComeBack) {
  const Response response = problem(
      {Errc::busy, "the queue is full", "/params/width_mm", std::chrono::milliseconds(1'001)});
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.type, "application/problem+json");
  EXPECT_EQ(response.headers.get("Retry-After"), "2");
  EXPECT_EQ(json::parse(response.body.bytes()), json({{"type", "about:blank"},
                                                      {"title", "Service Unavailable"},
                                                      {"status", 503},
                                                      {"code", "E_BUSY"},
                                                      {"detail", "the queue is full"},
                                                      {"field", "/params/width_mm"},
                                                      {"retry_after_ms", 1'001}}));
}

TEST(Problem, WhatIsNotKnownIsNotSaid) {
  const Response response = problem({Errc::not_found, "no job 7"});
  EXPECT_EQ(response.headers.all().size(), 0u);
  const json said = json::parse(response.body.bytes());
  EXPECT_FALSE(said.contains("field"));
  EXPECT_FALSE(said.contains("retry_after_ms"));
}

TEST(Problem, WholeSecondsAreRoundedUp) {
  for (const auto& [wait, seconds] :
       {std::pair(1ms, "1"), {1'000ms, "1"}, {1'001ms, "2"}, {60'000ms, "60"}})
    EXPECT_EQ(problem({Errc::rate_limited, "", "", wait}).headers.get("Retry-After"), seconds);
}

TEST(Problem, AnotherStatusHasItsOwnTitleAndADetailOfAnyBytesIsJson) {
  const Response response = problem({Errc::denied, "host \xff\r\n\"x\""}, 421);
  EXPECT_EQ(response.status, 421);
  const json said = json::parse(response.body.bytes());
  EXPECT_EQ(said["title"], "Misdirected Request");
  EXPECT_EQ(said["status"], 421);
  EXPECT_EQ(said["code"], "E_DENIED");
  EXPECT_EQ(said["detail"], "host \xef\xbf\xbd\r\n\"x\"");
}

TEST(Problem, WhoIsNotKnownIsToldHowToBe) {
  EXPECT_EQ(problem({Errc::unauthenticated, "no token"}).headers.get("WWW-Authenticate"), "Bearer");
  EXPECT_EQ(problem({Errc::denied, "read only"}).headers.count("WWW-Authenticate"), 0u);
}

TEST(ReasonOf, EachStatusOfTheErrorTableHasOne) {
#define TM_EXPECT_REASON(code, name, http, exit, retry, meaning) \
  EXPECT_NE(reason_of(http), "Unassigned") << (name);
  TM_ERROR_TABLE(TM_EXPECT_REASON)
#undef TM_EXPECT_REASON
  EXPECT_EQ(reason_of(304), "Not Modified");
  EXPECT_EQ(reason_of(299), "Unassigned");
  EXPECT_EQ(reason_of(-1), "Unassigned");
}

TEST(MediaTypeOf, ParametersAndCaseDoNotCount) {
  EXPECT_EQ(media_type_of("Text/HTML; charset=utf-8"), "text/html");
  EXPECT_EQ(media_type_of(" application/json "), "application/json");
  EXPECT_EQ(media_type_of("multipart/form-data;boundary=x"), "multipart/form-data");
  EXPECT_EQ(media_type_of(";application/json"), "");
  EXPECT_EQ(media_type_of(""), "");
}

TEST(Accepts, AMemberThatWeighsSomething) {
  for (const char* list : {"gzip", "br, gzip", "GZIP", " gzip ;q=0.001", "gzip;q=1", "br;q=0,gzip",
                           "gzip;x=1;q=0.5", ",,gzip,", "\tgzip\t", "gzip, gzip;q=0"})
    EXPECT_TRUE(accepts(list, "gzip")) << list;
}

TEST(Accepts, NotOneThatIsRefusedOrNotThereOrWeighedByNonsense) {
  for (const char* list :
       {"", ",", "br", "xgzip", "gzipx", "gzip;q=0", "gzip; Q=0.000", "gzip;q=", "gzip;q=x",
        "gzip;q=0.5x", "gzip;q=nan", "gzip;q=-1", "*", "gzip;q=0, gzip", "gzip ;x=1 ; q=0"})
    EXPECT_FALSE(accepts(list, "gzip")) << list;
}

TEST(WeightOf, TheMostSpecificRangeSays) {
  const std::string_view type = "text/plain; version=0.0.4";
  const struct {
    std::string_view accept;
    double weight;
  } rows[] = {
      {"", 1},
      {" ", 1},
      {"*/*", 1},
      {"text/plain", 1},
      {"Text/Plain;q=0.5", 0.5},
      {"*/*;q=0.1, text/*;q=0.2, text/plain;q=0.3", 0.3},
      {"text/plain;q=0, */*", 0},
      {"text/plain; version=0.0.4; q=0.7", 0.7},
      {"text/plain; version=0.0.4; escaping=none; q=0.7", 0.7},
      {"text/plain; version=1.0.0; q=0.7, text/plain; version=0.0.4; q=0.2", 0.2},
      {"text/plain; version=1.0.0", 0},
      {"text/plain; version=1.0.0, */*;q=0.1", 0.1},
      {"text/plain; q=2", 1},
      {"text/plain; q=nan", 0},
      {"text/html", 0},
      {"text", 0},
      {"application/*", 0},
      {",,", 0},
      {"nonsense; q=", 0},
  };
  for (const auto& row : rows) EXPECT_EQ(weight_of(row.accept, type), row.weight) << row.accept;
}

}  // namespace
}  // namespace tallymill::http
