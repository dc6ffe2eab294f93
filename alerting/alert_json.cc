#include "alerting/alert_json.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

namespace tallymill::alerting {
namespace {

using Json = nlohmann::ordered_json;
using collector::Labels;

std::string text_of_json(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json json_of(const Labels& labels) {
  Json object = Json::object();
  for (const collector::Label& label : labels)
    object[std::string(label.name)] = std::string(label.value);
  return object;
}

Json json_of(const Notice& notice) {
  const Alert& alert = notice.alert;
  return {{"status", is_over(alert) ? "resolved" : "firing"},
          {"labels", json_of(alert.labels)},
          {"annotations", json_of(alert.annotations)},
          {"startsAt", rfc3339(alert.fired_ms)},
          {"endsAt", rfc3339(alert.resolved_ms)},
          {"generatorURL", notice.generator_url},
          {"fingerprint", fingerprint_of(alert.labels)},
          {"idempotencyKey", notice.key}};
}

// The new ones first.
std::vector<const Notice*> all_of(const Message& message) {
  std::vector<const Notice*> all;
  for (const Notice& notice : message.notices) all.push_back(&notice);
  for (const Notice& notice : message.standing) all.push_back(&notice);
  return all;
}

// What all have in common.
template <class Get>
Labels common(const std::vector<const Notice*>& all, Get get) {
  if (all.empty()) return {};
  return get(*all.front()).only([&](const collector::Label& label) {
    return std::ranges::all_of(
        all, [&](const Notice* one) { return get(*one).get(label.name) == label.value; });
  });
}
const Labels& labels_of(const Notice& notice) { return notice.alert.labels; }
const Labels& annotations_of(const Notice& notice) { return notice.alert.annotations; }

std::size_t firing_in(const Message& message) {
  return message.standing.size() + message.left_out +
         static_cast<std::size_t>(std::ranges::count_if(
             message.notices, [](const Notice& one) { return !is_over(one.alert); }));
}

// As Slack wants what is no markup of its own.
std::string slack_escaped(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '&')
      escaped += "&amp;";
    else if (c == '<')
      escaped += "&lt;";
    else if (c == '>')
      escaped += "&gt;";
    else
      escaped += c;
  }
  return escaped;
}

}  // namespace

std::string rfc3339(std::int64_t ms) {
  if (ms == 0) return "0001-01-01T00:00:00Z";
  std::int64_t left = ms % 1000;
  if (left < 0) left += 1000;
  const time_t seconds = (ms - left) / 1000;
  tm parts{};
  // RFC 3339 has four digits for a year.
  if (::gmtime_r(&seconds, &parts) == nullptr || parts.tm_year > 9999 - 1900 ||
      parts.tm_year < 1 - 1900)
    return "0001-01-01T00:00:00Z";
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     left);
}

std::string fingerprint_of(const Labels& labels) {
  std::uint64_t hash = 14695981039346656037ULL;
  const auto add = [&](std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
    hash = (hash ^ 0xffU) * 1099511628211ULL;
  };
  for (const collector::Label& label : labels) {
    add(label.name);
    add(label.value);
  }
  return fmt::format("{:016x}", hash);
}

std::string webhook_json(const Message& message, std::string_view receiver,
                         std::string_view external_url) {
  const auto all = all_of(message);
  Json alerts = Json::array();
  for (const Notice* one : all) alerts.push_back(json_of(*one));
  const Json whole = {{"receiver", receiver},
                      {"status", firing_in(message) > 0 ? "firing" : "resolved"},
                      {"alerts", std::move(alerts)},
                      {"groupLabels", json_of(message.group_labels)},
                      {"commonLabels", json_of(common(all, labels_of))},
                      {"commonAnnotations", json_of(common(all, annotations_of))},
                      {"externalURL", external_url},
                      {"version", "4"},
                      {"groupKey", message.group_key},
                      {"truncatedAlerts", message.left_out},
                      {"idempotencyKey", message.key}};
  return text_of_json(whole);
}

std::string notice_json(const Notice& notice, std::int64_t epoch_ms, std::uint64_t sequence) {
  const Alert& alert = notice.alert;
  return text_of_json({{"epoch", epoch_ms},
                       {"sequence", sequence},
                       {"state", word_of(alert)},
                       {"labels", json_of(alert.labels)},
                       {"annotations", json_of(alert.annotations)},
                       {"value", fmt::format("{}", alert.value)},
                       {"activeAt", rfc3339(alert.active_ms)},
                       {"startsAt", rfc3339(alert.fired_ms)},
                       {"endsAt", rfc3339(alert.resolved_ms)},
                       {"generatorURL", notice.generator_url},
                       {"fingerprint", fingerprint_of(alert.labels)},
                       {"idempotencyKey", notice.key}});
}

std::string postable_json(const Labels& labels, const Labels& annotations, AlertTimes times,
                          std::string_view generator_url) {
  return text_of_json({{"labels", json_of(labels)},
                       {"annotations", json_of(annotations)},
                       {"startsAt", rfc3339(times.starts_ms)},
                       {"endsAt", rfc3339(times.ends_ms)},
                       {"generatorURL", generator_url}});
}

std::string title_of(const Message& message) {
  const auto all = all_of(message);
  const Labels same = common(all, labels_of);
  const std::size_t firing = firing_in(message);
  std::string title = firing > 0 ? fmt::format("[FIRING:{}]", firing) : "[RESOLVED]";
  if (const auto name = same.get("alertname"); !name.empty()) title += fmt::format(" {}", name);
  const Labels rest =
      same.only([](const collector::Label& label) { return label.name != "alertname"; });
  if (!rest.empty()) title += " " + rest.text();
  std::ranges::replace_if(title, [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return title;
}

std::string text_of(const Message& message) {
  std::string text;
  for (const Notice* one : all_of(message)) {
    const Alert& alert = one->alert;
    std::string_view says = alert.annotations.get("summary");
    if (says.empty()) says = alert.annotations.get("description");
    text += fmt::format(
        "{} {}: {} (since {}{})\n", is_over(alert) ? "resolved" : "firing",
        alert.labels.get("alertname"), says.empty() ? alert.labels.text() : std::string(says),
        rfc3339(alert.fired_ms), is_over(alert) ? ", over at " + rfc3339(alert.resolved_ms) : "");
  }
  if (message.left_out > 0) text += fmt::format("and {} more\n", message.left_out);
  return text;
}

std::string slack_json(const Message& message) {
  return text_of_json(
      {{"text", slack_escaped(fmt::format("*{}*\n{}", title_of(message), text_of(message)))}});
}

}  // namespace tallymill::alerting
