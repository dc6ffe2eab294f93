#include "bench/processor_time.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

namespace tallymill::bench {

std::map<std::string, double> seconds_by_thread(pid_t process) {
  std::map<std::string, double> seconds;
  const auto tasks = std::filesystem::path("/proc") / std::to_string(process) / "task";
  std::error_code gone;
  for (const auto& task : std::filesystem::directory_iterator(tasks, gone)) {
    std::ifstream file(task.path() / "stat");
    const std::string stat(std::istreambuf_iterator<char>(file), {});
    const auto begin = stat.find('('), end = stat.rfind(')');
    if (begin == std::string::npos || end == std::string::npos) continue;
    // The state is the third field, user's and system's time are the 14th and 15th.
    std::istringstream fields(stat.substr(end + 2));
    std::string skipped;
    for (int field = 3; field < 14; ++field) fields >> skipped;
    double user = 0, system = 0;
    fields >> user >> system;
    seconds[stat.substr(begin + 1, end - begin - 1)] +=
        (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  }
  return seconds;
}

}  // namespace tallymill::bench
