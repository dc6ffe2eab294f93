// Goal: the document says of each row what the server does with it, and is one that OpenAPI readers
// take. Method: a table with every kind of row, and the rules of OpenAPI 3.1 that a row could
// break.
#include <gtest/gtest.h>

#include <set>

#include "http/router.h"

namespace tallymill::http {
namespace {

using nlohmann::json;

Handler nothing() {
  return {.socket = [](Request&&, const std::shared_ptr<Socket>&) {}};
}

Router table() {
  Router router;
  router.add({Method::post,
              "/v1/jobs",
              Role::submit,
              nothing(),
              {.id = "submitJob",
               .summary = "Submits a job.",
               .parameters = {{"Prefer", "header", "wait=N: seconds"},
                              {"wait", "query", "seconds", {{"type", "integer"}}}},
               .body = {{"application/json", "Submit"}, {"multipart/form-data"}},
               .replies = {{202, "It is on disk.", {{"application/json", "Job"}}}}}});
  router.add(
      {Method::get,
       "/v1/jobs/{id}/result/{name}",
       Role::read,
       nothing(),
       {.id = "getResult",
        .summary = "One file.",
        .replies = {{200, "The file.", {{"application/octet-stream"}}}, {304, "As it was."}}}});
  router.add({Method::del, "/v1/jobs/{id}", Role::operate, nothing(), {.id = "cancelJob"}});
  router.add({Method::get, "/healthz", Role::none, nothing(), {.id = "health"}});
  router.add({Method::get, "/app/", Role::none, nothing(), {}});
  return router;
}

json document() {
  return openapi(table(), {.title = "Tallymill",
                           .version = "1.2.3",
                           .description = "Runs jobs.",
                           .schemas = {{"Job", {{"type", "object"}}},
                                       {"Submit", {{"$ref", "#/components/schemas/Job"}}}}});
}

void collect(const json& value, std::set<std::string>& references) {
  if (value.is_object() && value.contains("$ref")) references.insert(value["$ref"]);
  if (value.is_structured())
    for (const json& part : value) collect(part, references);
}

TEST(Openapi, SaysWhatItIs) {
  const json said = document();
  EXPECT_EQ(said["openapi"], "3.1.0");
  EXPECT_EQ(said["info"],
            json({{"title", "Tallymill"}, {"version", "1.2.3"}, {"description", "Runs jobs."}}));
}

TEST(Openapi, RowsWithoutAnIdAreNotTold) {
  const json said = document();
  std::set<std::string> paths;
  for (const auto& [path, item] : said["paths"].items()) paths.insert(path);
  EXPECT_EQ(paths, (std::set<std::string>{"/healthz", "/v1/jobs", "/v1/jobs/{id}",
                                          "/v1/jobs/{id}/result/{name}"}));
  EXPECT_TRUE(said["paths"]["/v1/jobs/{id}"].contains("delete"));
}

TEST(Openapi, ParametersOfThePathComeFromThePattern) {
  const json said = document();
  const json string = {{"type", "string"}};
  EXPECT_EQ(said["paths"]["/v1/jobs/{id}/result/{name}"]["get"]["parameters"],
            json({{{"name", "id"}, {"in", "path"}, {"required", true}, {"schema", string}},
                  {{"name", "name"}, {"in", "path"}, {"required", true}, {"schema", string}}}));
  EXPECT_EQ(said["paths"]["/v1/jobs"]["post"]["parameters"],
            json({{{"name", "Prefer"},
                   {"in", "header"},
                   {"description", "wait=N: seconds"},
                   {"schema", string}},
                  {{"name", "wait"},
                   {"in", "query"},
                   {"description", "seconds"},
                   {"schema", {{"type", "integer"}}}}}));
}

TEST(Openapi, BodiesAndRepliesNameTheirSchemasAndBytesHaveNone) {
  const json said = document();
  const json job = {{"schema", {{"$ref", "#/components/schemas/Job"}}}};
  const json& submit = said["paths"]["/v1/jobs"]["post"];
  EXPECT_EQ(submit["requestBody"]["required"], true);
  EXPECT_EQ(submit["requestBody"]["content"],
            json({{"application/json", {{"schema", {{"$ref", "#/components/schemas/Submit"}}}}},
                  {"multipart/form-data", json::object()}}));
  EXPECT_EQ(submit["responses"]["202"]["description"], "It is on disk.");
  EXPECT_EQ(submit["responses"]["202"]["content"], json({{"application/json", job}}));
  const json& result = said["paths"]["/v1/jobs/{id}/result/{name}"]["get"];
  EXPECT_FALSE(result.contains("requestBody"));
  EXPECT_EQ(result["responses"]["200"]["content"],
            json({{"application/octet-stream", json::object()}}));
  EXPECT_FALSE(result["responses"]["304"].contains("content"));
}

TEST(Openapi, EachOperationMayAnswerAProblem) {
  const json said = document();
  for (const auto& [path, item] : said["paths"].items())
    for (const auto& [method, operation] : item.items())
      EXPECT_EQ(operation["responses"]["default"]["content"],
                json({{"application/problem+json",
                       {{"schema", {{"$ref", "#/components/schemas/Problem"}}}}}}))
          << path;
}

TEST(Openapi, TheSchemaOfAProblemIsWhatProblemWrites) {
  const json said = document();
  const json& schema = said["components"]["schemas"]["Problem"];
  const json largest = json::parse(
      problem({Errc::busy, "full", "/kind", std::chrono::milliseconds(1)}).body.bytes());
  const json least = json::parse(problem({Errc::not_found, "no"}).body.bytes());
  for (const auto& [name, value] : largest.items()) {
    ASSERT_TRUE(schema["properties"].contains(name)) << name;
    EXPECT_EQ(schema["properties"][name]["type"], value.is_string() ? "string" : "integer") << name;
  }
  EXPECT_EQ(schema["properties"].size(), largest.size());
  for (const json& name : schema["required"]) EXPECT_TRUE(least.contains(name)) << name;
  EXPECT_EQ(schema["required"].size(), least.size());
  const json& codes = schema["properties"]["code"]["enum"];
  EXPECT_NE(std::ranges::find(codes, "E_BUSY"), codes.end());
  for (const json& code : codes) EXPECT_TRUE(errc_named(code.get<std::string>())) << code;
}

TEST(Openapi, WhatNeedsARoleNeedsATokenAndNothingElseDoes) {
  const json said = document();
  const json bearer = json::array({{{"bearer", json::array()}}});
  const json& submit = said["paths"]["/v1/jobs"]["post"];
  EXPECT_EQ(submit["security"], bearer);
  EXPECT_EQ(submit["x-tallymill-role"], "submit");
  const json& health = said["paths"]["/healthz"]["get"];
  EXPECT_EQ(health["security"], json::array());
  EXPECT_EQ(health["x-tallymill-role"], "none");
  EXPECT_EQ(said["components"]["securitySchemes"],
            json({{"bearer", {{"type", "http"}, {"scheme", "bearer"}}}}));
}

TEST(Openapi, ATableThatIsOpenToAllHasNoSecurityScheme) {
  Router router;
  router.add({Method::get, "/healthz", Role::none, nothing(), {.id = "health"}});
  const json said = openapi(router, {});
  EXPECT_FALSE(said["components"].contains("securitySchemes"));
  EXPECT_EQ(openapi(Router(), {})["paths"], json::object());
}

TEST(Openapi, EachReferenceLeadsToASchema) {
  const json said = document();
  std::set<std::string> references;
  collect(said, references);
  EXPECT_EQ(references.size(), 3u);
  for (const std::string& reference : references)
    EXPECT_TRUE(said.contains(json::json_pointer(reference.substr(1)))) << reference;
}

TEST(OpenapiDeathTest, ASchemaThatIsNotThereStopsTheProcess) {
  Router router;
  router.add({Method::get,
              "/v1/kinds",
              Role::read,
              nothing(),
              {.id = "listKinds", .replies = {{200, "All.", {{"application/json", "Kinds"}}}}}});
  EXPECT_DEATH((void)openapi(router, {}), "invariant");
}

}  // namespace
}  // namespace tallymill::http
