#include "base/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>

#include "base/address.h"
#include "base/config_flags.h"
#include "base/config_keys.h"
#include "base/cpu.h"
#include "base/duration.h"
#include "base/limits.h"

namespace tallymill {
namespace {

using config_keys::Key;

constexpr std::string_view kinds_prefix = "kinds.";
constexpr std::string_view env_prefix = "TALLYMILL_";

// A value as it was written, and by whom.
struct Setting {
  std::string key;
  std::string text;
  std::string origin;
};

std::string pointer(std::string_view key) {
  std::string out = "/" + std::string(key);
  std::ranges::replace(out, '.', '/');
  return out;
}

std::unexpected<Error> wrong(const Setting& setting, std::string_view why) {
  return fail(Errc::bad_params, fmt::format("{}: {}: {}", setting.origin, setting.key, why),
              pointer(setting.key));
}

// ---- text <-> value, by the type of the slot ------------------------------------------------

std::optional<std::int64_t> parse_integer(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (bad != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

// "1048576", "1MiB", "1 MiB".
std::optional<std::int64_t> parse_bytes(std::string_view text) {
  constexpr std::pair<std::string_view, int> units[] = {
      {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};
  int shift = 0;
  for (const auto& [unit, bits] : units) {
    if (!text.ends_with(unit)) continue;
    text.remove_suffix(unit.size());
    while (text.ends_with(' ')) text.remove_suffix(1);
    shift = bits;
    break;
  }
  const auto number = parse_integer(text);
  if (!number || *number < 0 || *number > (std::int64_t{1} << (62 - shift))) return std::nullopt;
  return *number << shift;
}

std::vector<std::string> split(std::string_view text, char at) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(at), text.size());
    std::string_view part = text.substr(0, end);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    if (!part.empty()) parts.emplace_back(part);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

// Reads a setting's text into a slot, one overload a type.
struct Reader {
  const Setting& setting;
  std::string_view unit;
  std::int64_t min;
  std::int64_t max;
  const std::vector<std::string_view>& choices;

  Status into(std::string& to) const {
    if (!choices.empty() && std::ranges::find(choices, setting.text) == choices.end()) {
      return wrong(setting,
                   fmt::format("'{}' is none of {}", setting.text, fmt::join(choices, ", ")));
    }
    if (setting.text.empty()) return wrong(setting, "it is empty");
    to = setting.text;
    return {};
  }
  Status into(bool& to) const {
    if (setting.text != "true" && setting.text != "false") {
      return wrong(setting, fmt::format("'{}' is neither true nor false", setting.text));
    }
    to = setting.text == "true";
    return {};
  }
  Status into(std::vector<std::string>& to) const {
    to = split(setting.text, ',');
    return {};
  }
  Status into(std::int64_t& to) const { return number(parse_integer(setting.text), to); }
  Status into(Bytes& to) const {
    std::int64_t raw = 0;
    auto status = number(parse_bytes(setting.text), raw);
    if (status) to = Bytes(raw);
    return status;
  }
  template <class Period>
  Status into(std::chrono::duration<std::int64_t, Period>& to) const {
    if constexpr (std::is_same_v<Period, std::milli>)
      if (unit.empty()) return written_with_unit(to);
    std::int64_t raw = 0;
    auto status = number(parse_integer(setting.text), raw);
    if (status) to = std::chrono::duration<std::int64_t, Period>(raw);
    return status;
  }

  Status written_with_unit(std::chrono::milliseconds& to) const {
    auto ms = setting.text == "0" ? 0 : duration_ms(setting.text);
    if (!ms) return wrong(setting, ms.error().message);
    if (*ms < min || *ms > max)
      return wrong(setting, fmt::format("{} is not in {} … {}", duration_text(*ms),
                                        duration_text(min), duration_text(max)));
    to = std::chrono::milliseconds(*ms);
    return {};
  }

  Status number(std::optional<std::int64_t> value, std::int64_t& to) const {
    if (!value) return wrong(setting, fmt::format("'{}' is not a whole number", setting.text));
    if (*value < min || *value > max) {
      return wrong(setting, fmt::format("{} is not in {} … {}", *value, min, max));
    }
    to = *value;
    return {};
  }
};

std::string printed(const std::string& value) { return value; }
std::string printed(bool value) { return value ? "true" : "false"; }
std::string printed(std::int64_t value) { return std::to_string(value); }
std::string printed(Bytes value) { return std::to_string(value.raw()); }
std::string printed(const std::vector<std::string>& value) {
  return fmt::format("{}", fmt::join(value, ","));
}
template <class Rep, class Period>
std::string printed(std::chrono::duration<Rep, Period> value) {
  return std::to_string(value.count());
}

template <class T>
std::string printed(const T& value, std::string_view) {
  return printed(value);
}
std::string printed(std::chrono::milliseconds value, std::string_view unit) {
  return unit.empty() ? duration_text(value.count()) : printed(value);
}

template <class Owner>
Status read(const Key<Owner>& key, Owner& owner, const Setting& setting) {
  const Reader reader{setting, key.unit, key.min, key.max, key.choices};
  return std::visit([&](auto slot) { return reader.into(slot(owner)); }, key.slot);
}

template <class Owner>
std::string print(const Key<Owner>& key, const Owner& owner) {
  // The slots are for reading and writing; this one is not written through.
  return std::visit([&](auto slot) { return printed(slot(const_cast<Owner&>(owner)), key.unit); },
                    key.slot);
}

template <class Owner>
bool is_flag(const Key<Owner>& key) {
  return std::holds_alternative<bool& (*)(Owner&)>(key.slot);
}

template <class Owner>
bool is_list(const Key<Owner>& key) {
  return std::holds_alternative<std::vector<std::string>& (*)(Owner&)>(key.slot);
}

// ---- keys by name ---------------------------------------------------------------------------

template <class Owner>
const Key<Owner>* find(std::span<const Key<Owner>> keys, std::string_view name) {
  const auto at = std::ranges::find(keys, name, [](const auto& key) { return key.name; });
  return at == keys.end() ? nullptr : &*at;
}

// "kinds.box.retries" as "box" and "retries".
std::optional<std::pair<std::string, std::string>> kind_key(std::string_view key) {
  if (!key.starts_with(kinds_prefix)) return std::nullopt;
  key.remove_prefix(kinds_prefix.size());
  const std::size_t dot = key.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  return std::pair{std::string(key.substr(0, dot)), std::string(key.substr(dot + 1))};
}

bool is_kind_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

bool is_known(std::string_view key) {
  if (const auto kind = kind_key(key)) {
    return is_kind_name(kind->first) && find(config_keys::of_a_kind(), kind->second) != nullptr;
  }
  return find(config_keys::all(), key) != nullptr;
}

// A section of the file: something known begins with it.
bool is_section(std::string_view path) {
  if (path == "kinds") return true;
  if (path.starts_with(kinds_prefix)) return is_kind_name(path.substr(kinds_prefix.size()));
  const std::string prefix = std::string(path) + ".";
  return std::ranges::any_of(config_keys::all(),
                             [&](const auto& key) { return key.name.starts_with(prefix); });
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j < row.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row.back();
}

// " (did you mean front.max_depth?)", or nothing when nothing is near.
std::string near_to(std::string_view key) {
  std::string best;
  std::size_t best_distance = 1 + key.size() / 4;
  const auto consider = [&](const std::string& candidate) {
    const std::size_t distance = edit_distance(key, candidate);
    if (distance > best_distance) return;
    best = candidate;
    best_distance = distance - (distance > 0 ? 1 : 0);
  };
  for (const auto& known : config_keys::all()) consider(std::string(known.name));
  if (const auto kind = kind_key(key)) {
    for (const auto& known : config_keys::of_a_kind()) {
      consider(fmt::format("{}{}.{}", kinds_prefix, kind->first, known.name));
    }
  }
  return best.empty() ? "" : " (did you mean " + best + "?)";
}

std::unexpected<Error> unknown(const std::string& origin, std::string_view key) {
  return wrong({std::string(key), "", origin}, "no such key" + near_to(key));
}

// ---- the three sources ----------------------------------------------------------------------

// Flattens a YAML file into settings, each with its line and column.
class FileReader {
 public:
  explicit FileReader(std::string name) : name_(std::move(name)) {}

  Result<std::vector<Setting>> read() {
    std::error_code ignored;
    if (std::filesystem::is_directory(name_, ignored))
      return fail(Errc::bad_params, name_ + ": is a folder, not a file");
    std::ifstream in(name_, std::ios::binary);
    if (!in.is_open()) return fail(Errc::not_found, name_ + ": cannot be read");
    const auto most = static_cast<std::size_t>(limits::config_bytes.raw());
    std::string text;
    std::array<char, 16384> piece{};
    while (text.size() <= most && (in.read(piece.data(), piece.size()), in.gcount() > 0))
      text.append(piece.data(), static_cast<std::size_t>(in.gcount()));
    if (in.bad()) return fail(Errc::not_found, name_ + ": cannot be read");
    if (text.size() > most)
      return fail(Errc::too_big, fmt::format("{}: more than {} bytes", name_, most));
    try {
      const YAML::Node root = YAML::Load(text);
      if (!root || root.IsNull()) return settings_;
      if (auto status = walk(root, ""); !status) return std::unexpected(std::move(status).error());
    } catch (const YAML::Exception& broken) {
      return fail(Errc::bad_params, fmt::format("{}: {}", place(broken.mark), broken.msg));
    }
    return settings_;
  }

 private:
  [[nodiscard]] std::string place(const YAML::Mark& mark) const {
    return fmt::format("{}:{}:{}", name_, mark.line + 1, mark.column + 1);
  }

  Status walk(const YAML::Node& node, const std::string& path) {
    if (!node.IsMap()) {
      return wrong({path.empty() ? "the file" : path, "", place(node.Mark())},
                   "it is a section, with keys of its own below it");
    }
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) return unknown(place(entry.first.Mark()), path + ".?");
      const std::string key = (path.empty() ? "" : path + ".") + entry.first.Scalar();
      const std::string at = place(entry.first.Mark());
      if (!seen_.insert(key).second) return wrong({key, "", at}, "it is set twice");
      if (is_section(key)) {
        if (auto status = walk(entry.second, key); !status) return status;
      } else if (!is_known(key)) {
        return unknown(at, key);
      } else if (auto status = value(entry.second, key, at); !status) {
        return status;
      }
    }
    return {};
  }

  Status value(const YAML::Node& node, const std::string& key, const std::string& key_place) {
    if (node.IsNull()) return wrong({key, "", key_place}, "it has no value");
    Setting setting{key, "", place(node.Mark())};
    if (node.IsScalar()) {
      setting.text = node.Scalar();
    } else if (node.IsSequence()) {
      for (const auto& item : node) {
        if (!item.IsScalar()) return wrong(setting, "an item of the list is no plain value");
        setting.text += (setting.text.empty() ? "" : ",") + item.Scalar();
      }
    } else {
      return wrong(setting, "it takes a value, not a section");
    }
    settings_.push_back(std::move(setting));
    return {};
  }

  std::string name_;
  std::vector<Setting> settings_;
  std::set<std::string> seen_;
};

// TALLYMILL_FRONT__MAX_DEPTH as front.max_depth.
std::string key_of_variable(std::string_view name) {
  std::string key;
  name.remove_prefix(env_prefix.size());
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name.substr(i).starts_with("__")) {
      key += '.';
      ++i;
    } else {
      key += static_cast<char>(name[i] >= 'A' && name[i] <= 'Z' ? name[i] - 'A' + 'a' : name[i]);
    }
  }
  return key;
}

Result<std::vector<Setting>> read_environment(const std::map<std::string, std::string>& all) {
  std::vector<Setting> settings;
  for (const auto& [name, value] : all) {
    if (!name.starts_with(env_prefix)) continue;
    const std::string key = key_of_variable(name);
    if (is_known(key)) {
      settings.push_back({key, value, name});
    } else if (name.find("__") != std::string::npos) {
      return unknown(name, key);
    }  // A name of one word may be someone else's: TALLYMILL_CONFIG, a test's switch.
  }
  return settings;
}

// The key that a flag means: "--max-depth" is front.max_depth where "front" is a section.
std::optional<std::string> key_of_flag(const ConfigSources& sources, std::string name) {
  if (const auto alias = sources.aliases.find(name); alias != sources.aliases.end())
    return alias->second;
  // Only after the last dot: what stands before it may be a kind's own name.
  const std::size_t last = name.rfind('.') == std::string::npos ? 0 : name.rfind('.');
  std::replace(name.begin() + static_cast<std::ptrdiff_t>(last), name.end(), '-', '_');
  for (const auto& section : sources.sections) {
    std::string key = fmt::format("{}.{}", section, name);
    if (is_known(key)) return key;
  }
  if (is_known(name)) return name;
  return std::nullopt;
}

// Of one flag twice the second holds, but those of a list go together.
void add_flag(std::vector<Setting>& settings, Setting setting) {
  const auto* key = find(config_keys::all(), setting.key);
  const auto before = std::ranges::find(settings, setting.key, &Setting::key);
  if (key != nullptr && is_list(*key) && before != settings.end())
    before->text += "," + setting.text;
  else
    settings.push_back(std::move(setting));
}

// Reads argv into `out` (help, file, positional, the program's own) and settings.
Result<std::vector<Setting>> read_flags(const ConfigSources& sources, LoadedConfig& out) {
  std::vector<Setting> settings;
  const auto& args = sources.args;
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (args[i] == "--") {
      out.positional.insert(out.positional.end(), args.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                            args.end());
      break;
    }
    if (args[i] == "--help" || args[i] == "-h") {
      out.help = true;
      continue;
    }
    if (!args[i].starts_with("--")) {
      out.positional.push_back(args[i]);
      continue;
    }
    const std::size_t equals = args[i].find('=');
    const std::string flag = args[i].substr(0, equals);
    const std::string name = flag.substr(2);
    const bool own = name == "config" || sources.program_flags.contains(name);
    const auto key = own ? std::nullopt : key_of_flag(sources, name);
    if (!own && !key) return unknown(flag, name);
    std::string value;
    if (equals != std::string::npos) {
      value = args[i].substr(equals + 1);
    } else if (const auto* known = key ? find(config_keys::all(), *key) : nullptr;
               known != nullptr && is_flag(*known)) {
      value = "true";
    } else if (++i < args.size()) {
      value = args[i];
    } else {
      return fail(Errc::bad_params, flag + ": a value is missing");
    }
    if (key) {
      add_flag(settings, {*key, value, flag});
    } else if (name == "config") {
      out.file = value;
    } else {
      out.program_flags[name] = value;
    }
  }
  return settings;
}

// ---- putting it together --------------------------------------------------------------------

std::string value_or(const std::map<std::string, std::string>& map, const char* key,
                     const std::string& otherwise) {
  const auto found = map.find(key);
  return found == map.end() || found->second.empty() ? otherwise : found->second;
}

// Where a user's programs keep their things (XDG), and how many CPUs there are.
Config defaults(const std::map<std::string, std::string>& environment) {
  Config config;
  const std::string home = value_or(environment, "HOME", ".");
  config.data_dir = value_or(environment, "XDG_STATE_HOME", home + "/.local/state") + "/tallymill";
  const std::string runtime = value_or(environment, "XDG_RUNTIME_DIR", "");
  config.run_dir = runtime.empty() ? config.data_dir + "/run" : runtime + "/tallymill";
  // Image work is bound by the CPU; the compute kinds mostly are over before they count.
  const int cpus = usable_cpus().count;
  config.stages.image.workers = cpus;
  config.stages.compute.workers = std::max(1, cpus / 2);
  return config;
}

Status apply(Config& config, const Setting& setting) {
  config.origins[setting.key] = setting.origin;
  if (const auto kind = kind_key(setting.key)) {
    const auto* key = find(config_keys::of_a_kind(), kind->second);
    if (key == nullptr || !is_kind_name(kind->first)) return unknown(setting.origin, setting.key);
    if (config.kinds.size() >= limits::configured_kinds && !config.kinds.contains(kind->first)) {
      return wrong(setting, fmt::format("more than {} kinds", limits::configured_kinds));
    }
    return read(*key, config.kinds[kind->first], setting);
  }
  const auto* key = find(config_keys::all(), setting.key);
  if (key == nullptr) return unknown(setting.origin, setting.key);
  return read(*key, config, setting);
}

std::string origin_of(const Config& config, std::string_view key) {
  const auto found = config.origins.find(std::string(key));
  return found == config.origins.end() ? "default" : found->second;
}

// That two sockets cannot have both.
bool is_one_address(const Endpoint& a, const Endpoint& b) {
  if (a.transport != b.transport || a.port != b.port) return false;
  if (a.transport == "tcp" && a.port == 0) return false;
  const auto is_any = [](const Endpoint& e) { return e.host == "*" || e.host == "0.0.0.0"; };
  return a.host == b.host || (a.transport == "tcp" && (is_any(a) || is_any(b)));
}

// What no single key can be judged by alone.
Status check_whole(const Config& config) {
  std::vector<std::pair<std::string_view, Endpoint>> doors;
  std::vector<std::pair<std::string_view, std::string>> said{
      {"front.listen", config.front.listen},
      {"front.results", config.front.results},
      {"front.control", config.front.control}};
  if (config.front.http != "off") said.emplace_back("front.http", "tcp://" + config.front.http);
  for (const auto& [key, address] : said) {
    const Setting setting{std::string(key), address, origin_of(config, key)};
    auto endpoint = parse_endpoint(address);
    if (!endpoint) return wrong(setting, endpoint.error().message);
    for (const auto& [other, taken] : doors)
      if (is_one_address(*endpoint, taken))
        return wrong(setting, fmt::format("it is the address of {}", other));
    doors.emplace_back(key, *std::move(endpoint));
    const bool locked = key == "front.http" && !config.front.http_token_file.empty();
    if (!is_loopback(address) && !config.front.insecure && !locked) {
      const bool http = key == "front.http";
      return fail(Errc::denied,
                  fmt::format("{}: {}: {} can be reached from other hosts and nobody is asked for "
                              "a {} there; {}say --front.insecure if that is meant",
                              setting.origin, key, address, http ? "token" : "key",
                              http ? "give --front.http_token_file, or " : ""),
                  pointer(key));
    }
  }
  if (config.front.http_certificate.empty() != config.front.http_key.empty()) {
    const char* given = config.front.http_key.empty() ? "front.http_certificate" : "front.http_key";
    return wrong({given, "", origin_of(config, given)},
                 "front.http_certificate and front.http_key are given together");
  }
  if (config.run_dir.size() > limits::run_dir_bytes) {
    return wrong({"run_dir", "", origin_of(config, "run_dir")},
                 fmt::format("longer than {} bytes, and a socket's path in it would not fit",
                             limits::run_dir_bytes));
  }
  for (const auto& [name, policy] : config.kinds) {
    const std::string key = fmt::format("{}{}.retry_cap_ms", kinds_prefix, name);
    if (policy.retry_cap < policy.retry_base) {
      return wrong({key, "", origin_of(config, key)}, "it is below retry_base_ms");
    }
  }
  return {};
}

}  // namespace

KindPolicy Config::kind(std::string_view name) const {
  const auto found = kinds.find(std::string(name));
  return found == kinds.end() ? KindPolicy{} : found->second;
}

Result<LoadedConfig> load_config(const ConfigSources& sources) {
  LoadedConfig out;
  auto flags = read_flags(sources, out);
  if (!flags) return std::unexpected(std::move(flags).error());
  if (out.file.empty()) out.file = value_or(sources.environment, "TALLYMILL_CONFIG", "");

  std::vector<Setting> settings;
  if (!out.file.empty()) {
    auto from_file = FileReader(out.file).read();
    if (!from_file) return std::unexpected(std::move(from_file).error());
    settings = *std::move(from_file);
  }
  auto from_environment = read_environment(sources.environment);
  if (!from_environment) return std::unexpected(std::move(from_environment).error());
  settings.insert(settings.end(), from_environment->begin(), from_environment->end());
  settings.insert(settings.end(), flags->begin(), flags->end());

  out.config = defaults(sources.environment);
  for (const auto& setting : settings) {
    if (auto status = apply(out.config, setting); !status) {
      return std::unexpected(std::move(status).error());
    }
  }
  if (auto status = check_whole(out.config); !status) {
    return std::unexpected(std::move(status).error());
  }
  return out;
}

std::map<std::string, std::string> environment_of(char** environ) {
  std::map<std::string, std::string> all;
  for (; environ != nullptr && *environ != nullptr; ++environ) {
    const std::string_view entry = *environ;
    const std::size_t equals = entry.find('=');
    if (equals == std::string_view::npos) continue;
    all.emplace(entry.substr(0, equals), entry.substr(equals + 1));
  }
  return all;
}

std::vector<ConfigRow> describe(const Config& config) {
  std::vector<ConfigRow> rows;
  const auto add = [&](const auto& key, const auto& owner, const std::string& name) {
    rows.push_back({name, print(key, owner), std::string(key.unit), origin_of(config, name)});
  };
  for (const auto& key : config_keys::all()) add(key, config, std::string(key.name));
  for (const auto& [name, policy] : config.kinds) {
    for (const auto& key : config_keys::of_a_kind()) {
      add(key, policy, fmt::format("{}{}.{}", kinds_prefix, name, key.name));
    }
  }
  return rows;
}

namespace {

constexpr std::size_t help_column = 30;
constexpr std::size_t help_columns = 80;

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

}  // namespace

std::string config_help(const ConfigSources& sources) {
  fmt::memory_buffer out;
  const auto to = std::back_inserter(out);
  const auto row = [&](const std::string& flag, std::string_view help, const std::string& note) {
    const std::string text = std::string(help) + (note.empty() ? "" : " [" + note + "]");
    fmt::format_to(to, "  {:<{}}", flag, help_column - 2);
    std::size_t column = flag.size() + 3 > help_column ? help_columns : help_column;
    for (const auto& word : words_of(text)) {
      if (column + 1 + word.size() > help_columns) {
        fmt::format_to(to, "\n{:{}}", "", help_column);
        column = help_column;
      }
      fmt::format_to(to, "{}{}", column == help_column ? "" : " ", word);
      column += word.size() + (column == help_column ? 0 : 1);
    }
    fmt::format_to(to, "\n");
  };
  for (const auto& [name, help] : sources.program_flags) row("--" + name, help, "");
  row("--config FILE", "settings from a YAML file; flags and environment go before it", "");
  Config config = defaults(sources.environment);
  config.kinds["KIND"] = {};
  std::map<std::string, std::string> values;
  for (const ConfigRow& said : describe(config)) values[said.key] = said.value;
  for (const ConfigFlag& flag : config_flags(sources)) {
    std::string note = values.at(flag.key);
    if (!flag.unit.empty()) note += " " + flag.unit;
    if (!flag.choices.empty()) note += fmt::format("; of {}", fmt::join(flag.choices, ", "));
    row(flag.flag, flag.help, note);
  }
  fmt::format_to(to,
                 "\nEach is also a key of the file and a variable, as front.control and\n"
                 "TALLYMILL_FRONT__CONTROL are for --control.\n");
  return fmt::to_string(out);
}

}  // namespace tallymill
