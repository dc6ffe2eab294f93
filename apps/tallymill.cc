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

namespace {

constexpr int exit_usage = 2;
constexpr int exit_cannot_run = 70;

// Subcommands with a program of their own. All others are the command line's.
struct Program {
  std::string_view first;
  std::string_view second;  // empty: the first word is enough
  std::string_view name;
};
constexpr std::array<Program, 5> programs{{{"front", "", "tallymill-front"},
                                           {"demo", "", "tallymill-demo"},
                                           {"up", "", "tallymill-up"},
                                           {"stage", "compute", "tallymill-stage-compute"},
                                           {"stage", "image", "tallymill-stage-image"}}};
constexpr std::string_view command_line = "tallymill-cli";

std::string own_folder() {
  std::array<char, PATH_MAX> path{};
  const ssize_t length = ::readlink("/proc/self/exe", path.data(), path.size());
  if (length <= 0) return ".";
  const std::string_view whole(path.data(), static_cast<std::size_t>(length));
  return std::string(whole.substr(0, whole.rfind('/')));
}

void print_version() { std::printf("tallymill %s\n", TALLYMILL_VERSION); }

// Which program, and how many words named it.
struct Choice {
  std::string_view name = command_line;
  int words = 0;
};
Choice choose(int argc, char** argv) {
  for (const auto& program : programs) {
    if (argc < 2 || program.first != argv[1]) continue;
    if (program.second.empty()) return {program.name, 1};
    if (argc > 2 && program.second == argv[2]) return {program.name, 2};
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view first = argc > 1 ? argv[1] : "";
  if (first == "version" && argc == 2) return print_version(), 0;
  if (first == "--version") return print_version(), 0;
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
