// explain: where a job's time went.
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/terminal.h"
#include "apps/cli/waterfall.h"

namespace tallymill::cli {

int explain(const IdArgs& args) {
  const Session client = open_session(args.common);
  if (!client) return client.exit_code;
  int exit_code = exit_ok;
  bool first = true;
  for (const std::int64_t job : args.jobs) {
    const auto timeline = client->timeline(JobId(job));
    if (!timeline) {
      exit_code = tell(args.common, timeline.error());
      continue;
    }
    if (args.common.json) {
      print_json(*timeline);
      continue;
    }
    if (!std::exchange(first, false)) print("\n");
    print(text_of(waterfall_of(*timeline), terminal_width(1)));
  }
  return exit_code;
}

}  // namespace tallymill::cli
