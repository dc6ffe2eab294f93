// Results over HTTP: what a job made, file by file, and blobs by their digest.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/sha256.h"
#include "bus/codec_json.h"
#include "front/gateway/gateway.h"
#include "front/gateway/submission.h"

namespace tallymill::gateway {
namespace {

using nlohmann::json;

constexpr std::string_view unknown_type = "application/octet-stream";

// What a worker or a client brought is shown, never run: a page of it has no script and no origin.
void disarm(http::Response& response, std::string_view name) {
  response.headers.add("Content-Security-Policy", "sandbox; default-src 'none'");
  if (!name.empty())
    response.headers.add("Content-Disposition",
                         "inline; filename*=UTF-8''" + http::percent_encoded(name));
}

// What a digest names is the same for ever; job 7 of another data folder is another job.
constexpr const char* for_ever = "private, max-age=31536000, immutable";
constexpr const char* ask_again = "private, no-cache";

std::optional<std::size_t> number_of(std::string_view step) {
  std::size_t number = 0;
  const auto parsed = std::from_chars(step.data(), step.data() + step.size(), number);
  if (parsed.ec != std::errc{} || parsed.ptr != step.data() + step.size()) return std::nullopt;
  return number;
}

// A step of a path that says this file: its name where that is one, and no other's, else its
// number.
std::string step_of(const std::vector<bus::FileRef>& files, std::size_t index) {
  const std::string_view name = files[index].name;
  const std::string coded = http::percent_encoded(name);
  const bool says_it = !name.empty() && !number_of(name) && http::parse_target("/" + coded) &&
                       std::ranges::count(files, name, &bus::FileRef::name) == 1;
  return says_it ? coded : std::to_string(index);
}

json file_json(const std::vector<bus::FileRef>& files, std::int64_t job, std::size_t index) {
  const bus::FileRef& file = files[index];
  json value{{"name", file.name},
             {"media_type", file.media_type},
             {"bytes", file.bytes},
             {"href", fmt::format("/v1/jobs/{}/result/{}", job, step_of(files, index))}};
  if (!file.digest.empty()) value["digest"] = file.digest;
  return value;
}

const bus::FileRef* file_named(const std::vector<bus::FileRef>& files, std::string_view step) {
  if (const auto index = number_of(step)) return *index < files.size() ? &files[*index] : nullptr;
  const auto found = std::ranges::find(files, step, &bus::FileRef::name);
  return found == files.end() ? nullptr : &*found;
}

}  // namespace

void Gateway::get_result(Request&& request, Answer answer) {
  const auto job = job_of(request);
  if (!job) return answer.fail(job.error());
  auto held = std::make_shared<Answer>(std::move(answer));
  questions_->ask(bus::Verb::result, {.job = *job},
                  [this, held, job = *job](const Result<const bus::Item*>& said) {
                    if (!said) return no_result(job, said.error(), held);
                    const auto reply = bus::read<bus::Reply>(**said);
                    if (!reply) return held->fail(reply.error());
                    const auto values = bus::json_of_msgpack((*said)->params);
                    if (!values) return held->fail(values.error());
                    json files = json::array();
                    for (std::size_t i = 0; i < reply->files.size(); ++i)
                      files.push_back(file_json(reply->files, job, i));
                    held->send(http::json_response(
                        {{"job", job}, {"values", *values}, {"files", std::move(files)}}));
                  });
}

void Gateway::get_file(Request&& request, Answer answer) {
  const auto job = job_of(request);
  if (!job) return answer.fail(job.error());
  auto held = std::make_shared<Answer>(std::move(answer));
  questions_->ask(
      bus::Verb::result, {.job = *job},
      [this, held, job = *job,
       step = std::string(request.part("file"))](const Result<const bus::Item*>& said) {
        if (!said) return no_result(job, said.error(), held);
        const auto reply = bus::read<bus::Reply>(**said);
        if (!reply) return held->fail(reply.error());
        const bus::FileRef* file = file_named(reply->files, step);
        if (file == nullptr) return held->fail({Errc::not_found, "the result has no such file"});
        std::string type(file->media_type.empty() ? unknown_type : file->media_type);
        if (!file->digest.empty())
          return send_blob(std::string(file->digest), std::move(type), file, std::move(*held));
        if (file->blob < 0 || static_cast<std::size_t>(file->blob) >= (*said)->blobs.size())
          return held->fail({Errc::corrupt, "the result's file did not come with it"});
        const auto bytes = (*said)->blobs[static_cast<std::size_t>(file->blob)].to_string_view();
        http::Response response{.type = std::move(type), .body = std::string(bytes)};
        response.etag = '"' + sha256_hex(bytes) + '"';
        response.ranges = true;
        disarm(response, file->name);
        response.headers.add("Cache-Control", ask_again);
        held->send(std::move(response));
      });
}

// The error of a job is its answer to `result` on the bus. Over HTTP it would look like one of this
// request: that the job did not end well is a state that there is no result in.
void Gateway::no_result(std::int64_t job, const Error& error, const std::shared_ptr<Answer>& held) {
  questions_->ask(
      bus::Verb::status, {.job = job}, [held, job, error](const Result<const bus::Item*>& said) {
        const auto status = said ? bus::json_of_msgpack((*said)->params)
                                 : Result<json>(std::unexpected(said.error()));
        if (!status) return held->fail(status.error());
        const std::string state = status->value("state", "");
        if (state == "done" || !status->contains("end_unix_ns")) return held->fail(error);
        held->fail({Errc::wrong_state, fmt::format("job {} has no result, it is {}: {} {}", job,
                                                   state, info(error.code).name, error.message)});
      });
}

void Gateway::get_blob(Request&& request, Answer answer) {
  const std::string digest(request.part("digest"));
  if (auto checked = store::check_digest(digest); !checked) return answer.fail(checked.error());
  send_blob(digest, std::string(unknown_type), nullptr, std::move(answer));
}

void Gateway::send_blob(const std::string& digest, std::string type, const bus::FileRef* of,
                        Answer answer) {
  auto mapped = blobs_->map(digest);
  if (!mapped) return answer.fail(mapped.error());
  auto kept = std::make_shared<store::Mapped>(std::move(*mapped));
  const std::string_view bytes = kept->bytes();
  http::Response response{.type = std::move(type), .body = http::Body(bytes, std::move(kept))};
  response.etag = '"' + digest + '"';
  response.ranges = true;
  disarm(response, of == nullptr ? "" : of->name);
  response.headers.add("Cache-Control", of == nullptr ? for_ever : ask_again);
  answer.send(std::move(response));
}

}  // namespace tallymill::gateway
