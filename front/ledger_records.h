// Records: what the packed columns of a job's rows say, held against its other columns.
//
// A body names the blobs that its job uses, an end's stamps say how its last attempt came out. So a
// column that was changed, or that went together with what it stands for, is found in the bytes
// that still tell of it. `ledger check` asks; the laws stand in docs/formats/ledger.md.
//
// Threads: plain functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "front/ledger.h"

namespace tallymill::front {

struct Wrong {
  const char* law;
  std::string what;
};

// Of its body: whether a worker could be sent it, and whether `digests` are those of its inputs.
[[nodiscard]] std::optional<Wrong> wrong_with_body(const NewJob& job);

// Of its bytes: whether they can be read, and whether state, digests and result are those that they
// tell of. `result_retired`: retention has taken result and digests.
[[nodiscard]] std::optional<Wrong> wrong_with_end(const JobEnd& end, bool result_retired);

// Of an attempt that ended in no end; a note without one has none.
[[nodiscard]] std::optional<Wrong> wrong_with_attempt(std::string_view packed, JobId job);

}  // namespace tallymill::front
