// tallymill-collector: the side path. Reads its settings, opens the store, answers until a signal.
#include <fmt/format.h>
#include <malloc.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <utility>

#include "apps/exit_codes.h"
#include "apps/programs.h"
#include "base/code_pages.h"
#include "base/config.h"
#include "base/limits.h"
#include "base/log.h"
#include "collector/collector.h"
#include "http/tokens.h"

namespace {

using tallymill::Config;
using tallymill::Errc;
namespace log = tallymill::log;

tallymill::collector::CollectorOptions options_of(const Config& config) {
  tallymill::collector::CollectorOptions options;
  options.folder = config.collector.data;
  options.store.retention = config.collector.retention;
  if (config.collector.long_tier.count() > 0)
    options.store.tiers.push_back({config.collector.long_tier, tallymill::limits::long_tier_step});
  options.leak_window = config.collector.leak_window;
  options.store.series = static_cast<std::uint32_t>(config.collector.max_series);
  options.http.listen = config.collector.http;
  options.http.guard.hosts = config.collector.http_hosts;
  options.http.guard.insecure = config.collector.insecure;
  options.http.access_log = config.collector.http_access_log;
  options.bus = {config.collector.bus, config.telemetry.instance, config.collector.insecure};
  options.statsd = config.collector.statsd;
  for (auto& row : tallymill::describe(config)) {
    constexpr std::string_view section = "collector.";
    if (row.key.starts_with(section))
      row.key.erase(0, section.size());
    else if (!row.key.starts_with("log."))
      continue;
    options.flags.emplace(std::move(row.key), std::move(row.value));
  }
  return options;
}

int fail(const tallymill::Error& error, int exit_code) {
  log::error(error.message);
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  // Every thread with memory of its own to give back would hold some MB: few share.
  ::mallopt(M_ARENA_MAX, 2);
  const tallymill::apps::Program& program = tallymill::apps::program_named("collector");
  const auto loaded = tallymill::load_config(tallymill::apps::sources_of(program, argc, argv));
  log::start("collector", log::Level::info, log::Format::console);
  if (!loaded) return fail(loaded.error(), tallymill::info(loaded.error().code).exit);
  if (loaded->help) {
    std::fputs(tallymill::apps::help_of(program).c_str(), stdout);
    return 0;
  }
  const Config& config = loaded->config;
  log::start("collector", *log::level_named(config.log.level),
             *log::format_named(config.log.format));
  if (config.collector.data.empty())
    return fail({Errc::bad_params, "say where the samples rest: --data DIR"},
                tallymill::exit_usage);
  auto options = options_of(config);
  if (!config.collector.scrape.empty()) {
    auto jobs = tallymill::collector::read_scrape_config(config.collector.scrape);
    if (!jobs) return fail(jobs.error(), tallymill::info(jobs.error().code).exit);
    options.scrape = std::move(*jobs);
  }
  if (!config.collector.http_token_file.empty()) {
    auto tokens = tallymill::http::Tokens::read(config.collector.http_token_file);
    if (!tokens) return fail(tokens.error(), tallymill::info(tokens.error().code).exit);
    options.http.guard.tokens = std::move(*tokens);
  }

  // Before any thread starts, so that all of them leave these signals to this one.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  tallymill::collector::Collector collector(std::move(options));
  if (auto opened = collector.open(); !opened)
    return fail(opened.error(), tallymill::exit_cannot_run);
  collector.start();
  const std::string& said = config.collector.http;
  log::info(fmt::format("HTTP at {}:{}", said.substr(0, said.rfind(':')), collector.port()));
  tallymill::give_back_code_pages();
  int signal = 0;
  ::sigwait(&signals, &signal);
  collector.stop();
  return 0;
}
