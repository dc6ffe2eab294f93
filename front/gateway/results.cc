// Results over HTTP: what a job made, file by file, and blobs by their digest.
#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

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
  response.headers.add("Cache-Control", "private, max-age=31536000, immutable");
  if (!name.empty())
    response.headers.add("Content-Disposition",
                         "inline; filename*=UTF-8''" + http::percent_encoded(name));
}

// A step of a path that says this file: its name, or its number where the name is none.
std::string step_of(const bus::FileRef& file, std::size_t index) {
  const std::string name = http::percent_encoded(file.name);
  const auto target = http::parse_target("/" + name);
  return file.name.empty() || !target ? std::to_string(index) : name;
}

json file_json(const bus::FileRef& file, std::int64_t job, std::size_t index) {
  json value{{"name", file.name},
             {"media_type", file.media_type},
             {"bytes", file.bytes},
             {"href", fmt::format("/v1/jobs/{}/result/{}", job, step_of(file, index))}};
  if (!file.digest.empty()) value["digest"] = file.digest;
  return value;
}

const bus::FileRef* file_named(const std::vector<bus::FileRef>& files, std::string_view step) {
  for (const bus::FileRef& file : files)
    if (file.name == step) return &file;
  std::size_t index = 0;
  const auto parsed = std::from_chars(step.data(), step.data() + step.size(), index);
  if (parsed.ec != std::errc{} || parsed.ptr != step.data() + step.size()) return nullptr;
  return index < files.size() ? &files[index] : nullptr;
}

}  // namespace

void Gateway::get_result(Request&& request, Answer answer) {
  const auto job = job_of(request);
  if (!job) return answer.fail(job.error());
  auto held = std::make_shared<Answer>(std::move(answer));
  questions_->ask(
      bus::Verb::result, {.job = *job}, [held, job = *job](const Result<const bus::Item*>& said) {
        if (!said) return held->fail(said.error());
        const auto reply = bus::read<bus::Reply>(**said);
        if (!reply) return held->fail(reply.error());
        const auto values = bus::json_of_msgpack((*said)->params);
        if (!values) return held->fail(values.error());
        json files = json::array();
        for (std::size_t i = 0; i < reply->files.size(); ++i)
          files.push_back(file_json(reply->files[i], job, i));
        held->send(
            http::json_response({{"job", job}, {"values", *values}, {"files", std::move(files)}}));
      });
}

void Gateway::get_file(Request&& request, Answer answer) {
  const auto job = job_of(request);
  if (!job) return answer.fail(job.error());
  auto held = std::make_shared<Answer>(std::move(answer));
  questions_->ask(
      bus::Verb::result, {.job = *job},
      [this, held, step = std::string(request.part("file"))](const Result<const bus::Item*>& said) {
        if (!said) return held->fail(said.error());
        const auto reply = bus::read<bus::Reply>(**said);
        if (!reply) return held->fail(reply.error());
        const bus::FileRef* file = file_named(reply->files, step);
        if (file == nullptr) return held->fail({Errc::not_found, "the result has no such file"});
        std::string type(file->media_type.empty() ? unknown_type : file->media_type);
        if (!file->digest.empty())
          return send_blob(std::string(file->digest), std::move(type), std::string(file->name),
                           std::move(*held));
        if (file->blob < 0 || static_cast<std::size_t>(file->blob) >= (*said)->blobs.size())
          return held->fail({Errc::corrupt, "the result's file did not come with it"});
        const auto bytes = (*said)->blobs[static_cast<std::size_t>(file->blob)].to_string_view();
        http::Response response{.type = std::move(type), .body = std::string(bytes)};
        response.etag = '"' + sha256_hex(bytes) + '"';
        response.ranges = true;
        disarm(response, file->name);
        held->send(std::move(response));
      });
}

void Gateway::get_blob(Request&& request, Answer answer) {
  const std::string digest(request.part("digest"));
  if (auto checked = store::check_digest(digest); !checked) return answer.fail(checked.error());
  send_blob(digest, std::string(unknown_type), {}, std::move(answer));
}

void Gateway::send_blob(const std::string& digest, std::string type, const std::string& name,
                        Answer answer) {
  auto mapped = blobs_->map(digest);
  if (!mapped) return answer.fail(mapped.error());
  auto kept = std::make_shared<store::Mapped>(std::move(*mapped));
  const std::string_view bytes = kept->bytes();
  http::Response response{.type = std::move(type), .body = http::Body(bytes, std::move(kept))};
  response.etag = '"' + digest + '"';
  response.ranges = true;
  disarm(response, name);
  answer.send(std::move(response));
}

}  // namespace tallymill::gateway
