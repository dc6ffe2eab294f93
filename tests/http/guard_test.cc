// Who may speak. Goal: a page of another origin, a name that was rebound to our address and a plain
// form reach no handler, and a token opens what its role may do and no more. Method: tables of
// requests as browsers, attackers and scripts send them, against guards with and without tokens.
#include "http/guard.h"

#include <gtest/gtest.h>

#include <initializer_list>

#include "base/sha256.h"

namespace tallymill::http {
namespace {

using Fields = std::initializer_list<std::pair<const char*, std::string>>;

Request request(Method method, Fields fields, bool with_host = true) {
  Request made{.method = method};
  if (with_host) made.headers.add("Host", "localhost:7780");
  for (const auto& [name, value] : fields) made.headers.add(name, value);
  return made;
}

// 200 for one that may.
int status(const Guard& guard, const Request& asked, Role role = Role::submit,
           bool upgrade = false) {
  const auto caller = guard.admit(asked, role, upgrade);
  return caller ? 200 : caller.error().status;
}

int host_status(const Guard& guard, const std::string& host) {
  return status(guard, request(Method::get, {{"Host", host}}, false));
}

const Guard plain({}, "127.0.0.1:7780", false);

TEST(Host, AnotherNameIsMisdirectedAndNoNameIsWrong) {
  for (const char* host :
       {"", "evil.example", "evil.example:7780", "localhost", "localhost:80", "localhost:7781",
        "127.0.0.1", "127.0.0.2:7780", "0.0.0.0:7780", "[::1]", "[::]:7780", "localhost.:7780",
        "localhost.evil.example:7780", "evil-localhost:7780", "127.0.0.1.nip.io:7780",
        "2130706433:7780", "[::ffff:127.0.0.1]:7780", "*:7780"})
    EXPECT_GE(host_status(plain, host), 400) << host;
  for (const char* host : {"evil.example", "localhost", "127.0.0.1", "[::1]", "localhost:7781"})
    EXPECT_EQ(host_status(plain, host), 421) << host;
  for (const char* host : {"localhost:7780, evil.example", "localhost:7780 evil",
                           "user@localhost:7780", "localhost:", "localhost:x", "localhost:77800",
                           "localhost:-1", "localhost:7780/", "http://localhost:7780", "[::1:7780",
                           "::1:7780", "[]:7780", ":7780", "localhost:7780:7780", "local\thost"})
    EXPECT_EQ(host_status(plain, host), 400) << host;
  EXPECT_EQ(status(plain, request(Method::get, {}, false)), 400);
  EXPECT_EQ(status(plain, request(Method::get, {{"host", "localhost:7780"}})), 400);
}

TEST(Host, LoopbackNamesWithTheServedPort) {
  for (const char* host :
       {"localhost:7780", "LocalHost:7780", "127.0.0.1:7780", "[::1]:7780", "localhost:07780"})
    EXPECT_EQ(host_status(plain, host), 200) << host;
}

TEST(Host, WithoutAPortIsTheSchemesOwnPort) {
  const Guard http({}, "127.0.0.1:80", false);
  const Guard https({}, "127.0.0.1:443", true);
  for (const char* host : {"localhost", "127.0.0.1", "[::1]"}) {
    EXPECT_EQ(host_status(http, host), 200) << host;
    EXPECT_EQ(host_status(https, host), 200) << host;
  }
  EXPECT_EQ(host_status(http, "localhost:80"), 200);
  EXPECT_EQ(host_status(http, "localhost:443"), 421);
  EXPECT_EQ(host_status(https, "localhost:80"), 421);
  EXPECT_EQ(host_status(Guard({}, "127.0.0.1:443", false), "localhost"), 421);
}

TEST(Host, TheListeningAddressIsAName) {
  EXPECT_EQ(host_status(Guard({}, "192.0.2.7:7780", false), "192.0.2.7:7780"), 200);
  EXPECT_EQ(host_status(Guard({}, "192.0.2.7:7780", false), "192.0.2.8:7780"), 421);
  EXPECT_EQ(host_status(Guard({}, "[2001:DB8::7]:7780", false), "[2001:db8::7]:7780"), 200);
  for (const char* any : {"0.0.0.0:7780", "[::]:7780", "*:7780"}) {
    EXPECT_EQ(host_status(Guard({}, any, false), "localhost:7780"), 200) << any;
    EXPECT_EQ(host_status(Guard({}, any, false), "0.0.0.0:7780"), 421) << any;
    EXPECT_EQ(host_status(Guard({}, any, false), "192.0.2.7:7780"), 421) << any;
  }
}

TEST(Host, ExtraOnesHaveAnyPortOrTheirs) {
  const Guard guard({.hosts = {"Mill.example", "other.example:8080", "no host"}}, "0.0.0.0:7780",
                    false);
  for (const char* host : {"mill.example", "MILL.example:1", "other.example:8080"})
    EXPECT_EQ(host_status(guard, host), 200) << host;
  for (const char* host :
       {"other.example", "other.example:7780", "a.mill.example", "mill.example."})
    EXPECT_EQ(host_status(guard, host), 421) << host;
}

TEST(Origin, APageOfAnotherMayOnlyRead) {
  for (const char* origin :
       {"", "null", "http://evil.example", "http://localhost", "http://localhost:7781",
        "https://localhost", "http://localhost:7780.evil.example", "http://localhost:7780@evil",
        "http://localhost:7780/", "localhost:7780", "ftp://localhost:7780",
        "http://localhost:7780 http://evil.example", "HTTP://localhost:7780", "file://",
        "chrome-extension://localhost:7780"}) {
    for (const Method method : {Method::post, Method::put, Method::del, Method::options})
      EXPECT_EQ(status(plain, request(method, {{"Origin", origin}})), 403) << origin;
    EXPECT_EQ(status(plain, request(Method::get, {{"Origin", origin}}), Role::read, true), 403)
        << origin;
    // Its answer has no CORS header: the page cannot read it.
    EXPECT_EQ(status(plain, request(Method::get, {{"Origin", origin}})), 200) << origin;
    EXPECT_EQ(status(plain, request(Method::head, {{"Origin", origin}})), 200) << origin;
  }
  EXPECT_EQ(status(plain, request(Method::del, {{"Origin", "http://localhost:7780"},
                                                {"Origin", "http://localhost:7780"}})),
            403);
}

TEST(Origin, OursMayActAndSoMayNoBrowser) {
  for (const Method method : {Method::get, Method::head, Method::post, Method::put, Method::del}) {
    EXPECT_EQ(status(plain, request(method, {})), 200);
    for (const char* origin : {"http://localhost:7780", "http://127.0.0.1:7780"})
      EXPECT_EQ(status(plain, request(method, {{"Origin", origin}})), 200) << origin;
  }
  EXPECT_EQ(
      status(plain, request(Method::get, {{"Origin", "http://localhost:7780"}}), Role::read, true),
      200);
}

TEST(Origin, OnAnotherPortOfAnExtraHostIsAnothers) {
  const Guard guard({.hosts = {"mill.example"}}, "0.0.0.0:7780", false);
  const auto acts = [&](const char* host, const char* origin) {
    return status(guard, request(Method::del, {{"Host", host}, {"Origin", origin}}, false));
  };
  EXPECT_EQ(acts("mill.example:7780", "http://mill.example:7780"), 200);
  EXPECT_EQ(acts("mill.example:7780", "http://mill.example:9999"), 403);
  EXPECT_EQ(acts("mill.example", "http://mill.example:9999"), 403);
  EXPECT_EQ(acts("mill.example", "http://mill.example"), 200);
  EXPECT_EQ(acts("mill.example", "https://mill.example"), 200);  // a proxy that speaks TLS
  EXPECT_EQ(acts("mill.example", "https://mill.example:8443"), 403);
}

TEST(Origin, WithTlsIsHttpsAlone) {
  const Guard guard({}, "127.0.0.1:7780", true);
  EXPECT_EQ(status(guard, request(Method::del, {{"Origin", "https://localhost:7780"}})), 200);
  EXPECT_EQ(status(guard, request(Method::del, {{"Origin", "http://localhost:7780"}})), 403);
}

TEST(Type, WhatAPlainFormSendsIsRefused) {
  for (const char* type :
       {"text/plain", "text/plain;application/json", "application/x-www-form-urlencoded", "",
        "application/json-seq", "application/jsonx", "application/octet-stream", "image/png",
        "multipart/mixed", "text/html", "*/*", "application/json, text/plain",
        "\"application/json\""})
    for (const char* length : {"2", "0"})  // also what says a type without a body
      EXPECT_EQ(status(plain,
                       request(Method::post, {{"Content-Type", type}, {"Content-Length", length}})),
                415)
          << type;
  EXPECT_EQ(status(plain, request(Method::post, {{"Content-Length", "2"}})), 415);
  EXPECT_EQ(status(plain, request(Method::post, {{"Transfer-Encoding", "chunked"}})), 415);
  EXPECT_EQ(status(plain, request(Method::del, {{"Content-Length", "2"}})), 415);
  EXPECT_EQ(status(plain, request(Method::post, {{"Content-Type", "application/json"},
                                                 {"Content-Type", "application/json"},
                                                 {"Content-Length", "2"}})),
            415);
  for (const char* type : {"text/plain", "application/x-www-form-urlencoded", "image/", "image"})
    EXPECT_EQ(
        status(plain, request(Method::put, {{"Content-Type", type}, {"Content-Length", "2"}})), 415)
        << type;
}

TEST(Type, WhatARouteMayReadIsTaken) {
  for (const char* type :
       {"application/json", "Application/JSON; charset=utf-8", "multipart/form-data; boundary=b"})
    for (const Method method : {Method::post, Method::put})
      EXPECT_EQ(status(plain, request(method, {{"Content-Type", type}, {"Content-Length", "2"}})),
                200)
          << type;
  for (const char* type : {"application/octet-stream", "image/png", "IMAGE/jpeg"})
    EXPECT_EQ(status(plain, request(Method::put,
                                    {{"Content-Type", type}, {"Transfer-Encoding", "chunked"}})),
              200)
        << type;
  EXPECT_EQ(status(plain, request(Method::post, {})), 200);  // retry, cancel
  EXPECT_EQ(status(plain, request(Method::post, {{"Content-Length", "0"}})), 200);
  EXPECT_EQ(status(plain, request(Method::get, {{"Content-Type", "text/plain"}})), 200);
}

TEST(Type, ABodyThatIsPackedIsRefusedWhateverItHolds) {
  const auto packed = [](const char* coding) {
    return request(Method::post, {{"Content-Type", "application/json"},
                                  {"Content-Length", "2"},
                                  {"Content-Encoding", coding}});
  };
  for (const char* coding : {"gzip", "br", "identity, gzip", "x-gzip", ""})
    EXPECT_EQ(status(plain, packed(coding)), 415) << coding;
  EXPECT_EQ(status(plain, packed("Identity")), 200);
}

Guard with_tokens() {
  std::string text;
  for (const char* role : {"read", "submit", "operate"})
    text += std::string(role) + "er " + role + " " + sha256_hex("the " + std::string(role)) + "\n";
  return {{.tokens = Tokens::parse(text, "door").value()}, "127.0.0.1:7780", false};
}

TEST(Token, NoneOrAWrongOneIsNobody) {
  const Guard guard = with_tokens();
  EXPECT_EQ(status(guard, request(Method::get, {})), 401);
  for (const char* value :
       {"", "Bearer", "Bearer ", "Bearer the", "Bearer the submit x", "Basic the submit",
        "the submit", "Bearerthe submit", "Bearer The submit", "Bearer bearer the submit"})
    EXPECT_EQ(status(guard, request(Method::get, {{"Authorization", value}})), 401) << value;
  EXPECT_EQ(status(guard, request(Method::get, {{"Authorization", "Bearer the submit"},
                                                {"Authorization", "Bearer the submit"}})),
            401);
  const auto refused =
      guard.admit(request(Method::get, {{"Authorization", "Bearer the key"}}), Role::read, false);
  EXPECT_EQ(refused.error().error.code, Errc::unauthenticated);
  EXPECT_EQ(refused.error().error.message.find("the key"), std::string::npos);
}

TEST(Token, OpensWhatItsRoleMayDoAndNoMore) {
  const Guard guard = with_tokens();
  const Role roles[] = {Role::read, Role::submit, Role::operate};
  for (const Role holds : roles)
    for (const Role needs : roles) {
      const auto caller = guard.admit(
          request(Method::get, {{"authorization", "bearer  the " + std::string(name_of(holds))}}),
          needs, false);
      ASSERT_EQ(caller.has_value(), holds >= needs) << name_of(holds) << name_of(needs);
      if (caller) {
        EXPECT_EQ(caller->role, holds);
        EXPECT_EQ(caller->name, std::string(name_of(holds)) + "er");
      } else {
        EXPECT_EQ(caller.error().status, 403);
      }
    }
}

TEST(Token, ARouteWithoutARoleNeedsNone) {
  const Guard guard = with_tokens();
  const auto nobody = guard.admit(request(Method::get, {}), Role::none, false);
  ASSERT_TRUE(nobody);
  EXPECT_EQ(nobody->role, Role::none);
  EXPECT_EQ(nobody->name, "");
  const auto known =
      guard.admit(request(Method::get, {{"Authorization", "Bearer the read"}}), Role::none, false);
  EXPECT_EQ(known->name, "reader");
  EXPECT_EQ(status(guard, request(Method::get, {{"Host", "evil.example"}}, false), Role::none),
            421);
}

TEST(Token, AWebSocketsComesAsASubprotocol) {
  const Guard guard = with_tokens();
  const auto opens = [&](const char* protocols, bool upgrade = true) {
    return status(guard, request(Method::get, {{"Sec-WebSocket-Protocol", protocols}}),
                  Role::submit, upgrade);
  };
  // "the submit", "the read"
  EXPECT_EQ(opens("tallymill.v1, bearer.dGhlIHN1Ym1pdA"), 200);
  EXPECT_EQ(opens("bearer.dGhlIHN1Ym1pdA,tallymill.v1"), 200);
  EXPECT_EQ(opens("tallymill.v1, bearer.dGhlIHJlYWQ"), 403);
  for (const char* protocols :
       {"", "tallymill.v1", "tallymill.v1, bearer.", "tallymill.v1, bearer.!!",
        "bearer.dGhlIHN1Ym1pdA==", "Bearer.dGhlIHN1Ym1pdA",
        "bearer.dGhlIHN1Ym1pdA, bearer.dGhlIHN1Ym1pdA", "the submit"})
    EXPECT_EQ(opens(protocols), 401) << protocols;
  EXPECT_EQ(opens("tallymill.v1, bearer.dGhlIHN1Ym1pdA", false), 401);  // no WebSocket
  // A client that is no browser can say both; then the usual header counts.
  EXPECT_EQ(status(guard,
                   request(Method::get, {{"Authorization", "Bearer the read"},
                                         {"Sec-WebSocket-Protocol", "bearer.dGhlIHN1Ym1pdA"}}),
                   Role::submit, true),
            403);
}

TEST(Token, WithoutAFileEverybodyOperates) {
  const auto caller = plain.admit(request(Method::get, {}), Role::operate, false);
  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->role, Role::operate);
}

TEST(Harden, HoldsEachAnswerToItsOrigin) {
  Response json;
  Guard::harden(json);
  EXPECT_EQ(json.headers.get("X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(json.headers.get("Referrer-Policy"), "no-referrer");
  EXPECT_EQ(json.headers.get("Cross-Origin-Resource-Policy"), "same-origin");
  EXPECT_EQ(json.headers.get("Cache-Control"), "no-store");
  EXPECT_TRUE(json.headers.get("Content-Security-Policy").starts_with("default-src 'none'"));
  Response page{.type = "text/html; charset=utf-8"};
  page.headers.add("Cache-Control", "max-age=60");
  Guard::harden(page);
  const std::string_view policy = page.headers.get("Content-Security-Policy");
  EXPECT_EQ(page.headers.count("Cache-Control"), 1);
  EXPECT_EQ(page.headers.get("Cache-Control"), "max-age=60");
  EXPECT_EQ(policy.find("unsafe"), std::string_view::npos);
  for (const char* part : {"default-src 'self'", "script-src 'self'", "style-src 'self'",
                           "img-src 'self' blob: data:", "connect-src 'self'",
                           "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"})
    EXPECT_NE(policy.find(part), std::string_view::npos) << part;
  for (const Response& response : {json, page})
    for (const auto& [name, value] : response.headers.all())
      EXPECT_FALSE(lower_case(name).starts_with("access-control")) << name;
}

TEST(Harden, IsTheSameAsText) {
  for (const char* type : {"application/json", "text/html", "Text/HTML; charset=utf-8", ""}) {
    Response response{.type = type};
    const std::string_view text = Guard::hardening(response);
    Guard::harden(response);
    std::string fields;
    for (const auto& [name, value] : response.headers.all())
      fields.append(name).append(": ").append(value).append("\r\n");
    EXPECT_EQ(text, fields) << type;
  }
  Response other;
  other.headers.add("Location", "/v1/jobs/1");
  EXPECT_FALSE(Guard::hardening(other).empty());
  other.headers.add("cache-control", "max-age=60");
  EXPECT_TRUE(Guard::hardening(other).empty()) << "what is said already is not said twice";
}

TEST(Type, ARouteMayTakeOneOfItsOwnAndACodingAndNobodyElseDoes) {
  const Accepts form{.type = "application/x-www-form-urlencoded"};
  const Accepts write{.type = "application/x-protobuf", .coding = "snappy"};
  const Request asked =
      request(Method::post, {{"Content-Type", "application/x-www-form-urlencoded"}});
  const Request written = request(
      Method::post, {{"Content-Type", "application/x-protobuf"}, {"Content-Encoding", "snappy"}});
  EXPECT_TRUE(plain.admit(asked, Role::read, false, form));
  EXPECT_TRUE(plain.admit(written, Role::read, false, write));
  for (const auto& [said, accepts] :
       {std::pair{asked, Accepts{}}, {asked, write}, {written, form}, {written, Accepts{}}}) {
    const auto refused = plain.admit(said, Role::read, false, accepts);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().status, 415);
  }
  const Accepts two{.type = "text/plain, application/x-www-form-urlencoded"};
  EXPECT_TRUE(plain.admit(asked, Role::read, false, two));
  EXPECT_TRUE(plain.admit(request(Method::post, {{"Content-Type", "Text/Plain; version=0.0.4"}}),
                          Role::read, false, two));
  for (const char* part : {"text/plain, application/x-www-form-urlencoded", "text", "plain", ","})
    EXPECT_FALSE(
        plain.admit(request(Method::post, {{"Content-Type", part}}), Role::read, false, two))
        << part;
  // Another origin's page may not send even that.
  Request foreign = asked;
  foreign.headers.add("Origin", "http://evil.example");
  EXPECT_FALSE(plain.admit(foreign, Role::read, false, form));
}

}  // namespace
}  // namespace tallymill::http
