// Parameters: times, steps and durations, as the Prometheus HTTP API takes them.
//
// Errors are bad_params, in Prometheus' words: `invalid parameter "start": ...`.
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/message.h"

namespace tallymill::collector {

// Of a query and, when it is posted, of the form in its body, as one.
class Parameters {
 public:
  // bad_params: the body is no form. That of a GET is not read, as it is not by Prometheus; over
  // HTTP none comes that far (http/request_check.h).
  [[nodiscard]] static Result<Parameters> of(const http::Request& request);
  // Empty: not said.
  [[nodiscard]] std::string_view get(std::string_view name) const;
  [[nodiscard]] std::vector<std::string_view> all(std::string_view name) const;
  [[nodiscard]] Result<std::int64_t> time_ms(std::string_view name,
                                             std::optional<std::int64_t> otherwise) const;
  // Seconds or a duration; nothing when it is not said.
  [[nodiscard]] Result<std::optional<std::int64_t>> duration_ms(std::string_view name) const;

 private:
  http::Pairs pairs_;
};

// Seconds since 1970, or RFC 3339.
[[nodiscard]] std::optional<std::int64_t> time_ms_of(std::string_view text);

}  // namespace tallymill::collector
