// Programs: how each program of its own is asked, in words and settings: what its --help prints,
// and completions and man pages are made from.
//
// Threads: constants.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/config.h"

namespace tallymill::apps {

struct Program {
  std::string words;    // after `tallymill`: "stage compute"
  std::string summary;  // for a list of commands
  std::string about;    // the opening of its --help: a sentence, how it is called, what signals do
  ConfigSources sources;  // without arguments and environment
};
[[nodiscard]] std::span<const Program> programs();

// REQUIRES: there is one.
[[nodiscard]] const Program& program_named(std::string_view words);
[[nodiscard]] ConfigSources sources_of(const Program& program, int argc, char** argv);
[[nodiscard]] std::string help_of(const Program& program);

}  // namespace tallymill::apps
