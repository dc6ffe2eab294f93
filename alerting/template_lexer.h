// TemplateLexer: a template's text as tokens: what stands between {{ and }}, and the text around.
//
// Blanks are tokens, too: `.a .b` are two operands, `.a.b` is one. A trim mark ({{- or -}}) takes
// the blanks of the text beside it; a comment leaves nothing.
//
//   invariant: the last token is an end or an error, and no other is
//
// Threads: pure functions.
// Source: Go's text/template/parse.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tallymill::alerting::templates {

struct Token {
  enum class Kind : std::uint8_t {
    error,  // `text` is owned by `why`
    end,
    text,
    open,   // {{
    close,  // }}
    space,
    assign,   // =
    declare,  // :=
    pipe,
    left_paren,
    right_paren,
    comma_or_so,  // any other character
    boolean,
    character,  // 'a'
    number,
    string,
    raw_string,
    identifier,
    variable,  // $ or $name
    field,     // .name
    // Words of the language.
    dot,
    nil,
    block,
    break_,
    continue_,
    define,
    else_,
    end_word,
    if_,
    range,
    template_,
    with,
  };
  Kind kind;
  std::size_t at;  // its first byte
  std::string_view text;
  std::string why = {};  // of an error

  // As an error names it.
  [[nodiscard]] std::string said() const;
};

[[nodiscard]] std::vector<Token> tokens_of(std::string_view text);

}  // namespace tallymill::alerting::templates
