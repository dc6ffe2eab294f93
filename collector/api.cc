#include "collector/api.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <utility>

#include "base/clock.h"
#include "base/limits.h"
#include "collector/answers.h"
#include "collector/csv.h"
#include "collector/noted.h"
#include "collector/promql/evaluate.h"
#include "collector/promql/parser.h"
#include "collector/promql/print.h"

namespace tallymill::collector {
namespace {

using promql::Grid;

std::int64_t now_ms() { return to_ns(SystemClock().wall()) / 1'000'000; }

Error in_parameter(std::string_view name, const Error& error) {
  return {error.code, fmt::format("invalid parameter \"{}\": {}", name, error.message)};
}

// What both kinds of query say beside when.
struct Asked {
  promql::NodePtr node;
  promql::EvaluateOptions options;
};
Result<Asked> asked_of(const Parameters& said) {
  Asked asked;
  auto timeout = said.duration_ms("timeout");
  if (!timeout) return std::unexpected(std::move(timeout).error());
  auto lookback = said.duration_ms("lookback_delta");
  if (!lookback) return std::unexpected(std::move(lookback).error());
  if (*lookback && **lookback > 0) asked.options.lookback = std::chrono::milliseconds(**lookback);
  const std::chrono::milliseconds wanted(timeout->value_or(limits::query_time.count()));
  asked.options.until =
      std::chrono::steady_clock::now() + std::clamp(wanted, std::chrono::milliseconds(0),
                                                    std::chrono::milliseconds(limits::query_time));
  auto node = promql::parse(said.get("query"));
  if (!node) return std::unexpected(in_parameter("query", node.error()));
  asked.node = std::move(*node);
  return asked;
}

Result<Grid> grid_of(const Parameters& said) {
  const auto start = said.time_ms("start", std::nullopt);
  if (!start) return std::unexpected(start.error());
  const auto end = said.time_ms("end", std::nullopt);
  if (!end) return std::unexpected(end.error());
  if (*end < *start)
    return fail(Errc::bad_params,
                "invalid parameter \"end\": end timestamp must not be before start time");
  const auto step = said.duration_ms("step");
  if (!step) return std::unexpected(step.error());
  if (!*step)
    return fail(Errc::bad_params,
                "invalid parameter \"step\": cannot parse \"\" to a valid duration");
  if (**step <= 0)
    return fail(Errc::bad_params,
                "invalid parameter \"step\": zero or negative query resolution step widths are not "
                "accepted. Try a positive integer");
  // Unsigned: two ends of time are further apart than either is from 0.
  const std::uint64_t span = static_cast<std::uint64_t>(*end) - static_cast<std::uint64_t>(*start);
  const std::uint64_t steps = span / static_cast<std::uint64_t>(**step);
  if (steps > limits::query_points)
    return fail(Errc::bad_params,
                fmt::format("exceeded maximum resolution of {} points per timeseries. Try "
                            "decreasing the query resolution (?step=XX)",
                            limits::query_points));
  return Grid{*start, **step, static_cast<std::size_t>(steps) + 1, *end};
}

// Which form the answer has: `format`, else what Accept prefers.
Result<bool> wants_csv(const Parameters& said, const http::Request& request) {
  const std::string_view format = said.get("format");
  if (format == "csv" || format == "json") return format == "csv";
  if (!format.empty())
    return fail(Errc::bad_params,
                fmt::format("invalid parameter \"format\": not supported value \"{}\"", format));
  const std::string accept = request.headers.list("Accept");
  return http::weight_of(accept, "text/csv") > http::weight_of(accept, "application/json");
}

http::Response table(Result<std::string> csv) {
  if (!csv) return failure(csv.error(), Fault::execution);
  http::Response response{.type = std::string(csv_type)};
  response.headers.add("Content-Disposition", "attachment; filename=\"query.csv\"");
  response.body = http::Body(std::move(*csv));
  return response;
}

}  // namespace

void Api::row(http::Router& router, const std::string& path, Handle handle, bool form) {
  const auto answers = [this, handle](http::Request&& request, http::Answer answer) {
    const auto said = Parameters::of(request);
    if (!said) return answer.send(failure(said.error(), Fault::request));
    (this->*handle)(*said, request, std::move(answer));
  };
  router.add({http::Method::get, path, http::Role::read, {.whole = answers}, {}});
  if (!form) return;
  router.add({.method = http::Method::post,
              .path = path,
              .role = http::Role::read,
              .handler = {.whole = answers},
              .operation = {},
              .accepts = {.type = "application/x-www-form-urlencoded"}});
}

void Api::add_routes(http::Router& router) {
  row(router, "/api/v1/query", &Api::query, true);
  row(router, "/api/v1/query_range", &Api::query_range, true);
  row(router, "/api/v1/series", &Api::series, true);
  row(router, "/api/v1/labels", &Api::labels, true);
  row(router, "/api/v1/label/{name}/values", &Api::label_values, false);
  row(router, "/api/v1/query_exemplars", &Api::query_exemplars, true);
  row(router, "/federate", &Api::federate, false);
  row(router, "/api/v1/format_query", &Api::format_query, true);
}

void Api::start(http::Server& server) {
  for (auto& worker : workers_)
    worker = std::make_unique<bus::Errands>(server, limits::queries / workers_.size(), "query");
}

void Api::run(http::Answer answer, Work work) {
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  const auto held = std::make_shared<http::Answer>(std::move(answer));
  held->on_leaving([cancelled] { cancelled->store(true, std::memory_order_relaxed); });
  // Nobody waits behind one that takes long while another worker has nothing to do.
  const auto idlest = static_cast<std::size_t>(std::ranges::min_element(held_) - held_.begin());
  const bool taken = workers_[idlest]->put([this, idlest, held, cancelled, work = std::move(work)] {
    const auto response = std::make_shared<http::Response>(
        *cancelled ? failure({Errc::cancelled, "nobody waits for it any more"}, Fault::execution)
                   : counted(work(*cancelled)));
    return [this, idlest, held, response] {
      --held_[idlest];
      if (held->pending()) held->send(std::move(*response));
    };
  });
  if (taken)
    ++held_[idlest];
  else
    held->send(failure({Errc::busy, "too many queries wait: come again later"}, Fault::execution));
}

http::Response Api::counted(http::Response&& response) {
  struct Unread {
    ~Unread() { *all -= body.size(); }
    http::Body body;
    std::shared_ptr<std::atomic<std::size_t>> all;
  };
  const std::size_t size = response.body.size();
  if (unread_->fetch_add(size) + size >
      static_cast<std::size_t>(limits::unread_answers_bytes.raw())) {
    *unread_ -= size;
    return failure({Errc::busy, "too many large answers wait for who asked: come again later"},
                   Fault::execution);
  }
  const auto kept = std::make_shared<const Unread>(std::move(response.body), unread_);
  response.body = http::Body(kept->body.bytes(), kept);
  return std::move(response);
}

void Api::query(const Parameters& said, const http::Request& request, http::Answer answer) {
  const auto csv = wants_csv(said, request);
  if (!csv) return answer.send(failure(csv.error(), Fault::request));
  const auto at = said.time_ms("time", now_ms());
  if (!at) return answer.send(failure(at.error(), Fault::request));
  auto read = asked_of(said);
  if (!read) return answer.send(failure(read.error(), Fault::request));
  auto asked = std::make_shared<Asked>(std::move(*read));
  run(std::move(answer), [this, asked, at = *at, csv = *csv](const std::atomic<bool>& cancelled) {
    asked->options.cancelled = &cancelled;
    const Noted source(source_);
    if (asked->node->type == promql::Type::matrix) {
      const auto raw = promql::evaluate_raw(*asked->node, at, source, asked->options);
      if (!raw) return failure(raw.error(), Fault::execution);
      return csv ? table(csv_of(*raw)) : answered(data_of(*raw), source.warnings(*asked->node, 0));
    }
    const Grid grid{at, 1, 1};
    const auto value = promql::evaluate(*asked->node, grid, source, asked->options);
    if (!value) return failure(value.error(), Fault::execution);
    if (csv) return table(csv_of(*value, grid));
    return answered(data_of(*value, grid, true), source.warnings(*asked->node, 0));
  });
}

void Api::query_range(const Parameters& said, const http::Request& request, http::Answer answer) {
  const auto csv = wants_csv(said, request);
  if (!csv) return answer.send(failure(csv.error(), Fault::request));
  const auto grid = grid_of(said);
  if (!grid) return answer.send(failure(grid.error(), Fault::request));
  auto read = asked_of(said);
  if (!read) return answer.send(failure(read.error(), Fault::request));
  const promql::Type type = (*read).node->type;
  if (type != promql::Type::scalar && type != promql::Type::vector)
    return answer.send(failure(
        in_parameter("query", {Errc::bad_params,
                               fmt::format("invalid expression type \"{}\" for range query, must "
                                           "be Scalar or instant Vector",
                                           name_of(type))}),
        Fault::request));
  auto asked = std::make_shared<Asked>(std::move(*read));
  run(std::move(answer),
      [this, asked, grid = *grid, csv = *csv](const std::atomic<bool>& cancelled) {
        asked->options.cancelled = &cancelled;
        const Noted source(source_);
        auto value = promql::evaluate(*asked->node, grid, source, asked->options);
        if (!value) return failure(value.error(), Fault::execution);
        std::ranges::sort(value->rows,
                          [](const auto& a, const auto& b) { return a.labels < b.labels; });
        if (csv) return table(csv_of(*value, grid));
        return answered(data_of(*value, grid, false), source.warnings(*asked->node, grid.step_ms));
      });
}

void Api::format_query(const Parameters& said, const http::Request&, http::Answer answer) {
  auto node = promql::parse(said.get("query"));
  if (!node) return answer.send(failure(in_parameter("query", node.error()), Fault::request));
  const std::shared_ptr<const promql::Node> shared = std::move(*node);
  run(std::move(answer), [shared](const std::atomic<bool>&) {
    std::string data;
    append_json(data, promql::pretty(*shared));
    return answered(bounded(std::move(data)));
  });
}

}  // namespace tallymill::collector
