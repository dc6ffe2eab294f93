#include "apps/stage_main.h"

#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <thread>
#include <utility>

#include "apps/exit_codes.h"
#include "apps/programs.h"
#include "apps/telemetry.h"
#include "base/address.h"
#include "base/config.h"
#include "base/log.h"
#include "bus/endpoints.h"
#include "stages/synthetic.h"
#include "stages/worker.h"

namespace tallymill::apps {

namespace {

int fail_with(const Error& error, int exit_code) {
  log::error(error.message);
  return exit_code;
}

Result<int> threads_of(const LoadedConfig& loaded) {
  const auto given = loaded.program_flags.find("threads");
  if (given == loaded.program_flags.end()) return 1;
  const std::string& text = given->second;
  int threads = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), threads);
  if (error != std::errc() || end != text.data() + text.size())
    return fail(Errc::bad_params, fmt::format("--threads is a whole number, not '{}'", text));
  return threads;
}

stages::WorkerOptions options_of(const LoadedConfig& loaded, const std::string& stage) {
  const Config& config = loaded.config;
  stages::WorkerOptions options{.stage = stage,
                                .control = config.front.control,
                                .results = config.front.results,
                                .data_dir = {},
                                .kinds = {}};
  if (config.origins.contains("data_dir"))
    options.data_dir = std::filesystem::path(config.data_dir) / "blobs";
  // A front on this host has its ipc doors there; one on another host does not see our sockets. An
  // ipc door that was named is meant.
  const bool named = config.front.control.starts_with("ipc://");
  if (config.origins.contains("run_dir") && !named && is_loopback(config.front.control)) {
    options.run_dir = std::filesystem::absolute(config.run_dir);
    options.control = "ipc://" + options.run_dir.string() + "/control.sock";
    options.results = "ipc://" + options.run_dir.string() + "/results.sock";
  }
  // Named, it is meant also beside ipc doors: a worker on another host may hand jobs to this one.
  if (const auto lane = loaded.program_flags.find("lane-address");
      lane != loaded.program_flags.end())
    options.lane_address = lane->second;
  else if (options.run_dir.empty())
    options.lane_address = address_towards(config.front.control);
  options.insecure = config.front.insecure;
  options.handle_signals = true;
  return options;
}

}  // namespace

int stage_main(int argc, char** argv, const std::string& stage,
               std::vector<stages::StageKind> kinds) {
  // What a burst leaves in an arena stays: one for each core, and not eight.
  // NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread
  ::mallopt(M_ARENA_MAX, std::max(2, static_cast<int>(std::thread::hardware_concurrency())));
  const Program& program = program_named("stage " + stage);
  const auto loaded = load_config(sources_of(program, argc, argv));
  log::start(stage, log::Level::info, log::Format::console);
  if (!loaded) return fail_with(loaded.error(), info(loaded.error().code).exit);
  if (loaded->help) {
    std::fputs(help_of(program).c_str(), stdout);
    return 0;
  }
  const Config& config = loaded->config;
  log::start(stage, *log::level_named(config.log.level), *log::format_named(config.log.format));
  const auto threads = threads_of(*loaded);
  if (!threads) return fail_with(threads.error(), exit_usage);

  stages::WorkerOptions options = options_of(*loaded, stage);
  options.concurrency = *threads;
  options.places = static_cast<std::int32_t>(std::min<std::int64_t>(
      config.stages.prefetch + *threads, limits::max_places_per_worker.jobs.raw()));
  options.kinds = std::move(kinds);
  if (config.front.diagnostics) options.kinds.push_back(stages::synthetic_kind(stage));
  std::error_code made;
  if (!options.run_dir.empty()) std::filesystem::create_directories(options.run_dir, made);
  if (made)
    return fail_with(
        {Errc::disk,
         fmt::format("cannot make the folder {}: {}", options.run_dir.string(), made.message()),
         "",
         {}},
        exit_cannot_run);

  bus::allow_open_files();
  const SystemClock clock;
  const std::string control = options.control;
  auto worker = stages::Worker::make(std::move(options), clock);
  if (!worker)
    return fail_with(worker.error(),
                     worker.error().code == Errc::bad_params ? exit_usage : exit_cannot_run);
  log::info(fmt::format("{} asks for work at {}", (*worker)->incarnation(), control));
  auto telemetry =
      start_telemetry((*worker)->context(), config, stage, {[&] { return (*worker)->metrics(); }});
  if (!telemetry) return fail_with(telemetry.error(), exit_cannot_run);
  (*worker)->run();
  return 0;
}

}  // namespace tallymill::apps
