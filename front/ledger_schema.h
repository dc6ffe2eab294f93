// The ledger's tables, their version, and the way from an older one.
//
// Each version's step is kept for ever, so that a file of any released version opens. What the
// tables mean stands in docs/formats/ledger.md.
//
// Threads: the caller's, with its connection.
#pragma once

#include <cstdint>

#include "store/sqlite.h"

namespace tallymill::front {

// What `PRAGMA user_version` holds.
inline constexpr int ledger_schema_version = 6;

// What `PRAGMA application_id` holds: "TlMl".
inline constexpr int ledger_application_id = 0x546c4d6c;

// Makes the tables, or brings an older schema's up to date, in one transaction. version: the file
// is of a newer program. corrupt: a database, but not a ledger.
[[nodiscard]] Status prepare_schema(store::Sqlite& db);

}  // namespace tallymill::front
