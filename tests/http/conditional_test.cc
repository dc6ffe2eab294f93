// Goal: a client never gets bytes it has, bytes of another version, or another part than it asked
// for. Method: one response of ten bytes, asked for with tables of fields: hostile ones first.
#include "http/conditional.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace tallymill::http {
namespace {

using nlohmann::json;

using Fields = std::initializer_list<std::pair<const char*, const char*>>;

Request asking(Fields fields, Method method = Method::get) {
  Request request = {.method = method};
  for (const auto& [name, value] : fields) request.headers.add(name, value);
  return request;
}

Response file(std::string bytes = "0123456789") {
  Response response = {
      .type = "image/png", .body = std::move(bytes), .etag = "\"abc\"", .ranges = true};
  response.headers.add("Cache-Control", "no-cache");
  return response;
}

Response answer(Fields fields, Method method = Method::get) {
  return conditional(asking(fields, method), file());
}

TEST(Conditional, ARangeThatIsNoneOrNotOneIsAnsweredWhole) {
  for (const char* range : {"",
                            "bytes",
                            "bytes=",
                            "bytes=-",
                            "bytes=5",
                            "bytes=a-b",
                            "bytes=0x1-2",
                            "bytes=+1-2",
                            "bytes=--5",
                            "bytes=5-2",
                            "bytes=1-2-3",
                            "bytes= 1-2",
                            "bytes=1 -2",
                            "bytes=1.0-2",
                            "=1-2",
                            "1-2",
                            "bytes:1-2",
                            "lines=1-2",
                            "bytes=0-1,3-4",
                            "bytes=0-1,",
                            "bytes=0-,0-,0-,0-,0-",
                            "bytes=-1,-2",
                            "bytes=18446744073709551616-1"}) {
    const Response response = answer({{"Range", range}});
    EXPECT_EQ(response.status, 200) << range;
    EXPECT_EQ(response.body.bytes(), "0123456789") << range;
    EXPECT_EQ(response.headers.get("Accept-Ranges"), "bytes");
    EXPECT_EQ(response.headers.count("Content-Range"), 0u);
  }
}

TEST(Conditional, APartThatIsNotThereIsRefusedWithTheSize) {
  for (const char* range : {"bytes=10-", "bytes=10-10", "bytes=-0", "bytes=-00",
                            "bytes=99999999999999999999999-", "bytes=18446744073709551615-"}) {
    const Response response = answer({{"Range", range}});
    EXPECT_EQ(response.status, 416) << range;
    EXPECT_EQ(response.headers.get("Content-Range"), "bytes */10");
    EXPECT_EQ(response.type, "application/problem+json");
    EXPECT_EQ(response.etag, "");
    EXPECT_EQ(json::parse(response.body.bytes())["status"], 416);
  }
}

TEST(Conditional, APartIsTheBytesThatWereAskedFor) {
  struct Row {
    const char* range;
    const char* bytes;
    const char* content_range;
  };
  for (const auto& [range, bytes, content_range] : std::initializer_list<Row>{
           {"bytes=0-0", "0", "bytes 0-0/10"},
           {"bytes=2-4", "234", "bytes 2-4/10"},
           {"Bytes=9-", "9", "bytes 9-9/10"},
           {"bytes=0-", "0123456789", "bytes 0-9/10"},
           {"bytes=7-10", "789", "bytes 7-9/10"},
           {"bytes=007-0008", "78", "bytes 7-8/10"},
           {"bytes=3-99999999999999999999999", "3456789", "bytes 3-9/10"},
           {"bytes=-1", "9", "bytes 9-9/10"},
           {"bytes=-10", "0123456789", "bytes 0-9/10"},
           {"bytes=-99999999999999999999999", "0123456789", "bytes 0-9/10"}}) {
    const Response response = answer({{"Range", range}});
    EXPECT_EQ(response.status, 206) << range;
    EXPECT_EQ(response.body.bytes(), bytes) << range;
    EXPECT_EQ(response.headers.get("Content-Range"), content_range);
    EXPECT_EQ(response.headers.get("Accept-Ranges"), "bytes");
    EXPECT_EQ(response.etag, "\"abc\"");
    EXPECT_EQ(response.type, "image/png");
  }
}

TEST(Conditional, NothingHasNoPartButItsEnd) {
  EXPECT_EQ(conditional(asking({{"Range", "bytes=-5"}}), file("")).status, 200);
  EXPECT_EQ(conditional(asking({{"Range", "bytes=0-"}}), file("")).status, 416);
}

TEST(Conditional, ARangeIsForGetAndForWhatHasRangesAndComesOnce) {
  EXPECT_EQ(answer({{"Range", "bytes=1-2"}}, Method::head).status, 200);
  EXPECT_EQ(answer({{"Range", "bytes=1-2"}, {"Range", "bytes=1-2"}}).status, 200);
  Response whole = file();
  whole.ranges = false;
  const Response response = conditional(asking({{"Range", "bytes=1-2"}}), std::move(whole));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.count("Accept-Ranges"), 0u);
}

TEST(Conditional, APartOfAnotherVersionIsNotGivenOut) {
  for (const char* other :
       {"\"abd\"", "W/\"abc\"", "abc", "", "*", "\"abc", "Thu, 26 Nov 2026 22:00:00 GMT"})
    EXPECT_EQ(answer({{"Range", "bytes=1-2"}, {"If-Range", other}}).status, 200) << other;
  EXPECT_EQ(answer({{"Range", "bytes=1-2"}, {"If-Range", "\"abc\""}}).status, 206);
  // What is not there in this version is only refused when this version was meant.
  EXPECT_EQ(answer({{"Range", "bytes=10-"}, {"If-Range", "\"abd\""}}).status, 200);

  Response weak = file();
  weak.etag = "W/\"abc\"";
  EXPECT_EQ(
      conditional(asking({{"Range", "bytes=1-2"}, {"If-Range", "W/\"abc\""}}), std::move(weak))
          .status,
      200);
}

TEST(Conditional, WhatTheClientHasIsNotSentAgain) {
  for (const char* tags : {"\"abc\"", "W/\"abc\"", "*", "\"x\", \"abc\"", "\"x\",\"abc\"",
                           "\"a,b\" , W/\"x\",, \"abc\"", "\"\", \"abc\", nonsense"})
    for (const Method method : {Method::get, Method::head}) {
      const Response response = answer({{"If-None-Match", tags}}, method);
      EXPECT_EQ(response.status, 304) << tags;
      EXPECT_EQ(response.body.size(), 0u);
      EXPECT_EQ(response.headers.get("Cache-Control"), "no-cache");
    }
  EXPECT_EQ(answer({{"If-None-Match", "\"x\""}, {"If-None-Match", "\"abc\""}}).status, 304);
}

TEST(Conditional, WhatTheClientHasNotIsSent) {
  for (const char* tags :
       {"", "\"abd\"", "abc", "\"abc", "abc\"", "w/\"abc\"", "W/ \"abc\"", "\"x\" \"ab\"c\"",
        "\"*\"", "*, \"x\"", "\"ABC\"", "nonsense, \"abc\"", ",,,", "W/", "W/\"", "\""})
    EXPECT_EQ(answer({{"If-None-Match", tags}}).status, 200) << tags;
}

TEST(Conditional, A304NamesTheVersionAsItsClientKnowsIt) {
  EXPECT_EQ(answer({{"If-None-Match", "\"abc\""}}).etag, "\"abc\"");
  EXPECT_EQ(answer({{"If-None-Match", "W/\"abc\""}}).etag, "W/\"abc\"");
  EXPECT_EQ(answer({{"If-None-Match", "*"}}).etag, "\"abc\"");
}

TEST(Conditional, AnotherVersionThanTheOneMeantIsRefused) {
  for (const char* tags : {"", "\"abd\"", "W/\"abc\"", "abc", "\"abc", "\"abd\", \"abe\""}) {
    const Response response = answer({{"If-Match", tags}});
    EXPECT_EQ(response.status, 412) << tags;
    EXPECT_EQ(json::parse(response.body.bytes())["code"], "E_STATE");
  }
  for (const char* tags : {"*", "\"abc\"", "\"abd\", \"abc\"", "W/\"abc\", \"abc\""})
    EXPECT_EQ(answer({{"If-Match", tags}}).status, 200) << tags;
}

TEST(Conditional, IfMatchGoesBeforeIfNoneMatchAndThatBeforeRange) {
  EXPECT_EQ(answer({{"If-Match", "\"x\""}, {"If-None-Match", "\"abc\""}}).status, 412);
  EXPECT_EQ(answer({{"If-None-Match", "\"abc\""}, {"Range", "bytes=10-"}}).status, 304);
  EXPECT_EQ(answer({{"If-None-Match", "\"x\""}, {"Range", "bytes=1-2"}}).status, 206);
}

TEST(Conditional, WhatIsNoWholeAnswerWithAnEtagComesBackAsItIs) {
  const Request request =
      asking({{"If-Match", "\"x\""}, {"If-None-Match", "*"}, {"Range", "bytes=1-2"}});
  for (const int status : {201, 202, 206, 404, 503}) {
    Response response = file();
    response.status = status;
    EXPECT_EQ(conditional(request, std::move(response)).status, status);
  }
  Response unnamed = file();
  unnamed.etag = "";
  EXPECT_EQ(conditional(request, std::move(unnamed)).status, 200);
  for (const Method method : {Method::post, Method::put, Method::del, Method::options})
    EXPECT_EQ(answer({{"If-Match", "\"x\""}, {"If-None-Match", "*"}}, method).status, 200);
}

TEST(KeptForAnswer, AnswersAsTheWholeRequestWould) {
  Request whole{.method = Method::head, .target = "/x?y", .body = "much"};
  whole.id = "1";
  for (const char* name : {"Host", "IF-Match", "If-None-Match", "if-range", "Range",
                           "Accept-Encoding", "Accept", "If-Modified-Since"})
    whole.headers.add(name, "a");
  const Request kept = kept_for_answer(whole);
  EXPECT_EQ(kept.method, Method::head);
  EXPECT_EQ(kept.target, "/x?y");
  EXPECT_EQ(kept.id, "1");
  std::string names;
  for (const auto& [name, value] : kept.headers.all()) names += name + " ";
  EXPECT_EQ(names, "IF-Match If-None-Match if-range Range Accept-Encoding ");
}

}  // namespace
}  // namespace tallymill::http
