// tallymill-collector: the side path. Reads its settings, opens the store, judges rules over it,
// and answers until a signal.
#include <fmt/format.h>
#include <malloc.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "alerting/backtest_api.h"
#include "apps/collector_alerting.h"
#include "apps/exit_codes.h"
#include "apps/programs.h"
#include "base/code_pages.h"
#include "base/config.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/secret.h"
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
    else if (!row.key.starts_with("alerting.") && !row.key.starts_with("log."))
      continue;
    options.flags.emplace(std::move(row.key), std::move(row.value));
  }
  options.front_http = config.collector.front_http;
  return options;
}

// One word, a line of its own or not.
tallymill::Result<tallymill::Secret> token_in(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(tallymill::limits::token_file_bytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(file.is_open() ? static_cast<std::size_t>(file.gcount()) : 0);
  while (text.ends_with('\n') || text.ends_with('\r') || text.ends_with(' ')) text.pop_back();
  const bool one_word = !text.empty() && text.size() <= tallymill::limits::token_file_bytes &&
                        text.find_first_of(" \t\r\n") == std::string::npos;
  tallymill::Secret token(std::move(text));
  if (one_word) return token;
  return tallymill::fail(Errc::bad_params,
                         fmt::format("'{}' holds no token, which is one word", path));
}

// What the settings only name.
tallymill::Status read_files(const Config& config,
                             tallymill::collector::CollectorOptions& options) {
  if (!config.collector.scrape.empty()) {
    auto jobs = tallymill::collector::read_scrape_config(config.collector.scrape);
    if (!jobs) return std::unexpected(std::move(jobs).error());
    options.scrape = std::move(*jobs);
  }
  if (!config.collector.http_token_file.empty()) {
    auto tokens = tallymill::http::Tokens::read(config.collector.http_token_file);
    if (!tokens) return std::unexpected(std::move(tokens).error());
    options.http.guard.tokens = std::move(*tokens);
  }
  if (!config.collector.front_token_file.empty()) {
    auto token = token_in(config.collector.front_token_file);
    if (!token) return std::unexpected(std::move(token).error());
    options.front_token = std::move(*token);
  }
  return {};
}

int fail(const tallymill::Error& error, int exit_code) {
  log::error(error.message);
  return exit_code;
}

// Blocked, before any thread starts, so that all of them leave these signals to this one.
sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int one : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, one);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

void wait_for_the_end(const sigset_t& signals, tallymill::apps::CollectorAlerting* alerting) {
  for (int signal = 0; ::sigwait(&signals, &signal) == 0 && signal == SIGHUP;) {
    if (alerting == nullptr)
      log::info("SIGHUP: there are no rules to read again");
    else if (auto reloaded = alerting->alerting().reload(); !reloaded)
      log::error("the rules stay as they were: " + reloaded.error().message);
    else
      alerting->say_what_is_judged();
  }
}

tallymill::alerting::BacktestApi::Options backtest_options(const Config& config) {
  return {.interval = config.alerting.evaluation_interval,
          .rules = {.external_url = config.alerting.external_url}};
}

int run(const Config& config, tallymill::collector::CollectorOptions options) {
  const sigset_t signals = block_signals();
  tallymill::collector::Collector collector(std::move(options));
  if (auto opened = collector.open(); !opened)
    return fail(opened.error(), tallymill::exit_cannot_run);
  const std::string& said = config.collector.http;
  log::info(fmt::format("HTTP at {}:{}", said.substr(0, said.rfind(':')), collector.port()));
  if (auto loaded = collector.load(); !loaded)
    return fail(loaded.error(), tallymill::exit_cannot_run);

  std::unique_ptr<tallymill::apps::CollectorAlerting> alerting;
  if (tallymill::apps::CollectorAlerting::is_wanted(config)) {
    auto made = tallymill::apps::CollectorAlerting::open(config, collector);
    if (!made) return fail(made.error(), tallymill::info(made.error().code).exit);
    alerting = std::move(*made);
  }
  tallymill::alerting::BacktestApi backtests(collector.store(), backtest_options(config),
                                             collector.registry());
  // It answers from what is made last, so it stops first, whatever happened.
  const auto stopped = [&](int exit_code) {
    if (alerting) alerting->stop();
    collector.stop();
    return exit_code;
  };
  auto companion = alerting ? alerting->companion() : tallymill::collector::Companion();
  companion.add_routes = [&backtests, of_alerting = std::move(companion.add_routes)](
                             tallymill::http::Router& router, tallymill::collector::Api& api) {
    if (of_alerting) of_alerting(router, api);
    backtests.add_routes(router, api);
  };
  const auto started = collector.start(std::move(companion));
  if (!started) return stopped(fail(started.error(), tallymill::exit_cannot_run));
  if (alerting) {
    if (auto judges = alerting->start(); !judges)
      return stopped(fail(judges.error(), tallymill::info(judges.error().code).exit));
    alerting->say_what_is_judged();
  }
  log::info("ready");
  wait_for_the_end(signals, alerting.get());
  return stopped(0);
}

}  // namespace

int main(int argc, char** argv) {
  // Every thread with memory of its own to give back would hold some MB: few share.
  ::mallopt(M_ARENA_MAX, 2);  // NOLINT(concurrency-mt-unsafe): there is one thread
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
  if (auto read = read_files(config, options); !read)
    return fail(read.error(), tallymill::info(read.error().code).exit);

  return run(config, std::move(options));
}
