// Terminal: how the command line looks: numbers for people, aligned tables, colours, progress.
//
// Data goes to stdout, progress to stderr. Colours and bars appear only on a terminal, never with
// NO_COLOR, so that what is piped stays plain. Text from outside is printed with its control
// characters escaped: a file name or an error message must not drive the terminal.
//
// Threads: one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/units.h"

namespace tallymill::cli {

enum class Colour : std::uint8_t { plain, dim, bold, red, green, yellow, blue, cyan };

// Which stream is coloured is decided by where it goes.
[[nodiscard]] bool colours_on(int fd);
[[nodiscard]] std::string coloured(std::string_view text, Colour colour, int fd = 1);
[[nodiscard]] int terminal_width(int fd);  // 100 where it is no terminal
[[nodiscard]] bool is_terminal(int fd);
[[nodiscard]] bool speaks_utf8();

// Control characters as \x1b, and those that turn the direction of writing as \u202e: what is
// printed stands where it belongs.
[[nodiscard]] std::string printable(std::string_view text);
// Of several lines: each printable, all but the first indented by so many columns.
[[nodiscard]] std::string printable_lines(std::string_view text, std::size_t indent = 2);
[[nodiscard]] std::size_t columns_of(std::string_view text);  // code points; escapes do not count

[[nodiscard]] std::string human(Duration length);  // "18 µs", "3.42 ms", "1.25 s", "2 h 05 min"
[[nodiscard]] std::string human(Bytes size);       // "512 B", "1.4 MiB"
[[nodiscard]] std::string human_count(std::int64_t n);       // 1,234,567
[[nodiscard]] std::string human_time(std::int64_t unix_ns);  // local, "2026-11-21 07:15:02"
[[nodiscard]] Colour colour_of_state(std::string_view state);

// Columns as wide as what stands in them; numbers to the right.
class Table {
 public:
  struct Column {
    std::string title;
    bool right = false;
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  [[nodiscard]] std::string text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// One line on stderr that is drawn over; nothing where stderr is no terminal.
class ProgressLine {
 public:
  ProgressLine();
  ~ProgressLine() { clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // `fraction` below 0: only the text.
  void show(std::string_view text, double fraction);
  void clear();
  [[nodiscard]] bool on() const { return on_; }

 private:
  bool on_;
  bool drawn_ = false;
  std::string last_;
};

// A bar of `width` cells that begins and ends at these fractions of it; at least one mark.
[[nodiscard]] std::string bar(int width, double begin, double end);

}  // namespace tallymill::cli
