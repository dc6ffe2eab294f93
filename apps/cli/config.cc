// config: whether a configuration is right, and what each setting is and by whom.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/terminal.h"
#include "apps/programs.h"
#include "base/config.h"
#include "base/secret.h"
#include "http/tokens.h"

namespace tallymill::cli {
namespace {

// Settings name the files of secrets; whoever puts the secret itself there is not to find it in
// what he shows to others.
std::string without_secrets(const std::string& value) {
  return http::holds_token(value) || value.find("PRIVATE KEY") != std::string::npos
             ? std::string(Secret::shown)
             : value;
}

// As `up` reads them: `config show FILE` is `config show --config FILE`.
Result<LoadedConfig> settings_of(const std::vector<std::string>& args) {
  ConfigSources sources = apps::program_named("up").sources;
  sources.args = args;
  sources.environment = environment_of(environ);
  auto loaded = load_config(sources);
  if (!loaded || loaded->positional.empty()) return loaded;
  const bool named = std::ranges::any_of(
      args, [](const auto& arg) { return arg == "--config" || arg.starts_with("--config="); });
  if (named || loaded->positional.size() > 1)
    return fail(Errc::bad_params, "one file at most: " + loaded->positional.back());
  sources.args.insert(sources.args.begin(), {"--config", loaded->positional.front()});
  return load_config(sources);
}

}  // namespace

int config_check(const Common& common, const std::string& file) {
  ConfigSources sources;
  if (!file.empty()) sources.args = {"--config", file};
  sources.environment = environment_of(environ);
  const auto loaded = load_config(sources);
  if (!loaded) return tell(common, loaded.error());
  if (common.json) {
    print_json({{"file", loaded->file}, {"ok", true}});
    return exit_ok;
  }
  print(fmt::format("{}: {}\n", loaded->file.empty() ? "no file" : printable(loaded->file),
                    coloured("ok", Colour::green)));
  return exit_ok;
}

int config_show(const ConfigShowArgs& args) {
  const auto loaded = settings_of(args.settings);
  if (!loaded) return tell(args.common, loaded.error());
  auto rows = describe(loaded->config);
  for (ConfigRow& row : rows) row.value = without_secrets(row.value);
  if (args.common.json) {
    nlohmann::json values = nlohmann::json::array();
    for (const ConfigRow& row : rows) {
      values.push_back({{"key", row.key}, {"value", row.value}, {"unit", row.unit}});
      if (args.origin) values.back()["origin"] = row.origin;
    }
    print_json({{"file", loaded->file}, {"values", values}});
    return exit_ok;
  }
  std::vector<Table::Column> columns{{"KEY"}, {"VALUE"}};
  if (args.origin) columns.push_back({"FROM"});
  Table table(std::move(columns));
  for (const ConfigRow& row : rows) {
    const bool said = row.origin != "default";
    std::vector<std::string> cells{said ? coloured(row.key, Colour::bold) : row.key,
                                   printable(row.value) + (row.unit.empty() ? "" : " " + row.unit)};
    if (args.origin)
      cells.push_back(said ? printable(row.origin) : coloured("default", Colour::dim));
    table.row(std::move(cells));
  }
  print(table.text());
  return exit_ok;
}

}  // namespace tallymill::cli
