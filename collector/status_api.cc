#include "collector/status_api.h"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <limits>
#include <optional>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "collector/answers.h"
#include "collector/csv.h"
#include "collector/scrape.h"

namespace tallymill::collector {
namespace {

constexpr std::size_t told = 10;  // of each list of status/tsdb

std::int64_t now_ms() { return to_ns(SystemClock().wall()) / 1'000'000; }

std::string json_of(std::string_view text) {
  std::string json;
  append_json(json, text);
  return json;
}

std::string counts_json(const Index::Cardinality::Counts& counts) {
  std::string json = "[";
  for (const auto& [name, count] : counts)
    json += fmt::format("{}{{\"name\":{},\"value\":{}}}", json.size() > 1 ? "," : "", json_of(name),
                        count);
  return json + "]";
}

std::string rfc3339(std::int64_t t_ms) {
  std::string text;
  append_rfc3339(text, t_ms);
  return text;
}

void refuse(http::Answer& answer, std::string message) {
  answer.send(failure({Errc::bad_params, std::move(message)}, Fault::request));
}

std::optional<std::int64_t> integer_of(std::string_view text) {
  std::int64_t value = 0;
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

StatusApi::StatusApi(Api& api, StatusSources sources)
    : api_(api), sources_(std::move(sources)), started_ms_(now_ms()) {}

void StatusApi::row(http::Router& router, const std::string& path, Handle handle) {
  router.add({http::Method::get,
              path,
              http::Role::read,
              {.whole =
                   [this, handle](http::Request&& request, http::Answer answer) {
                     const auto said = Parameters::of(request);
                     if (!said) return answer.send(failure(said.error(), Fault::request));
                     (this->*handle)(*said, std::move(answer));
                   }},
              {}});
}

void StatusApi::add_routes(http::Router& router) {
  row(router, "/api/v1/metadata", &StatusApi::metadata);
  row(router, "/api/v1/targets", &StatusApi::targets);
  row(router, "/api/v1/scrape_pools", &StatusApi::scrape_pools);
  row(router, "/api/v1/rules", &StatusApi::rules);
  row(router, "/api/v1/alerts", &StatusApi::alerts);
  row(router, "/api/v1/status/buildinfo", &StatusApi::build_info);
  row(router, "/api/v1/status/tsdb", &StatusApi::tsdb);
  row(router, "/api/v1/status/flags", &StatusApi::flags);
  row(router, "/api/v1/status/config", &StatusApi::config);
  row(router, "/api/v1/status/runtimeinfo", &StatusApi::runtime_info);
  router.add(
      {http::Method::post,
       "/api/v1/admin/tsdb/snapshot",
       http::Role::operate,
       {.whole = [this](http::Request&&, http::Answer answer) { snapshot(std::move(answer)); }},
       {}});
}

void StatusApi::metadata(const Parameters& said, http::Answer answer) {
  std::size_t most = std::numeric_limits<std::size_t>::max();
  if (const std::string_view text = said.get("limit"); !text.empty()) {
    const auto limit = integer_of(text);
    if (!limit) return refuse(answer, "limit must be a number");
    if (*limit >= 0) most = static_cast<std::size_t>(*limit);
  }
  const std::string_view metric = said.get("metric");
  std::string data = "{";
  if (metric.empty() || most > 0)
    for (const auto& known :
         metric.empty() ? sources_.metadata.all(most) : sources_.metadata.of(metric))
      data += fmt::format("{}{}:[{{\"type\":\"{}\",\"help\":{},\"unit\":{}}}]",
                          data.size() > 1 ? "," : "", json_of(known.name), name_of(known.type),
                          json_of(known.help), json_of(known.unit));
  answer.send(success(data + "}"));
}

void StatusApi::targets(const Parameters& said, http::Answer answer) {
  const std::string_view state = said.get("state");
  const bool active = state.empty() || state == "any" || state == "active";
  const std::string list = active && sources_.scraper != nullptr
                               ? sources_.scraper->targets(said.get("scrapePool"))
                               : "[]";
  // Nothing is dropped, for there is no relabelling.
  answer.send(success("{\"activeTargets\":" + list + ",\"droppedTargets\":[]}"));
}

void StatusApi::scrape_pools(const Parameters&, http::Answer answer) {
  const std::string list = sources_.scraper != nullptr ? sources_.scraper->pools() : "[]";
  answer.send(success("{\"scrapePools\":" + list + "}"));
}

void StatusApi::rules(const Parameters& said, http::Answer answer) {
  const std::string_view type = said.get("type");
  using enum RuleSource::Kind;
  if (!type.empty() && type != "alert" && type != "record")
    return refuse(answer,
                  fmt::format("invalid parameter \"type\": not supported value {}", json_of(type)));
  const auto kind = type.empty() ? all : type == "alert" ? alerting : recording;
  const std::string groups = sources_.rules != nullptr ? sources_.rules->groups(kind) : "[]";
  answer.send(success("{\"groups\":" + groups + "}"));
}

void StatusApi::alerts(const Parameters&, http::Answer answer) {
  const std::string list = sources_.rules != nullptr ? sources_.rules->alerts() : "[]";
  answer.send(success("{\"alerts\":" + list + "}"));
}

// As what clients take for what they know: which functions there are is of this version.
void StatusApi::build_info(const Parameters&, http::Answer answer) {
  answer.send(
      success(R"({"version":"2.42.0","revision":"","branch":"","buildUser":"","buildDate":"",)"
              R"("goVersion":"","application":"tallymill"})"));
}

void StatusApi::tsdb(const Parameters&, http::Answer answer) {
  api_.run(std::move(answer), [this](const std::atomic<bool>&) {
    const Store::Stats stats = sources_.store.stats();
    const auto span = sources_.store.span();
    const Index::Cardinality cardinality = sources_.store.cardinality(told);
    return success(fmt::format(
        "{{\"headStats\":{{\"numSeries\":{},\"numLabelPairs\":{},\"chunkCount\":{},\"minTime\":{},"
        "\"maxTime\":{}}},\"seriesCountByMetricName\":{},\"labelValueCountByLabelName\":{},"
        "\"memoryInBytesByLabelName\":{},\"seriesCountByLabelValuePair\":{}}}",
        stats.series, cardinality.pairs, stats.parts,
        span ? span->first_ms : std::numeric_limits<std::int64_t>::max(),
        span ? span->last_ms : std::numeric_limits<std::int64_t>::min(),
        counts_json(cardinality.series_by_metric), counts_json(cardinality.values_by_name),
        counts_json(cardinality.bytes_by_name), counts_json(cardinality.series_by_pair)));
  });
}

void StatusApi::flags(const Parameters&, http::Answer answer) {
  std::string data = "{";
  for (const auto& [name, value] : sources_.flags)
    data += (data.size() > 1 ? "," : "") + json_of(name) + ":" + json_of(value);
  answer.send(success(data + "}"));
}

void StatusApi::config(const Parameters&, http::Answer answer) {
  const std::string yaml = sources_.scraper != nullptr ? sources_.scraper->config() : "";
  answer.send(success("{\"yaml\":" + json_of(yaml) + "}"));
}

void StatusApi::runtime_info(const Parameters&, http::Answer answer) {
  api_.run(std::move(answer), [this](const std::atomic<bool>&) {
    std::error_code none;
    const Store::Stats stats = sources_.store.stats();
    return success(
        fmt::format("{{\"startTime\":\"{0}\",\"CWD\":{1},\"reloadConfigSuccess\":true,"
                    "\"lastConfigTime\":\"{0}\","
                    "\"corruptionCount\":{2},\"goroutineCount\":0,\"GOMAXPROCS\":{3},\"GOGC\":\"\","
                    "\"GODEBUG\":\"\",\"storageRetention\":\"{4}d\"}}",
                    rfc3339(started_ms_), json_of(std::filesystem::current_path(none).string()),
                    stats.damaged_parts + stats.damaged_blocks, std::thread::hardware_concurrency(),
                    sources_.retention.count() / 24));
  });
}

void StatusApi::snapshot(http::Answer answer) {
  api_.run(std::move(answer), [this](const std::atomic<bool>&) {
    const auto made = sources_.store.snapshot();
    if (!made) return failure(made.error(), Fault::execution);
    return success("{\"name\":" + json_of(made->filename().string()) + "}");
  });
}

}  // namespace tallymill::collector
