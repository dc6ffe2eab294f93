// The floor under a commit: one write into a file that was grown before, and its sync.
//
// Threads: one.
#pragma once

#include <cstddef>
#include <filesystem>

namespace tallymill::bench {

// Median microseconds of `times` writes of `bytes` each, with a pause between them as one job at a
// time leaves one.
[[nodiscard]] double synced_write_us(const std::filesystem::path& folder, std::size_t bytes,
                                     int times);

}  // namespace tallymill::bench
