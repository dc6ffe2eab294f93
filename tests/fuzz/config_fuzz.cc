// links: tm_base
// What an operator writes. Goal: no file, flag or variable makes load_config() crash, and what it
// accepts can be said again: the keys that `config check` prints, given as flags, are accepted and
// print the same. Method: the input's words are split at zero bytes: the file, then flags, and
// variables where a word begins with TALLYMILL_.
//
// tests/fuzz/corpus/config holds files and flags as the pages show them, and mistakes in each.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/config.h"

namespace tallymill {
namespace {

void must(bool condition) {
  if (!condition) std::abort();
}

// A file that is never on disk; load_config() opens it by its name.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view text) : fd_(::memfd_create("config", MFD_CLOEXEC)) {
    must(fd_ >= 0 && ::write(fd_, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }
  ~MemoryFile() { ::close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  [[nodiscard]] std::string name() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

void again(const Config& config) {
  ConfigSources flags;
  const auto rows = describe(config);
  for (const auto& row : rows) {
    if (!row.value.empty()) flags.args.push_back("--" + row.key + "=" + row.value);
  }
  const auto loaded = load_config(flags);
  must(loaded.has_value());
  const auto same = describe(loaded->config);
  must(same.size() == rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    must(same[i].key == rows[i].key && same[i].value == rows[i].value);
  }
}

}  // namespace
}  // namespace tallymill

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tallymill;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto word = [&] {
    const std::string_view first = input.substr(0, input.find('\0'));
    input.remove_prefix(std::min(first.size() + 1, input.size()));
    return std::string(first);
  };
  const MemoryFile file(word());
  ConfigSources sources;
  sources.environment = {{"HOME", "/h"}, {"TALLYMILL_CONFIG", file.name()}};
  sources.sections = {"front"};
  while (!input.empty()) {
    std::string next = word();
    // Another file's name would read what is on this machine.
    if (next.find("config") != std::string::npos || next.find("CONFIG") != std::string::npos)
      continue;
    const std::size_t equals = next.find('=');
    if (next.starts_with("TALLYMILL_") && equals != std::string::npos)
      sources.environment[next.substr(0, equals)] = next.substr(equals + 1);
    else
      sources.args.push_back(std::move(next));
  }
  const auto loaded = load_config(sources);
  if (!loaded) {
    must(!loaded.error().message.empty());
    return 0;
  }
  again(loaded->config);
  return 0;
}
