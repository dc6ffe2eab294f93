// alerts: what fires, why, and what is silenced, of a collector that judges rules.
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "apps/cli/alerts.h"
#include "apps/cli/command.h"
#include "apps/cli/terminal.h"
#include "base/clock.h"
#include "collector/stable_sort.h"
#include "http/client.h"

namespace tallymill::cli {
namespace {

using nlohmann::json;

// So much of an id is shown, and tells it from the others.
constexpr std::size_t short_id = 8;

std::int64_t now_ms() { return to_ns(SystemClock().wall()) / 1'000'000; }

std::string rfc3339(std::int64_t ms) {
  const time_t seconds = ms / 1000;
  tm parts{};
  char text[32];
  if (::gmtime_r(&seconds, &parts) == nullptr ||
      ::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts) == 0)
    return "";
  return fmt::format("{}.{:03}Z", text, ms % 1000);
}

std::string in_words(std::int64_t ms) {
  return human(std::chrono::milliseconds(std::max<std::int64_t>(ms, 0)));
}

// An answer that is JSON, or why there is none.
Result<json> ask(const Common& common, const CollectorAt& collector, http::Method method,
                 std::string path, const json& body = {}) {
  http::ClientRequest request{.method = method, .url = std::move(path)};
  request.headers.add("Accept", "application/json, application/problem+json");
  if (!body.is_null()) {
    request.headers.add("Content-Type", "application/json");
    request.body = body.dump(-1, ' ', false, json::error_handler_t::replace);
  }
  const auto answer = fetch_from_collector(common, collector, std::move(request));
  if (!answer) return std::unexpected(answer.error());
  if (answer->status == 200 && answer->body.empty()) return json::object();
  json said = json::parse(answer->body, nullptr, false);
  if (answer->status == 200 && !said.is_discarded()) return said;
  Error refused = http::refusal(*answer);
  // Of a path; what is asked for by name or id says so itself.
  if (answer->status == 404 && refused.message.find("no ") != 0)
    refused.message = "this collector judges no rules: start it with --rules FILE";
  return std::unexpected(std::move(refused));
}

// "HighWait" -> alertname="HighWait".
std::string matcher_of(const std::string& word) {
  return word.find('=') == std::string::npos ? "alertname=" + word : word;
}

std::string filter_of(const std::vector<std::string>& matchers) {
  std::string form;
  for (const std::string& one : matchers)
    form += "&filter=" + http::percent_encoded(matcher_of(one));
  return form;
}

// pending, firing, silenced or inhibited.
std::string state_of(const json& alert) {
  const json status = alert.value("status", json::object());
  const std::string state = text_at(status, "state");
  if (!status.value("silencedBy", json::array()).empty()) return "silenced";
  if (!status.value("inhibitedBy", json::array()).empty()) return "inhibited";
  return state == "pending" ? state : "firing";
}

Colour colour_of(std::string_view state) {
  if (state == "firing") return Colour::red;
  if (state == "pending") return Colour::yellow;
  return Colour::dim;
}

// stage="image", severity="page"; without the name.
std::string labels_of(const json& alert) {
  const json labels = alert.value("labels", json::object());
  std::string text;
  for (const auto& [name, value] : labels.items())
    if (name != "alertname" && value.is_string())
      text += (text.empty() ? "" : ", ") + name + "=" + value.dump();
  return text;
}

std::string matchers_of(const json& silence) {
  const json matchers = silence.value("matchers", json::array());
  std::string text;
  for (const json& one : matchers) {
    const bool is_regex = one.value("isRegex", false);
    const std::string sign =
        one.value("isEqual", true) ? (is_regex ? "=~" : "=") : (is_regex ? "!~" : "!=");
    text += (text.empty() ? "" : ", ") + text_at(one, "name") + sign +
            json(text_at(one, "value")).dump();
  }
  return text;
}

std::string counted(std::size_t n, std::string_view what) {
  return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

void print_alerts(const json& alerts) {
  Table table({{"STATE"}, {"FOR", true}, {"VALUE", true}, {"ALERT"}, {"LABELS"}});
  std::size_t firing = 0;
  for (const json& one : alerts) {
    const std::string state = state_of(one);
    if (state == "firing") ++firing;
    const auto since = unix_ms_of(text_at(one, "activeAt"));
    table.row({coloured(state, colour_of(state)), since ? in_words(now_ms() - *since) : "",
               number_of(text_at(one, "value")),
               printable(text_at(one.value("labels", json::object()), "alertname")),
               printable(labels_of(one))});
  }
  if (!table.empty()) print(table.text());
  print(coloured(fmt::format("{}, {} firing\n", counted(alerts.size(), "alert"), firing),
                 Colour::dim));
}

void print_silences(const json& silences) {
  Table table({{"ID"}, {"STATE"}, {"LEFT", true}, {"BY"}, {"MATCHERS"}, {"COMMENT"}});
  for (const json& one : silences) {
    const std::string state = text_at(one.value("status", json::object()), "state");
    const auto ends = unix_ms_of(text_at(one, "endsAt"));
    const auto starts = unix_ms_of(text_at(one, "startsAt"));
    std::string left;
    if (state == "active" && ends) left = in_words(*ends - now_ms());
    if (state == "pending" && starts) left = "in " + in_words(*starts - now_ms());
    table.row({printable(text_at(one, "id").substr(0, short_id)),
               coloured(state, state == "active" ? Colour::yellow : Colour::dim), left,
               printable(text_at(one, "createdBy")), printable(matchers_of(one)),
               printable(text_at(one, "comment"))});
  }
  if (!table.empty()) print(table.text());
  print(coloured(counted(silences.size(), "silence") + "\n", Colour::dim));
}

Result<json> silences(const SilenceArgs& args) {
  return ask(args.common, args.collector, http::Method::get,
             "/api/v2/silences?" + filter_of(args.matchers));
}

// The ids that these begin, each of one that is not over.
Result<std::vector<std::string>> whole_ids(const SilenceArgs& args) {
  const auto all = silences({.common = args.common, .collector = args.collector});
  if (!all) return std::unexpected(all.error());
  std::vector<std::string> ids;
  for (const std::string& said : args.ids) {
    std::vector<std::string> found;
    if (said.empty()) return fail(Errc::bad_params, "an id is empty: it would be the begin of any");
    for (const json& one : *all)
      if (std::string id = text_at(one, "id"); id.starts_with(said))
        if (id == said || text_at(one.value("status", json::object()), "state") != "expired")
          found.push_back(std::move(id));
    if (found.size() > 1)
      return fail(Errc::bad_params, fmt::format("{} silences begin with '{}': say more of the id",
                                                found.size(), said));
    if (found.empty())
      return fail(Errc::not_found,
                  fmt::format("no silence that is not over begins with '{}': `tallymill alerts "
                              "silence ls` lists them",
                              said));
    ids.push_back(std::move(found.front()));
  }
  return ids;
}

}  // namespace

std::optional<std::int64_t> unix_ms_of(const std::string& rfc3339) {
  tm parts{};
  const char* rest = ::strptime(rfc3339.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr || parts.tm_year <= -1899) return std::nullopt;
  std::int64_t ms = static_cast<std::int64_t>(::timegm(&parts)) * 1000;
  if (*rest == '.') ms += std::strtol(std::string(rest + 1).substr(0, 3).c_str(), nullptr, 10);
  return ms;
}

std::string number_of(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  return text.empty() || *end != '\0' ? printable(text) : fmt::format("{:.6g}", value);
}

int alerts_ls(const AlertsArgs& args) {
  const auto all = ask(args.common, args.collector, http::Method::get,
                       "/api/v2/alerts?pending=true" + filter_of(args.matchers));
  if (!all) return tell(args.common, all.error());
  json some = json::array();
  for (const json& one : *all)
    if (one.is_object() && (args.state.empty() || state_of(one) == args.state)) some.push_back(one);
  // What fires first, then the oldest.
  const auto key = [](const json& one) {
    return std::pair(state_of(one) != "firing", text_at(one, "activeAt"));
  };
  collector::stable_sort(some.get_ref<json::array_t&>(),
                         [&](const json& a, const json& b) { return key(a) < key(b); });
  if (args.common.json)
    print_json(some);
  else
    print_alerts(some);
  return exit_ok;
}

int alerts_explain(const AlertsArgs& args) {
  const auto answer = ask(args.common, args.collector, http::Method::get,
                          fmt::format("/api/v1/alerts/explain?name={}&last={:.3f}",
                                      http::percent_encoded(args.name), args.last_s) +
                              filter_of(args.matchers));
  if (!answer) return tell(args.common, answer.error());
  const json data = answer->value("data", json::object());
  if (args.common.json)
    print_json(data);
  else
    print(explanation_text(data));
  return exit_ok;
}

int silence_add(const SilenceArgs& args) {
  const std::int64_t now = now_ms();
  json silence = {{"comment", args.comment}, {"matchers", json::array()}};
  for (const std::string& one : args.matchers) silence["matchers"].push_back(matcher_of(one));
  const char* user = std::getenv("USER");
  silence["createdBy"] = !args.by.empty() ? args.by : user != nullptr ? user : "nobody";
  const auto from = args.from.empty() ? now : unix_ms_of(args.from).value_or(now);
  silence["startsAt"] = args.from.empty() ? rfc3339(now) : args.from;
  silence["endsAt"] = args.until.empty()
                          ? rfc3339(from + static_cast<std::int64_t>(args.for_s * 1000))
                          : args.until;
  const auto answer =
      ask(args.common, args.collector, http::Method::post, "/api/v2/silences", silence);
  if (!answer) return tell(args.common, answer.error());
  if (args.common.json)
    print_json({{"id", text_at(*answer, "silenceID")}});
  else
    print(printable(text_at(*answer, "silenceID")) + "\n");
  return exit_ok;
}

int silence_ls(const SilenceArgs& args) {
  const auto all = silences(args);
  if (!all) return tell(args.common, all.error());
  json some = json::array();
  for (const json& one : *all)
    if (one.is_object() &&
        (args.all || text_at(one.value("status", json::object()), "state") != "expired"))
      some.push_back(one);
  if (args.common.json)
    print_json(some);
  else
    print_silences(some);
  return exit_ok;
}

int silence_expire(const SilenceArgs& args) {
  const auto ids = whole_ids(args);
  if (!ids) return tell(args.common, ids.error());
  for (const std::string& id : *ids) {
    const auto done = ask(args.common, args.collector, http::Method::del,
                          "/api/v2/silence/" + http::percent_encoded(id));
    if (!done) return tell(args.common, done.error());
  }
  if (args.common.json) print_json({{"expired", *ids}});
  return exit_ok;
}

}  // namespace tallymill::cli
