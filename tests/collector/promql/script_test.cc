// PromQL by scripts. Goal: each function, aggregation and operator gives what the documentation of
// Prometheus says. Method: data files in the format of Prometheus' own test scripts (load, clear,
// eval instant at, eval_ordered, eval_fail), and each evaluation a second time as one step of a
// range, which must say the same.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "collector/promql/evaluate.h"
#include "collector/promql/lexer.h"
#include "collector/promql/parser.h"
#include "collector/promql/print.h"
#include "tests/collector/promql/memory_source.h"

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
  if (text == "{}") return {};
  const auto matchers = parse_selector(text);
  EXPECT_TRUE(matchers) << text;
  Labels::Pairs pairs;
  if (matchers)
    for (const Matcher& matcher : *matchers) pairs.emplace_back(matcher.name(), matcher.value());
  return Labels::of(std::move(pairs));
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
  explicit Script(const std::filesystem::path& file) : file_(file) {}

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
    const auto at = head.find(" instant at ");
    ASSERT_NE(at, std::string::npos) << place() << head;
    const std::string rest = head.substr(at + 12);
    const auto blank = rest.find(' ');
    const auto when = duration_ms(rest.substr(0, blank));
    ASSERT_TRUE(when) << place() << head;
    const std::string query = trimmed(rest.substr(blank));
    ++evaluations_;
    if (head.starts_with("eval_fail")) return fails(query, *when);
    gives(query, *when, {block.begin() + 1, block.end()}, head.starts_with("eval_ordered"));
  }

  void load(const Lines& block) {
    const auto step = duration_ms(trimmed(block[0].substr(5)));
    ASSERT_TRUE(step) << place();
    for (std::size_t i = 1; i < block.size(); ++i) {
      const auto [series, values] = split_series(block[i]);
      const Labels labels = labels_of(series);
      std::istringstream words(values);
      std::int64_t t = 0;
      for (std::string word; words >> word;) t = add(labels, word, t, *step);
    }
  }
  // "_" and "_x3", "5", "5x3", "5+2x3", "5-2x3", "stale".
  std::int64_t add(const Labels& labels, const std::string& word, std::int64_t t,
                   std::int64_t step) {
    const auto times = word.find('x');
    const bool expands = times != std::string::npos;
    const int count = expands ? std::stoi(word.substr(times + 1)) : 0;
    const std::string base = expands ? word.substr(0, times) : word;
    if (base == "_") return t + step * std::max(1, count);
    const auto sign = base.find_first_of("+-", 1);
    const bool counts = expands && sign != std::string::npos && base[sign - 1] != 'e';
    const double first = number(counts ? base.substr(0, sign) : base);
    const double by = counts ? number(base.substr(sign)) : 0;
    for (int i = 0; i <= count; ++i, t += step)
      source_.add(labels, t, i == 0 ? first : first + by * i);
    return t;
  }

  Result<Value> asked(const std::string& query, const Grid& grid) const {
    auto node = parse(query);
    if (!node) return std::unexpected(std::move(node).error());
    return evaluate(**node, grid, source_, {});
  }
  void fails(const std::string& query, std::int64_t at) {
    EXPECT_FALSE(asked(query, {at, 1, 1})) << place() << query;
  }
  void gives(const std::string& query, std::int64_t at, const Lines& wanted, bool ordered) {
    const auto value = asked(query, {at, 1, 1});
    ASSERT_TRUE(value) << place() << query << ": " << value.error().message;
    compare(query, *value, 0, wanted, ordered);
    const auto range = asked(query, {at - 120'000, 60'000, 3});
    // What a range cannot be asked, or says of another step.
    if (!range || query.contains("start()") || query.contains("end()")) return;
    compare(query + " as a range", *range, 2, wanted, false);
  }
  void compare(const std::string& query, const Value& value, std::size_t step, const Lines& wanted,
               bool ordered) {
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
  int line_ = 0;
  int evaluations_ = 0;
  collector::MemorySource source_;
};

TEST(PromqlScripts, GiveWhatTheySay) {
  int evaluations = 0;
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(TALLYMILL_SOURCE_DIR
                                                               "/tests/collector/promql/scripts")) {
    ++files;
    evaluations += Script(entry.path()).run();
  }
  std::cout << evaluations << " evaluations in " << files << " files\n";
  EXPECT_GT(evaluations, 100);
}

}  // namespace
}  // namespace tallymill::promql
