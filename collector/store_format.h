// Store format: which version of its files a store's folder has, in a record of its own.
//
// A program that goes back to an older version must not take what a newer one wrote for damage and
// put it aside: it leaves the folder as it is, and says so. Each part and log has a title too, but
// one flipped bit makes another title of it; here a checksum tells a newer version from damage.
//
//   invariant: only a whole record with a higher number is a reason not to open a store
//
// Threads: pure functions of the disk.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/result.h"

namespace tallymill::collector {

inline constexpr std::string_view format_file = "format";

// version: a newer program wrote it. Where nothing says which version a folder has, it has this one
// from now on; on a disk without room it is said at a later start.
[[nodiscard]] Status check_format(const std::filesystem::path& folder);

}  // namespace tallymill::collector
