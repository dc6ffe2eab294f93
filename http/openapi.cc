#include "base/check.h"
#include "http/router.h"

namespace tallymill::http {
namespace {

using nlohmann::json;

constexpr const char* problem_name = "Problem";

json reference_to(const std::string& schema) {
  return {{"$ref", "#/components/schemas/" + schema}};
}

// What problem() writes (message.h).
json problem_schema() {
  json codes = json::array();
#define TM_CODE(code, name, http, exit, retry, meaning) codes.push_back(name);
  TM_ERROR_TABLE(TM_CODE)
#undef TM_CODE
  const auto told = [](const char* type, const char* help) {
    return json{{"type", type}, {"description", help}};
  };
  json code = told("string", "what went wrong, as on the bus");
  code["enum"] = std::move(codes);
  return {{"type", "object"},
          {"description", "why a request was not done (RFC 9457)"},
          {"required", {"type", "title", "status", "code", "detail"}},
          {"properties",
           {{"type", told("string", "about:blank: see code")},
            {"title", told("string", "the status in words")},
            {"status", told("integer", "the HTTP status")},
            {"code", std::move(code)},
            {"detail", told("string", "one sentence for a person")},
            {"field", told("string", "JSON pointer to what is wrong")},
            {"retry_after_ms", told("integer", "the least to wait before the next attempt")}}}};
}

// "/v1/jobs/{id}" -> "id", for each.
std::vector<std::string> names_of(std::string_view pattern) {
  std::vector<std::string> names;
  for (std::size_t end = 0, begin = pattern.find('{'); begin != std::string_view::npos;
       begin = pattern.find('{', end)) {
    end = pattern.find('}', begin);
    names.emplace_back(pattern.substr(begin + 1, end - begin - 1));
  }
  return names;
}

json parameters_of(const Route& route) {
  json all = json::array();
  for (const std::string& name : names_of(route.path))
    all.push_back(
        {{"name", name}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}});
  for (const Parameter& parameter : route.operation.parameters)
    all.push_back({{"name", parameter.name},
                   {"in", parameter.in},
                   {"description", parameter.help},
                   {"schema", parameter.schema}});
  return all;
}

json contents_of(const std::vector<Content>& contents, const Api& api) {
  json all = json::object();
  for (const Content& content : contents) {
    TM_CHECK(content.schema.empty() || api.schemas.contains(content.schema));
    all[content.type] =
        content.schema.empty() ? json::object() : json{{"schema", reference_to(content.schema)}};
  }
  return all;
}

json responses_of(const Operation& operation, const Api& api) {
  json all = {
      {"default",
       {{"description", "why it was not done"},
        {"content", {{"application/problem+json", {{"schema", reference_to(problem_name)}}}}}}}};
  for (const Reply& reply : operation.replies) {
    json& told = all[std::to_string(reply.status)];
    told["description"] = reply.help;
    if (!reply.contents.empty()) told["content"] = contents_of(reply.contents, api);
  }
  return all;
}

json operation_of(const Route& route, const Api& api) {
  const Operation& operation = route.operation;
  json told = {{"operationId", operation.id},        {"summary", operation.summary},
               {"parameters", parameters_of(route)}, {"responses", responses_of(operation, api)},
               {"security", json::array()},          {"x-tallymill-role", name_of(route.role)}};
  if (route.role != Role::none) told["security"].push_back({{"bearer", json::array()}});
  if (!operation.body.empty())
    told["requestBody"] = {{"required", true}, {"content", contents_of(operation.body, api)}};
  return told;
}

}  // namespace

json openapi(const Router& router, const Api& api) {
  json paths = json::object();
  bool secured = false;
  for (const Route& route : router.routes()) {
    if (route.operation.id.empty()) continue;
    paths[route.path][lower_case(name_of(route.method))] = operation_of(route, api);
    secured |= route.role != Role::none;
  }
  json schemas = api.schemas;
  schemas[problem_name] = problem_schema();
  json document = {
      {"openapi", "3.1.0"},
      {"info", {{"title", api.title}, {"version", api.version}, {"description", api.description}}},
      {"paths", std::move(paths)},
      {"components", {{"schemas", std::move(schemas)}}}};
  if (secured)
    document["components"]["securitySchemes"]["bearer"] = {{"type", "http"}, {"scheme", "bearer"}};
  return document;
}

}  // namespace tallymill::http
