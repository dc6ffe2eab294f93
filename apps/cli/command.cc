#include "apps/cli/command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>

#include "apps/cli/terminal.h"
#include "base/config.h"
#include "base/limits.h"

namespace tallymill::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::chrono::hours for_ever{24 * 365};

std::string reason() { return std::generic_category().message(errno); }

}  // namespace

std::string server_of(const Common& common) {
  if (!common.server.empty()) return common.server;
  const auto loaded = load_config({.environment = environment_of(environ)});
  if (!loaded) return Config().front.listen;
  const std::string socket = loaded->config.run_dir + "/jobs.sock";
  struct stat info{};
  if (::stat(socket.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) return "ipc://" + socket;
  return loaded->config.front.listen;
}

Result<Secret> token_of(const Common& common) {
  std::string text;
  if (common.token_file.empty()) {
    const char* variable = std::getenv("TALLYMILL_TOKEN");
    text = variable ? variable : "";
  } else {
    std::ifstream file(common.token_file, std::ios::binary);
    text.resize(limits::token_file_bytes + 1);
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (file.bad() || file.gcount() == 0)
      return fail(Errc::bad_params, fmt::format("cannot read a token in '{}'", common.token_file));
    if (file.gcount() > static_cast<std::streamsize>(limits::token_file_bytes))
      return fail(Errc::bad_params, fmt::format("'{}' is no token: more than {} bytes",
                                                common.token_file, limits::token_file_bytes));
    text.resize(static_cast<std::size_t>(file.gcount()));
  }
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
  const bool one_word = std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
  if (one_word && (!text.empty() || common.token_file.empty())) return Secret(std::move(text));
  Secret::wipe(text);
  return fail(Errc::bad_params,
              common.token_file.empty()
                  ? "TALLYMILL_TOKEN is no token: it is one word"
                  : fmt::format("'{}' holds no token, which is one word", common.token_file));
}

Result<Session> connect(const Common& common, Duration timeout) {
  const std::string server = server_of(common);
  Session session;
  bus::ClientOptions options;
  options.name = common.client;
  options.insecure = common.insecure;
  options.fail_fast = true;
  options.timeout = timeout;
  if (is_http(server)) {
    auto token = token_of(common);
    if (!token) return std::unexpected(std::move(token).error());
    auto tunnel = Tunnel::to({.server = server,
                              .token = std::move(*token),
                              .ca_file = common.ca_file,
                              .insecure = common.insecure});
    if (!tunnel) return std::unexpected(std::move(tunnel).error());
    session.tunnel = std::move(*tunnel);
    options.dial = [through = session.tunnel.get()](bus::Loop& loop, bus::LinkCalls calls) {
      return through->dial(loop, std::move(calls));
    };
  }
  session.client = std::make_unique<bus::Client>(std::move(options));
  if (auto connected = session.client->connect(server); !connected)
    return std::unexpected(std::move(connected).error());
  return session;
}

std::string help_against(const Error& error) {
  if (error.code == Errc::away)
    return "start one with `tallymill up`, or say where it is: --server ADDRESS";
  if (error.code == Errc::unauthenticated)
    return "say who you are: TALLYMILL_TOKEN, or --token-file FILE; `tallymill token` makes one";
  return {};
}

Session open_session(const Common& common) {
  constexpr double longest_s = 5;
  auto session = connect(
      common, std::chrono::duration_cast<Duration>(std::chrono::duration<double>(
                  common.timeout_s > 0 ? std::min(common.timeout_s, longest_s) : longest_s)));
  if (session) return std::move(*session);
  Session none;
  none.exit_code = tell(common, session.error());
  if (const std::string help = help_against(session.error()); !help.empty() && !common.json)
    fmt::print(stderr, "  {}\n", help);
  return none;
}

Duration patience_of(const Common& common) {
  if (common.timeout_s <= 0) return for_ever;
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(std::min(common.timeout_s, 24 * 365 * 3600.0)));
}

void add_error(json& value, const Error& error) {
  value["code"] = info(error.code).name;
  value["message"] = error.message;
  if (!error.field.empty()) value["field"] = error.field;
}

int tell(const Common& common, const Error& error) {
  const ErrorInfo about = info(error.code);
  if (common.json) {
    json value;
    add_error(value, error);
    if (error.retry_after.count() > 0) value["retry_after_ms"] = error.retry_after.count();
    // A message may quote a file's name, which need not be UTF-8.
    fmt::print(stderr, "{}\n",
               json{{"error", value}}.dump(-1, ' ', false, json::error_handler_t::replace));
  } else {
    fmt::print(
        stderr, "{} {}{}{}\n",
        coloured(fmt::format("tallymill {}: {}:", common.command, about.name), Colour::red, 2),
        printable_lines(error.message), error.field.empty() ? "" : "  at ", printable(error.field));
  }
  return about.exit;
}

// JSON escapes of the control characters those below 0x20 only; a terminal heeds the others, too.
void print_json(const json& value) {
  const std::string text = value.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    if (byte == 0x7f)
      out += "\\u007f";
    else if (byte == 0xc2 && next >= 0x80 && next < 0xa0)
      out += fmt::format("\\u{:04x}", next), ++i;
    else
      out += text[i];
  }
  print(out);
}

void print(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

Result<std::vector<KindSpec>> kinds_of(bus::Client& client) {
  const auto answer = client.kinds();
  if (!answer) return std::unexpected(answer.error());
  std::vector<KindSpec> kinds;
  const auto list = answer->find("kinds");
  if (list == answer->end() || !list->is_array())
    return fail(Errc::bad_frame, "the front's answer has no kinds");
  for (const json& one : *list) {
    auto kind = kind_from_json(one);
    if (!kind) return std::unexpected(std::move(kind).error());
    kinds.push_back(std::move(*kind));
  }
  return kinds;
}

namespace {

Result<json> value_of(const ParamSpec& spec, std::string_view text) {
  const auto wrong = [&](std::string_view what) {
    return fail(Errc::bad_params, fmt::format("{} must be {}, not '{}'", spec.name, what, text),
                "/" + spec.name);
  };
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  switch (spec.type) {
    case ParamSpec::Type::number: {
      double value = 0;
      const auto [at, error] = std::from_chars(begin, end, value);
      if (error != std::errc() || at != end) return wrong("a number");
      return value;
    }
    case ParamSpec::Type::integer: {
      std::int64_t value = 0;
      const auto [at, error] = std::from_chars(begin, end, value);
      if (error != std::errc() || at != end) return wrong("a whole number");
      return value;
    }
    case ParamSpec::Type::boolean:
      if (text == "true" || text == "yes" || text == "on" || text == "1") return true;
      if (text == "false" || text == "no" || text == "off" || text == "0") return false;
      return wrong("true or false");
    case ParamSpec::Type::list: {
      // 200,800 as well as [200, 800].
      auto list = json::parse(text.starts_with('[') ? std::string(text) : fmt::format("[{}]", text),
                              nullptr, false);
      if (!list.is_array()) return wrong("a list as 1,2,3");
      return list;
    }
    case ParamSpec::Type::text:
    case ParamSpec::Type::choice:
      return std::string(text);
  }
  return wrong("a value");
}

}  // namespace

Result<json> params_of(const std::vector<std::string>& pairs, const std::string& base_json,
                       const KindSpec* kind) {
  json params = json::object();
  if (!base_json.empty()) {
    params = json::parse(base_json, nullptr, false);
    if (!params.is_object())
      return fail(Errc::bad_params, "--params takes a JSON object, as '{\"width_mm\": 80}'");
  }
  std::set<std::string> names;
  for (const std::string& pair : pairs) {
    const auto equals = pair.find('=');
    if (equals == std::string::npos || equals == 0)
      return fail(Errc::bad_params, fmt::format("--param takes name=value, not '{}'", pair));
    const std::string name = pair.substr(0, equals);
    if (!names.insert(name).second)
      return fail(Errc::bad_params, fmt::format("--param {} is given twice", name), "/" + name);
    const std::string text = pair.substr(equals + 1);
    const ParamSpec* spec = nullptr;
    if (kind != nullptr)
      for (const ParamSpec& one : kind->params)
        if (one.name == name) spec = &one;
    if (spec != nullptr) {
      auto value = value_of(*spec, text);
      if (!value) return value;
      params[name] = std::move(*value);
      continue;
    }
    auto literal = json::parse(text, nullptr, false);
    params[name] = literal.is_discarded() ? json(text) : std::move(literal);
  }
  return params;
}

Status check_folder(const std::string& folder) {
  if (folder.empty()) return fail(Errc::disk, "the name of the folder is empty");
  // Or the nearest one above it, where it would be made. A link that leads nowhere is there too: no
  // folder can be made in its place.
  fs::path there = folder;
  std::error_code failed;
  while (!there.empty() && !fs::exists(fs::symlink_status(there, failed)))
    there = there.parent_path();
  if (there.empty()) there = ".";
  if (!fs::is_directory(there, failed))
    return fail(Errc::disk, fmt::format("'{}' is no folder", there.string()));
  // Permission bits do not say all (root, read-only mounts, a full disk): try.
  std::string probe = there / ".tallymill-XXXXXX";
  const int fd = ::mkstemp(probe.data());
  if (fd < 0)
    return fail(Errc::disk, fmt::format("cannot write into '{}': {}", there.string(), reason()));
  ::close(fd);
  ::unlink(probe.c_str());
  return {};
}

namespace {

// A name from the wire is one part of a path, and no hidden file.
bool is_file_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name.front() != '.' &&
         name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

std::unexpected<Error> is_there(const std::string& path) {
  return fail(Errc::wrong_state,
              fmt::format("'{}' is there already; say --force to write over it", path));
}

Status write_file(const std::string& path, std::string_view bytes, bool force) {
  const auto wrong = [&] {
    return fail(Errc::disk, fmt::format("cannot write '{}': {}", path, reason()));
  };
  // Aside first: nobody ever sees half a file under the name.
  std::string aside = path + ".XXXXXX";
  const int fd = ::mkstemp(aside.data());
  if (fd < 0) return wrong();
  bool ok = true;
  for (std::string_view rest = bytes; ok && !rest.empty();) {
    const ssize_t n = ::write(fd, rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    ok = n >= 0;
    if (ok) rest.remove_prefix(static_cast<std::size_t>(n));
  }
  ok = ok && ::fchmod(fd, 0644) == 0;
  ok = ::close(fd) == 0 && ok;
  ok = ok && ::renameat2(AT_FDCWD, aside.c_str(), AT_FDCWD, path.c_str(),
                         force ? 0 : RENAME_NOREPLACE) == 0;
  if (ok) return {};
  auto error = !force && errno == EEXIST ? is_there(path) : wrong();
  ::unlink(aside.c_str());
  return error;
}

}  // namespace

Result<std::vector<std::string>> write_files(bus::Client& client, const bus::JobResult& result,
                                             const std::string& folder, bool force) {
  std::vector<std::string> paths;
  // All names before any file: new ones beside an old one would look like one result.
  for (const bus::ResultFile& file : result.files) {
    if (!is_file_name(file.name))
      return fail(Errc::bad_frame, fmt::format("'{}' is no file name", printable(file.name)));
    paths.push_back((fs::path(folder) / file.name).lexically_normal().string());
    if (!force && ::access(paths.back().c_str(), F_OK) == 0) return is_there(paths.back());
  }
  for (std::size_t i = 0; i < paths.size(); ++i) {
    auto bytes = client.fetch(result.files[i]);
    if (!bytes) return std::unexpected(std::move(bytes).error().in(result.files[i].name));
    if (std::error_code failed; fs::create_directories(folder, failed), failed)
      return fail(Errc::disk,
                  fmt::format("cannot make the folder '{}': {}", folder, failed.message()));
    if (auto written = write_file(paths[i], *bytes, force); !written)
      return std::unexpected(std::move(written).error());
  }
  return paths;
}

std::string text_at(const json& object, std::string_view key, std::string fallback) {
  if (!object.is_object()) return fallback;
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : fallback;
}

std::int64_t number_at(const json& object, std::string_view key, std::int64_t fallback) {
  if (!object.is_object()) return fallback;
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? found->get<std::int64_t>() : fallback;
}

}  // namespace tallymill::cli
