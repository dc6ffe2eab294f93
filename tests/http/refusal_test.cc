// What a server's answer says as an Error. Goal: what a server of ours refuses arrives with the
// same code, field and delay, and a stranger's answer, whatever stands in it, is an Error too.
// Method: problem() and back for every code; answers by hand.
#include <gtest/gtest.h>

#include "http/client.h"

namespace tallymill::http {
namespace {

ClientResponse answer(int status, std::string body, std::string type = "application/problem+json") {
  ClientResponse response{.status = status, .headers = {}, .body = std::move(body)};
  response.headers.add("Content-Type", std::move(type));
  return response;
}

TEST(Refusal, AStrangersAnswerIsTheCodeOfItsStatus) {
  EXPECT_EQ(refusal({.status = 401}).code, Errc::unauthenticated);
  EXPECT_EQ(refusal({.status = 404}).code, Errc::not_found);
  EXPECT_EQ(refusal({.status = 503}).code, Errc::busy);
  for (const int status : {0, 101, 302, 418, 502})
    EXPECT_EQ(refusal({.status = status}).code, Errc::bad_frame) << status;
  EXPECT_EQ(refusal(answer(404, R"({"code":"E_DUP","detail":"x"})", "application/json")).code,
            Errc::not_found);
}

TEST(Refusal, WhatIsNoProblemIsReadAsNone) {
  for (const char* body :
       {"", "{", "[]", "7", "null", R"({"code":7,"detail":[],"field":{}})", R"({"code":"E_NEVER"})",
        R"({"retry_after_ms":-1})", R"({"retry_after_ms":1e99})", "{\"detail\":\"\xff\"}"}) {
    const Error error = refusal(answer(404, body));
    EXPECT_EQ(error.code, Errc::not_found) << body;
    EXPECT_FALSE(error.message.empty()) << body;
    EXPECT_EQ(error.retry_after.count(), 0) << body;
  }
  const Error long_one =
      refusal(answer(404, R"({"detail":")" + std::string(1'000'000, 'x') + "\"}"));
  EXPECT_LE(long_one.message.size(), 4096U);
  const Error late = refusal(answer(429, R"({"retry_after_ms":18446744073709551615})"));
  EXPECT_EQ(late.retry_after, std::chrono::hours(24));
}

TEST(Refusal, EachCodeComesBackAsItWentOut) {
#define TM_CODE(code, name, http, exit, retry, meaning) Errc::code,
  for (const Errc code : {TM_ERROR_TABLE(TM_CODE)}) {
#undef TM_CODE
    const Response said = problem({code, "why", "/width_mm", std::chrono::milliseconds(1500)});
    const Error heard = refusal(answer(said.status, std::string(said.body.bytes())));
    EXPECT_EQ(heard.code, code);
    EXPECT_EQ(heard.message, "why");
    EXPECT_EQ(heard.field, "/width_mm");
    EXPECT_EQ(heard.retry_after.count(), 1500);
  }
}

}  // namespace
}  // namespace tallymill::http
