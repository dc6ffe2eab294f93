#include "apps/cli/reference.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <regex>

#include "apps/programs.h"
#include "base/config_flags.h"

namespace tallymill::cli {
namespace {

// Help texts are broken for a terminal of 80 columns.
std::string one_paragraph(std::string text) {
  std::ranges::replace(text, '\n', ' ');
  return text;
}

// "TEXT:{a,b}" as a and b: how CLI11 writes IsMember.
std::vector<std::string> choices_in(const std::string& type) {
  std::vector<std::string> choices;
  const std::size_t begin = type.find('{');
  const std::size_t end = type.find('}');
  if (begin == std::string::npos || end == std::string::npos) return choices;
  for (std::size_t at = begin + 1; at <= end;) {
    const std::size_t comma = std::min(type.find(',', at), end);
    choices.push_back(type.substr(at, comma - at));
    at = comma + 1;
  }
  return choices;
}

std::string variable_in(const std::string& help) {
  std::smatch found;
  return std::regex_search(help, found, std::regex("TALLYMILL_[A-Z_]+")) ? found.str() : "";
}

void read_option(const CLI::Option& option, Command& to) {
  const std::string type = option.get_type_name();
  const std::string help = one_paragraph(option.get_description());
  if (option.get_positional()) {
    to.operands.push_back({.name = option.get_name(true),
                           .help = help,
                           .choices = choices_in(type),
                           .variable = variable_in(help),
                           .required = option.get_required(),
                           .many = option.get_items_expected_max() > 1});
    return;
  }
  Flag flag;
  flag.name = "--" + option.get_lnames().front();
  if (!option.get_snames().empty()) flag.letter = "-" + option.get_snames().front();
  if (option.get_type_size() != 0) flag.value = type.substr(0, type.find_first_of(": "));
  flag.help = help;
  flag.choices = choices_in(type);
  flag.variable = variable_in(help);
  to.flags.push_back(std::move(flag));
}

Flag help_flag() { return {.name = "--help", .letter = "-h", .help = "what it is, and its flags"}; }

void add_settings(const ConfigSources& sources, Command& to) {
  for (const auto& [name, help] : sources.program_flags)
    to.flags.push_back({.name = "--" + name, .value = "VALUE", .help = help});
  to.flags.push_back({.name = "--config",
                      .value = "FILE",
                      .help = "settings from a YAML file; flags and environment go before it",
                      .variable = "TALLYMILL_CONFIG"});
  for (const ConfigFlag& flag : config_flags(sources))
    to.flags.push_back({.name = flag.flag,
                        .value = flag.is_switch ? "" : "VALUE",
                        .help = flag.help + (flag.unit.empty() ? "" : ", in " + flag.unit),
                        .choices = flag.choices,
                        .variable = flag.variable});
}

constexpr const char* about_settings =
    "\n"
    "Each setting is also a key of the file and a variable; `tallymill config show --origin`\n"
    "tells what each is, and by whom.\n";

void walk(const CLI::App& app, const std::string& words, std::vector<Command>& out) {
  Command command;
  command.words = words;
  command.summary = one_paragraph(app.get_description());
  for (const CLI::Option* option : app.get_options()) read_option(*option, command);
  // It takes every setting as `up` does (apps/cli/config.cc).
  if (app.get_allow_extras()) {
    const ConfigSources& sources = apps::program_named("up").sources;
    add_settings(sources, command);
    command.operands.push_back({.name = "file",
                                .help = "YAML file of settings, as --config",
                                .variable = "TALLYMILL_CONFIG"});
  }
  const auto below = app.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* sub : below) command.below.push_back(sub->get_name());
  out.push_back(std::move(command));
  for (const CLI::App* sub : below)
    walk(*sub, words + (words.empty() ? "" : " ") + sub->get_name(), out);
}

// Those that have a program of their own; the launcher knows which (apps/tallymill.cc).
std::vector<Command> of_programs() {
  std::vector<Command> out;
  Command stage{.words = "stage", .summary = "a worker of a stage", .flags = {help_flag()}};
  for (const apps::Program& program : apps::programs()) {
    Command command{.words = program.words,
                    .summary = program.summary,
                    .about = program.about + about_settings,
                    .is_program = true};
    command.flags.push_back(help_flag());
    add_settings(program.sources, command);
    if (program.words == "up")
      command.operands.push_back({.name = "file", .help = "YAML file of settings, as --config"});
    if (program.words.starts_with("stage ")) {
      if (stage.below.empty()) out.push_back(stage);
      stage.below.push_back(program.words.substr(6));
    }
    out.push_back(std::move(command));
  }
  std::ranges::find(out, "stage", &Command::words)->below = stage.below;
  // The demo is a script; e2e/completion holds this against its --help.
  out.push_back(
      {.words = "demo",
       .summary = "real photographs through a pipeline of its own, checked",
       .flags = {
           help_flag(),
           {.name = "--photos",
            .value = "DIR",
            .help = "JPEG, PNG and WebP files (default: one sample photo)"},
           {.name = "--out", .value = "DIR", .help = "folder for the results (default: a new one)"},
           {.name = "--once", .help = "end when all is shown"}}});
  out.push_back({.words = "version",
                 .summary = "which version this is",
                 .flags = {help_flag(), {.name = "--json", .help = "the answer as JSON"}}});
  return out;
}

}  // namespace

std::vector<Command> reference(const CLI::App& app) {
  std::vector<Command> all;
  walk(app, "", all);
  // What CLI11 holds of tallymill itself is its whole opening: a title and paragraphs.
  const std::string opening = app.get_description();
  const std::size_t title = opening.find('\n');
  all.front().summary = opening.substr(0, title - (opening[title - 1] == '.' ? 1 : 0));
  all.front().about = opening.substr(std::min(title, opening.size()));
  for (Command& command : of_programs()) {
    // The command line's group of this name holds what is below the program.
    if (const auto group = std::ranges::find(all, command.words, &Command::words);
        group != all.end()) {
      command.below = group->below;
      *group = command;
      continue;
    }
    if (command.words.find(' ') == std::string::npos) all.front().below.push_back(command.words);
    all.push_back(std::move(command));
  }
  const auto manual = std::ranges::find(all, "man", &Command::words);
  if (manual == all.end()) return all;
  for (const Command& command : all)
    if (!command.words.empty())
      manual->operands.front().choices.push_back(
          page_name(command).substr(page_name(all.front()).size() + 1));
  return all;
}

std::string page_name(const Command& command) {
  std::string name = "tallymill" + std::string(command.words.empty() ? "" : "-") + command.words;
  std::ranges::replace(name, ' ', '-');
  return name;
}

}  // namespace tallymill::cli
