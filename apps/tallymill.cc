// tallymill: the launcher. Finds the program of a subcommand beside itself and becomes it.
//
// It links nothing but the C++ runtime, so that `tallymill version` costs a millisecond; each
// sibling loads only what its own work needs (the image stage alone loads OpenCV).
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <string>
#include <string_view>
#include <system_error>

#include "apps/exit_codes.h"

namespace {

using namespace tallymill;

// Subcommands with a program of their own, and what the command line has below one of them. All
// others are the command line's.
struct Program {
  std::string_view first;
  std::string_view second;  // empty: the first word is enough
  std::string_view name;
};
constexpr std::string_view command_line = "tallymill-cli";
constexpr std::array<Program, 7> programs{{{"front", "", "tallymill-front"},
                                           {"collector", "snapshot", command_line},
                                           {"collector", "", "tallymill-collector"},
                                           {"demo", "", "tallymill-demo"},
                                           {"up", "", "tallymill-up"},
                                           {"stage", "compute", "tallymill-stage-compute"},
                                           {"stage", "image", "tallymill-stage-image"}}};

std::string own_folder() {
  std::array<char, PATH_MAX> path{};
  const ssize_t length = ::readlink("/proc/self/exe", path.data(), path.size());
  if (length <= 0) return ".";
  const std::string_view whole(path.data(), static_cast<std::size_t>(length));
  return std::string(whole.substr(0, whole.rfind('/')));
}

int print_version(bool json) {
  std::printf(json ? "{\"version\": \"%s\"}\n" : "tallymill %s\n", TALLYMILL_VERSION);
  if (std::fflush(stdout) == 0) return 0;
  std::fprintf(stderr, "tallymill: the output cannot be written: %s\n",
               std::generic_category().message(errno).c_str());
  return exit_cannot_run;
}

int version(int argc, char** argv) {
  const std::string_view flag = argc > 2 ? argv[2] : "";
  if (argc == 2 || (argc == 3 && flag == "--json")) return print_version(argc == 3);
  const bool help = argc == 3 && (flag == "--help" || flag == "-h");
  std::fprintf(help ? stdout : stderr,
               "usage: tallymill version [--json]\nwhich version this is\n");
  return help ? 0 : exit_usage;
}

// Which program, and how many words named it.
struct Choice {
  std::string_view name = command_line;
  int words = 0;
};
Choice choose(int argc, char** argv) {
  for (const auto& program : programs) {
    if (argc < 2 || program.first != argv[1]) continue;
    if (program.second.empty()) return {program.name, 1};
    if (argc < 3 || program.second != argv[2]) continue;
    // The command line reads its own words.
    return {program.name, program.name == command_line ? 0 : 2};
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view first = argc > 1 ? argv[1] : "";
  if (first == "version") return version(argc, argv);
  if (first == "--version") return print_version(false);
  if (first == "stage" && choose(argc, argv).words == 0) {
    std::fprintf(stderr,
                 "tallymill: which stage? `tallymill stage compute` or `... stage image`\n");
    return exit_usage;
  }
  const Choice choice = choose(argc, argv);
  std::string path = own_folder() + "/" + std::string(choice.name);
  // The words that chose the program make room for its name.
  char** rest = argv + choice.words;
  rest[0] = path.data();
  ::execv(path.c_str(), rest);
  std::fprintf(stderr, "tallymill: cannot start %s: %s\n", path.c_str(),
               std::generic_category().message(errno).c_str());
  return exit_cannot_run;
}
