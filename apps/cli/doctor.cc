// doctor: what this machine lacks, and the command that mends it.
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/terminal.h"
#include "base/address.h"
#include "base/address_holder.h"
#include "base/config.h"
#include "base/config_flags.h"

namespace tallymill::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::uint64_t enough_files = 4096;
constexpr std::int64_t tmpfs_magic = 0x01021994;

struct Finding {
  std::string check;
  bool ok = true;
  std::string what;
  std::string mend = {};  // a command, or a sentence
};

// Debian 12's package of a shared library.
std::string package_of(std::string_view library) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 12> known{
      {{"libzmq.so", "libzmq5"},
       {"libsqlite3.so", "libsqlite3-0"},
       {"libyaml-cpp.so", "libyaml-cpp0.7"},
       {"libfmt.so", "libfmt9"},
       {"libspdlog.so", "libspdlog1.10"},
       {"libcrypto.so", "libssl3"},
       {"libopencv_core.so", "libopencv-core406"},
       {"libopencv_imgproc.so", "libopencv-imgproc406"},
       {"libjpeg.so", "libjpeg62-turbo"},
       {"libpng16.so", "libpng16-16"},
       {"libwebp.so", "libwebp7"},
       {"libdeflate.so", "libdeflate0"}}};
  for (const auto& [name, package] : known)
    if (library.starts_with(name)) return std::string(package);
  return {};
}

std::string output_of(const std::string& command) {
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return {};
  std::string out;
  char piece[4096];
  for (std::size_t n = 0; (n = std::fread(piece, 1, sizeof piece, pipe)) > 0;) out.append(piece, n);
  ::pclose(pipe);
  return out;
}

fs::path own_folder() {
  std::error_code failed;
  return fs::read_symlink("/proc/self/exe", failed).parent_path();
}

Finding program(const std::string& name) {
  const fs::path path = own_folder() / name;
  if (::access(path.c_str(), X_OK) != 0)
    return {name, false, fmt::format("not beside tallymill-cli, in {}", own_folder().string()),
            "./dev build"};
  // The path is ours, but it may have a quote in it.
  if (path.string().find('\'') != std::string::npos) return {name, true, "there"};
  const std::string libraries = output_of(fmt::format("ldd '{}' 2>/dev/null", path.string()));
  std::string missing;
  std::string packages;
  for (std::size_t at = 0; (at = libraries.find("=> not found", at)) != std::string::npos; ++at) {
    const auto line = libraries.rfind('\n', at);
    std::string library = libraries.substr(line + 1, at - line - 2);
    library.erase(0, library.find_first_not_of(" \t"));
    missing += (missing.empty() ? "" : ", ") + library;
    packages += " " + package_of(library);
  }
  if (!missing.empty())
    return {name, false, "these libraries are missing: " + missing, "apt-get install" + packages};
  return {name, true, "starts"};
}

Finding open_files() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  // A front and a worker allow themselves what they are granted, whatever the shell's limit is.
  const std::string what = fmt::format("{} open files granted", limit.rlim_max);
  if (limit.rlim_max >= enough_files) return {"open files", true, what};
  return {"open files", false,
          what + fmt::format("; each client and worker needs some, {} are enough", enough_files),
          "raise `nofile` in /etc/security/limits.conf"};
}

Finding folder(const std::string& check, const std::string& path) {
  std::error_code failed;
  // A doctor makes nothing: of a folder that is not there, the one that it would be made in counts.
  fs::path there = path;
  while (!fs::exists(there, failed) && there.has_relative_path()) there = there.parent_path();
  if (::access(there.c_str(), W_OK | X_OK) != 0 || !fs::is_directory(there, failed))
    return {check, false, fmt::format("cannot write into {}", there.string()),
            fmt::format("mkdir -p '{0}' && chown $USER '{0}'", path)};
  return {check, true, path + (there == path ? " can be written" : " will be made")};
}

Finding disk(const Config& config) {
  struct statfs info{};
  fs::path there = config.data_dir;
  std::error_code failed;
  while (!fs::exists(there, failed) && there.has_relative_path()) there = there.parent_path();
  if (::statfs(there.c_str(), &info) != 0)
    return {"disk", false, "cannot be asked for its free space", ""};
  const Bytes free(static_cast<std::int64_t>(info.f_bavail) * info.f_bsize);
  if (info.f_type == tmpfs_magic)
    return {"disk", false,
            fmt::format("{} is in memory (tmpfs): accepted jobs do not survive a reboot",
                        printable(config.data_dir)),
            "put data_dir on a disk: TALLYMILL_DATA_DIR=..."};
  if (free < config.front.disk_floor)
    return {"disk", false,
            fmt::format("{} free, below the floor of {}: submits are refused with E_DISK",
                        human(free), human(config.front.disk_floor)),
            "free some space, or lower front.disk_floor"};
  return {"disk", true, human(free) + " free"};
}

// The ports are the pipeline's own, or free for it.
void ports(const Config& config, bool runs, std::vector<Finding>& out) {
  struct Door {
    std::string key, endpoint, whose;
  };
  std::vector<Door> doors{{"front.listen", config.front.listen, "front"},
                          {"front.results", config.front.results, "front"},
                          {"front.control", config.front.control, "front"}};
  if (config.front.http != "off")
    doors.push_back({"front.http", "tcp://" + config.front.http, "front"});
  if (config.collector.http != "off")
    doors.push_back({"collector.http", "tcp://" + config.collector.http, "collector"});
  for (const auto& [key, endpoint, whose] : doors) {
    const std::string name = "port of " + key;
    const auto free = check_port_free(endpoint);
    if (free) {
      out.push_back({name, true, endpoint + " is free"});
      continue;
    }
    // Nobody is named where the holder is another user's.
    const std::string& holder = free.error().message;
    const bool someone_else = holder.find(" by ") != std::string::npos &&
                              holder.find("tallymill-" + whose) == std::string::npos;
    if (runs && !someone_else)
      out.push_back({name, true, fmt::format("{} is held by the {}", endpoint, whose)});
    else
      out.push_back(
          {name, false, holder,
           fmt::format("stop that program, or choose another: {}=...", variable_of(key))});
  }
}

// The front, and whether every stage that a kind's route names has a worker.
void pipeline(const Common& common, bool& front_runs, std::vector<Finding>& out) {
  const std::string server = server_of(common);
  const auto session = connect(common, std::chrono::seconds(2));
  if (!session) {
    const bool away = session.error().code == Errc::away;
    out.push_back({"front", false, session.error().message,
                   away ? "tallymill up" : help_against(session.error())});
    return;
  }
  bus::Client& client = *session->client;
  front_runs = true;
  out.push_back({"front", true,
                 fmt::format("answers at {}, version {}, epoch {}", server, client.front_version(),
                             client.epoch())});
  const auto topology = client.topology();
  if (!topology) {
    out.push_back({"stages", false, topology.error().message, "tallymill doctor"});
    return;
  }
  const json none = json::array();
  const auto list = [&](const char* key) {
    const auto found = topology->find(key);
    return found != topology->end() && found->is_array() ? *found : none;
  };
  json stages = list("stages");
  for (const char* shipped : {"compute", "image"})
    if (std::find(stages.begin(), stages.end(), shipped) == stages.end()) stages.push_back(shipped);
  for (const json& stage : stages) {
    if (!stage.is_string()) continue;
    const auto name = stage.get<std::string>();
    int workers = 0;
    for (const json& worker : list("workers")) workers += text_at(worker, "stage") == name ? 1 : 0;
    if (workers > 0)
      out.push_back({"stage " + name, true,
                     fmt::format("{} worker{} connected", workers, workers == 1 ? "" : "s")});
    else
      out.push_back({"stage " + name, false, "no worker is connected: its jobs wait",
                     fmt::format("tallymill stage {}", name)});
  }
}

}  // namespace

int doctor(const Common& common) {
  std::vector<Finding> findings;
  for (const char* name :
       {"tallymill", "tallymill-up", "tallymill-front", "tallymill-stage-compute",
        "tallymill-stage-image", "tallymill-collector"})
    findings.push_back(program(name));
  findings.push_back(open_files());
  const auto loaded = load_config({.environment = environment_of(environ)});
  if (!loaded) {
    findings.push_back({"configuration", false, loaded.error().message, "tallymill config check"});
  } else {
    const Config& config = loaded->config;
    findings.push_back(folder("run folder", config.run_dir));
    findings.push_back(folder("data folder", config.data_dir));
    if (findings.back().ok) findings.push_back(disk(config));
    bool front_runs = false;
    std::vector<Finding> of_pipeline;
    pipeline(common, front_runs, of_pipeline);
    ports(config, front_runs, findings);
    findings.insert(findings.end(), of_pipeline.begin(), of_pipeline.end());
  }

  bool all = true;
  json list = json::array();
  for (const Finding& f : findings) {
    all = all && f.ok;
    list.push_back({{"check", f.check}, {"ok", f.ok}, {"what", f.what}, {"mend", f.mend}});
  }
  if (common.json) {
    print_json({{"ok", all}, {"findings", list}});
    return all ? exit_ok : exit_negative;
  }
  std::size_t width = 0;
  for (const Finding& f : findings) width = std::max(width, f.check.size());
  for (const Finding& f : findings) {
    print(fmt::format("{}  {:<{}}  {}\n",
                      f.ok ? coloured("ok", Colour::green) : coloured("!!", Colour::red), f.check,
                      width, printable(f.what)));
    if (!f.ok && !f.mend.empty())
      print(fmt::format("    {:<{}}  {} {}\n", "", width, coloured("mend:", Colour::bold),
                        printable(f.mend)));
  }
  return all ? exit_ok : exit_negative;
}

}  // namespace tallymill::cli
