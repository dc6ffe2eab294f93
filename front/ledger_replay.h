// Replay: the live jobs of a ledger, as a front that starts needs them.
//
// 1. The partial index names the rows of fates with a live job; everything else is never read.
// 2. Per row: its live ids, the jobs between them, their notes in order of writing.
// 3. Chunks of a few thousand go to the caller, so that it may begin before the last was read.
//
// Threads: the caller's, with its connection.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "front/ledger.h"
#include "store/sqlite.h"

namespace tallymill::front {

// `boot` is the present one: readings of the monotonic clock of another are marked.
[[nodiscard]] Status replay_live(store::Sqlite& db, const std::string& boot,
                                 const std::function<void(std::vector<LiveJob>&&)>& found);

}  // namespace tallymill::front
