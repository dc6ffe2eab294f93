// Goal: a request reaches the row that a person would name, and no other. Method: one table of rows
// that lie in each other's way, asked for paths that nearly match.
#include "http/router.h"

#include <gtest/gtest.h>

namespace tallymill::http {
namespace {

Route row(Method method, std::string path, std::string id = {}) {
  return {.method = method,
          .path = std::move(path),
          .handler = {.socket = [](Request&&, const std::shared_ptr<Socket>&) {}},
          .operation = {.id = std::move(id), .summary = ""}};
}

Router table() {
  Router router;
  for (auto& [method, path] :
       std::vector<std::pair<Method, std::string>>{{Method::get, "/"},
                                                   {Method::get, "/app/"},
                                                   {Method::get, "/v1/jobs/{id}"},
                                                   {Method::del, "/v1/jobs/{id}"},
                                                   {Method::post, "/v1/jobs/search"},
                                                   {Method::get, "/v1/jobs"},
                                                   {Method::post, "/v1/jobs"},
                                                   {Method::get, "/v1/jobs/{id}/result/{name}"},
                                                   {Method::get, "/v1/{what}/last/result/log"},
                                                   {Method::get, "/v1/blobs/{digest}"},
                                                   {Method::head, "/v1/blobs/{digest}"}})
    router.add(row(method, path));
  return router;
}

std::string found(const Router& router, Method method, std::string_view path) {
  const auto match = router.match(method, path);
  return match ? match->route->path : std::string(info(match.error().code).name);
}

TEST(Router, APathThatNoRowHasIsNotFound) {
  const Router router = table();
  for (const char* path :
       {"", "v1/jobs", "*", "/v1", "/v1/", "/v1/jobs/", "/v1/jobs/7/", "/v1/jobs/7/result",
        "/v1/jobs/7/result/", "/v1/jobs//result/a", "/V1/jobs", "/v1/jobsx", "/v1/job", "//v1/jobs",
        "/app", "/app/x", "/v1/jobs/7/result/a/b"}) {
    EXPECT_EQ(found(router, Method::get, path), "E_NOT_FOUND") << path;
    EXPECT_EQ(router.allowed(path), "") << path;
  }
  EXPECT_EQ(found(Router(), Method::get, "/"), "E_NOT_FOUND");
}

TEST(Router, StepsInBracesAreHandedOnByName) {
  const Router router = table();
  const auto match = router.match(Method::get, "/v1/jobs/7/result/a b%2F{id}");
  ASSERT_TRUE(match);
  EXPECT_EQ(match->route->path, "/v1/jobs/{id}/result/{name}");
  EXPECT_EQ(match->parts, (Pairs{{"id", "7"}, {"name", "a b%2F{id}"}}));
  EXPECT_EQ(found(router, Method::get, "/"), "/");
  EXPECT_EQ(found(router, Method::get, "/app/"), "/app/");
  EXPECT_TRUE(router.match(Method::get, "/v1/jobs")->parts.empty());
}

TEST(Router, ALiteralStepGoesBeforeBracesForEveryMethod) {
  const Router router = table();
  EXPECT_EQ(found(router, Method::post, "/v1/jobs/search"), "/v1/jobs/search");
  EXPECT_EQ(found(router, Method::get, "/v1/jobs/search"), "E_STATE");
  EXPECT_EQ(found(router, Method::get, "/v1/jobs/searches"), "/v1/jobs/{id}");
  // The first difference decides, whatever stands behind it.
  EXPECT_EQ(found(router, Method::get, "/v1/jobs/last/result/log"), "/v1/jobs/{id}/result/{name}");
  EXPECT_EQ(found(router, Method::get, "/v1/blobs/last/result/log"), "/v1/{what}/last/result/log");
}

TEST(Router, TheOrderOfRowsDoesNotCount) {
  Router router;
  const Router forward = table();
  const auto& rows = forward.routes();
  for (auto route = rows.rbegin(); route != rows.rend(); ++route) router.add(*route);
  for (const char* path : {"/v1/jobs/last/result/log", "/v1/blobs/last/result/log",
                           "/v1/jobs/search", "/v1/jobs/7", "/"})
    EXPECT_EQ(found(router, Method::get, path), found(forward, Method::get, path)) << path;
}

TEST(Router, AMethodThatThePathDoesNotHaveIsToldFromAPathThatIsNone) {
  const Router router = table();
  EXPECT_EQ(found(router, Method::put, "/v1/jobs/7"), "E_STATE");
  EXPECT_EQ(found(router, Method::options, "/v1/jobs/7"), "E_STATE");
  EXPECT_EQ(router.allowed("/v1/jobs/7"), "GET, HEAD, DELETE");
  EXPECT_EQ(router.allowed("/v1/jobs"), "GET, HEAD, POST");
  EXPECT_EQ(router.allowed("/v1/jobs/search"), "POST");
}

TEST(Router, HeadIsAnsweredByGetUnlessItHasARow) {
  const Router router = table();
  EXPECT_EQ(router.match(Method::head, "/v1/jobs/7")->route->method, Method::get);
  EXPECT_EQ(router.match(Method::head, "/v1/blobs/a")->route->method, Method::head);
  EXPECT_EQ(router.allowed("/v1/blobs/a"), "GET, HEAD");
  EXPECT_EQ(found(router, Method::head, "/v1/jobs/search"), "E_STATE");
}

TEST(RouterDeathTest, ATableThatContradictsItselfStopsTheProcess) {
  Router router = table();
  router.add(row(Method::get, "/named", "named"));
  EXPECT_DEATH(router.add(row(Method::get, "/v1/jobs")), "invariant");
  EXPECT_DEATH(router.add(row(Method::get, "/v1/jobs/{name}")), "invariant");
  EXPECT_DEATH(router.add(row(Method::post, "/v1/jobs/{name}")), "invariant");
  EXPECT_DEATH(router.add(row(Method::post, "/named", "named")), "invariant");
  EXPECT_DEATH(router.add({.path = "/none"}), "invariant");
  for (const char* path : {"", "x", "/{a}/{a}", "/a{b}", "/{a", "/a}", "/{}", "/{{a}}"})
    EXPECT_DEATH(router.add(row(Method::get, path)), "invariant") << path;
}

TEST(Router, AllThatIsLeftGoesBehindEveryOther) {
  Router router;
  for (const char* path : {"/v1/{*}", "/v1/jobs/{id}", "/v1/ws", "/v1/jobs/{*}", "/v1/jobs/all"})
    router.add(row(Method::get, path));
  router.add(row(Method::post, "/v1/{*}"));
  EXPECT_EQ(found(router, Method::get, "/v1/ws"), "/v1/ws");
  EXPECT_EQ(found(router, Method::get, "/v1/other"), "/v1/{*}");
  EXPECT_EQ(found(router, Method::get, "/v1/"), "/v1/{*}");
  EXPECT_EQ(found(router, Method::get, "/v1/a/b/"), "/v1/{*}");
  EXPECT_EQ(found(router, Method::get, "/v1/jobs/7"), "/v1/jobs/{id}");
  EXPECT_EQ(found(router, Method::get, "/v1/jobs/all"), "/v1/jobs/all");
  EXPECT_EQ(found(router, Method::get, "/v1/jobs/7/result"), "/v1/jobs/{*}");
  EXPECT_EQ(found(router, Method::get, "/v1"), "E_NOT_FOUND");
  EXPECT_EQ(found(router, Method::post, "/v1/x"), "/v1/{*}");
  EXPECT_EQ(router.match(Method::get, "/v1/jobs/7/a%20b")->parts, (Pairs{{"*", "7/a%20b"}}));
}

}  // namespace
}  // namespace tallymill::http
