#include "base/proc.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <limits>

#include "base/limits.h"

namespace tallymill {

std::string read_proc(const std::filesystem::path& file) {
  std::string text;
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return text;
  std::array<char, 16'384> piece{};
  while (text.size() < limits::proc_file_bytes) {
    const ssize_t n = ::read(fd, piece.data(), piece.size());
    if (n <= 0) break;
    text.append(piece.data(), static_cast<std::size_t>(n));
  }
  ::close(fd);
  return text;
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    const std::size_t from = line.find_first_not_of(" \t");
    if (from == std::string_view::npos) return words;
    const std::size_t to = std::min(line.find_first_of(" \t", from), line.size());
    words.push_back(line.substr(from, to - from));
    line.remove_prefix(to);
  }
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::vector<std::string_view> whole_lines(std::string_view text) {
  return lines_of(text.substr(0, text.rfind('\n') + 1));
}

std::optional<std::uint64_t> whole_number(std::string_view word) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return value;
}

std::optional<double> decimal_number(std::string_view word) {
  double value = 0;
  const auto [end, error] =
      std::from_chars(word.data(), word.data() + word.size(), value, std::chars_format::fixed);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return value;
}

std::map<std::string, std::uint64_t, std::less<>> proc_fields(std::string_view text) {
  std::map<std::string, std::uint64_t, std::less<>> fields;
  for (const std::string_view line : whole_lines(text)) {
    auto words = words_of(line);
    const bool kilo = words.size() == 3 && words[2] == "kB";
    if (words.size() != 2 && !kilo) continue;
    if (words[0].ends_with(':')) words[0].remove_suffix(1);
    const auto value = whole_number(words[1]);
    const std::uint64_t unit = kilo ? 1024 : 1;
    if (value && *value <= std::numeric_limits<std::uint64_t>::max() / unit)
      fields[std::string(words[0])] = *value * unit;
  }
  return fields;
}

// The program's name stands in parentheses, and may hold some itself, spaces and line ends too: the
// numbers begin behind the last one.
std::optional<ProcessStat> process_stat(std::string_view text) {
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  text.remove_prefix(name_end + 1);
  if (text.ends_with('\n')) text.remove_suffix(1);
  const auto words = words_of(text);
  constexpr std::size_t first_field = 3;  // of words[0], as proc(5) counts
  const auto field = [&](std::size_t number) -> std::optional<std::uint64_t> {
    // The last word of a text that was cut may be half a number.
    if (number - first_field + 1 >= words.size()) return std::nullopt;
    return whole_number(words[number - first_field]);
  };
  ProcessStat stat;
  for (const auto& [number, into] :
       {std::pair{10UL, &stat.minor_faults}, std::pair{12UL, &stat.major_faults},
        std::pair{14UL, &stat.user_ticks}, std::pair{15UL, &stat.system_ticks},
        std::pair{20UL, &stat.threads}, std::pair{22UL, &stat.start_ticks},
        std::pair{23UL, &stat.virtual_bytes}, std::pair{24UL, &stat.resident_pages}}) {
    const auto value = field(number);
    if (!value) return std::nullopt;
    *into = *value;
  }
  return stat;
}

std::chrono::nanoseconds ticks(std::uint64_t count) {
  static const auto a_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  return std::chrono::nanoseconds(count * (1'000'000'000 / a_second));
}

}  // namespace tallymill
