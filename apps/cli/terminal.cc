#include "apps/cli/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <utility>

namespace tallymill::cli {
namespace {

constexpr int default_width = 100;

std::string_view code_of(Colour colour) {
  switch (colour) {
    case Colour::plain:
      return "";
    case Colour::dim:
      return "\x1b[2m";
    case Colour::bold:
      return "\x1b[1m";
    case Colour::red:
      return "\x1b[31m";
    case Colour::green:
      return "\x1b[32m";
    case Colour::yellow:
      return "\x1b[33m";
    case Colour::blue:
      return "\x1b[34m";
    case Colour::cyan:
      return "\x1b[36m";
  }
  return "";
}

std::string padded(const std::string& text, std::size_t width, bool right) {
  const std::size_t has = columns_of(text);
  const std::string space(width > has ? width - has : 0, ' ');
  return right ? space + text : text + space;
}

// Of the three bytes of a character that ends a line or turns the direction of writing, its number;
// 0: it is none. They are U+200E, U+200F, U+2028 to U+202E and U+2066 to U+2069.
unsigned turning(std::string_view text) {
  if (text.size() < 3 || text[0] != '\xe2' || (text[1] != '\x80' && text[1] != '\x81')) return 0;
  const unsigned number = 0x2000 + ((static_cast<unsigned char>(text[1]) & 0x3fU) << 6) +
                          (static_cast<unsigned char>(text[2]) & 0x3fU);
  const bool turns = number == 0x200e || number == 0x200f ||
                     (number >= 0x2028 && number <= 0x202e) ||
                     (number >= 0x2066 && number <= 0x2069);
  return turns ? number : 0;
}

}  // namespace

bool is_terminal(int fd) { return ::isatty(fd) == 1; }

bool colours_on(int fd) {
  const char* no = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return is_terminal(fd) && (no == nullptr || *no == '\0') &&
         (term == nullptr || std::string_view(term) != "dumb");
}

std::string coloured(std::string_view text, Colour colour, int fd) {
  if (colour == Colour::plain || !colours_on(fd)) return std::string(text);
  return fmt::format("{}{}\x1b[0m", code_of(colour), text);
}

int terminal_width(int fd) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 20) return size.ws_col;
  return default_width;
}

bool speaks_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    std::string lower(value);
    std::ranges::transform(lower, lower.begin(),
                           [](char c) { return static_cast<char>(std::tolower(c)); });
    return lower.find("utf-8") != std::string::npos || lower.find("utf8") != std::string::npos;
  }
  return true;
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    if (byte < 0x20 || byte == 0x7f)
      out += fmt::format("\\x{:02x}", byte);
    else if (byte == 0xc2 && next >= 0x80 && next < 0xa0)  // U+0080 to U+009F: controls too
      out += fmt::format("\\x{:02x}", next), ++i;
    else if (const unsigned number = turning(text.substr(i)); number != 0)
      out += fmt::format("\\u{:04x}", number), i += 2;
    else
      out += text[i];
  }
  return out;
}

std::string printable_lines(std::string_view text, std::size_t indent) {
  std::string out;
  while (true) {
    const std::size_t end = text.find('\n');
    out += printable(text.substr(0, end));
    if (end == std::string_view::npos) return out;
    out += '\n' + std::string(indent, ' ');
    text.remove_prefix(end + 1);
  }
}

std::size_t columns_of(std::string_view text) {
  std::size_t columns = 0;
  bool escape = false;
  for (const char c : text) {
    if (c == '\x1b') escape = true;
    if (!escape && (static_cast<unsigned char>(c) & 0xc0) != 0x80) ++columns;
    if (escape && c == 'm') escape = false;
  }
  return columns;
}

std::string human(Duration length) {
  const double ns = static_cast<double>(length.count());
  const std::string micro = speaks_utf8() ? "µs" : "us";
  if (std::abs(ns) < 1e3) return fmt::format("{} ns", length.count());
  if (std::abs(ns) < 1e5) return fmt::format("{:.1f} {}", ns / 1e3, micro);
  if (std::abs(ns) < 1e6) return fmt::format("{:.0f} {}", ns / 1e3, micro);
  if (std::abs(ns) < 1e7) return fmt::format("{:.2f} ms", ns / 1e6);
  if (std::abs(ns) < 1e9) return fmt::format("{:.1f} ms", ns / 1e6);
  if (std::abs(ns) < 6e10) return fmt::format("{:.2f} s", ns / 1e9);
  const auto seconds = length.count() / 1'000'000'000;
  if (seconds < 3600) return fmt::format("{} min {:02} s", seconds / 60, seconds % 60);
  if (seconds < 48L * 3600) return fmt::format("{} h {:02} min", seconds / 3600, seconds / 60 % 60);
  return fmt::format("{} d {} h", seconds / 86400, seconds / 3600 % 24);
}

std::string human(Bytes size) {
  constexpr std::array units{"KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(size.raw());
  if (std::abs(value) < 1024) return fmt::format("{} B", size.raw());
  std::size_t unit = 0;
  value /= 1024;
  while (std::abs(value) >= 1024 && unit + 1 < units.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", value, value < 10 ? 1 : 0, units[unit]);
}

std::string human_count(std::int64_t n) {
  std::string digits = std::to_string(n);
  const std::size_t first = n < 0 ? 1 : 0;
  for (std::size_t at = digits.size(); at > first + 3;) digits.insert(at -= 3, ",");
  return digits;
}

std::string human_time(std::int64_t unix_ns) {
  const auto seconds = static_cast<std::time_t>(unix_ns / 1'000'000'000);
  std::tm parts{};
  localtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
  return text;
}

Colour colour_of_state(std::string_view state) {
  if (state == "done") return Colour::green;
  if (state == "failed" || state == "expired") return Colour::red;
  if (state == "cancelled" || state == "cancelling") return Colour::dim;
  if (state == "waiting" || state == "live") return Colour::yellow;
  return Colour::cyan;
}

std::string Table::text() const {
  std::vector<std::size_t> widths;
  widths.reserve(columns_.size());
  for (const Column& column : columns_) widths.push_back(columns_of(column.title));
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], columns_of(row[i]));
  std::string out;
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string text;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (i > 0) text += "  ";
      // Nothing stands behind the last cell: no blanks at the line's end.
      const bool last = i + 1 == cells.size() && !columns_[i].right;
      text += last ? cells[i] : padded(cells[i], widths[i], columns_[i].right);
    }
    out += text.substr(0, text.find_last_not_of(' ') + 1);
    out += '\n';
  };
  std::vector<std::string> titles;
  titles.reserve(columns_.size());
  for (const Column& column : columns_) titles.push_back(coloured(column.title, Colour::dim));
  line(titles);
  for (const auto& row : rows_) line(row);
  return out;
}

std::string bar(int width, double begin, double end) {
  const bool utf8 = speaks_utf8();
  const double eighths = width * 8.0;
  auto from = static_cast<int>(std::floor(std::clamp(begin, 0.0, 1.0) * eighths));
  auto to = static_cast<int>(std::ceil(std::clamp(end, 0.0, 1.0) * eighths));
  from = std::min(from, width * 8 - 1);
  to = std::max(to, from + 1);
  std::string out;
  if (!utf8) {
    const int first = from / 8;
    const int last = std::max(first + 1, (to + 7) / 8);
    out.append(static_cast<std::size_t>(first), ' ');
    out.append(static_cast<std::size_t>(last - first), '#');
    return out;
  }
  // Blocks grow from the left in eighths; an edge inside its first cell shows as a thin mark.
  constexpr std::array left{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int cell = from / 8;
  out.append(static_cast<std::size_t>(cell), ' ');
  if (to <= (cell + 1) * 8) {
    const int size = std::clamp(to - from, 1, 7);
    // A short piece at the end of its cell is drawn from the right.
    out += to - from >= 8 ? "█" : (from % 8 > 4 ? "▕" : left[static_cast<std::size_t>(size)]);
    return out;
  }
  out += from % 8 == 0 ? "█" : from % 8 > 4 ? "▐" : "█";
  for (int i = cell + 1; i < to / 8; ++i) out += "█";
  if (to % 8 != 0) out += left[static_cast<std::size_t>(to % 8)];
  return out;
}

ProgressLine::ProgressLine() : on_(is_terminal(2)) {}

void ProgressLine::show(std::string_view text, double fraction) {
  if (!on_) return;
  const int width = terminal_width(2);
  std::string line = printable(text);
  const int bar_width = std::clamp(width - static_cast<int>(columns_of(line)) - 12, 0, 30);
  if (fraction >= 0 && bar_width >= 8) {
    const bool utf8 = speaks_utf8();
    const std::string filled = fraction > 0 ? bar(bar_width, 0, fraction) : std::string();
    std::string rest;
    for (auto i = columns_of(filled); i < static_cast<std::size_t>(bar_width); ++i)
      rest += utf8 ? "·" : ".";
    line += fmt::format("  {}{} {:3.0f} %", coloured(filled, Colour::cyan, 2),
                        coloured(rest, Colour::dim, 2), std::min(fraction, 1.0) * 100);
  }
  if (line == last_) return;
  last_ = line;
  drawn_ = true;
  std::fprintf(stderr, "\r\x1b[K%s", line.c_str());
  std::fflush(stderr);
}

void ProgressLine::clear() {
  if (!std::exchange(drawn_, false)) return;
  last_.clear();
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
}

}  // namespace tallymill::cli
