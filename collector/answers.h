// Answers: what the Prometheus HTTP API says, as JSON text.
//
// Threads: pure functions.
// Source: the HTTP API of Prometheus 2.42, `status`, `data`, `errorType`, `error`.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
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

// The data of a query's answer. `moment`: an instant query.
[[nodiscard]] std::string data_of(const promql::Value& value, const promql::Grid& grid,
                                  bool moment);
[[nodiscard]] std::string data_of(std::span<const promql::RawSeries> raw);

void append_json(std::string& to, std::string_view text);
// Seconds, with milliseconds where there are some.
void append_time(std::string& to, std::int64_t t_ms);
void append_json(std::string& to, const Labels& labels);

}  // namespace tallymill::collector
