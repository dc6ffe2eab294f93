// ProberPostgres: whether a PostgreSQL answers SELECT 1.
//
// Threads: pure functions, but for the socket.
// Source: libpq, whose connection is never waited for in the library.
#pragma once

#include <string>

#include "alerting/prober_wait.h"
#include "base/result.h"
#include "base/secret.h"

namespace tallymill::alerting {

// "host:port/database" of a DSN, as libpq takes it: host=... dbname=..., or postgresql://...
// bad_params: it is none; nothing of it is told.
[[nodiscard]] Result<std::string> postgres_target(const Secret& dsn);

// away: it cannot be reached, lets nobody in, or cannot answer, with what it said.
[[nodiscard]] Status select_one(const Secret& dsn, const ProberWait& wait);

}  // namespace tallymill::alerting
