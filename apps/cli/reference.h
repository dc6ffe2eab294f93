// Reference: every command with its flags as plain data: what completions and man pages are made
// from. It is read off the tree of flags that --help prints, and off apps/programs.h.
//
// Threads: plain values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace tallymill::cli {

struct Flag {
  std::string name;                  // "--state"
  std::string letter;                // "-q"; empty: none
  std::string value;                 // what it takes, "TEXT"; empty: it takes nothing
  std::string help;                  // one paragraph
  std::vector<std::string> choices;  // of its value, when they are a closed set
  std::string variable;              // its twin in the environment; empty: none
};

struct Operand {
  std::string name;  // "files"
  std::string help;
  std::vector<std::string> choices;
  std::string variable;
  bool required = false;
  bool many = false;
};

struct Command {
  std::string words;  // after `tallymill`: "config check"; empty: tallymill itself
  std::string summary;
  std::string about;               // more of it, in paragraphs; indented lines stay as they are
  std::vector<std::string> below;  // a group's commands, by their last words
  bool is_program = false;         // it runs by itself, also when there are commands below it
  std::vector<Flag> flags;
  std::vector<Operand> operands;
};

// Of tallymill itself, of each command and of each program of its own, groups before their members.
[[nodiscard]] std::vector<Command> reference(const CLI::App& app);

// "tallymill-config-check": the name of its man page.
[[nodiscard]] std::string page_name(const Command& command);

// For bash, zsh or fish. REQUIRES: one of them.
[[nodiscard]] std::string completion_script(std::string_view shell,
                                            const std::vector<Command>& commands);
// As roff, for man(7).
[[nodiscard]] std::string man_page(const Command& command, const std::vector<Command>& commands);

}  // namespace tallymill::cli
