#include "collector/query.h"

#include <re2/re2.h>

#include <utility>

namespace tallymill::collector {

struct Matcher::Expression {
  explicit Expression(const std::string& text) : re(text, RE2::Quiet) {}
  RE2 re;
};

Result<Matcher> Matcher::of(Kind kind, std::string name, std::string value) {
  Matcher matcher;
  matcher.kind_ = kind;
  if (kind == Kind::matches || kind == Kind::not_matches) {
    const auto expression = std::make_shared<Expression>("^(?:" + value + ")$");
    if (!expression->re.ok())
      return fail(Errc::bad_params,
                  "'" + value + "' is no regular expression: " + expression->re.error());
    matcher.expression_ = expression;
  }
  matcher.name_ = std::move(name);
  matcher.value_ = std::move(value);
  return matcher;
}

bool Matcher::fits(std::string_view value) const {
  switch (kind_) {
    case Kind::equal:
      return value == value_;
    case Kind::not_equal:
      return value != value_;
    case Kind::matches:
    case Kind::not_matches:
      break;
  }
  if (!MatchingTime::is_left(value.size())) return false;
  const bool found = RE2::FullMatch(re2::StringPiece(value.data(), value.size()), expression_->re);
  return found == (kind_ == Kind::matches);
}

std::int64_t Matcher::program() const { return expression_ ? expression_->re.ProgramSize() : 0; }

std::string Matcher::text() const {
  constexpr std::string_view signs[] = {"=", "!=", "=~", "!~"};
  std::string said = name_ + std::string(signs[static_cast<std::size_t>(kind_)]);
  append_quoted(said, value_);
  return said;
}

namespace {
thread_local MatchingTime* matching_time = nullptr;
}  // namespace

MatchingTime::MatchingTime(std::chrono::milliseconds most)
    : until_(std::chrono::steady_clock::now() + most) {
  matching_time = this;
}
MatchingTime::~MatchingTime() { matching_time = nullptr; }

Status MatchingTime::check() const {
  if (!over_) return {};
  return fail(Errc::deadline, "regular expressions took too long over the values of labels");
}

bool MatchingTime::is_left(std::size_t bytes) {
  if (matching_time == nullptr) return true;
  MatchingTime& mine = *matching_time;
  // The slowest take a millisecond a byte; looking at the clock is as much as a short match.
  constexpr std::size_t often = 512;
  mine.bytes_ += bytes + 16;
  if (mine.bytes_ < often || mine.over_) return !mine.over_;
  mine.bytes_ = 0;
  mine.over_ = std::chrono::steady_clock::now() > mine.until_;
  return !mine.over_;
}

}  // namespace tallymill::collector
