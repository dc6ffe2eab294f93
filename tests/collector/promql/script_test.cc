// PromQL by scripts. Goal: each function, aggregation and operator gives what the documentation of
// Prometheus says. Method: data files in the format of Prometheus' own test scripts (load, clear,
// eval instant at, eval range from, eval_ordered, eval_fail with expected_fail_regexp), and each
// moment a second time as one step of a range, which must say the same. That they are right about
// Prometheus is checked against it: tests/e2e/promql_scripts.py.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "base/duration.h"
#include "collector/promql/evaluate.h"
#include "collector/promql/function_table.h"
#include "collector/promql/lexer.h"
#include "collector/promql/parser.h"
#include "collector/promql/print.h"
#include "collector/promql/series_notation.h"
#include "tests/collector/promql/memory_source.h"
#include "tests/collector/promql/words.h"

namespace tallymill::promql {
namespace {

using Lines = std::vector<std::string>;

std::string trimmed(std::string_view line) {
  const auto begin = line.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return std::string(line.substr(begin, line.find_last_not_of(" \t") + 1 - begin));
}

double number(const std::string& text) {
  if (text == "stale") return collector::stale_marker;
  const bool minus = text.starts_with('-');
  const auto value = number_of(minus || text.starts_with('+') ? text.substr(1) : text);
  EXPECT_TRUE(value) << text;
  return minus ? -*value : *value;
}

Labels labels_of(const std::string& text) {
  const auto labels = parse_labels(text);
  EXPECT_TRUE(labels) << text;
  return labels.value_or(Labels());
}

// "metric{a="b"} 1 2" -> its labels and what follows.
std::pair<std::string, std::string> split_series(const std::string& line) {
  const auto brace = line.find('{');
  const auto blank = line.find_first_of(" \t");
  const std::size_t end = brace != std::string::npos && brace < blank
                              ? line.find('}') + 1
                              : std::min(blank, line.size());
  return {line.substr(0, end), trimmed(line.substr(end))};
}

class Script {
 public:
  // Counts what its evaluations use that have something to say.
  Script(const std::filesystem::path& file, WordCounts& used) : file_(file), used_(used) {}

  int run() {
    std::ifstream in(file_);
    EXPECT_TRUE(in) << file_;
    Lines block;
    for (std::string line; std::getline(in, line);) {
      ++line_;
      const std::string text = trimmed(line);
      if (text.starts_with('#')) continue;
      const bool deeper = line.starts_with(' ') || line.starts_with('\t');
      if (!text.empty() && !deeper && !block.empty()) command(std::exchange(block, {}));
      if (!text.empty()) block.push_back(text);
    }
    if (!block.empty()) command(block);
    return evaluations_;
  }

 private:
  void command(const Lines& block) {
    const std::string& head = block[0];
    if (head == "clear") return source_.clear();
    if (head.starts_with("load ")) return load(block);
    ++evaluations_;
    std::istringstream words(head);
    std::string how, kind;
    words >> how >> kind;
    const Lines rest{block.begin() + 1, block.end()};
    if (kind == "range") return range(how, words, rest);
    const auto at = time_behind(words, "at");
    const std::string query = query_of(words);
    if (how == "eval_fail") return fails(query, {at, 1, 1}, rest);
    gives(query, at, rest, how == "eval_ordered");
  }
  // "WORD 5m": -1m is before 1970.
  std::int64_t time_behind(std::istream& words, std::string_view word) const {
    std::string said, time;
    words >> said >> time;
    EXPECT_EQ(said, word) << place();
    const bool minus = time.starts_with('-');
    const auto ms = time == "0" ? 0 : duration_ms(minus ? time.substr(1) : time);
    EXPECT_TRUE(ms) << place() << time;
    return (minus ? -1 : 1) * ms.value_or(0);
  }
  static std::string query_of(std::istream& words) {
    std::string query;
    std::getline(words, query);
    return trimmed(query);
  }

  void load(const Lines& block) {
    const auto step = duration_ms(trimmed(block[0].substr(5)));
    ASSERT_TRUE(step) << place();
    for (std::size_t i = 1; i < block.size(); ++i) {
      auto series = parse_series(block[i]);
      ASSERT_TRUE(series) << place() << series.error().message;
      NotedSamples samples(std::move(series->runs), *step);
      for (; samples.peek(); samples.pop())
        source_.add(series->labels, samples.peek()->t_ms, samples.peek()->value);
    }
  }

  Result<Value> asked(const std::string& query, const Grid& grid) const {
    auto node = parse(query);
    if (!node) return std::unexpected(std::move(node).error());
    if ((*node)->type == Type::matrix || (grid.count > 1 && (*node)->type == Type::string))
      return fail(Errc::bad_params, "invalid expression type");  // as the API says
    auto value = evaluate(**node, grid, source_, {});
    if (value && (value->type != Type::vector || !value->rows.empty())) used_.add(**node);
    return value;
  }
  void fails(const std::string& query, const Grid& grid, const Lines& wanted) {
    const auto value = asked(query, grid);
    ASSERT_FALSE(value) << place() << query;
    for (const std::string& line : wanted) {
      const std::string_view word = "expected_fail_regexp ";
      ASSERT_TRUE(line.starts_with(word)) << place();
      EXPECT_TRUE(std::regex_search(value.error().message, std::regex(line.substr(word.size()))))
          << place() << query << ": " << value.error().message;
    }
  }
  void gives(const std::string& query, std::int64_t at, const Lines& wanted, bool ordered) {
    const auto value = asked(query, {at, 1, 1});
    ASSERT_TRUE(value) << place() << query << ": " << value.error().message;
    compare(query, *value, 0, wanted, ordered);
    const auto steps = asked(query, {at - 120'000, 60'000, 3});
    // What a range cannot be asked, or says of another step.
    if (!steps || query.contains("start()") || query.contains("end()")) return;
    compare(query + " as a range", *steps, 2, wanted, false);
  }
  void range(const std::string& how, std::istream& words, const Lines& wanted) {
    Grid grid;
    grid.start_ms = time_behind(words, "from");
    const std::int64_t end = time_behind(words, "to");
    grid.step_ms = time_behind(words, "step");
    ASSERT_GT(grid.step_ms, 0) << place();
    grid.count = static_cast<std::size_t>((end - grid.start_ms) / grid.step_ms) + 1;
    grid.asked_end_ms = end;
    const std::string query = query_of(words);
    if (how == "eval_fail") return fails(query, grid, wanted);
    const auto value = asked(query, grid);
    ASSERT_TRUE(value) << place() << query << ": " << value.error().message;
    for (std::size_t step = 0; step < grid.count; ++step)
      compare(fmt::format("{} at {}", query, grid.at(step)), *value, step,
              column_of(wanted, step, value->type == Type::scalar), false);
  }
  // "m 1 _ 3" at step 2: "m 3"; of a scalar the number alone.
  static Lines column_of(const Lines& rows, std::size_t step, bool scalar) {
    Lines column;
    for (const std::string& row : rows) {
      const auto [series, values] = split_series(row);
      std::istringstream words(values);
      std::string word;
      for (std::size_t i = 0; i <= step; ++i) words >> word;
      EXPECT_TRUE(words) << row << " has too few";
      if (word != "_") column.push_back(scalar ? word : fmt::format("{} {}", series, word));
    }
    return column;
  }
  void compare(const std::string& query, const Value& value, std::size_t step, const Lines& wanted,
               bool ordered) {
    if (value.type == Type::string) {
      ASSERT_EQ(wanted.size(), 1U) << place() << query;
      EXPECT_EQ(value.text, *unquoted(wanted[0])) << place() << query;
      return;
    }
    if (value.type == Type::scalar) {
      ASSERT_EQ(wanted.size(), 1U) << place() << query;
      return same(query, value.scalars.at(step), number(wanted[0]));
    }
    std::vector<std::pair<std::string, double>> there;
    for (const Row& row : value.rows)
      if (!is_absent(row.values.at(step))) there.emplace_back(row.labels.text(), row.values[step]);
    std::string said;
    for (const auto& [labels, number] : there) said += fmt::format("  {} {}\n", labels, number);
    EXPECT_EQ(there.size(), wanted.size()) << place() << query << "\n" << said;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const auto [series, text] = split_series(wanted[i]);
      const std::string labels = labels_of(series).text();
      const auto at =
          ordered && i < there.size()
              ? there.begin() + static_cast<std::ptrdiff_t>(i)
              : std::ranges::find(there, labels, &std::pair<std::string, double>::first);
      if (at == there.end() || at->first != labels) {
        ADD_FAILURE() << place() << query << ": no " << labels << "\n" << said;
        continue;
      }
      same(query, at->second, number(text));
    }
  }
  void same(const std::string& query, double is, double wanted) const {
    if (std::isnan(wanted)) {
      EXPECT_TRUE(std::isnan(is)) << place() << query << " is " << is;
    } else if (std::isinf(wanted) || wanted == 0) {
      EXPECT_EQ(is, wanted) << place() << query;
    } else {
      EXPECT_LE(std::abs(is - wanted), 1e-9 * std::abs(wanted))
          << place() << query << " is " << is << ", not " << wanted;
    }
  }
  [[nodiscard]] std::string place() const {
    return fmt::format("{} before line {}: ", file_.filename().string(), line_ + 1);
  }

  std::filesystem::path file_;
  WordCounts& used_;
  int line_ = 0;
  int evaluations_ = 0;
  collector::MemorySource source_;
};

TEST(PromqlScripts, GiveWhatTheySayAndUseAllThereIs) {
  WordCounts used;
  int evaluations = 0;
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(TALLYMILL_SOURCE_DIR
                                                               "/tests/collector/promql/scripts")) {
    ++files;
    evaluations += Script(entry.path(), used).run();
  }
  std::cout << evaluations << " evaluations in " << files << " files\n";
  EXPECT_GE(evaluations, 400);
  for (const std::string& word : WordCounts::all())
    EXPECT_GE(used.of(word), 1) << word << " has nothing to say in any of them";
}

}  // namespace
}  // namespace tallymill::promql
