// ProberRedis: whether a redis answers PING.
//
// Threads: a pure function, but for the socket.
#pragma once

#include "alerting/prober_config.h"
#include "alerting/prober_wait.h"
#include "base/result.h"

namespace tallymill::alerting {

// With AUTH first where there is a password. away: it does not answer, or with an error, of which
// the first word is told (NOAUTH, WRONGPASS, LOADING): the rest may hold what was sent. bad_frame:
// it is no redis.
[[nodiscard]] Status ping_redis(const ProbeConfig& probe, const ProberWait& wait);

}  // namespace tallymill::alerting
