#include "front/timeline.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "bus/envelope.h"
#include "front/body.h"

namespace tallymill::front {
namespace {

using nlohmann::json;

// The fixed part of a packed attempt, in the host's byte order.
struct PackedStamps {
  std::int64_t intake, queued, accepted, ready, dispatched, returned;
  std::int64_t epoch;
  std::int64_t attempt;
};

json hop_json(const bus::Hop& hop) {
  json spans = json::array();
  for (const bus::SpanStamp& span : hop.spans)
    spans.push_back({{"name", span.name},
                     {"begin_ns", span.begin_ns},
                     {"end_ns", span.end_ns},
                     {"depth", span.depth}});
  return {{"stage", hop.stage},        {"worker", hop.worker},
          {"sent", hop.sent_ns},       {"received", hop.received_ns},
          {"started", hop.started_ns}, {"finished", hop.finished_ns},
          {"handed", hop.handed_ns},   {"clock_error_ns", hop.clock_error_ns},
          {"spans", std::move(spans)}};
}

json attempt_json(const StoredAttempt& attempt) {
  json hops = json::array();
  for (const bus::Hop& hop : attempt.done.hops) hops.push_back(hop_json(hop));
  return {{"token", {attempt.token.job, attempt.token.epoch, attempt.token.attempt}},
          {"worker", attempt.done.worker},
          {"outcome", attempt.outcome},
          {"ready", to_ns(attempt.stamps.ready)},
          {"dispatched", to_ns(attempt.stamps.dispatched)},
          {"returned", to_ns(attempt.stamps.returned)},
          {"hops", std::move(hops)}};
}

void add(json& parts, const std::string& name, Duration length) {
  parts[name] = parts.value(name, std::int64_t{0}) + length.count();
}

constexpr std::size_t parts_of_two_hops = 16;

// Before the job waited for a place the first time.
std::vector<Part> cut_begin(const FrontStamps& at, Duration earlier) {
  std::vector<Part> parts;
  parts.reserve(parts_of_two_hops);
  parts.push_back({"intake", {}, at.queued - at.intake});
  parts.push_back({"commit", {}, at.accepted - at.queued});
  if (earlier > Duration(0)) parts.push_back({"earlier", {}, earlier});
  return parts;
}

// From the time it waited for a place until its attempt had ended.
void cut_attempt(std::vector<Part>& parts, const FrontStamps& at, const std::vector<bus::Hop>& hops,
                 bool told) {
  // The wait for a place ends when the job is given to the lane's socket, not when it was decided.
  const bool sent = !hops.empty() && hops.front().sent_ns != 0;
  parts.push_back(
      {"queue", {}, (sent ? instant_from_ns(hops.front().sent_ns) : at.dispatched) - at.ready});
  for (const bus::Hop& hop : hops) {
    // Each from its own two stamps: one that is missing, or that was taken at another point, leaves
    // a hole between the parts, and the sum does not reach the whole.
    const auto part = [&](const char* name, std::int64_t from_ns, std::int64_t until_ns) {
      if (from_ns != 0 && until_ns != 0)
        parts.push_back({name, hop.stage, Duration(until_ns - from_ns)});
    };
    part("wire", hop.sent_ns, hop.received_ns);
    // One that was told to stop before it started waited until it was given back.
    const bool ran = hop.started_ns != 0 || hop.finished_ns != 0;
    part("wait", hop.received_ns, ran ? hop.started_ns : hop.handed_ns);
    part("service", hop.started_ns, hop.finished_ns);
    part("handover", hop.finished_ns, hop.handed_ns);
  }
  if (!told && at.returned > at.dispatched)
    parts.push_back({"lost attempt", {}, at.returned - at.dispatched});
  if (!hops.empty() && hops.back().handed_ns != 0)
    parts.push_back({"wire", "front", at.returned - instant_from_ns(hops.back().handed_ns)});
}

}  // namespace

std::string pack_attempt(const FrontStamps& stamps, const bus::Token& token,
                         std::string_view outcome, std::string_view done_header) {
  const PackedStamps s{to_ns(stamps.intake),
                       to_ns(stamps.queued),
                       to_ns(stamps.accepted),
                       to_ns(stamps.ready),
                       to_ns(stamps.dispatched),
                       to_ns(stamps.returned),
                       token.epoch,
                       token.attempt};
  std::string header(sizeof s, '\0');
  std::memcpy(header.data(), &s, sizeof s);
  header += outcome;
  return pack_body(header, done_header);
}

Result<StoredAttempt> read_attempt(std::string_view packed, JobId job) {
  const auto body = read_body(packed);
  if (!body) return std::unexpected(body.error());
  PackedStamps s{};
  if (body->header.size() < sizeof s)
    return fail(Errc::corrupt, "an attempt's stamps are cut short");
  std::memcpy(&s, body->header.data(), sizeof s);
  StoredAttempt attempt;
  attempt.stamps = {instant_from_ns(s.intake),     instant_from_ns(s.queued),
                    instant_from_ns(s.accepted),   instant_from_ns(s.ready),
                    instant_from_ns(s.dispatched), instant_from_ns(s.returned)};
  attempt.token = {job.raw(), s.epoch, static_cast<std::int32_t>(s.attempt)};
  attempt.outcome = body->header.substr(sizeof s);
  if (body->params.empty()) return attempt;
  auto done = bus::read<bus::Done>(bus::Item{bus::Verb::done, body->params, {}, {}});
  if (!done) return std::unexpected(std::move(done).error());
  attempt.told = true;
  attempt.done = std::move(*done);
  return attempt;
}

std::string Part::title() const {
  std::string title(name);
  if (!stage.empty()) title.append(":").append(stage);
  return title;
}

std::vector<Part> parts_of(const FrontStamps& at, const std::vector<bus::Hop>& hops,
                           Duration earlier, bool told) {
  std::vector<Part> parts = cut_begin(at, earlier);
  cut_attempt(parts, at, hops, told);
  return parts;
}

Duration tolerance(Duration whole) {
  return std::max<Duration>(std::chrono::microseconds(20), whole / 100);
}

Duration clock_error_of(const std::vector<bus::Hop>& hops) {
  std::int64_t error_ns = 0;
  for (const bus::Hop& hop : hops) error_ns = std::max(error_ns, hop.clock_error_ns);
  return Duration(error_ns);
}

bool cuts(const std::vector<Part>& parts, Duration whole, Duration clock_error) {
  const Duration allowed = tolerance(whole);
  Duration sum{};
  for (const Part& part : parts) {
    if (part.length < -std::max(allowed, clock_error)) return false;
    sum += part.length;
  }
  return std::chrono::abs(whole - sum) <= allowed;
}

Result<json> timeline_json(const StoredTimeline& stored) {
  json attempts = json::array();
  json parts = json::object();
  const JobId id = stored.job.id;
  std::optional<StoredAttempt> last;
  // A front that was started since knows less of the beginning than the first attempt's.
  const auto cut = [&](const StoredAttempt& attempt) {
    const FrontStamps& at = attempt.stamps;
    std::vector<Part> cuts;
    if (last)
      cuts.push_back({"backoff", {}, at.ready - last->stamps.returned});
    else
      cuts = cut_begin(at, at.ready - at.accepted);
    cut_attempt(cuts, at, attempt.done.hops, attempt.told);
    for (const Part& part : cuts) add(parts, part.title(), part.length);
  };
  for (const std::string& packed : stored.failed_attempts) {
    auto attempt = read_attempt(packed, id);
    if (!attempt) return std::unexpected(std::move(attempt).error().in("timeline"));
    cut(*attempt);
    attempts.push_back(attempt_json(*attempt));
    last = std::move(*attempt);
  }
  json whole;
  if (!stored.timeline.empty()) {
    auto attempt = read_attempt(stored.timeline, id);
    if (!attempt) return std::unexpected(std::move(attempt).error().in("timeline"));
    cut(*attempt);
    if (stored.whole) {
      whole = stored.whole->count();
      add(parts, "settle", attempt->stamps.intake + *stored.whole - attempt->stamps.returned);
    }
    if (attempt->token.attempt > 0) attempts.push_back(attempt_json(*attempt));
  } else if (!last) {
    add(parts, "intake", stored.queued - stored.intake);
  }
  return json{{"schema", 1},
              {"job", id.raw()},
              {"kind", stored.job.kind},
              {"state", stored.job.end ? std::string(name_of(stored.job.end->state)) : "live"},
              {"intake_ns", to_ns(stored.intake)},
              {"whole_ns", whole},
              {"attempts", std::move(attempts)},
              {"parts", std::move(parts)}};
}

}  // namespace tallymill::front
