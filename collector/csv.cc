#include "collector/csv.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <iterator>
#include <set>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "collector/answers.h"
#include "collector/promql/print.h"

namespace tallymill::collector {
namespace {

constexpr std::string_view last_columns = "timestamp,value\r\n";

class Table {
 public:
  // A column for each label that any of them has. too_big: its header alone would be.
  template <class All>
  [[nodiscard]] static Result<Table> of(const All& all) {
    std::set<std::string_view> names;
    std::size_t size = last_columns.size();
    for (const auto& one : all)
      for (const Label& label : one.labels) {
        if (names.insert(label.name).second) size += label.name.size() + 1;
        if (size > static_cast<std::size_t>(limits::answer_bytes.raw())) return too_long();
      }
    return Table(std::move(names));
  }
  // The samples that follow are of this series.
  void series(const Labels& labels) {
    front_.clear();
    for (const std::string_view name : names_) {
      append_csv_cell(front_, labels.get(name));
      front_ += ',';
    }
  }
  // False: it is full.
  bool sample(std::int64_t t_ms, std::string_view value) {
    text_ += front_;
    append_rfc3339(text_, t_ms);
    text_.append(",").append(value).append("\r\n");
    return has_room(text_);
  }
  Result<std::string> take() { return bounded(std::move(text_)); }

 private:
  explicit Table(std::set<std::string_view> names) : names_(std::move(names)) {
    for (const std::string_view name : names_) text_.append(name).append(1, ',');
    text_ += last_columns;
  }

  std::set<std::string_view> names_;
  std::string front_;
  std::string text_;
};

}  // namespace

void append_csv_cell(std::string& to, std::string_view text) {
  constexpr std::string_view formulas = "=+-@\t\r";
  const bool formula = !text.empty() && formulas.contains(text.front());
  if (!formula && text.find_first_of(",\"\r\n") == std::string_view::npos) {
    to += text;
    return;
  }
  to += '"';
  if (formula) to += '\'';
  for (const char c : text) to.append(c == '"' ? 2 : 1, c);
  to += '"';
}

void append_rfc3339(std::string& to, std::int64_t t_ms) {
  using namespace std::chrono;
  constexpr std::int64_t farthest_ms = 253'402'300'800'000;  // the year 10000
  if (t_ms >= farthest_ms || t_ms <= -farthest_ms / 5) {
    fmt::format_to(std::back_inserter(to), "{}{}.{:03}", t_ms < 0 ? "-" : "", std::abs(t_ms / 1000),
                   std::abs(t_ms % 1000));
    return;
  }
  const sys_time<milliseconds> at{milliseconds(t_ms)};
  const auto day = floor<days>(at);
  const year_month_day date(day);
  const hh_mm_ss time(at - day);
  fmt::format_to(std::back_inserter(to), "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
                 static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                 static_cast<unsigned>(date.day()), time.hours().count(), time.minutes().count(),
                 time.seconds().count(), time.subseconds().count());
}

Result<std::string> csv_of(const promql::Value& value, const promql::Grid& grid) {
  using promql::Type;
  auto table = Table::of(value.rows);
  if (!table) return std::unexpected(std::move(table).error());
  if (value.type == Type::string) {
    std::string cell;
    append_csv_cell(cell, value.text);
    if (!table->sample(grid.start_ms, cell)) return table->take();
  } else if (value.type == Type::scalar) {
    for (std::size_t i = 0; i < grid.count; ++i)
      if (!table->sample(grid.at(i), promql::number_text(value.scalars[i]))) return table->take();
  }
  for (const promql::Row& row : value.rows) {
    table->series(row.labels);
    for (std::size_t i = 0; i < grid.count; ++i) {
      if (promql::is_absent(row.values[i])) continue;
      if (!table->sample(grid.at(i), promql::number_text(row.values[i]))) return table->take();
    }
  }
  return table->take();
}

Result<std::string> csv_of(std::span<const promql::RawSeries> raw) {
  auto table = Table::of(raw);
  if (!table) return std::unexpected(std::move(table).error());
  for (const promql::RawSeries& one : raw) {
    table->series(one.labels);
    for (std::size_t i = 0; i < one.samples.size(); ++i)
      if (!table->sample(one.samples.t_ms[i], promql::number_text(one.samples.value[i])))
        return table->take();
  }
  return table->take();
}

}  // namespace tallymill::collector
