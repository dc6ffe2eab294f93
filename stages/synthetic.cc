#include "stages/synthetic.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/limits.h"
#include "bus/msgpack_reader.h"

namespace tallymill::stages {

namespace {

struct Plan {
  std::int64_t service_us = 0;
  bool spin = false;
  std::int64_t bytes_out = 0;
  std::int64_t alloc_bytes = 0;
  std::int64_t leak_bytes = 0;
  std::int64_t progress_every_ms = 0;
  std::string_view outcome = "ok";
  std::int64_t fail_first_n = 0;
  std::string_view only;
};

struct Bound {
  const char* name;
  std::int64_t Plan::* member;
  std::int64_t max;
  const char* unit;
  const char* help;
};
constexpr Bound numbers[] = {
    {"service_us", &Plan::service_us, limits::synthetic_service_us, "us", "How long it works."},
    {"bytes_out", &Plan::bytes_out, limits::max_job_bytes.raw(), "B", "Size of its result file."},
    {"alloc_bytes", &Plan::alloc_bytes, limits::max_places_per_worker.bytes.raw(), "B",
     "Memory that it holds while it works."},
    {"leak_bytes", &Plan::leak_bytes, limits::synthetic_leak_bytes, "B",
     "Memory that it never frees: a planted leak."},
    {"progress_every_ms", &Plan::progress_every_ms, 60'000, "ms",
     "How often it says how far it is; 0: never."},
    {"fail_first_n", &Plan::fail_first_n, 1000, "attempts",
     "Its first so many attempts fail, and may be retried."},
};

std::unexpected<Error> bad(std::string_view name, std::string_view why) {
  return fail(Errc::bad_params, fmt::format("{} {}", name, why), fmt::format("/{}", name));
}

Status read_text(std::string_view name, std::string_view value, Plan& plan) {
  if (name == "mode") {
    if (value != "sleep" && value != "spin") return bad(name, "is sleep or spin");
    plan.spin = value == "spin";
  } else if (name == "outcome") {
    if (value != "ok" && value != "fail" && value != "crash" && value != "hang")
      return bad(name, "is ok, fail, crash or hang");
    plan.outcome = value;
  } else if (name == "only") {
    plan.only = value;
  } else if (name != "route" && name != "pad") {
    return bad("", "has a parameter that is none of synthetic's");
  }
  return {};
}

Result<Plan> read_plan(std::string_view params) {
  Plan plan;
  if (params.empty()) return plan;
  bus::MsgpackReader in(params);
  std::uint32_t pairs = 0;
  if (!in.map(pairs)) return bad("", "is not an object");
  for (; pairs > 0; --pairs) {
    std::string_view name;
    if (!in.read(name)) return bad("", "has a name that is no text");
    const auto* const number =
        std::ranges::find_if(numbers, [&](const Bound& bound) { return name == bound.name; });
    if (number != std::end(numbers)) {
      std::int64_t& value = plan.*number->member;
      if (!in.read(value) || value < 0 || value > number->max)
        return bad(name, fmt::format("is a whole number from 0 to {}", number->max));
      continue;
    }
    std::string_view text;
    if (!in.read(text)) return bad(name.substr(0, 32), "is not a text of synthetic's");
    if (auto read = read_text(name, text, plan); !read)
      return std::unexpected(std::move(read).error());
  }
  return plan;
}

// False when it was cancelled.
bool work(const Plan& plan, Context& context) {
  constexpr Duration slice = std::chrono::milliseconds(5);
  const SystemClock clock;
  const Duration whole = std::chrono::microseconds(plan.service_us);
  const Duration step = std::chrono::milliseconds(plan.progress_every_ms);
  const Instant began = clock.now();
  Instant said = began;
  for (Instant now = began; now - began < whole; now = clock.now()) {
    if (context.cancelled()) return false;
    if (step > Duration(0) && now - said >= step) {
      context.progress(static_cast<double>((now - began).count()) /
                       static_cast<double>(whole.count()));
      said = now;
    }
    if (plan.spin) continue;
    const Duration most = step > Duration(0) ? std::min(slice, step) : slice;
    const std::int64_t until_ns = to_ns(std::min(now + most, began + whole));
    const timespec until{until_ns / 1'000'000'000, until_ns % 1'000'000'000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
  }
  return true;
}

[[noreturn]] void hang() {
  for (;;) {
    const timespec long_enough{3600, 0};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &long_enough, nullptr);
  }
}

// Reachable, so that only its growth tells it; written, so that it is in RAM.
void leak(std::int64_t bytes) {
  static std::mutex mutex;  // guards kept: handler threads leak into the same list
  static std::vector<std::string> kept;
  const std::lock_guard lock(mutex);
  kept.emplace_back(static_cast<std::size_t>(bytes), 'x');
}

// The same bytes in each attempt of a job, others for another job.
std::string bytes_of(std::int64_t job, std::int64_t n) {
  std::string out(static_cast<std::size_t>(n), '\0');
  std::uint64_t state = static_cast<std::uint64_t>(job) * 0x9e3779b97f4a7c15U + 1;
  for (std::size_t at = 0; at < out.size(); at += sizeof state) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    std::memcpy(out.data() + at, &state, std::min(sizeof state, out.size() - at));
  }
  return out;
}

// Reads a byte of every cache line, as a stage that looks at its input does.
std::uint64_t look_at(std::string_view bytes) {
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at < bytes.size(); at += 64)
    sum += static_cast<unsigned char>(bytes[at]);
  return sum;
}

Result<Output> run(const Job& job, Context& context, std::string_view stage) {
  const auto plan = read_plan(job.raw_params);
  if (!plan) return std::unexpected(plan.error());
  Output output;
  if (!plan->only.empty() && plan->only != stage) return output;
  if (job.attempt.raw() <= plan->fail_first_n)
    return fail(Errc::away, fmt::format("planned failure of attempt {}", job.attempt.raw()));
  std::vector<char> held(static_cast<std::size_t>(plan->alloc_bytes));
  if (plan->leak_bytes > 0) leak(plan->leak_bytes);
  std::int64_t input_bytes = 0;
  std::uint64_t input_sum = 0;
  for (const Input& input : job.inputs) {
    input_bytes += static_cast<std::int64_t>(input.bytes.size());
    input_sum += look_at(input.bytes);
  }
  if (plan->service_us > 0 && !work(*plan, context))
    return fail(Errc::cancelled, "stopped while it worked");
  if (plan->outcome == "crash") std::abort();
  if (plan->outcome == "hang") hang();
  if (plan->outcome == "fail") return fail(Errc::stage_failed, "planned failure");
  if (!job.inputs.empty()) output.values = {{"input_bytes", input_bytes}, {"input_sum", input_sum}};
  if (plan->bytes_out > 0)
    output.files.push_back(
        {"bytes.bin", "application/octet-stream", bytes_of(job.id.raw(), plan->bytes_out)});
  return output;
}

}  // namespace

StageKind synthetic_kind(std::string stage) {
  KindSpec spec{.name = "synthetic",
                .route = {"compute"},
                .help = "Works for a known time, then ends as told: for benches and tests.",
                .params = {},
                .inputs_min = 0,
                .inputs_max = 16};
  for (const Bound& bound : numbers)
    spec.params.push_back({.name = bound.name,
                           .type = ParamSpec::Type::integer,
                           .help = bound.help,
                           .unit = bound.unit,
                           .fallback = 0,
                           .min = 0,
                           .max = static_cast<double>(bound.max)});
  const auto add_text = [&](const char* name, const char* help, const char* fallback,
                            std::vector<std::string> choices) {
    const auto type = choices.empty() ? ParamSpec::Type::text : ParamSpec::Type::choice;
    spec.params.push_back({.name = name,
                           .type = type,
                           .help = help,
                           .fallback = fallback,
                           .min = 0,
                           .max = 1024,
                           .choices = std::move(choices)});
  };
  add_text("mode", "Whether it sleeps or keeps a core busy.", "sleep", {"sleep", "spin"});
  add_text("outcome", "How it ends; hang: it never does, and gives no sign of life.", "ok",
           {"ok", "fail", "crash", "hang"});
  add_text("only", "The one stage that does all this; empty: every stage of the route.", "", {});
  add_text("pad", "Means nothing: makes the job as large as a real one.", "", {});
  add_text("route", "Its stages in order, as in \"compute,image\".", "compute", {});
  return {.spec = std::move(spec),
          .handler = [stage = std::move(stage)](
                         const Job& job, Context& context) { return run(job, context, stage); },
          .raw_params = true};
}

}  // namespace tallymill::stages
