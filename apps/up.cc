// tallymill up [FILE]: front, stages and collector as one process tree, from one YAML file or the
// defaults.
//
// 1. Read the settings, make the folders, refuse a second `up` on them and a port in use.
// 2. Supervise (apps/supervisor.h) the programs that lie beside this one. They get the addresses as
//    flags and everything else as this program got it: file and variables.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "apps/exit_codes.h"
#include "apps/programs.h"
#include "apps/supervisor.h"
#include "base/address_holder.h"
#include "base/config.h"
#include "base/config_flags.h"
#include "base/log.h"

namespace tallymill::apps {
namespace {

namespace fs = std::filesystem;

// So that a child resolves every setting as we did: the file by its whole path, and what our own
// flags said as variables, which go before the file there too.
std::map<std::string, std::string> child_environment(const LoadedConfig& loaded) {
  std::map<std::string, std::string> out;
  if (!loaded.file.empty()) out["TALLYMILL_CONFIG"] = fs::absolute(loaded.file);
  for (const auto& row : describe(loaded.config)) {
    if (row.origin.starts_with("--")) out[variable_of(row.key)] = row.value;
  }
  out[variable_of("log.format")] = "json";  // whatever the form in which we show it
  return out;
}

bool has_collector(const Config& config) { return config.collector.http != "off"; }

// Where the collector of this tree listens, preferred to its ports.
std::string collector_bus(const Config& config) {
  return fmt::format("ipc://{}/telemetry.sock", fs::absolute(config.run_dir).string());
}

ChildSpec collector_of(const Config& config, const fs::path& programs) {
  std::string bus = collector_bus(config);
  for (const std::string& more : config.collector.bus) bus += "," + more;
  const std::string data =
      config.collector.data.empty() ? config.data_dir + "/collector" : config.collector.data;
  ChildSpec spec{"collector",
                 ChildSpec::Role::collector,
                 {programs / "tallymill-collector", "--http", config.collector.http, "--data", data,
                  "--bus", bus, "--telemetry.instance", "collector"}};
  // Who vouches for a front with a certificate is said in the collector's own settings.
  if (config.collector.front_http.empty() && config.front.http != "off" &&
      config.front.http_certificate.empty())
    spec.argv.insert(spec.argv.end(), {"--front-http", config.front.http});
  if (config.collector.http_token_file.empty() && !config.front.http_token_file.empty())
    spec.argv.insert(spec.argv.end(), {"--http-token-file", config.front.http_token_file});
  // Shipped rules are judged unless somebody said that they are not.
  if (!config.origins.contains("alerting.shipped_rules")) spec.argv.emplace_back("--shipped-rules");
  return spec;
}

std::vector<ChildSpec> children_of(const Config& config, const fs::path& programs) {
  const std::string telemetry = !config.telemetry.endpoint.empty() ? config.telemetry.endpoint
                                : has_collector(config)            ? collector_bus(config)
                                                                   : "";
  const std::vector<std::string> common{"--results",          config.front.results, "--control",
                                        config.front.control, "--run-dir",          config.run_dir,
                                        "--data-dir",         config.data_dir};
  std::vector<ChildSpec> children;
  const auto add = [&](std::string name, const char* program,
                       ChildSpec::Role role = ChildSpec::Role::stage) -> ChildSpec& {
    std::vector<std::string> argv{programs / program};
    argv.insert(argv.end(), common.begin(), common.end());
    // The name outlives each of its processes, and so do its series.
    if (!telemetry.empty())
      argv.insert(argv.end(), {"--telemetry.endpoint", telemetry, "--telemetry.instance", name});
    return children.emplace_back(ChildSpec{std::move(name), role, std::move(argv)});
  };
  if (has_collector(config)) children.push_back(collector_of(config, programs));
  auto& front = add("front", "tallymill-front", ChildSpec::Role::front);
  front.argv.insert(front.argv.end(),
                    {"--listen", config.front.listen, "--http", config.front.http});
  for (int i = 1; i <= config.stages.compute.workers; ++i) {
    add(fmt::format("compute-{}", i), "tallymill-stage-compute");
  }
  for (int i = 1; i <= config.stages.image.workers; ++i) {
    add(fmt::format("image-{}", i), "tallymill-stage-image");
  }
  return children;
}

Status make_folder(const std::string& path) {
  std::error_code failed;
  const bool made = fs::create_directories(path, failed);
  if (failed) return fail(Errc::disk, fmt::format("cannot make {}: {}", path, failed.message()));
  if (made) fs::permissions(path, fs::perms::owner_all, failed);
  return {};
}

// Held until this process ends: two supervisors over one folder would start two of everything.
Status lock(const std::string& run_dir) {
  const std::string path = run_dir + "/up.lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    return fail(Errc::disk,
                fmt::format("cannot open {}: {}", path, std::generic_category().message(errno)));
  }
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    return fail(Errc::busy, fmt::format("another `tallymill up` runs in {}", run_dir));
  }
  return {};
}

Status prepare(const Config& config) {
  for (const auto& folder : {config.run_dir, config.data_dir}) {
    if (auto made = make_folder(folder); !made) return made;
  }
  if (auto locked = lock(config.run_dir); !locked) return locked;
  std::vector<std::pair<const char*, std::string>> doors{{"front.listen", config.front.listen},
                                                         {"front.results", config.front.results},
                                                         {"front.control", config.front.control}};
  if (config.front.http != "off") doors.emplace_back("front.http", "tcp://" + config.front.http);
  for (const auto& [key, endpoint] : doors) {
    if (auto free = check_port_free(endpoint); !free)
      return std::unexpected(std::move(free).error().in(key));
  }
  return {};
}

int run(int argc, char** argv) {
  const Program& program = program_named("up");
  ConfigSources sources = sources_of(program, argc, argv);
  // `up FILE` is `up --config FILE`.
  auto loaded = load_config(sources);
  if (loaded && loaded->positional.size() == 1) {
    sources.args.insert(sources.args.begin(), {"--config", loaded->positional.front()});
    loaded = load_config(sources);
  }
  if (!loaded) {
    fmt::print(stderr, "tallymill up: {}\n", loaded.error().message);
    return info(loaded.error().code).exit;
  }
  if (loaded->help) {
    fmt::print("{}", help_of(program));
    return 0;
  }
  if (loaded->positional.size() > 1) {
    fmt::print(stderr, "tallymill up: one file at most\n");
    return exit_usage;
  }
  const Config& config = loaded->config;
  const auto format = log::format_named(config.log.format).value();
  log::start("up", log::level_named(config.log.level).value(), format);
  if (auto ready = prepare(config); !ready) {
    log::error(ready.error().message);
    return exit_cannot_run;
  }
  SupervisorOptions options;
  options.run_dir = config.run_dir;
  options.environment = child_environment(*loaded);
  options.format = format;
  options.log_folder = config.data_dir + "/logs";
  const fs::path programs = fs::read_symlink("/proc/self/exe").parent_path();
  Supervisor supervisor(std::move(options), children_of(config, programs));
  supervisor.say(log::Level::info,
                 fmt::format("front at {}, HTTP at {}, {} compute and {} image workers; data in {}",
                             config.front.listen, config.front.http, config.stages.compute.workers,
                             config.stages.image.workers, config.data_dir));
  if (has_collector(config))
    supervisor.say(log::Level::info, fmt::format("metrics at http://{}", config.collector.http));
  return supervisor.run();
}

}  // namespace
}  // namespace tallymill::apps

int main(int argc, char** argv) { return tallymill::apps::run(argc, argv); }
