// Proc: what the files of /proc say, as numbers.
//
// The kernel's files are text for people that programs read: a name and a number a line, or numbers
// in an order that man proc(5) tells. Here are the readers that more than one probe needs; each is
// a function of a text, so that it is tested on texts of other machines.
//
//   invariant: a text that is cut off, empty or of another form gives nothing or less, never a
//              wrong number
//
// Threads: any.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tallymill {

// The file's text, at most limits::proc_file_bytes of it; empty if it cannot be read. Files of
// /proc do not say how long they are.
[[nodiscard]] std::string read_proc(const std::filesystem::path& file);

// Words between spaces and tabs.
[[nodiscard]] std::vector<std::string_view> words_of(std::string_view line);
[[nodiscard]] std::vector<std::string_view> lines_of(std::string_view text);
// Those that end: the last of a text that was cut may be half a one.
[[nodiscard]] std::vector<std::string_view> whole_lines(std::string_view text);
// The whole of it is a number, in decimal.
[[nodiscard]] std::optional<std::uint64_t> whole_number(std::string_view word);
[[nodiscard]] std::optional<double> decimal_number(std::string_view word);

// Of "name value" or "name: value kB" a line: meminfo, vmstat, memory.stat, cpu.stat. kB are made
// bytes. Lines of another form, and those that say more than a number holds, are left out.
[[nodiscard]] std::map<std::string, std::uint64_t, std::less<>> proc_fields(std::string_view text);

// /proc/PID/stat.
struct ProcessStat {
  std::uint64_t minor_faults = 0;
  std::uint64_t major_faults = 0;
  std::uint64_t user_ticks = 0;
  std::uint64_t system_ticks = 0;
  std::uint64_t threads = 0;
  std::uint64_t start_ticks = 0;  // since the machine's boot
  std::uint64_t virtual_bytes = 0;
  std::uint64_t resident_pages = 0;
};
[[nodiscard]] std::optional<ProcessStat> process_stat(std::string_view text);

// Of _SC_CLK_TCK.
[[nodiscard]] std::chrono::nanoseconds ticks(std::uint64_t count);

}  // namespace tallymill
