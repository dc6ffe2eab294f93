#include "alerting/alerts_api.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "alerting/alert_json.h"
#include "alerting/explain.h"
#include "alerting/limits.h"
#include "collector/answers.h"
#include "collector/parameters.h"
#include "collector/stable_sort.h"

namespace tallymill::alerting {
namespace {

using collector::Matcher;
using nlohmann::json;

std::string text_of(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

http::Response json_text(std::string text) {
  http::Response response;
  response.body = http::Body(std::move(text));
  return response;
}

// 400 where Alertmanager says so.
int status_of(Errc code) {
  return code == Errc::bad_params || code == Errc::bad_frame ? 400 : info(code).http;
}

http::Response refusal(const Error& error, const http::Request& request) {
  const std::string accept = request.headers.list("Accept");
  if (http::weight_of(accept, "application/problem+json") > 0)
    return http::problem(error, status_of(error.code));
  http::Response response =
      json_text(text_of(fmt::format("{}{}{}: {}", info(error.code).name,
                                    error.field.empty() ? "" : " ", error.field, error.message)));
  response.status = status_of(error.code);
  return response;
}

std::unexpected<Error> in_parameter(std::string_view name, std::string_view why) {
  return fail(Errc::bad_params, fmt::format("{}: {}", name, why), fmt::format("/{}", name));
}

Result<std::vector<Matcher>> filter_of(const http::Request& request) {
  std::vector<Matcher> filter;
  std::int64_t program = 0;
  for (const auto& [name, value] : request.query) {
    if (name != "filter") continue;
    auto matcher = parse_matcher(value);
    if (!matcher) return in_parameter("filter", matcher.error().message);
    program += matcher->program();
    if (program > limits::silence_program || filter.size() == limits::silence_matchers)
      return in_parameter("filter", "too many matchers, or too large ones: ask for less");
    filter.push_back(std::move(*matcher));
  }
  return filter;
}

bool fits(const std::vector<Matcher>& filter, const collector::Labels& labels) {
  return std::ranges::all_of(filter,
                             [&](const Matcher& one) { return one.fits(labels.get(one.name())); });
}

Result<bool> flag_of(const http::Request& request, std::string_view name, bool unsaid) {
  const auto said = http::find(request.query, name);
  if (!said) return unsaid;
  if (*said == "true" || *said == "1") return true;
  if (*said == "false" || *said == "0") return false;
  return in_parameter(name, "expected true or false");
}

// Which of the alerts that fire are asked for.
struct AlertsAsked {
  std::vector<Matcher> filter;
  bool active = true;
  bool silenced = true;
  bool inhibited = true;
  bool pending = false;  // ours: also those that do not fire yet, each with what it is to the rule
};
Result<AlertsAsked> alerts_asked(const http::Request& request) {
  AlertsAsked asked;
  auto filter = filter_of(request);
  if (!filter) return std::unexpected(std::move(filter).error());
  asked.filter = std::move(*filter);
  for (auto [name, into] : {std::pair{"active", &asked.active},
                            {"silenced", &asked.silenced},
                            {"inhibited", &asked.inhibited},
                            {"pending", &asked.pending}}) {
    const auto flag = flag_of(request, name, *into);
    if (!flag) return std::unexpected(flag.error());
    *into = *flag;
  }
  return asked;
}

// An alert, and what of its rule is told with it.
struct Known {
  Alert alert;
  std::string expr;
  std::int64_t judged_ms = 0;
  std::chrono::milliseconds interval{0};
  std::string fingerprint = {};
};
std::vector<Known> known_of(const Alerting& alerting, const AlertsAsked& asked) {
  std::vector<Known> all;
  alerting.look([&](std::span<const GroupStatus> groups) {
    for (const GroupStatus& group : groups)
      for (std::size_t i = 0; i < group.status.size(); ++i)
        for (const Alert& alert : group.status[i].alerts)
          if ((alert.state == AlertState::firing || asked.pending) &&
              fits(asked.filter, alert.labels))
            all.push_back({.alert = alert,
                           .expr = group.rules->rules[i].expr,
                           .judged_ms = group.status[i].evaluated_ms,
                           .interval = group.interval});
  });
  for (Known& one : all) one.fingerprint = fingerprint_of(one.alert.labels);
  std::ranges::sort(all, {}, &Known::fingerprint);
  return all;
}

json object_of(const collector::Labels& labels) {
  json object = json::object();
  for (const collector::Label& label : labels)
    object[std::string(label.name)] = std::string(label.value);
  return object;
}

json receivers_of(const Alerting& alerting) {
  json all = json::array();
  for (const SinkConfig& sink : alerting.options().sinks.sinks)
    all.push_back({{"name", sink.name}});
  return all;
}

// As CheckSilenceMatchesFilterLabels of Alertmanager: each matcher of the filter is one of its own.
bool has_all(const Silence& silence, const std::vector<Matcher>& filter) {
  return std::ranges::all_of(filter, [&](const Matcher& one) {
    return std::ranges::any_of(silence.matchers, [&](const Matcher& own) {
      return own.name() == one.name() && (own.text() == one.text() || one.fits(own.value()));
    });
  });
}

// Active ones by their end, then those to come by their start, then what is over, last first.
void sort_as_told(std::vector<Silence>& all, std::int64_t now_ms) {
  const auto key = [&](const Silence& one) {
    const SilenceState state = one.state(now_ms);
    return std::tuple(state, state == SilenceState::active    ? one.ends_ms
                             : state == SilenceState::pending ? one.starts_ms
                                                              : -one.ends_ms);
  };
  collector::stable_sort(all, [&](const Silence& a, const Silence& b) { return key(a) < key(b); });
}

}  // namespace

void AlertsApi::row(http::Router& router, collector::Api& api, http::Method method,
                    const std::string& path, Answers answers) {
  const http::Role role = http::is_safe(method) ? http::Role::read : http::Role::operate;
  const auto handle = [this, &api, answers](http::Request&& request, http::Answer answer) {
    const auto asked = std::make_shared<const http::Request>(std::move(request));
    api.run(std::move(answer), [this, answers, asked](const std::atomic<bool>& cancelled) {
      auto response = (this->*answers)(*asked, cancelled);
      return response ? std::move(*response) : refusal(response.error(), *asked);
    });
  };
  router.add({.method = method,
              .path = path,
              .role = role,
              .handler = {.whole = handle},
              .operation = {},
              .body_bytes = Bytes(limits::silence_bytes)});
}

void AlertsApi::add_routes(http::Router& router, collector::Api& api) {
  using enum http::Method;
  row(router, api, get, "/api/v2/alerts", &AlertsApi::alerts);
  row(router, api, get, "/api/v2/silences", &AlertsApi::silences);
  row(router, api, post, "/api/v2/silences", &AlertsApi::set_silence);
  row(router, api, get, "/api/v2/silence/{id}", &AlertsApi::silence);
  row(router, api, del, "/api/v2/silence/{id}", &AlertsApi::expire);
  row(router, api, get, "/api/v2/receivers", &AlertsApi::receivers);
  row(router, api, get, "/api/v2/status", &AlertsApi::status);
  row(router, api, get, "/api/v1/alerts/explain", &AlertsApi::explain);
  for (const http::Method method : {post, put})
    router.add({method,
                "/-/reload",
                http::Role::operate,
                {.whole = [this, &api](http::Request&&,
                                       http::Answer answer) { reload(api, std::move(answer)); }},
                {},
                {},
                {.type = "application/x-www-form-urlencoded"}});  // as curl -d '' says of nothing
}

Result<http::Response> AlertsApi::alerts(const Request& request, const Gone&) {
  const auto asked = alerts_asked(request);
  if (!asked) return std::unexpected(asked.error());
  const json receivers = receivers_of(alerting_);
  const collector::MatchingTime time;
  const auto all = known_of(alerting_, *asked);
  std::string text = "[";
  for (const Known& one : all) {
    const auto silenced = alerting_.silences().silencing(one.alert.labels);
    const auto inhibitor = alerting_.delivery().inhibitor(one.alert.labels);
    json inhibited = json::array();
    if (inhibitor) inhibited.push_back(fingerprint_of(*inhibitor));
    const bool is_active = silenced.empty() && !inhibitor;
    if ((is_active && !asked->active) || (!silenced.empty() && !asked->silenced) ||
        (inhibitor && !asked->inhibited))
      continue;
    const auto valid = 4 * std::max(one.interval, alerting_.options().resend_delay);
    if (text.size() > 1) text += ',';
    json told = {{"annotations", object_of(one.alert.annotations)},
                 {"endsAt", rfc3339(one.judged_ms + valid.count())},
                 {"fingerprint", one.fingerprint},
                 {"receivers", receivers},
                 {"startsAt", rfc3339(one.alert.fired_ms)},
                 {"status",
                  {{"inhibitedBy", inhibited},
                   {"silencedBy", silenced},
                   {"state", is_active ? "active" : "suppressed"}}},
                 {"updatedAt", rfc3339(one.judged_ms)},
                 {"generatorURL", alerting_.url_of(one.expr)},
                 {"labels", object_of(one.alert.labels)}};
    if (asked->pending) {
      if (one.alert.state == AlertState::pending) told["status"]["state"] = "pending";
      told["activeAt"] = rfc3339(one.alert.active_ms);
      told["value"] = exponent_text(one.alert.value);
    }
    text += text_of(told);
    if (!collector::has_room(text)) return collector::too_long();
  }
  if (auto whole = time.check(); !whole) return std::unexpected(std::move(whole).error());
  return json_text(text + "]");
}

Result<http::Response> AlertsApi::silences(const Request& request, const Gone&) {
  const auto filter = filter_of(request);
  if (!filter) return std::unexpected(filter.error());
  const std::int64_t now = alerting_.now_ms();
  std::vector<Silence> some;
  const auto all = alerting_.silences().all();
  for (const Silence& one : *all)
    if (has_all(one, *filter)) some.push_back(one);
  sort_as_told(some, now);
  std::string text = "[";
  for (const Silence& one : some) {
    if (text.size() > 1) text += ',';
    text += text_of(json_of(one, now));
    if (!collector::has_room(text)) return collector::too_long();
  }
  return json_text(text + "]");
}

Result<http::Response> AlertsApi::silence(const Request& request, const Gone&) {
  const auto found = alerting_.silences().find(std::string(request.part("id")));
  if (!found) return fail(Errc::not_found, "no silence has this id");
  return json_text(text_of(json_of(*found, alerting_.now_ms())));
}

Result<http::Response> AlertsApi::set_silence(const Request& request, const Gone&) {
  auto silence = parse_silence(request.body);
  if (!silence) return std::unexpected(std::move(silence).error());
  const auto id = alerting_.set_silence(std::move(*silence));
  if (!id) return std::unexpected(id.error());
  return json_text(text_of({{"silenceID", *id}}));
}

Result<http::Response> AlertsApi::expire(const Request& request, const Gone&) {
  if (auto done = alerting_.expire_silence(std::string(request.part("id"))); !done)
    return std::unexpected(std::move(done).error());
  return http::Response{.status = 200};
}

Result<http::Response> AlertsApi::receivers(const Request&, const Gone&) {
  return json_text(text_of(receivers_of(alerting_)));
}

// In the small: what amtool and dashboards want to be there, and as which of Alertmanager's they
// are to take it. What the sinks' file says is not told: it names files with secrets.
Result<http::Response> AlertsApi::status(const Request&, const Gone&) {
  return json_text(text_of({{"cluster", {{"status", "disabled"}, {"peers", json::array()}}},
                            {"config", {{"original", ""}}},
                            {"uptime", rfc3339(started_ms_)},
                            {"versionInfo",
                             {{"version", "0.25.0"},
                              {"revision", ""},
                              {"branch", ""},
                              {"buildUser", ""},
                              {"buildDate", ""},
                              {"goVersion", ""}}}}));
}

Result<http::Response> AlertsApi::explain(const Request& request, const Gone& gone) {
  ExplainAsk ask{.name = std::string(http::find(request.query, "name").value_or(""))};
  if (ask.name.empty())
    return in_parameter("name", "say which rule, as ?name=HighWait: /api/v1/rules lists them");
  auto filter = filter_of(request);
  if (!filter) return std::unexpected(std::move(filter).error());
  ask.filter = std::move(*filter);
  const auto said = collector::Parameters::of(request);
  if (!said) return std::unexpected(said.error());
  const auto last = said->duration_ms("last");
  if (!last || (*last && **last < 0))
    return in_parameter("last", "expected how far back, as 24h or a number of seconds");
  if (*last) ask.last = std::chrono::milliseconds(**last);
  ask.cancelled = &gone;
  auto told = alerting::explain(alerting_, ask);
  if (!told) return std::unexpected(std::move(told).error());
  return collector::success(std::move(*told));
}

void AlertsApi::reload(collector::Api& api, http::Answer answer) {
  api.run(std::move(answer), [this](const std::atomic<bool>&) {
    // Also of a file that is not there: 404 would say that nothing is served here.
    if (auto reloaded = alerting_.reload(); !reloaded)
      return collector::failure({Errc::bad_params, reloaded.error().message},
                                collector::Fault::execution);
    return http::Response{.status = 200};
  });
}

}  // namespace tallymill::alerting
