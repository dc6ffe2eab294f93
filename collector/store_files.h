// Store files: how parts are named. Their numbers are their order.
//
// Threads: pure functions.
#pragma once

#include <charconv>
#include <cstdint>
#include <filesystem>
#include <string>

namespace tallymill::collector {

[[nodiscard]] inline std::filesystem::path part_path(const std::filesystem::path& folder,
                                                     std::uint64_t number) {
  std::string name = std::to_string(number);
  name.insert(0, name.size() < 10 ? 10 - name.size() : 0, '0');
  return folder / "parts" / (name + ".part");
}

// 0: it is named otherwise.
[[nodiscard]] inline std::uint64_t part_number(const std::filesystem::path& file) {
  const std::string name = file.stem().string();
  std::uint64_t number = 0;
  std::from_chars(name.data(), name.data() + name.size(), number);
  return number;
}

}  // namespace tallymill::collector
