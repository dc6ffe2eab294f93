#include "collector/answers.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <ranges>
#include <utility>

#include "base/limits.h"
#include "base/utf8.h"
#include "collector/promql/print.h"

namespace tallymill::collector {
namespace {

http::Response json_text(std::string text, int status) {
  http::Response response{.status = status, .type = "application/json", .body = {}};
  response.body = http::Body(std::move(text));
  return response;
}

// With the sign for no character where it is no UTF-8, as Go's JSON has it.
std::string as_utf8(std::string_view text) {
  std::string whole;
  while (!text.empty()) {
    const std::size_t size = utf8_length(text);
    whole += size == 0 ? "\xef\xbf\xbd" : text.substr(0, size);
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return whole;
}

void append_point(std::string& to, std::int64_t t_ms, double value) {
  to += '[';
  append_time(to, t_ms);
  to.append(",\"").append(promql::number_text(value)).append("\"]");
}

void append_metric(std::string& to, const Labels& labels) {
  to += "{\"metric\":";
  append_json(to, labels);
}

void append_row(std::string& to, const promql::Row& row, const promql::Grid& grid, bool moment) {
  append_metric(to, row.labels);
  if (moment) {
    to += ",\"value\":";
    append_point(to, grid.start_ms, row.values[0]);
  } else {
    const auto is_there = [&](std::size_t i) { return !promql::is_absent(row.values[i]); };
    auto steps = std::views::iota(std::size_t{0}, grid.count) | std::views::filter(is_there);
    to += ",\"values\":";
    append_list(to, steps, [&](std::size_t i) { append_point(to, grid.at(i), row.values[i]); });
  }
  to += '}';
}

std::string_view error_type(Errc code, Fault fault) {
  switch (code) {
    case Errc::deadline:
      return "timeout";
    case Errc::cancelled:
      return "canceled";
    case Errc::not_found:
      return "not_found";
    case Errc::busy:
    case Errc::away:
      return "unavailable";
    case Errc::bad_params:
    case Errc::bad_frame:
    case Errc::too_big:
      return fault == Fault::request ? "bad_data" : "execution";
    default:
      return "internal";
  }
}

int status_of(std::string_view type) {
  constexpr std::pair<std::string_view, int> table[] = {{"bad_data", 400},    {"execution", 422},
                                                        {"timeout", 503},     {"canceled", 503},
                                                        {"unavailable", 503}, {"not_found", 404}};
  const auto* found = std::ranges::find(table, type, &std::pair<std::string_view, int>::first);
  return found == std::end(table) ? 500 : found->second;
}

}  // namespace

void append_time(std::string& to, std::int64_t t_ms) {
  const std::int64_t rest = t_ms % 1000;
  if (t_ms < 0 && t_ms > -1000) to += '-';
  fmt::format_to(std::back_inserter(to), "{}", t_ms / 1000);
  if (rest != 0) fmt::format_to(std::back_inserter(to), ".{:03}", rest < 0 ? -rest : rest);
}

void append_json(std::string& to, std::string_view text) {
  if (!is_utf8(text)) return append_json(to, as_utf8(text));  // a query may say any bytes
  to += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\')
      to.append("\\").append(1, c);
    else if (static_cast<unsigned char>(c) < 0x20)
      fmt::format_to(std::back_inserter(to), "\\u{:04x}", static_cast<int>(c));
    else
      to += c;
  }
  to += '"';
}

void append_json(std::string& to, const Labels& labels) {
  to += '{';
  bool first = true;
  for (const Label& label : labels) {
    if (!std::exchange(first, false)) to += ',';
    append_json(to, label.name);
    to += ':';
    append_json(to, label.value);
  }
  to += '}';
}

http::Response success(std::string data, std::span<const std::string> warnings) {
  std::string text = "{\"status\":\"success\",\"data\":" + std::move(data);
  if (!warnings.empty()) {
    text += ",\"warnings\":";
    append_list(text, warnings,
                [&](const std::string& warning) { append_json(text, std::string_view(warning)); });
  }
  return json_text(text + "}", 200);
}

http::Response failure(const Error& error, Fault fault) {
  const std::string_view type = error_type(error.code, fault);
  std::string text = fmt::format("{{\"status\":\"error\",\"errorType\":\"{}\",\"error\":", type);
  append_json(text, error.message);
  return json_text(text + "}", status_of(type));
}

http::Response answered(Result<std::string> data, std::span<const std::string> warnings) {
  return data ? success(std::move(*data), warnings) : failure(data.error(), Fault::execution);
}

bool has_room(const std::string& text) {
  return text.size() <= static_cast<std::size_t>(limits::answer_bytes.raw());
}

Result<std::string> bounded(std::string text) {
  if (has_room(text)) return text;
  return too_long();
}

std::unexpected<Error> too_long() {
  return fail(Errc::too_big, fmt::format("the answer would have more than {} MiB: ask for fewer "
                                         "series, a shorter time or a longer step",
                                         limits::answer_bytes.raw() >> 20));
}

Result<std::string> data_of(const promql::Value& value, const promql::Grid& grid, bool moment) {
  using promql::Type;
  std::string data;
  if (value.type == Type::string) {
    data = "{\"resultType\":\"string\",\"result\":[";
    append_time(data, grid.start_ms);
    data += ',';
    append_json(data, value.text);
    return data + "]}";
  }
  if (value.type == Type::scalar && moment) {
    data = "{\"resultType\":\"scalar\",\"result\":";
    append_point(data, grid.start_ms, value.scalars[0]);
    return data + "}";
  }
  data = fmt::format("{{\"resultType\":\"{}\",\"result\":", moment ? "vector" : "matrix");
  const auto append = [&](const promql::Row& row) { append_row(data, row, grid, moment); };
  if (value.type == Type::scalar)
    append_list(data, promql::Rows{{Labels(), value.scalars}}, append);
  else
    append_list(data, value.rows, append);
  data += '}';
  return bounded(std::move(data));
}

Result<std::string> data_of(std::span<const promql::RawSeries> raw) {
  std::string data = "{\"resultType\":\"matrix\",\"result\":";
  append_list(data, raw, [&](const promql::RawSeries& one) {
    append_metric(data, one.labels);
    data += ",\"values\":";
    append_list(data, std::views::iota(std::size_t{0}, one.samples.size()), [&](std::size_t i) {
      append_point(data, one.samples.t_ms[i], one.samples.value[i]);
    });
    data += '}';
  });
  data += '}';
  return bounded(std::move(data));
}

}  // namespace tallymill::collector
