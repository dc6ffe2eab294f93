// Every bound in the system, by name, with its reason. Each has a gauge that shows how full it is,
// and a test at the limit and one above it.
//
// Threads: constants.
#pragma once

#include "base/units.h"

namespace tallymill::limits {

using namespace literals;

// One job with its inputs. A 400 MP photograph is about 130 MB; above this the client is told
// E_TOO_BIG.
inline constexpr Bytes max_job_bytes = 256_MiB;

// What one worker may offer to hold. 4,096 no-op jobs keep a lane busy over one round trip at the
// highest rate measured; more would only move the queue out of the front's sight.
inline constexpr struct {
  Credits jobs{4096};
  Bytes bytes = 1024_MiB;
} max_places_per_worker;

}  // namespace tallymill::limits
