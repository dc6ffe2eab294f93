// completion, man: the commands told to a shell, and as pages to read.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/reference.h"
#include "apps/cli/terminal.h"

namespace tallymill::cli {
namespace {

// "config check", "config-check" or "tallymill-config-check"; nothing: tallymill itself.
const Command* named(const std::vector<std::string>& words, const std::vector<Command>& commands) {
  std::string name = fmt::format("{}", fmt::join(words, "-"));
  if (!name.starts_with("tallymill")) name = "tallymill" + (name.empty() ? "" : "-" + name);
  const auto found = std::ranges::find(commands, name, page_name);
  return found == commands.end() ? nullptr : &*found;
}

int write_pages(const ManArgs& args, const std::vector<Command>& commands) {
  std::error_code failed;
  std::filesystem::create_directories(args.out, failed);
  nlohmann::json files = nlohmann::json::array();
  for (const Command& command : commands) {
    const auto path = std::filesystem::path(args.out) / (page_name(command) + ".1");
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << man_page(command, commands);
    if (!file.flush())
      return tell(args.common, {Errc::disk, fmt::format("cannot write {}", path.string())});
    files.push_back(path.string());
  }
  if (args.common.json) {
    print_json({{"files", files}});
    return exit_ok;
  }
  for (const auto& path : files) print(printable(path.get<std::string>()) + "\n");
  return exit_ok;
}

}  // namespace

int completion(const Common& common, const std::string& shell,
               const std::vector<Command>& commands) {
  const std::string script = completion_script(shell, commands);
  if (common.json)
    print_json({{"shell", shell}, {"script", script}});
  else
    print(script);
  return exit_ok;
}

int man(const ManArgs& args, const std::vector<Command>& commands) {
  if (!args.out.empty()) return write_pages(args, commands);
  const Command* command = named(args.words, commands);
  if (command == nullptr)
    return tell(args.common,
                {Errc::not_found, fmt::format("no command '{}'", fmt::join(args.words, " "))});
  const std::string page = man_page(*command, commands);
  if (args.common.json)
    print_json({{"name", page_name(*command)}, {"page", page}});
  else
    print(page);
  return exit_ok;
}

}  // namespace tallymill::cli
