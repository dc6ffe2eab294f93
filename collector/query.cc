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
  const bool found = RE2::FullMatch(re2::StringPiece(value.data(), value.size()), expression_->re);
  return found == (kind_ == Kind::matches);
}

std::string Matcher::text() const {
  constexpr std::string_view signs[] = {"=", "!=", "=~", "!~"};
  std::string said = name_ + std::string(signs[static_cast<std::size_t>(kind_)]);
  append_quoted(said, value_);
  return said;
}

}  // namespace tallymill::collector
