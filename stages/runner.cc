#include "stages/runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <new>
#include <utility>

#include "base/limits.h"
#include "base/log.h"
#include "base/utf8.h"
#include "bus/codec_json.h"
#include "stages/carried_params.h"

namespace tallymill::stages {

namespace {

using nlohmann::json;

Result<json> json_of(std::string_view msgpack) {
  return msgpack.empty() ? Result<json>(json::object()) : bus::json_of_msgpack(msgpack);
}

Status check_file(const File& file) {
  const bool fit = is_utf8(file.name) && is_utf8(file.media_type) && !file.name.empty() &&
                   file.name.size() <= limits::file_name_bytes &&
                   file.name.find('/') == std::string::npos;
  if (!fit)
    return fail(Errc::stage_failed, fmt::format("the handler named a file '{}'", file.name));
  if (Bytes(static_cast<std::int64_t>(file.bytes.size())) > limits::max_job_bytes)
    return fail(Errc::too_big, fmt::format("result {} is larger than a job may be", file.name));
  return {};
}

}  // namespace

std::size_t Runner::kind_index(std::string_view name) const {
  const auto found = std::ranges::find_if(
      shared_.kinds, [&](const StageKind& kind) { return kind.spec.name == name; });
  return static_cast<std::size_t>(found - shared_.kinds.begin());
}

Duration Runner::expected(const HeldJob& job) const {
  const std::size_t kind = kind_index(job.work.kind);
  return kind < memos_.size() ? memos_[kind].expected : Duration::max();
}

Outcome Runner::run(HeldPtr held) {
  HeldJob& job = *held;
  Outcome outcome;
  outcome.job = std::move(held);
  const auto stop_with = [&](Errc code, std::string why) {
    outcome.what = Outcome::What::stopped;
    outcome.error = {code, std::move(why), {}, {}};
  };
  const auto end_with = [&](Error error) {
    outcome.what = Outcome::What::error;
    outcome.error = std::move(error);
  };

  const Stop stop = job.stop.load(std::memory_order_relaxed);
  if (stop == Stop::expired) stop_with(Errc::deadline, "the deadline passed before it started");
  if (stop == Stop::cancelled) stop_with(Errc::cancelled, "cancelled before it started");
  if (stop != Stop::no) return outcome;
  const Instant started = shared_.clock.now();
  std::optional<Instant> deadline;
  if (job.work.deadline_ns != 0)
    deadline = instant_from_ns(shared_.offset.to_here(job.work.deadline_ns));
  if (deadline && started >= *deadline) {
    stop_with(Errc::deadline, "the deadline passed before it started");
    return outcome;
  }

  outcome.started_ns = to_ns(started);
  job.started_ns.store(outcome.started_ns, std::memory_order_relaxed);
  job.phase.store(Phase::started, std::memory_order_relaxed);
  slot_.job.store(job.token.job, std::memory_order_relaxed);
  slot_.set_trace(log::trace_id(job.work.trace));
  slot_.stall_ns.store(job.work.stall_ms * 1'000'000, std::memory_order_relaxed);
  slot_.started_ns.store(outcome.started_ns, std::memory_order_relaxed);
  slot_.sign_ns.store(outcome.started_ns, std::memory_order_release);

  const std::size_t kind = kind_index(job.work.kind);
  RunContext context(shared_, slot_, probe_, job, deadline, outcome.spans);
  Result<Output> output = Output{};
  if (kind == shared_.kinds.size()) {
    output = fail(Errc::no_route,
                  fmt::format("stage {} does not serve kind {}", shared_.stage, job.work.kind));
  } else if (job.work.hop == 0) {
    output = call(kind, job, job.item.params, {}, context);
  } else if (auto parts = split_params(job.item.params)) {
    output = call(kind, job, parts->params, parts->carried, context);
  } else {
    output = std::unexpected(std::move(parts).error());
  }
  if (output) {
    if (auto stored = store_output(std::move(*output), outcome, context); !stored) {
      outcome.files.clear();
      outcome.values.clear();
      output = std::unexpected(std::move(stored).error());
    }
  }
  const Instant finished = shared_.clock.now();
  outcome.finished_ns = to_ns(finished);
  context.close_spans(outcome.finished_ns);
  const Duration service = finished - started;
  probe_.served(service, JobId(job.token.job), finished);
  if (kind < shared_.kinds.size()) {
    memos_.resize(shared_.kinds.size());
    // A long one is remembered for some time, so that mixed jobs count as long.
    Duration& expected = memos_[kind].expected;
    expected = expected == Duration::max() ? service : std::max(service, expected - expected / 16);
  }

  if (!output) {
    if (output.error().code == Errc::cancelled) {
      const bool late = job.stop.load(std::memory_order_relaxed) == Stop::expired ||
                        (deadline && finished >= *deadline);
      stop_with(late ? Errc::deadline : Errc::cancelled,
                late ? "stopped: the deadline passed" : "stopped: cancelled");
    } else {
      end_with(std::move(output).error());
    }
  }
  slot_.busy_ns.fetch_add(service.count(), std::memory_order_relaxed);
  slot_.sign_ns.store(0, std::memory_order_relaxed);
  if (outcome.what == Outcome::What::error) probe_.failed();
  if (outcome.what == Outcome::What::stopped) probe_.stopped();
  say_end(job, outcome, service, finished);
  return outcome;
}

// What went well is for who looks into it; what did not, for who is asked why.
void Runner::say_end(const HeldJob& job, const Outcome& outcome, Duration service, Instant now) {
  const bool done = outcome.what == Outcome::What::ok;
  const log::Level level = done ? log::Level::debug : log::Level::info;
  if (!log::is_on(level) || (!done && !ended_lines_.take(now))) return;
  const std::string id = std::to_string(job.token.job);
  const std::string why = done ? "" : ": " + outcome.error.message;
  log::write(level,
             fmt::format("{} {} after {} us{}{}", job.work.kind, done ? "is done" : "ended",
                         std::chrono::duration_cast<std::chrono::microseconds>(service).count(),
                         why, ended_lines_.told()),
             {.job = id, .trace = log::trace_id(job.work.trace)});
}

Result<const json*> Runner::checked_params(std::size_t kind, std::string_view raw) {
  static const json none = json::object();
  if (shared_.kinds[kind].raw_params) return &none;
  memos_.resize(shared_.kinds.size());
  KindMemo& memo = memos_[kind];
  if (memo.valid && memo.raw == raw) return &memo.checked;
  memo.valid = false;
  auto given = json_of(raw);
  if (!given) return std::unexpected(std::move(given).error());
  auto checked = check_params(shared_.kinds[kind].spec, *given);
  if (!checked) return std::unexpected(std::move(checked).error());
  memo.checked = std::move(*checked);
  memo.valid = raw.size() <= limits::params_memo_bytes;
  memo.raw = memo.valid ? std::string(raw) : std::string();
  return &memo.checked;
}

Status Runner::open_files(const std::vector<bus::FileRef>& refs, const bus::Item& item,
                          RunContext& context, std::vector<std::shared_ptr<const void>>& holds,
                          std::vector<Input>& out) {
  for (const bus::FileRef& ref : refs) {
    if (ref.digest.empty()) {
      if (ref.blob < 0 || static_cast<std::size_t>(ref.blob) >= item.blobs.size())
        return fail(Errc::bad_frame, fmt::format("input {} names no frame", ref.name));
      out.push_back({ref.name, ref.media_type,
                     item.blobs[static_cast<std::size_t>(ref.blob)].to_string_view()});
      continue;
    }
    auto blob = blobs_.get(ref.digest, context);
    if (!blob) return std::unexpected(std::move(blob).error().in("input"));
    out.push_back({ref.name, ref.media_type, blob->bytes});
    holds.push_back(std::move(blob->memory));
  }
  return {};
}

Result<Output> Runner::call(std::size_t kind, const HeldJob& job, std::string_view raw,
                            std::string_view carried_raw, RunContext& context) {
  static const Carried nothing;
  const auto params = checked_params(kind, raw);
  if (!params) return std::unexpected(params.error());

  std::vector<std::shared_ptr<const void>> holds;
  std::vector<Input> inputs;
  Carried carried;
  const bool brings = !carried_raw.empty() || !job.work.carried.empty();
  if (!shared_.kinds[kind].ignores_inputs) {
    auto opened = open_files(job.work.inputs, job.item, context, holds, inputs);
    if (!opened) return std::unexpected(std::move(opened).error());
  } else {
    for (const bus::FileRef& ref : job.work.inputs)
      inputs.push_back({ref.name, ref.media_type, {}});
  }
  if (brings) {
    auto values = json_of(carried_raw);
    if (!values) return std::unexpected(std::move(values).error());
    carried.values = std::move(*values);
    if (auto opened = open_files(job.work.carried, job.item, context, holds, carried.files);
        !opened)
      return std::unexpected(std::move(opened).error());
  }

  std::optional<Instant> deadline;
  if (job.work.deadline_ns != 0)
    deadline = instant_from_ns(shared_.offset.to_here(job.work.deadline_ns));
  const Job request{.id = JobId(job.token.job),
                    .attempt = Attempt(job.token.attempt),
                    .kind = job.work.kind,
                    .params = **params,
                    .inputs = inputs,
                    .carried = brings ? carried : nothing,
                    .deadline = deadline,
                    .raw_params = raw};
  try {
    return shared_.kinds[kind].handler(request, context);
  } catch (const std::bad_alloc&) {
    return fail(Errc::memory, "the handler ran out of memory");
  } catch (const std::exception& e) {
    return fail(Errc::stage_failed, fmt::format("the handler threw: {}", e.what()));
  } catch (...) {
    return fail(Errc::stage_failed, "the handler threw something that is no exception");
  }
}

Status Runner::store_output(Output&& output, Outcome& outcome, RunContext& context) {
  if (!output.values.is_object())
    return fail(Errc::stage_failed, "the handler returned values that are not an object");
  if (!output.values.empty()) {
    auto values = bus::msgpack_of_json(output.values);
    if (!values) return fail(Errc::stage_failed, "the handler returned " + values.error().message);
    outcome.values = std::move(*values);
  }
  if (outcome.values.size() > static_cast<std::size_t>(limits::params_bytes.raw()))
    return fail(Errc::too_big, "the handler returned more values than a message holds");
  if (output.files.size() > limits::item_blobs)
    return fail(Errc::too_big, "the handler returned more files than a message holds");
  outcome.files.reserve(output.files.size());
  for (File& file : output.files) {
    if (auto fine = check_file(file); !fine) return fine;
    OutFile out{std::move(file.name),
                std::move(file.media_type),
                {},
                {},
                static_cast<std::int64_t>(file.bytes.size())};
    if (Bytes(out.size) <= limits::inline_bytes) {
      out.bytes = std::move(file.bytes);
    } else {
      auto digest = blobs_.put(file.bytes, context);
      if (!digest) return std::unexpected(std::move(digest).error().in("result"));
      out.digest = std::move(*digest);
    }
    outcome.files.push_back(std::move(out));
  }
  return {};
}

}  // namespace tallymill::stages
