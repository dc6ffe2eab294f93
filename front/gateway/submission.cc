#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "base/limits.h"
#include "base/sha256.h"
#include "base/text.h"
#include "base/utf8.h"
#include "bus/codec_json.h"
#include "front/gateway/submission.h"

namespace tallymill::gateway {
namespace {

using nlohmann::json;

std::unexpected<Error> wrong(const std::string& pointer, std::string what) {
  return fail(Errc::bad_params, std::move(what), pointer);
}

Result<Input> input_of(const json& said, const std::string& at) {
  if (!said.is_object()) return wrong(at, "an input is {\"name\", \"media_type\", \"digest\"}");
  Input input;
  for (const auto& [key, value] : said.items()) {
    if (!value.is_string()) return wrong(at + pointer_to(key), "this is text");
    if (key == "name")
      input.name = value.get<std::string>();
    else if (key == "media_type")
      input.media_type = value.get<std::string>();
    else if (key == "digest")
      input.digest = value.get<std::string>();
    else
      return wrong(at + pointer_to(key), "no such member: name, media_type, digest");
  }
  if (!is_sha256_hex(input.digest))
    return wrong(at + "/digest", "an input is named by the digest of its blob: see PUT /v1/blobs");
  return input;
}

Result<WallTime> time_from(const json& seconds, const std::string& at, WallTime now) {
  if (!seconds.is_number()) return wrong(at, "this is a number of seconds from now");
  const double value = seconds.get<double>();
  constexpr double ten_years = 10.0 * 365 * 86400;
  if (!std::isfinite(value) || value < 0 || value > ten_years)
    return wrong(at, "this is from 0 to ten years");
  return now + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(value));
}

Status take_member(Submission& into, const std::string& key, const json& value, WallTime now) {
  const std::string at = pointer_to(key);
  if (key == "kind") {
    if (!value.is_string() || !is_utf8(value.get_ref<const std::string&>()))
      return wrong(at, "a kind is text");
    into.kind = value.get<std::string>();
  } else if (key == "params") {
    if (!value.is_object()) return wrong(at, "params are an object");
    auto packed = bus::msgpack_of_json(value);
    if (!packed) return std::unexpected(std::move(packed).error());
    into.params = std::move(*packed);
  } else if (key == "inputs") {
    if (!value.is_array() || value.size() > limits::item_blobs)
      return wrong(at, "inputs are a list of at most " + std::to_string(limits::item_blobs));
    for (std::size_t i = 0; i < value.size(); ++i) {
      auto input = input_of(value[i], at + "/" + std::to_string(i));
      if (!input) return std::unexpected(std::move(input).error());
      into.inputs.push_back(std::move(*input));
    }
  } else if (key == "priority") {
    if (!value.is_number_integer() || value < 0 || value > 9)
      return wrong(at, "a priority is from 0, the lowest, to 9");
    into.priority = value.get<std::int32_t>();
  } else if (key == "deadline_s" || key == "delay_s") {
    auto time = time_from(value, at, now);
    if (!time) return std::unexpected(std::move(time).error());
    (key == "delay_s" ? into.not_before : into.deadline) = *time;
  } else {
    return wrong(at, "no such member: kind, params, inputs, priority, deadline_s, delay_s");
  }
  return {};
}

}  // namespace

Result<Submission> parse_submission(std::string_view text, WallTime now) {
  const json said = json::parse(text, nullptr, false);
  if (said.is_discarded()) return fail(Errc::bad_params, "the body is not JSON");
  return submission_of(said, now);
}

Result<Submission> submission_of(const json& said, WallTime now) {
  if (!said.is_object()) return fail(Errc::bad_params, "a job is a JSON object");
  Submission submission;
  for (const auto& [key, value] : said.items())
    if (auto taken = take_member(submission, key, value, now); !taken)
      return std::unexpected(std::move(taken).error());
  if (submission.kind.empty()) return wrong("/kind", "say which kind of job: see /v1/kinds");
  return submission;
}

Result<std::int64_t> job_of(const http::Request& request) {
  const auto text = request.part("id");
  std::int64_t job = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), job);
  if (failed != std::errc{} || end != text.data() + text.size() || job <= 0)
    return fail(Errc::not_found, "a job's id is a number");
  return job;
}

Result<std::string> client_of(const http::Request& request) {
  if (!request.caller.name.empty()) return request.caller.name;
  if (request.headers.count("Tallymill-Client") > 1)
    return fail(Errc::bad_params, "Tallymill-Client is said twice");
  const auto said = request.headers.get("Tallymill-Client");
  if (said.size() > limits::client_name_bytes)
    return fail(Errc::too_big, "a client's name has at most 64 bytes");
  if (!is_utf8(said)) return fail(Errc::bad_params, "Tallymill-Client is not UTF-8 text");
  return said.empty() ? std::string("anonymous") : std::string(said);
}

Status each_once(const http::Request& request) {
  std::set<std::string_view> names;
  for (const auto& [name, value] : request.query)
    if (!names.insert(name).second) return fail(Errc::bad_params, "said twice", pointer_to(name));
  return {};
}

std::chrono::seconds wait_of(const http::Request& request) {
  const std::string prefer = request.headers.list("Prefer");
  const auto at = prefer.find("wait=");
  if (at == std::string::npos) return {};
  std::int64_t seconds = 0;
  const char* begin = prefer.data() + at + 5;
  if (std::from_chars(begin, prefer.data() + prefer.size(), seconds).ec != std::errc{}) return {};
  return std::clamp(std::chrono::seconds(seconds), std::chrono::seconds(0), limits::gateway_wait);
}

}  // namespace tallymill::gateway
