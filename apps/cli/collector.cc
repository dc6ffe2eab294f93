// What commands ask of a collector over HTTP; and `collector snapshot`.
#include <nlohmann/json.hpp>
#include <utility>

#include "apps/cli/command.h"
#include "apps/cli/terminal.h"
#include "base/config.h"
#include "http/client.h"

namespace tallymill::cli {
namespace {

using nlohmann::json;

std::string url_of(const CollectorAt& collector) {
  std::string url = collector.url;
  if (url.empty()) {
    const auto loaded = load_config({.environment = environment_of(environ)});
    url = "http://" + (loaded ? loaded->config : Config()).collector.http;
  }
  while (url.ends_with('/')) url.pop_back();
  return url;
}

// Of an answer in Prometheus' form, which tells less than a code of ours.
Errc code_of(int status) {
  switch (status) {
    case 400:
    case 422:
      return Errc::bad_params;
    case 404:
      return Errc::not_found;
    case 500:
      return Errc::disk;
    default:
      return Errc::busy;
  }
}

}  // namespace

Result<http::ClientResponse> fetch_from_collector(const Common& common,
                                                  const CollectorAt& collector,
                                                  http::ClientRequest request) {
  http::ClientOptions options;
  auto token = token_of(common);
  if (!token) return std::unexpected(std::move(token).error());
  options.token = std::move(*token);
  options.ca_file = common.ca_file;
  http::Client client(std::move(options));
  if (auto started = client.start(); !started) return std::unexpected(std::move(started).error());
  request.url.insert(0, url_of(collector));
  return client.fetch(std::move(request));
}

Result<json> ask_collector(const Common& common, const CollectorAt& collector,
                           std::string_view path, std::string form) {
  return ask_collector(common, collector, path, std::move(form),
                       "application/x-www-form-urlencoded", Duration());
}

Result<json> ask_collector(const Common& common, const CollectorAt& collector,
                           std::string_view path, std::string body_sent, std::string_view type,
                           Duration patience) {
  http::ClientRequest request{.method = http::Method::post, .url = std::string(path)};
  if (!body_sent.empty()) request.headers.add("Content-Type", std::string(type));
  request.body = std::move(body_sent);
  request.timeout = patience;
  const auto answer = fetch_from_collector(common, collector, std::move(request));
  if (!answer) return std::unexpected(answer.error());
  const json body = json::parse(answer->body, nullptr, false);
  if (body.is_object() && text_at(body, "status") == "success")
    return body.value("data", json::object());
  if (body.is_object() && body.contains("error"))
    return fail(code_of(answer->status), text_at(body, "error"));
  return std::unexpected(http::refusal(*answer));
}

int collector_snapshot(const CollectorSnapshotArgs& args) {
  const auto answer = ask_collector(args.common, args.collector, "/api/v1/admin/tsdb/snapshot", "");
  if (!answer) {
    Error refused = answer.error();
    // It says nothing that could be wrong: what refuses it is what lies in the collector's folder.
    if (refused.code == Errc::bad_params) refused.code = Errc::wrong_state;
    return tell(args.common, refused);
  }
  const std::string name = text_at(*answer, "name");
  if (name.empty())
    return tell(args.common, {Errc::bad_frame, "the collector's answer names no snapshot"});
  const std::string folder = "snapshots/" + name;
  if (args.common.json)
    print_json({{"name", name}, {"folder", folder}});
  else
    print(printable(folder) + "\n");
  return exit_ok;
}

}  // namespace tallymill::cli
