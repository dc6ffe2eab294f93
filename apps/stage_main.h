// stage_main: what the programs of all stages have in common: settings, the worker, its end.
//
// Threads: main's.
#pragma once

#include <string>
#include <vector>

#include "stages/handler.h"

namespace tallymill::apps {

// Runs one worker of `stage` until a signal or the front drains it; the exit code.
int stage_main(int argc, char** argv, const std::string& stage,
               std::vector<stages::StageKind> kinds);

}  // namespace tallymill::apps
