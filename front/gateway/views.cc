// What is seen of the front over HTTP: workers, topology, kinds, the snapshot of the law, health
// and metrics.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "bus/codec_json.h"
#include "front/gateway/gateway.h"

namespace tallymill::gateway {
namespace {

using nlohmann::json;

// From the topology: a stage that no open worker serves makes its jobs wait, nothing is lost.
json readiness_of(const json& topology) {
  std::set<std::string> served;
  for (const json& worker : topology.value("workers", json::array()))
    if (worker.value("open", false)) served.insert(worker.value("stage", ""));
  json checks{{"front", {{"state", "ok"}}}};
  bool degraded = false;
  for (const json& stage : topology.value("stages", json::array())) {
    const bool has = served.contains(stage.get<std::string>());
    degraded = degraded || !has;
    checks["stage " + stage.get<std::string>()] = {
        {"state", has ? "ok" : "degraded"},
        {"detail", has ? "" : "no worker is connected: its jobs wait"}};
  }
  return {{"state", degraded ? "degraded" : "ok"}, {"checks", std::move(checks)}};
}

// Of the ledger and the blobs: below the floor what runs can still end, and no job is taken.
void add_disk(json& readiness, const std::filesystem::path& folder, Bytes floor) {
  std::error_code failed;
  const auto space = std::filesystem::space(folder, failed);
  const bool has_room = !failed && space.available >= static_cast<std::uintmax_t>(floor.raw());
  readiness["checks"]["disk"] = {
      {"state", has_room ? "ok" : "degraded"},
      {"detail", has_room ? "" : "free space is below the floor: no job and no blob is taken"}};
  if (!has_room) readiness["state"] = "degraded";
}

}  // namespace

void Gateway::get_workers(Request&&, Answer answer) {
  ask(bus::Verb::workers, {}, std::move(answer));
}

void Gateway::get_topology(Request&&, Answer answer) {
  ask(bus::Verb::topology, {}, std::move(answer));
}

void Gateway::get_kinds(Request&&, Answer answer) { ask(bus::Verb::kinds, {}, std::move(answer)); }

void Gateway::get_snapshot(Request&&, Answer answer) {
  ask(bus::Verb::snapshot, {}, std::move(answer));
}

// Alive: this thread answers. Nothing that it needs is asked, or a slow disk would get the process
// killed that is to survive it.
void Gateway::get_health(Request&&, Answer answer) {
  answer.send(http::json_response({{"state", "ok"}, {"version", TALLYMILL_VERSION}}));
}

void Gateway::get_readiness(Request&&, Answer answer) {
  auto held = std::make_shared<Answer>(std::move(answer));
  questions_->ask(bus::Verb::topology, {}, [this, held](const Result<const bus::Item*>& said) {
    const auto topology =
        said ? bus::json_of_msgpack((*said)->params) : Result<json>(std::unexpected(said.error()));
    if (topology) {
      json readiness = readiness_of(*topology);
      add_disk(readiness, options_.blobs, options_.disk_floor);
      return held->send(http::json_response(readiness));
    }
    held->send(http::json_response(
        {{"state", "down"},
         {"checks", {{"front", {{"state", "down"}, {"detail", topology.error().message}}}}}},
        503));
  });
}

// As text unless OpenMetrics is wanted more. The front's come first, then those of this server.
void Gateway::get_metrics(Request&& request, Answer answer) {
  constexpr const char* text = "text/plain; version=0.0.4; charset=utf-8";
  constexpr const char* openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
  const std::string accept = request.headers.list("Accept");
  const bool open = http::weight_of(accept, openmetrics) > http::weight_of(accept, text);
  auto held = std::make_shared<Answer>(std::move(answer));
  questions_->ask(bus::Verb::snapshot, {.state = open ? "openmetrics" : "prometheus"},
                  [this, held, open](const Result<const bus::Item*>& said) {
                    if (!said) return held->fail(said.error());
                    const auto snapshot = bus::json_of_msgpack((*said)->params);
                    if (!snapshot) return held->fail(snapshot.error());
                    http::Response response{.type = open ? openmetrics : text};
                    response.body = open ? snapshot->value("openmetrics", "") +
                                               metrics::to_openmetrics(registry_.snapshot()) +
                                               std::string(metrics::openmetrics_end)
                                         : snapshot->value("prometheus", "") +
                                               metrics::to_prometheus(registry_.snapshot());
                    response.headers.add("Vary", "Accept");
                    held->send(std::move(response));
                  });
}

void Gateway::get_document(Request&&, Answer answer) { answer.send({.body = document_}); }

}  // namespace tallymill::gateway
