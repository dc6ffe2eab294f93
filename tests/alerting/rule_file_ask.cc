// Rule files, for tests that compare what is said of them with what promtool says. Each argument is
// a file; a line each: "ok", or what is wrong. With --convert FILE: the file as Prometheus' own.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "alerting/convert.h"
#include "alerting/rule_file.h"

namespace {

using namespace tallymill::alerting;

std::string content_of(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

int main(int count, char** arguments) {
  if (count == 3 && std::string_view(arguments[1]) == "--convert") {
    const auto groups = parse_rule_file(content_of(arguments[2]), arguments[2]);
    if (!groups) return std::fprintf(stderr, "%s\n", groups.error().message.c_str()), 1;
    const Converted converted = to_prometheus(*groups);
    std::fputs(converted.yaml.c_str(), stdout);
    for (const std::string& warning : converted.warnings)
      std::fprintf(stderr, "%s\n", warning.c_str());
    return 0;
  }
  for (int i = 1; i < count; ++i) {
    const auto groups = parse_rule_file(content_of(arguments[i]), arguments[i]);
    std::string said = groups ? "ok" : groups.error().message;
    for (char& c : said)
      if (c == '\n') c = ' ';
    std::puts(said.c_str());
  }
  return 0;
}
