#include "alerting/go_regexp.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "alerting/go_letters.h"
#include "collector/promql/go_expand.h"

namespace tallymill::alerting::templates {
namespace {

// The largest program, before it is made smaller, takes a sixth of it; the rest is for matching.
constexpr std::int64_t expression_bytes = 4 << 20;

std::string_view why(RE2::ErrorCode code) {
  switch (code) {
    case RE2::ErrorBadEscape:
      return "invalid escape sequence";
    case RE2::ErrorBadCharClass:
      return "invalid character class";
    case RE2::ErrorBadCharRange:
      return "invalid character class range";
    case RE2::ErrorMissingBracket:
      return "missing closing ]";
    case RE2::ErrorMissingParen:
      return "missing closing )";
    case RE2::ErrorUnexpectedParen:
      return "unexpected )";
    case RE2::ErrorTrailingBackslash:
      return "trailing backslash at end of expression";
    case RE2::ErrorRepeatArgument:
      return "missing argument to repetition operator";
    case RE2::ErrorRepeatSize:
      return "invalid repeat count";
    case RE2::ErrorRepeatOp:
      return "invalid nested repetition operator";
    case RE2::ErrorBadPerlOp:
      return "invalid or unsupported Perl syntax";
    case RE2::ErrorBadUTF8:
      return "invalid UTF-8";
    case RE2::ErrorBadNamedCapture:
      return "invalid named capture";
    default:
      return "internal error";
  }
}

Result<std::unique_ptr<RE2>> compiled(Budget& budget, std::string_view pattern) {
  RE2::Options options(RE2::Quiet);
  options.set_max_mem(expression_bytes);
  auto expression =
      std::make_unique<RE2>(re2::StringPiece(pattern.data(), pattern.size()), options);
  const auto too_large = fail(
      Errc::too_big,
      fmt::format("a regular expression of more than {} instructions", limits::template_program));
  if (expression->error_code() == RE2::ErrorPatternTooLarge) return too_large;
  if (!expression->ok()) {
    const std::string at = expression->error_code() == RE2::ErrorMissingParen ||
                                   expression->error_code() == RE2::ErrorUnexpectedParen
                               ? std::string(pattern)
                               : expression->error_arg();
    return fail(Errc::bad_params,
                fmt::format("error parsing regexp: {}: `{}`", why(expression->error_code()), at));
  }
  if (expression->ProgramSize() > limits::template_program) return too_large;
  const auto size = static_cast<std::size_t>(expression->ProgramSize());
  if (auto paid = budget.spend(1 + size / 16); !paid) return std::unexpected(paid.error());
  return expression;
}

// The slowest of RE2's ways to match looks at every instruction for each byte.
Status pay(Budget& budget, const RE2& expression, std::size_t bytes) {
  return budget.spend(1 + bytes * static_cast<std::size_t>(expression.ProgramSize()) / 4096);
}

}  // namespace

Result<bool> regexp_matches(Budget& budget, std::string_view pattern, std::string_view text) {
  const auto expression = compiled(budget, pattern);
  if (!expression) return std::unexpected(expression.error());
  if (auto paid = pay(budget, **expression, text.size()); !paid)
    return std::unexpected(paid.error());
  return RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), **expression);
}

Result<std::string> regexp_replaced(Budget& budget, std::string_view pattern,
                                    std::string_view replacement, std::string_view text) {
  const auto expression = compiled(budget, pattern);
  if (!expression) {
    Error error = expression.error();
    const bool plain = pattern.find('`') == std::string_view::npos;
    if (error.code == Errc::bad_params)
      error = std::move(error).in(
          fmt::format("regexp: Compile({0}{1}{0})", plain ? '`' : '"', pattern));
    return std::unexpected(std::move(error));
  }
  const RE2& re = **expression;
  std::vector<re2::StringPiece> groups(static_cast<std::size_t>(re.NumberOfCapturingGroups()) + 1);
  const re2::StringPiece all(text.data(), text.size());
  std::string made;
  std::size_t last_end = 0;
  for (std::size_t at = 0; at <= text.size() && made.size() <= limits::template_output_bytes;) {
    if (auto paid = pay(budget, re, text.size() - at); !paid) return std::unexpected(paid.error());
    if (!re.Match(all, at, text.size(), RE2::UNANCHORED, groups.data(),
                  static_cast<int>(groups.size())))
      break;
    const auto begin = static_cast<std::size_t>(groups[0].data() - text.data());
    const std::size_t end = begin + groups[0].size();
    made += text.substr(last_end, begin - last_end);
    // An empty match right behind another is none.
    if (end > last_end || begin == 0)
      promql::append_expanded(made, replacement, re, groups, limits::template_output_bytes + 1);
    last_end = end;
    const std::size_t width = at < text.size() ? first_rune(text.substr(at)).bytes : 1;
    at = at + width > end ? at + width : end;
  }
  return made.append(text.substr(last_end));
}

}  // namespace tallymill::alerting::templates
