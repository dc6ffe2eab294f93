// tallymill-front: intake, the ledger, dispatch and results. Reads its settings, opens the front,
// runs it until a signal drains it.
#include <fmt/format.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/exit_codes.h"
#include "apps/programs.h"
#include "apps/telemetry.h"
#include "base/config.h"
#include "base/log.h"
#include "bus/endpoints.h"
#include "front/front.h"
#include "front/gateway/gateway.h"

// Read by jemalloc when it starts, if it is linked (docs/adr/0004-jemalloc-in-the-front.md): a
// process of two busy threads keeps fewer holes in two arenas than in four for each core.
extern "C" {
extern const char* malloc_conf;         // NOLINT(readability-identifier-naming): its name for it
const char* malloc_conf = "narenas:2";  // NOLINT(readability-identifier-naming)
}

namespace {

using tallymill::Config;
using tallymill::Errc;
namespace log = tallymill::log;

tallymill::front::FrontOptions options_of(const Config& config) {
  tallymill::front::FrontOptions options;
  options.listen = {config.front.listen};
  options.results = {config.front.results};
  options.control = {config.front.control};
  // Beside the ports, when a run directory was named: alone, a front opens what its flags say.
  if (config.origins.contains("run_dir")) {
    const std::string ipc = "ipc://" + std::filesystem::absolute(config.run_dir).string();
    options.listen.push_back(ipc + "/jobs.sock");
    options.results.push_back(ipc + "/results.sock");
    options.control.push_back(ipc + "/control.sock");
  }
  options.listen.push_back(tallymill::gateway::GatewayOptions{}.front);
  options.run_dir = config.run_dir;
  options.data_dir = config.data_dir;
  options.insecure = config.front.insecure;
  options.diagnostics = config.front.diagnostics;
  options.admission = {config.front.max_depth, config.front.max_depth_bytes,
                       config.front.max_jobs_per_client};
  options.policies = config.kinds;
  options.retain.age = config.front.retention;
  options.retain.jobs = config.front.retention_jobs;
  options.retain.result_bytes = config.front.result_retention.raw();
  options.idempotency_keys = config.front.idempotency_max_keys;
  options.disk_floor = config.front.disk_floor;
  if (!config.telemetry.endpoint.empty()) options.measured = tallymill::limits::telemetry_period;
  return options;
}

// Nothing: a front that is started alone opens what its flags name.
std::optional<tallymill::gateway::GatewayOptions> gateway_of(const Config& config) {
  if (!config.origins.contains("front.http") || config.front.http == "off") return std::nullopt;
  tallymill::gateway::GatewayOptions options;
  options.blobs = config.data_dir + "/blobs";
  options.disk_floor = config.front.disk_floor;
  options.http.listen = config.front.http;
  options.http.guard.hosts = config.front.http_hosts;
  options.http.guard.insecure = config.front.insecure;
  options.http.certificate = config.front.http_certificate;
  options.http.key = config.front.http_key;
  options.http.access_log = config.front.http_access_log;
  return options;
}

int fail(const tallymill::Error& error, int exit_code) {
  log::error(error.message);
  return exit_code;
}

// To the supervisor, if there is one: all that a start needs was there. An end from now on is one
// that another start may mend.
void say_ready() {
  const char* fd = std::getenv("TALLYMILL_READY_FD");
  if (fd == nullptr) return;
  const int ready = std::atoi(fd);
  (void)!::write(ready, "r", 1);
  ::close(ready);
}

}  // namespace

int main(int argc, char** argv) {
  const tallymill::apps::Program& program = tallymill::apps::program_named("front");
  const auto loaded = tallymill::load_config(tallymill::apps::sources_of(program, argc, argv));
  log::start("front", log::Level::info, log::Format::console);
  if (!loaded) return fail(loaded.error(), tallymill::info(loaded.error().code).exit);
  if (loaded->help) {
    std::fputs(tallymill::apps::help_of(program).c_str(), stdout);
    return 0;
  }
  const Config& config = loaded->config;
  log::start("front", *log::level_named(config.log.level), *log::format_named(config.log.format));
  if (config.data_dir.empty())
    return fail({Errc::bad_params, "say where the ledger rests: --data-dir DIR"},
                tallymill::exit_usage);
  std::error_code made;
  for (const std::string& folder : {config.data_dir, config.run_dir})
    if (!folder.empty()) std::filesystem::create_directories(folder, made);
  if (made)
    return fail({Errc::disk, "cannot make a folder: " + made.message()},
                tallymill::exit_cannot_run);

  // Before any thread starts, so that all of them leave these signals to the loop.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const int signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);

  // Before the ledger: what is wrong with a token file costs no epoch.
  std::optional<tallymill::gateway::GatewayOptions> http = gateway_of(config);
  if (http && !config.front.http_token_file.empty()) {
    auto tokens = tallymill::http::Tokens::read(config.front.http_token_file);
    if (!tokens) return fail(tokens.error(), tallymill::info(tokens.error().code).exit);
    http->http.guard.tokens = std::move(*tokens);
  }

  tallymill::bus::allow_open_files();
  tallymill::front::FrontOptions options = options_of(config);
  // What the supervisor saw of the last one: after a failed sync the file is not to be trusted as
  // it shows in memory.
  const char* last_end = std::getenv("TALLYMILL_LAST_END");
  options.copy_ledger = last_end != nullptr && std::string_view(last_end) == "exit 70";
  const tallymill::SystemClock clock;
  tallymill::front::Front front(std::move(options), clock);
  if (auto opened = front.open(); !opened) return fail(opened.error(), tallymill::exit_cannot_run);
  // Behind the front, whose sockets its lines are connected to.
  std::optional<tallymill::gateway::Gateway> gateway;
  if (http) {
    gateway.emplace(std::move(*http), front.context());
    if (auto opened = gateway->open(); !opened)
      return fail(opened.error(), tallymill::exit_cannot_run);
    gateway->start();
    const std::string& said = config.front.http;
    log::info(fmt::format("HTTP at {}:{}", said.substr(0, said.rfind(':')), gateway->port()));
    // HTTP goes last, so that the ends of what is finished reach who waits for them.
    front.on_drained([&] { gateway->drain([&] { front.stop(0); }); });
  }
  std::vector<std::function<tallymill::metrics::Snapshot()>> sources{
      [&] { return front.registry().snapshot(); }};
  if (gateway) sources.emplace_back([&] { return gateway->registry().snapshot(); });
  auto telemetry =
      tallymill::apps::start_telemetry(front.context(), config, "front", std::move(sources));
  if (!telemetry) return fail(telemetry.error(), tallymill::exit_cannot_run);
  front.loop().watch(signal_fd, [&] {
    signalfd_siginfo signal;
    while (::read(signal_fd, &signal, sizeof signal) == sizeof signal) front.drain();
  });
  say_ready();
  const int exit_code = front.run();
  if (gateway) gateway->stop();
  front.measure();
  telemetry->reset();
  return exit_code;
}
