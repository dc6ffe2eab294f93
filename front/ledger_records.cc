#include "front/ledger_records.h"

#include <utility>
#include <vector>

#include "bus/envelope.h"
#include "front/body.h"
#include "front/timeline.h"

namespace tallymill::front {
namespace {

constexpr const char* can_be_read = "what is stored of a job can be read";
constexpr const char* as_recorded = "an end is the one that its record tells of";
constexpr const char* as_named = "a job's blobs are those that it names";

std::vector<std::string> digests_of(const std::vector<bus::FileRef>& files) {
  std::vector<std::string> digests;
  for (const bus::FileRef& file : files)
    if (!file.digest.empty()) digests.emplace_back(file.digest);
  return digests;
}

std::optional<Wrong> wrong_with_blobs(const std::vector<std::string>& stored,
                                      const std::vector<std::string>& named, const char* by) {
  if (stored == named) return std::nullopt;
  const std::string missing = named.size() > stored.size() ? ", one is " + named.back() : "";
  return Wrong{as_named, std::string(by) + " names " + std::to_string(named.size()) +
                             " blobs, its row " + std::to_string(stored.size()) + missing};
}

// An error may have any code: a worker says it. The others are this front's own words.
EndState state_told(std::string_view code, std::string_view outcome) {
  if (code.empty()) return EndState::done;
  if (outcome == "error") return EndState::failed;
  if (code == info(Errc::cancelled).name) return EndState::cancelled;
  if (code == info(Errc::deadline).name) return EndState::expired;
  return EndState::failed;
}

bool is_of(const StoredAttempt& attempt) {
  return !attempt.told || attempt.done.token == attempt.token;
}

}  // namespace

std::optional<Wrong> wrong_with_body(const NewJob& job) {
  const auto body = read_body(job.body);
  if (!body) return Wrong{can_be_read, "its body: " + body.error().message};
  const auto submit = bus::read<bus::Submit>({bus::Verb::submit, body->header, {}, {}});
  if (!submit) return Wrong{can_be_read, "its body's header: " + submit.error().message};
  for (const bus::FileRef& input : submit->inputs)
    if (input.digest.empty() &&
        (input.blob < 0 || static_cast<std::size_t>(input.blob) >= body->blobs.size()))
      return Wrong{can_be_read, "its body lacks the input " + std::string(input.name)};
  return wrong_with_blobs(job.digests, digests_of(submit->inputs), "its body");
}

std::optional<Wrong> wrong_with_end(const JobEnd& end, bool result_retired) {
  const auto attempt = read_attempt(end.timeline, end.job);
  if (!attempt) return Wrong{can_be_read, "the record of its end: " + attempt.error().message};
  if (!is_of(*attempt)) return Wrong{as_recorded, "the record is of another attempt"};
  const std::string_view outcome = attempt->outcome;
  const std::string state(name_of(end.state));
  const EndState told = state_told(end.code, outcome);
  if (told != end.state)
    return Wrong{as_recorded, "it is " + state + ", its code " + end.code + " and its record say " +
                                  std::string(name_of(told))};
  if ((outcome == "ok") != (end.state == EndState::done))
    return Wrong{as_recorded, "it is " + state + ", its last attempt came out as \"" +
                                  std::string(outcome) + "\""};
  const bool has_result = !result_retired && (outcome == "ok" || outcome == "error");
  if (has_result == end.result.empty())
    return Wrong{as_recorded, has_result ? "its result is gone" : "it has a result"};
  if (const auto result = read_body(end.result); !result)
    return Wrong{can_be_read, "its result: " + result.error().message};
  return wrong_with_blobs(end.digests,
                          has_result ? digests_of(attempt->done.files) : std::vector<std::string>(),
                          "the record of its end");
}

std::optional<Wrong> wrong_with_attempt(std::string_view packed, JobId job) {
  if (packed.empty()) return std::nullopt;
  const auto attempt = read_attempt(packed, job);
  if (!attempt) return Wrong{can_be_read, "an earlier attempt: " + attempt.error().message};
  if (!is_of(*attempt)) return Wrong{can_be_read, "an earlier attempt is another's"};
  return std::nullopt;
}

}  // namespace tallymill::front
