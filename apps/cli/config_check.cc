// config check: what a configuration file says, or what is wrong with it and where.
#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/terminal.h"
#include "base/config.h"

namespace tallymill::cli {

int config_check(const Common& common, const std::string& file) {
  ConfigSources sources;
  if (!file.empty()) sources.args = {"--config", file};
  sources.environment = environment_of(environ);
  const auto loaded = load_config(sources);
  if (!loaded) return tell(common, loaded.error());
  const auto rows = describe(loaded->config);
  if (common.json) {
    nlohmann::json values = nlohmann::json::array();
    for (const ConfigRow& row : rows)
      values.push_back(
          {{"key", row.key}, {"value", row.value}, {"unit", row.unit}, {"origin", row.origin}});
    print_json({{"file", loaded->file}, {"values", values}});
    return exit_ok;
  }
  Table table({{"KEY"}, {"VALUE"}, {"FROM"}});
  for (const ConfigRow& row : rows) {
    const bool said = row.origin != "default";
    table.row({said ? coloured(row.key, Colour::bold) : row.key,
               printable(row.value) + (row.unit.empty() ? "" : " " + row.unit),
               said ? printable(row.origin) : coloured("default", Colour::dim)});
  }
  print(table.text());
  fmt::print(stderr, "{}: {}\n", loaded->file.empty() ? "no file" : printable(loaded->file),
             coloured("ok", Colour::green, 2));
  return exit_ok;
}

}  // namespace tallymill::cli
