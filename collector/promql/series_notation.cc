#include "collector/promql/series_notation.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <string>
#include <utility>

#include "collector/promql/lexer.h"
#include "collector/promql/parser.h"

namespace tallymill::promql {
namespace {

using collector::Labels;
using Kind = Token::Kind;

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) {
  return is_digit(c) || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text), lexer_(text) {}

  // name{label="value", ...}; either part may be missing. `apart`: there may be blanks between.
  Result<Labels> labels(bool apart) {
    if (auto gone = advance(); !gone) return std::unexpected(std::move(gone).error());
    std::string name;
    if (token_.kind == Kind::word) {
      if (!may_be_metric(token_.text)) return unexpected("series");
      name = token_.text;
      at_ = token_.at + token_.text.size();
      if (!apart && peek() != '{') return finished(std::move(name));
      if (auto gone = advance(); !gone) return std::unexpected(std::move(gone).error());
    }
    if (!token_.is("{")) return finished(std::move(name));
    if (auto read = braces(); !read) return std::unexpected(std::move(read).error());
    return finished(std::move(name));
  }

  Status nothing_more() {
    if (token_.is("}"))
      if (auto gone = advance(); !gone) return gone;
    if (token_.kind != Kind::end) return unexpected("labels");
    return {};
  }

  Result<std::vector<NotedRun>> values() {
    std::vector<NotedRun> runs;
    for (;;) {
      const bool apart = is_blank(peek());
      while (is_blank(peek())) ++at_;
      if (at_ >= text_.size()) return runs;
      if (!apart) return wrong(fmt::format("unexpected '{}' in series values", peek()));
      auto run = peek() == '_' ? omitted() : value();
      if (!run) return std::unexpected(std::move(run).error());
      runs.push_back(*run);
    }
  }

 private:
  Status advance() {
    auto next = lexer_.next();
    if (!next) return std::unexpected(std::move(next).error());
    token_ = *next;
    return {};
  }
  [[nodiscard]] std::unexpected<Error> unexpected(std::string_view where) const {
    if (token_.kind == Kind::end)
      return std::unexpected(
          parse_error(text_, token_.at, fmt::format("unexpected end of input in {}", where)));
    return std::unexpected(
        parse_error(text_, token_.at, fmt::format("unexpected '{}' in {}", token_.text, where)));
  }
  [[nodiscard]] std::unexpected<Error> wrong(std::string_view what) const {
    return std::unexpected(parse_error(text_, at_, what));
  }

  // From "{" to "}", which is the token then.
  Status braces() {
    if (auto gone = advance(); !gone) return gone;
    while (!token_.is("}")) {
      if (token_.kind != Kind::word) return unexpected("label set, expected a name or '}'");
      std::string name(token_.text);
      const std::size_t begin = token_.at;
      if (auto gone = advance(); !gone) return gone;
      if (!token_.is("=")) return unexpected("label set, expected '='");
      if (auto gone = advance(); !gone) return gone;
      if (token_.kind != Kind::text) return unexpected("label set, expected a string");
      auto value = unquoted(token_.text);
      if (!value) return std::unexpected(parse_error(text_, token_.at, value.error().message));
      for (const auto& [other, _] : pairs_)
        if (other == name)
          return std::unexpected(
              parse_error(text_, begin, fmt::format("the label '{}' is there twice", name)));
      pairs_.emplace_back(std::move(name), std::move(*value));
      if (auto gone = advance(); !gone) return gone;
      if (token_.is("}")) break;
      if (!token_.is(",")) return unexpected("label set, expected ',' or '}'");
      if (auto gone = advance(); !gone) return gone;
    }
    at_ = token_.at + 1;
    return {};
  }
  // The name counts before the label __name__.
  Labels finished(std::string name) {
    if (!name.empty()) pairs_.emplace_back(collector::metric_name, std::move(name));
    return Labels::of(std::move(pairs_));
  }

  [[nodiscard]] char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }

  Result<NotedRun> omitted() {
    ++at_;
    NotedRun run{.omitted = true};
    if (peek() != 'x') return run;
    auto times = repeated();
    if (!times) return std::unexpected(std::move(times).error());
    run.count = *times;
    return run;
  }

  Result<NotedRun> value() {
    auto first = signed_number(true);
    if (!first) return std::unexpected(std::move(first).error());
    NotedRun run{.first = *first};
    const bool changes = peek() == '+' || peek() == '-';
    if (changes) {
      auto by = signed_number(false);
      if (!by) return std::unexpected(std::move(by).error());
      run.by = *by;
      if (peek() != 'x') return wrong("expected 'x' and how many times in series values");
    }
    if (peek() != 'x') return run;
    auto times = repeated();
    if (!times) return std::unexpected(std::move(times).error());
    run.count = *times == std::numeric_limits<std::uint64_t>::max() ? *times : *times + 1;
    return run;
  }

  // "x3": 3.
  Result<std::uint64_t> repeated() {
    ++at_;
    const std::size_t begin = at_;
    auto digits = digits_here();
    if (!digits) return std::unexpected(std::move(digits).error());
    std::uint64_t times = 0;
    const char* const end = digits->data() + digits->size();
    const auto read = std::from_chars(digits->data(), end, times);
    if (digits->empty() || read.ptr != end)
      return std::unexpected(parse_error(text_, begin, "invalid repetition in series values"));
    // More than there are: as many as there are.
    if (read.ec != std::errc{}) times = std::numeric_limits<std::uint64_t>::max();
    return times;
  }

  Result<double> signed_number(bool may_be_stale) {
    const bool minus = peek() == '-';
    const bool has_sign = minus || peek() == '+';
    if (has_sign) ++at_;
    const std::size_t begin = at_;
    if (is_word(peek()) && !is_digit(peek())) {
      while (is_word(peek()) || peek() == ':') ++at_;
      const std::string_view word = text_.substr(begin, at_ - begin);
      if (word == "stale" && may_be_stale && !has_sign) return collector::stale_marker;
      const auto value = may_be_metric(word) ? fail(Errc::bad_params, "") : number_of(word);
      if (value) return minus ? -*value : *value;
      return std::unexpected(parse_error(
          text_, begin,
          fmt::format("unexpected identifier \"{}\" in series values, expected number or \"stale\"",
                      word)));
    }
    auto digits = digits_here();
    if (!digits) return std::unexpected(std::move(digits).error());
    if (digits->empty()) return wrong("expected a number in series values");
    const auto value = number_of(*digits);
    if (!value) return std::unexpected(parse_error(text_, begin, value.error().message));
    return minus ? -*value : *value;
  }

  // A number without a sign as it stands here; no hexadecimal one, for "0x3" is a zero four times.
  Result<std::string_view> digits_here() {
    const std::size_t begin = at_;
    if (!is_digit(peek()) && !(peek() == '.' && is_digit(peek(1)))) return std::string_view();
    while (is_digit(peek())) ++at_;
    if (peek() == '.') ++at_;
    while (is_digit(peek())) ++at_;
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      while (is_digit(peek())) ++at_;
    }
    const std::string_view number = text_.substr(begin, at_ - begin);
    if (is_word(peek()) && peek() != 'x')
      return std::unexpected(
          parse_error(text_, begin, fmt::format("bad number syntax: \"{}\"", number)));
    return number;
  }

  std::string_view text_;
  Lexer lexer_;
  Token token_;
  std::size_t at_ = 0;  // behind what was read
  Labels::Pairs pairs_;
};

}  // namespace

Result<NotedSeries> parse_series(std::string_view line) {
  Reader reader(line);
  auto labels = reader.labels(false);
  if (!labels) return std::unexpected(std::move(labels).error());
  auto runs = reader.values();
  if (!runs) return std::unexpected(std::move(runs).error());
  return NotedSeries{std::move(*labels), std::move(*runs)};
}

Result<Labels> parse_labels(std::string_view text) {
  Reader reader(text);
  auto labels = reader.labels(true);
  if (!labels) return labels;
  if (auto end = reader.nothing_more(); !end) return std::unexpected(std::move(end).error());
  return labels;
}

NotedSamples::NotedSamples(std::vector<NotedRun> runs, std::int64_t step_ms)
    : runs_(std::move(runs)), step_ms_(step_ms) {
  settle();
}

void NotedSamples::pop() {
  if (step_ms_ == 0) {
    run_ = runs_.size();
  } else {
    ++taken_;
    if (!go_on(1)) run_ = runs_.size();
  }
  settle();
}

void NotedSamples::settle() {
  next_.reset();
  while (run_ < runs_.size()) {
    const NotedRun& run = runs_[run_];
    if (!run.omitted && taken_ < run.count) {
      // Added up, as Prometheus does: a product would differ in its last bit.
      value_ = taken_ == 0 ? run.first : value_ + run.by;
      next_ = NotedSample{t_ms_, value_};
      return;
    }
    if (run.omitted && !go_on(run.count)) break;
    ++run_;
    taken_ = 0;
  }
  run_ = runs_.size();
}

bool NotedSamples::go_on(std::uint64_t steps) {
  if (step_ms_ == 0) return true;
  const std::int64_t left = std::numeric_limits<std::int64_t>::max() - t_ms_;
  if (steps > static_cast<std::uint64_t>(left / step_ms_)) return false;
  t_ms_ += static_cast<std::int64_t>(steps) * step_ms_;
  return true;
}

}  // namespace tallymill::promql
