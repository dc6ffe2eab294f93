// What the API lists: series, labels, exemplars, and the newest samples of /federate.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <set>
#include <utility>

#include "base/clock.h"
#include "base/limits.h"
#include "collector/answers.h"
#include "collector/api.h"
#include "collector/federation.h"
#include "collector/labels_check.h"
#include "collector/promql/parser.h"
#include "collector/promql/print.h"
#include "collector/promql/selectors.h"
#include "collector/selections.h"

namespace tallymill::collector {
namespace {

constexpr std::int64_t federated_ms = 5 * 60'000;  // how far back, as a query looks

// [...], element by element.
template <class Range, class Append>
Result<std::string> list_of(const Range& all, Append append) {
  std::string data;
  append_list(data, all, [&](const auto& one) { append(data, one); });
  return bounded(std::move(data));
}
constexpr auto append_text = [](std::string& to, std::string_view text) { append_json(to, text); };

// No list may take longer than a query.
promql::Allowance allowance_of(const std::atomic<bool>& cancelled) {
  return {std::chrono::steady_clock::now() + limits::query_time, &cancelled, 0};
}

Result<std::shared_ptr<const Selections>> shared_selections(const Parameters& said, bool needed) {
  auto selections = selections_of(said, needed);
  if (!selections) return std::unexpected(std::move(selections).error());
  return std::make_shared<const Selections>(std::move(*selections));
}

http::Response federated(int status, std::string_view type, std::string text) {
  http::Response response{.status = status, .type = std::string(type)};
  response.body = http::Body(std::move(text));
  return response;
}
http::Response federation_failed(const Error& error, int status) {
  return federated(status, "text/plain; charset=utf-8", error.message + "\n");
}

void append_exemplars(std::string& to, const Labels& series,
                      const std::vector<ExemplarStore::Kept>& kept) {
  to += "{\"seriesLabels\":";
  append_json(to, series);
  to += ",\"exemplars\":[";
  bool first = true;
  for (const ExemplarStore::Kept& one : kept) {
    if (!std::exchange(first, false)) to += ',';
    to += "{\"labels\":";
    append_json(to, one.labels);
    to += ",\"value\":\"" + promql::number_text(one.value) + "\",\"timestamp\":";
    append_time(to, one.t_ms);
    to += '}';
  }
  to += "]}";
}

}  // namespace

void Api::series(const Parameters& said, const http::Request&, http::Answer answer) {
  const auto asked = shared_selections(said, true);
  if (!asked) return answer.send(failure(asked.error(), Fault::request));
  run(std::move(answer), [this, asked = *asked](const std::atomic<bool>& cancelled) {
    auto allowance = allowance_of(cancelled);
    const auto all = series_with_samples(source_, *asked, allowance);
    if (!all) return failure(all.error(), Fault::execution);
    return answered(list_of(
        *all, [](std::string& to, const Source::Found& one) { append_json(to, one.labels); }));
  });
}

void Api::labels(const Parameters& said, const http::Request&, http::Answer answer) {
  const auto asked = shared_selections(said, false);
  if (!asked) return answer.send(failure(asked.error(), Fault::request));
  run(std::move(answer), [this, asked = *asked](const std::atomic<bool>& cancelled) {
    auto allowance = allowance_of(cancelled);
    const auto all = series_with_samples(source_, *asked, allowance);
    if (!all) return failure(all.error(), Fault::execution);
    std::set<std::string_view> names;
    for (const Source::Found& one : *all)
      for (const Label& label : one.labels) names.insert(label.name);
    return answered(list_of(names, append_text));
  });
}

void Api::label_values(const Parameters& said, const http::Request& request, http::Answer answer) {
  const std::string name(http::find(request.parts, "name").value_or(""));
  if (!is_label_name(name))
    return answer.send(
        failure({Errc::bad_params, "invalid label name: \"" + name + "\""}, Fault::request));
  const auto asked = shared_selections(said, false);
  if (!asked) return answer.send(failure(asked.error(), Fault::request));
  run(std::move(answer), [this, name, asked = *asked](const std::atomic<bool>& cancelled) {
    auto allowance = allowance_of(cancelled);
    const auto all = series_with_samples(source_, *asked, allowance);
    if (!all) return failure(all.error(), Fault::execution);
    std::set<std::string_view> values;
    for (const Source::Found& one : *all)
      if (const auto value = one.labels.get(name); !value.empty()) values.insert(value);
    return answered(list_of(values, append_text));
  });
}

void Api::query_exemplars(const Parameters& said, const http::Request&, http::Answer answer) {
  const auto from = bound_of(said, "start", std::numeric_limits<std::int64_t>::min());
  if (!from) return answer.send(failure(from.error(), Fault::request));
  const auto to = bound_of(said, "end", std::numeric_limits<std::int64_t>::max());
  if (!to) return answer.send(failure(to.error(), Fault::request));
  if (*to < *from)
    return answer.send(failure(
        {Errc::bad_params, "end timestamp must not be before start timestamp"}, Fault::request));
  const auto node = promql::parse(said.get("query"));
  if (!node) return answer.send(failure(node.error(), Fault::request));
  const auto asked = std::make_shared<Selections>(
      Selections{.selectors = promql::selectors_in(**node), .from_ms = *from, .to_ms = *to});
  // As there: of an expression without series nothing is said.
  if (asked->selectors.empty()) return answer.send({.status = 204, .type = {}});
  run(std::move(answer), [this, asked](const std::atomic<bool>& cancelled) {
    auto allowance = allowance_of(cancelled);
    const auto all = series_of(source_, *asked, allowance);
    if (!all) return failure(all.error(), Fault::execution);
    std::string data = "[";
    for (const Source::Found& one : *all) {
      if (exemplars_ == nullptr || !has_room(data)) break;
      const auto kept = exemplars_->read(one.series, asked->from_ms, asked->to_ms);
      if (kept.empty()) continue;
      if (data.size() > 1) data += ',';
      append_exemplars(data, one.labels, kept);
    }
    data += ']';
    return answered(bounded(std::move(data)));
  });
}

void Api::federate(const Parameters& said, const http::Request&, http::Answer answer) {
  const auto asked = std::make_shared<Selections>();
  if (const auto added = add_selectors(*asked, said); !added)
    return answer.send(federation_failed(added.error(), 400));
  asked->to_ms = to_ns(SystemClock().wall()) / 1'000'000;
  asked->from_ms = asked->to_ms - federated_ms;
  run(std::move(answer), [this, asked](const std::atomic<bool>& cancelled) {
    auto allowance = allowance_of(cancelled);
    auto text = federation_of(source_, *asked, allowance);
    return text ? federated(200, exposition_text_type, std::move(*text))
                : federation_failed(text.error(), 500);
  });
}

}  // namespace tallymill::collector
