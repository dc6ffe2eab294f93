// Kinds file: kinds.json in the data folder, what the stages announced last.
//
// It is what a front that starts knows of its jobs' routes before the first worker said hello. It
// is small and changes when a stage is new or was upgraded, so it is written whole: aside, synced,
// then renamed over the last one. A disk that is full, or a power cut, leaves the last one.
//
// Threads: the front's loop. A write waits for the disk.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/schema.h"

namespace tallymill::front {

// Empty when there is none. bad_frame: it is not what write_kinds_file() leaves.
[[nodiscard]] Result<std::vector<KindSpec>> read_kinds_file(const std::filesystem::path& folder);
// disk: the file that was there is as it was. corrupt: a sync failed, and either may be there.
[[nodiscard]] Status write_kinds_file(const std::filesystem::path& folder,
                                      const std::map<std::string, KindSpec>& kinds);

}  // namespace tallymill::front
