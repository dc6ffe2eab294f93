// What a client says about a job over HTTP, read and checked before the wire sees it.
//
// Threads: pure functions.
#pragma once

#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "http/message.h"

namespace tallymill::gateway {

struct Input {
  std::string name;
  std::string media_type;
  std::string digest;  // of a blob that is in the store; empty: `bytes`
  std::string bytes;
  std::int64_t size = 0;
};

struct Submission {
  std::string kind;
  std::string params;  // msgpack
  std::vector<Input> inputs;
  std::int32_t priority = 4;
  std::string key;
  std::optional<WallTime> deadline;
  std::optional<WallTime> not_before;
};

// The body of POST /v1/jobs. bad_params with a pointer: no JSON object, an unknown member, a wrong
// type, out of range.
[[nodiscard]] Result<Submission> parse_submission(std::string_view text, WallTime now);
[[nodiscard]] Result<Submission> submission_of(const nlohmann::json& said, WallTime now);

// The job of "/v1/jobs/{id}"; not_found for what is no number.
[[nodiscard]] Result<std::int64_t> job_of(const http::Request& request);
// Who submits: its token's name, else what it says in Tallymill-Client, else "anonymous".
[[nodiscard]] Result<std::string> client_of(const http::Request& request);
// bad_params: a name stands twice in its query.
[[nodiscard]] Status each_once(const http::Request& request);
// N of "Prefer: wait=N", at most limits::gateway_wait; 0 when it does not say so.
[[nodiscard]] std::chrono::seconds wait_of(const http::Request& request);

}  // namespace tallymill::gateway
