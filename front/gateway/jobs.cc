// Jobs over HTTP: submit, list, status, timeline, cancel, retry.
#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "base/text.h"
#include "bus/codec_json.h"
#include "front/gateway/gateway.h"
#include "front/gateway/submission.h"

namespace tallymill::gateway {

using nlohmann::json;

namespace {

template <class Number>
bool is_number(std::string_view text, Number& into) {
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), into);
  return failed == std::errc{} && end == text.data() + text.size();
}

Error no_number(const std::string& name) {
  return {Errc::bad_params, fmt::format("{} is a number, of at least {}", name, name == "limit"),
          pointer_to(name)};
}

}  // namespace

http::Response json_of(const bus::Item& reply) {
  const auto value = bus::json_of_msgpack(reply.params);
  if (!value) return http::problem(value.error());
  return http::json_response(*value);
}

void Gateway::ask(bus::Verb verb, const bus::Ask& question, Answer answer) {
  auto held = std::make_shared<Answer>(std::move(answer));
  questions_->ask(verb, question, [held](const Result<const bus::Item*>& said) {
    if (!said) return held->fail(said.error());
    held->send(json_of(**said));
  });
}

void Gateway::ask_of_job(bus::Verb verb, const Request& request, Answer answer) {
  const auto job = job_of(request);
  if (!job) return answer.fail(job.error());
  ask(verb, {.job = *job}, std::move(answer));
}

void Gateway::get_job(Request&& request, Answer answer) {
  ask_of_job(bus::Verb::status, request, std::move(answer));
}

void Gateway::get_timeline(Request&& request, Answer answer) {
  ask_of_job(bus::Verb::timeline, request, std::move(answer));
}

void Gateway::cancel_job(Request&& request, Answer answer) {
  ask_of_job(bus::Verb::cancel, request, std::move(answer));
}

void Gateway::list_jobs(Request&& request, Answer answer) {
  bus::Ask question;
  if (auto once = each_once(request); !once) return answer.fail(once.error());
  for (const auto& [name, value] : request.query) {
    if (name == "state")
      question.state = value;
    else if (name == "kind")
      question.kind = value;
    else if (name == "stage")
      question.stage = value;
    else if (name == "client")
      question.client = value;
    else if (name == "q")
      question.text = value;
    else if (name == "sort")
      question.sort = value;
    else if (name == "cursor")
      question.cursor = value;
    else if ((name == "limit" && is_number(value, question.limit) && question.limit > 0) ||
             (name == "since" && is_number(value, question.since_unix_ns)))
      continue;
    else if (name == "limit" || name == "since")
      return answer.fail(no_number(name));
    else
      return answer.fail({Errc::bad_params,
                          "jobs are chosen by state, kind, stage, client, since, q, sort, cursor "
                          "and limit",
                          pointer_to(name)});
  }
  ask(bus::Verb::jobs, question, std::move(answer));
}

void Gateway::list_waterfalls(Request&& request, Answer answer) {
  bus::Ask question;
  if (auto once = each_once(request); !once) return answer.fail(once.error());
  for (const auto& [name, value] : request.query) {
    if (name == "ledger")
      question.ledger = value;
    else if ((name == "after" && is_number(value, question.after) && question.after >= 0) ||
             (name == "limit" && is_number(value, question.limit) && question.limit > 0))
      continue;
    else if (name == "after" || name == "limit")
      return answer.fail(no_number(name));
    else
      return answer.fail(
          {Errc::bad_params, "waterfalls are chosen by after, ledger and limit", pointer_to(name)});
  }
  ask(bus::Verb::waterfalls, question, std::move(answer));
}

void Gateway::submit(Submission&& job, const std::string& client, const std::string& trace,
                     std::chrono::seconds wait, Answer answer) {
  const auto line = lines_->of(client);
  if (!line) return answer.fail(line.error());
  bus::Submit submit;
  submit.kind = job.kind;
  submit.priority = job.priority;
  submit.key = job.key;
  submit.trace = trace;
  if (job.deadline) submit.deadline_unix_ns = to_ns(*job.deadline);
  if (job.not_before) submit.not_before_unix_ns = to_ns(*job.not_before);
  std::vector<zmq::message_t> blobs;
  for (const Input& input : job.inputs) {
    bus::FileRef file{input.name, input.media_type, input.digest, input.size, -1};
    if (input.digest.empty()) {
      file.blob = static_cast<std::int32_t>(blobs.size());
      file.bytes = static_cast<std::int64_t>(input.bytes.size());
      blobs.emplace_back(input.bytes.data(), input.bytes.size());
    }
    submit.inputs.push_back(file);
  }
  auto held = std::make_shared<Answer>(std::move(answer));
  (*line)->submit(submit, job.params, std::move(blobs),
                  [this, held, wait](const Result<const bus::Item*>& said) {
                    if (!said) return held->fail(said.error());
                    accepted(**said, wait, std::move(*held));
                  });
}

void Gateway::retry_job(Request&& request, Answer answer) {
  const auto job = job_of(request);
  if (!job) return answer.fail(job.error());
  const auto client = client_of(request);
  if (!client) return answer.fail(client.error());
  const auto line = lines_->of(*client);  // whose the new job is
  if (!line) return answer.fail(line.error());
  auto held = std::make_shared<Answer>(std::move(answer));
  (*line)->ask(bus::Verb::retry, {.job = *job},
               [this, held, wait = wait_of(request)](const Result<const bus::Item*>& said) {
                 if (!said) return held->fail(said.error());
                 accepted(**said, wait, std::move(*held));
               });
}

void Gateway::accepted(const bus::Item& item, std::chrono::seconds wait, Answer answer) {
  const auto said = bus::read<bus::Accepted>(item);
  if (!said) return answer.fail(said.error());
  json value{{"job", said->job}, {"known", said->known}};
  if (!said->state.empty()) value["state"] = said->state;
  http::Response response = http::json_response(value, 202);
  response.headers.add("Location", fmt::format("/v1/jobs/{}", said->job));
  if (wait > std::chrono::seconds(0))
    return waits_->add(said->job, wait, std::move(response), std::move(answer));
  answer.send(std::move(response));
}

}  // namespace tallymill::gateway
