// 1. The text is cut into lines; each is read by what it begins with.
// 2. A reader of a line holds the rest of it and takes from its front. The two formats differ in
//    what may stand between the parts, so that blanks() is where most of that is decided.
// 3. Values with escapes are written into one buffer that was made as long as the line before, for
//    the labels are views into it.
#include "collector/exposition.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "base/text.h"
#include "base/utf8.h"
#include "collector/labels_check.h"
#include "collector/number.h"

namespace tallymill::collector {
namespace {

constexpr std::size_t quoted_bytes = 40;  // of a line in an error

bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

class Reader {
 public:
  Reader(std::string_view rest, ExpositionFormat format, ExpositionSink& sink)
      : rest_(rest), strict_(format == ExpositionFormat::open_metrics), sink_(sink) {}

  Result<ExpositionCounts> read();

 private:
  Status line();
  Status comment();
  Status meta(std::string_view word);
  Status type(Metadata& said);
  Status series();
  Status labels(std::vector<Label>& into, std::string_view what);
  Status label(std::vector<Label>& into);
  Status value(double& into);
  Status timestamp(std::optional<std::int64_t>& into);
  Status seconds(std::optional<std::int64_t>& into);
  Status exemplar(ExpositionSample& sample);
  Result<std::string_view> unescaped(std::string_view raw, bool quotes);

  // What may stand between two parts of a line.
  void blanks() {
    while (!strict_ && !line_.empty() && is_blank(line_.front())) line_.remove_prefix(1);
  }
  bool take(std::string_view text) {
    if (!line_.starts_with(text)) return false;
    line_.remove_prefix(text.size());
    return true;
  }
  std::string_view take(std::size_t bytes) {
    const std::string_view taken = line_.substr(0, bytes);
    line_.remove_prefix(taken.size());
    return taken;
  }
  // Up to the next blank.
  std::string_view word() {
    return take(std::min(line_.find_first_of(strict_ ? " " : " \t"), line_.size()));
  }

  [[nodiscard]] std::unexpected<Error> wrong(std::string_view what) const {
    return fail(Errc::bad_params, fmt::format("line {}: {}", number_, what));
  }
  [[nodiscard]] std::unexpected<Error> expected(std::string_view what) const {
    if (line_.empty()) return wrong(fmt::format("expected {}, not the end of the line", what));
    std::string there(line_.substr(0, quoted_bytes));
    clean_text(there, quoted_bytes);
    for (char& c : there) c = static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    return wrong(fmt::format("expected {}, not '{}'", what, there));
  }

  std::string_view rest_;
  bool strict_;
  ExpositionSink& sink_;
  std::size_t number_ = 0;
  std::string_view line_;  // what is not read of it
  bool ended_ = false;     // by "# EOF"
  std::string unescaped_;
  std::vector<Label> labels_;
  std::vector<Label> exemplar_;
  ExpositionCounts counts_;
};

Result<ExpositionCounts> Reader::read() {
  while (!rest_.empty()) {
    ++number_;
    if (ended_) return wrong("there is more behind # EOF");
    const std::size_t break_at = rest_.substr(0, limits::exposition_line_bytes + 1).find('\n');
    line_ = rest_.substr(0, break_at);
    if (line_.size() > limits::exposition_line_bytes)
      return fail(Errc::too_big, fmt::format("line {}: longer than {} bytes", number_,
                                             limits::exposition_line_bytes));
    rest_.remove_prefix(std::min(line_.size() + 1, rest_.size()));
    unescaped_.clear();
    unescaped_.reserve(line_.size());
    if (auto read = line(); !read) return std::unexpected(std::move(read).error());
  }
  ++number_;
  if (strict_ && !ended_) return wrong("the text ends without # EOF");
  return counts_;
}

Status Reader::line() {
  blanks();
  if (take("#")) return comment();
  if (!line_.empty()) return series();
  if (strict_) return wrong("an empty line");
  return {};
}

Status Reader::comment() {
  if (!strict_) {
    const std::size_t before = line_.size();
    blanks();
    if (line_.size() == before) return {};
  } else if (!take(" ")) {
    return expected("a blank behind #");
  } else if (line_ == "EOF") {
    ended_ = true;
    return {};
  }
  for (const std::string_view keyword : {"HELP", "TYPE", "UNIT"}) {
    if (!line_.starts_with(keyword) || (!strict_ && keyword == "UNIT")) continue;
    const std::string_view behind = line_.substr(keyword.size());
    if (behind.empty() || (strict_ ? behind.front() != ' ' : !is_blank(behind.front()))) continue;
    line_ = behind.substr(1);
    return meta(keyword);
  }
  if (strict_) return expected("HELP, TYPE, UNIT or EOF");
  return {};
}

Status Reader::meta(std::string_view word) {
  blanks();
  const std::string_view name = take(metric_name_length(line_));
  if (!is_metric_name(name)) return expected("a metric's name");
  if (name.size() > limits::label_name_bytes) return wrong(text(LabelFault::long_name));
  if (!line_.empty() && !is_blank(line_.front())) return expected("a blank behind the name");
  if (strict_ && !take(" ")) return expected("a blank behind the name");
  if (!strict_) take(std::size_t{1});
  Metadata said{.name = name};
  if (word == "TYPE") {
    if (auto read = type(said); !read) return read;
  } else if (word == "UNIT") {
    const bool fits = line_.empty() || (name.size() > line_.size() && name.ends_with(line_) &&
                                        name[name.size() - line_.size() - 1] == '_');
    if (!fits) return expected("a unit that the metric's name ends with");
    said.unit = line_;
  } else {
    const auto help = unescaped(line_, strict_);
    if (!help || !is_utf8(*help)) return wrong("the help is not UTF-8");
    said.help = cut_utf8(*help, limits::metric_help_bytes);
  }
  return sink_.metadata(said);
}

Status Reader::type(Metadata& said) {
  using enum MetricType;
  const std::string_view named = strict_ ? line_ : trimmed(line_);
  if (!strict_ && named == "untyped") said.type = unknown;
  for (const MetricType type :
       {counter, gauge, histogram, summary, unknown, gauge_histogram, info, state_set}) {
    if (!strict_ &&
        (type == unknown || type == gauge_histogram || type == info || type == state_set))
      continue;
    if (named == name_of(type)) said.type = type;
  }
  if (!said.type) return expected("a type of metric");
  return {};
}

Status Reader::series() {
  ExpositionSample sample;
  const char* const begin = line_.data();
  const std::string_view name = take(metric_name_length(line_));
  if (!is_metric_name(name)) {
    line_ = std::string_view(begin, line_.size() + name.size());
    return expected("a metric's name");
  }
  sample.series = name;
  labels_.assign(1, {.name = metric_name, .value = name});
  blanks();
  if (take("{")) {
    if (auto read = labels(labels_, "a label's name or }"); !read) return read;
    sample.series = std::string_view(begin, static_cast<std::size_t>(line_.data() - begin));
  }
  if (const LabelFault fault = settle(labels_); fault != LabelFault::none)
    return wrong(text(fault));
  sample.labels = labels_;
  if (auto read = value(sample.value); !read) return read;
  if (strict_) {
    if (!line_.starts_with(" #"))
      if (auto read = seconds(sample.t_ms); !read) return read;
    if (!line_.empty())
      if (auto read = exemplar(sample); !read) return read;
  } else if (auto read = timestamp(sample.t_ms); !read) {
    return read;
  }
  if (!line_.empty()) return expected("the end of the line");
  ++counts_.samples;
  return sink_.sample(sample);
}

// Up to and with the closing brace.
Status Reader::labels(std::vector<Label>& into, std::string_view what) {
  blanks();
  bool first = true;
  while (!take("}")) {
    if (strict_ && !std::exchange(first, false) && !take(",")) return expected("a comma or }");
    if (into.size() > limits::series_labels) return wrong(text(LabelFault::too_many));
    if (line_.empty() || label_name_length(line_) == 0) return expected(what);
    if (auto read = label(into); !read) return read;
    blanks();
    if (!strict_ && take(",")) blanks();
  }
  return {};
}

Status Reader::label(std::vector<Label>& into) {
  const std::string_view name = take(label_name_length(line_));
  if (!is_label_name(name)) return wrong(text(LabelFault::bad_name));
  blanks();
  if (!take("=")) return expected("=");
  blanks();
  if (!take("\"")) return expected("a label's value in double quotes");
  std::size_t at = 0;
  bool escaped = false;
  for (; at < line_.size() && line_[at] != '"'; ++at) {
    if (line_[at] != '\\') continue;
    escaped = true;
    ++at;
  }
  if (at >= line_.size()) return wrong("a label's value without its closing quote");
  const std::string_view raw = take(at);
  take(std::size_t{1});
  if (!escaped) {
    into.push_back({.name = name, .value = raw});
    return {};
  }
  const auto value = unescaped(raw, true);
  into.push_back({.name = name, .value = *value});
  return {};
}

// Only \\, \n and, of a value in quotes, \" are escapes; any other backslash is itself.
Result<std::string_view> Reader::unescaped(std::string_view raw, bool quotes) {
  const std::size_t begin = unescaped_.size();
  for (std::size_t i = 0; i < raw.size(); ++i) {
    const char next = raw[i] == '\\' && i + 1 < raw.size() ? raw[i + 1] : '\0';
    if (next == '\\' || next == 'n' || (quotes && next == '"')) {
      unescaped_ += next == 'n' ? '\n' : next;
      ++i;
    } else {
      unescaped_ += raw[i];
    }
  }
  return std::string_view(unescaped_).substr(begin);
}

Status Reader::value(double& into) {
  if (strict_ && !take(" ")) return expected("a blank and a value");
  blanks();
  const auto number = parse_number(line_.substr(0, line_.find_first_of(strict_ ? " " : " \t")));
  if (!number) return expected("a value");
  word();
  into = *number;
  return {};
}

Status Reader::timestamp(std::optional<std::int64_t>& into) {
  blanks();
  if (line_.empty()) return {};
  std::int64_t ms = 0;
  const char* const end = line_.data() + line_.size();
  const auto [at, ec] = std::from_chars(line_.data(), end, ms);
  if (ec != std::errc() || (at != end && !is_blank(*at)))
    return expected("a timestamp in milliseconds");
  line_.remove_prefix(static_cast<std::size_t>(at - line_.data()));
  blanks();
  into = ms;
  return {};
}

Status Reader::seconds(std::optional<std::int64_t>& into) {
  if (line_.empty()) return {};
  if (!take(" ")) return expected("a blank and a timestamp");
  const auto number = parse_number(line_.substr(0, line_.find(' ')));
  // 2^63 ms are 9.2e15 s.
  if (!number || !(std::abs(*number) < 9.2e15)) return expected("a timestamp in seconds");
  word();
  into = std::llround(*number * 1000);
  return {};
}

Status Reader::exemplar(ExpositionSample& sample) {
  if (!take(" # {")) return expected("an exemplar or the end of the line");
  const std::string_view name = sample.series.substr(0, metric_name_length(sample.series));
  if (!name.ends_with("_total") && !name.ends_with("_bucket"))
    return wrong("an exemplar of what is neither a counter nor a bucket");
  exemplar_.clear();
  if (auto read = labels(exemplar_, "a label's name or }"); !read) return read;
  const ExemplarFault fault = settle_exemplar(exemplar_);
  if (fault == ExemplarFault::bad) return wrong("the labels of an exemplar are none");
  Exemplar read_exemplar{.labels = exemplar_};
  if (auto read = value(read_exemplar.value); !read) return read;
  if (auto read = seconds(read_exemplar.t_ms); !read) return read;
  if (fault == ExemplarFault::none) {
    sample.exemplar = read_exemplar;
  } else {
    ++counts_.dropped_exemplars;
  }
  return {};
}

}  // namespace

ExpositionFormat exposition_format(std::string_view content_type) {
  const std::string_view media_type = trimmed(content_type.substr(0, content_type.find(';')));
  const bool open = std::ranges::equal(
      media_type, std::string_view("application/openmetrics-text"),
      [](char a, char b) { return a == b || (a >= 'A' && a <= 'Z' && (a | 0x20) == b); });
  return open ? ExpositionFormat::open_metrics : ExpositionFormat::text;
}

Result<ExpositionCounts> read_exposition(std::string_view text, ExpositionFormat format,
                                         ExpositionSink& sink) {
  return Reader(text, format, sink).read();
}

}  // namespace tallymill::collector
