#include "alerting/template_lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "alerting/go_letters.h"
#include "base/utf8.h"
#include "collector/promql/go_text.h"

namespace tallymill::alerting::templates {
namespace {

using Kind = Token::Kind;

constexpr std::string_view blanks = " \t\r\n";
constexpr std::array<std::pair<std::string_view, Kind>, 13> words = {{{"block", Kind::block},
                                                                      {"break", Kind::break_},
                                                                      {"continue", Kind::continue_},
                                                                      {"define", Kind::define},
                                                                      {"else", Kind::else_},
                                                                      {"end", Kind::end_word},
                                                                      {"false", Kind::boolean},
                                                                      {"if", Kind::if_},
                                                                      {"nil", Kind::nil},
                                                                      {"range", Kind::range},
                                                                      {"template", Kind::template_},
                                                                      {"true", Kind::boolean},
                                                                      {"with", Kind::with}}};

bool is_blank(char c) { return blanks.find(c) != std::string_view::npos; }

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  std::vector<Token> tokens() && {
    while (!over_) {
      plain();
      if (over_) break;
      if (!open()) continue;  // a comment
      while (!over_ && !inside()) {
      }
    }
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return text_.substr(at_); }
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  bool is_end() const { return at_ >= text_.size(); }

  void emit(Kind kind, std::size_t end) {
    tokens_.push_back({kind, at_, text_.substr(at_, end - at_)});
    at_ = end;
  }
  void fail(std::string why) {
    tokens_.push_back({Kind::error, at_, {}, std::move(why)});
    over_ = true;
  }

  // The text up to the next action.
  void plain() {
    const std::size_t next = text_.find("{{", at_);
    std::size_t end = std::min(next, text_.size());
    if (next != std::string_view::npos && next + 3 < text_.size() && text_[next + 2] == '-' &&
        is_blank(text_[next + 3]))
      while (end > at_ && is_blank(text_[end - 1])) --end;
    if (end > at_) emit(Kind::text, end);
    at_ = std::min(next, text_.size());
    if (!is_end()) return;
    emit(Kind::end, at_);
    over_ = true;
  }

  // Behind a mark that trims.
  void skip_blanks() {
    while (!is_end() && is_blank(peek())) ++at_;
  }

  // How long what closes an action here is: 0, 2 or 4 bytes.
  std::size_t closing() const {
    if (rest().starts_with("}}")) return 2;
    return !is_end() && is_blank(peek()) && rest().substr(1).starts_with("-}}") ? 4 : 0;
  }
  void close() {
    const bool trims = closing() == 4;
    if (trims) at_ += 2;
    emit(Kind::close, at_ + 2);
    if (trims) skip_blanks();
  }

  // False: it was a comment, or an error.
  bool open() {
    const bool trims = peek(2) == '-' && at_ + 3 < text_.size() && is_blank(peek(3));
    const std::size_t begin = at_ + (trims ? 4 : 2);
    if (!text_.substr(begin).starts_with("/*")) {
      emit(Kind::open, at_ + 2);
      at_ = begin;
      parens_ = 0;
      return true;
    }
    const std::size_t end = text_.find("*/", begin + 2);
    if (end == std::string_view::npos) {
      fail("unclosed comment");
      return false;
    }
    at_ = end + 2;
    if (closing() == 0) {
      fail("comment ends before closing delimiter");
      return false;
    }
    const bool closing_trims = closing() == 4;
    at_ += closing();
    if (closing_trims) skip_blanks();
    return false;
  }

  // One token of an action; true: that was its last.
  bool inside() {
    if (closing() > 0) {
      if (parens_ == 0) {
        close();
        return true;
      }
      fail("unclosed left paren");
      return false;
    }
    if (is_end()) {
      fail("unclosed action");
      return false;
    }
    const char c = peek();
    if (is_blank(c)) {
      space();
    } else if (c == '"' || c == '\'') {
      quoted(c);
    } else if (c == '`') {
      const std::size_t end = text_.find('`', at_ + 1);
      end == std::string_view::npos ? fail("unterminated raw quoted string")
                                    : emit(Kind::raw_string, end + 1);
    } else if (c == '$' || (c == '.' && (peek(1) < '0' || peek(1) > '9'))) {
      field_or_variable(c == '$' ? Kind::variable : Kind::field);
    } else if (c == '.' || c == '+' || c == '-' || std::isdigit(static_cast<unsigned char>(c))) {
      number();
    } else {
      sign_or_word();
    }
    return false;
  }

  void sign_or_word() {
    const char c = peek();
    if (word_size(rest()) > 0) return word();
    if (c == ':') return peek(1) == '=' ? emit(Kind::declare, at_ + 2) : fail("expected :=");
    if (c == '=') return emit(Kind::assign, at_ + 1);
    if (c == '|') return emit(Kind::pipe, at_ + 1);
    if (c == '(') {
      ++parens_;
      return emit(Kind::left_paren, at_ + 1);
    }
    if (c == ')') {
      emit(Kind::right_paren, at_ + 1);
      if (parens_-- == 0) fail("unexpected right paren U+0029 ')'");
      return;
    }
    if (c > ' ' && c < 0x7f) return emit(Kind::comma_or_so, at_ + 1);
    fail("unrecognized character in action: " + rune_name(rest()));
  }

  // Without the blank that belongs to -}}.
  void space() {
    std::size_t end = at_;
    while (end < text_.size() && is_blank(text_[end])) ++end;
    if (text_.substr(end).starts_with("-}}")) --end;
    if (end > at_) emit(Kind::space, end);
  }

  void quoted(char quote) {
    std::size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != quote && text_[end] != '\n')
      end += text_[end] == '\\' && end + 1 < text_.size() && text_[end + 1] != '\n' ? 2 : 1;
    if (end >= text_.size() || text_[end] != quote)
      return fail(quote == '"' ? "unterminated quoted string" : "unterminated character constant");
    emit(quote == '"' ? Kind::string : Kind::character, end + 1);
  }

  static std::size_t word_size(std::string_view text) {
    std::size_t size = 0;
    while (size < text.size()) {
      const std::size_t letter = word_letter(text.substr(size));
      if (letter == 0) break;
      size += letter;
    }
    return size;
  }

  // A name ends before these alone.
  bool ends_word(std::size_t end) const {
    return end >= text_.size() || is_blank(text_[end]) ||
           std::string_view(".,|:)(").find(text_[end]) != std::string_view::npos ||
           text_[end] == '}';
  }
  bool check_word_end(std::size_t end) {
    if (ends_word(end)) return true;
    fail("bad character " + rune_name(text_.substr(end)));
    return false;
  }

  void field_or_variable(Kind kind) {
    const std::size_t end = at_ + 1 + word_size(rest().substr(1));
    if (end == at_ + 1 && ends_word(end))
      return emit(kind == Kind::variable ? Kind::variable : Kind::dot, end);
    if (check_word_end(end)) emit(kind, end);
  }

  void word() {
    const std::size_t end = at_ + word_size(rest());
    if (!check_word_end(end)) return;
    const std::string_view name = text_.substr(at_, end - at_);
    const auto* known = std::ranges::find(words, name, &std::pair<std::string_view, Kind>::first);
    emit(known == words.end() ? Kind::identifier : known->second, end);
  }

  void number() {
    std::size_t end = at_;
    const auto one_of = [&](std::string_view letters) {
      const bool found = end < text_.size() && letters.find(text_[end]) != std::string_view::npos;
      if (found) ++end;
      return found;
    };
    const auto some_of = [&](std::string_view letters) {
      while (one_of(letters)) {
      }
    };
    one_of("+-");
    std::string_view digits = "0123456789_";
    if (one_of("0")) {
      if (one_of("xX"))
        digits = "0123456789abcdefABCDEF_";
      else if (one_of("oO"))
        digits = "01234567_";
      else if (one_of("bB"))
        digits = "01_";
    }
    some_of(digits);
    if (one_of(".")) some_of(digits);
    if (digits.size() == 11 && one_of("eE")) {
      one_of("+-");
      some_of("0123456789_");
    }
    if (digits.size() == 23 && one_of("pP")) {
      one_of("+-");
      some_of("0123456789_");
    }
    if (const std::size_t more = word_letter(text_.substr(end)); more > 0)
      return fail(fmt::format("bad number syntax: {}",
                              promql::go_quoted(text_.substr(at_, end + more - at_))));
    emit(Kind::number, end);
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int parens_ = 0;
  bool over_ = false;
  std::vector<Token> tokens_;
};

}  // namespace

std::string Token::said() const {
  if (kind == Kind::error) return why;
  if (kind == Kind::end) return "EOF";
  if (kind >= Kind::dot) return fmt::format("<{}>", text);
  std::size_t size = 0;  // ten characters
  for (int i = 0; i < 10 && size < text.size(); ++i)
    size += std::max<std::size_t>(utf8_length(text.substr(size)), 1);
  if (size == text.size() || text.size() <= 10) return promql::go_quoted(text);
  return promql::go_quoted(text.substr(0, size)) + "...";
}

std::vector<Token> tokens_of(std::string_view text) { return Lexer(text).tokens(); }

}  // namespace tallymill::alerting::templates
