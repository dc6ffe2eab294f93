// Answers: what the Prometheus HTTP API says, as JSON text.
//
//   invariant: data is at most limits::answer_bytes, and one element more while it is made
//
// Threads: pure functions.
// Source: the HTTP API of Prometheus 2.42, `status`, `data`, `errorType`, `error`.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "collector/promql/evaluate.h"
#include "http/message.h"

namespace tallymill::collector {

// {"status":"success","data":DATA}, and warnings when there are some.
[[nodiscard]] http::Response success(std::string data, std::span<const std::string> warnings = {});
// bad_params of the execution are 422, `execution`; those of the request 400, `bad_data`.
enum class Fault : std::uint8_t { request, execution };
[[nodiscard]] http::Response failure(const Error& error, Fault fault);

// Data, or why there is none, which is the execution's fault.
[[nodiscard]] http::Response answered(Result<std::string> data,
                                      std::span<const std::string> warnings = {});

// Whether more may follow; and the text, when no more than that was asked for, else too_big,
// which too_long() says.
[[nodiscard]] bool has_room(const std::string& text);
[[nodiscard]] Result<std::string> bounded(std::string text);
[[nodiscard]] std::unexpected<Error> too_long();

// The data of a query's answer. `moment`: an instant query. too_big: as bounded().
[[nodiscard]] Result<std::string> data_of(const promql::Value& value, const promql::Grid& grid,
                                          bool moment);
[[nodiscard]] Result<std::string> data_of(std::span<const promql::RawSeries> raw);

void append_json(std::string& to, std::string_view text);
// Seconds, with milliseconds where there are some.
void append_time(std::string& to, std::int64_t t_ms);
void append_json(std::string& to, const Labels& labels);

// Each element behind a comma but the first, while there is room.
template <class Range, class Append>
void append_list(std::string& to, Range&& range, Append append) {
  to += '[';
  bool first = true;
  for (const auto& one : range) {
    if (!has_room(to)) return;
    if (!std::exchange(first, false)) to += ',';
    append(one);
  }
  to += ']';
}

}  // namespace tallymill::collector
