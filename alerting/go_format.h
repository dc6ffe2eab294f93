// GoFormat: values as Go's fmt prints them: Sprint, Sprintln and Sprintf.
//
// A verb that a value does not have is told in the text, as Go does: %!d(float64=1.5). Samples of a
// list are written out, where Go writes their addresses.
//
//   invariant: what is made has at most `most` bytes; then is_over(), and the rest is missing
//
// Threads: one at a time.
// Source: Go 1.19, fmt.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "alerting/template_value.h"

namespace tallymill::alerting::templates {

class GoFormat {
 public:
  explicit GoFormat(std::size_t most) : most_(most) {}

  void print(std::span<const Value> values);    // blanks between two that are no text
  void println(std::span<const Value> values);  // blanks between all
  void printf(std::string_view format, std::span<const Value> values);
  void show_text(std::string_view text) { write(text); }
  // As a template's text shows it: what a pointer points to.
  void show(const Value& value);

  [[nodiscard]] bool is_over() const { return over_; }
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  struct Flags {
    bool plus = false, minus = false, sharp = false, space = false, zero = false;
    bool plus_v = false, sharp_v = false;
    std::optional<std::size_t> width = {};
    std::optional<std::size_t> precision = {};
  };
  class Directive;

  void write(std::string_view text);
  void pad(std::string_view text);
  void value(const Value& value, char32_t verb);
  void wrong(const Value& value, char32_t verb);
  void boolean(const Value& value, char32_t verb);
  void integer(const Value& value, char32_t verb);
  void digits(const Value& value, unsigned base, char32_t verb);
  void character(const Value& value, char32_t verb);
  void real(const Value& value, char32_t verb);
  void signed_number(std::string number);
  void text(const Value& shown, std::string_view text, char32_t verb);
  void quoted(std::string_view text);
  void bytes_in_hex(std::string_view text, bool capital);
  void composite(const Value& value, char32_t verb, int depth);
  using Field = std::pair<std::string_view, Value>;
  void elements(const Value& value, char32_t verb, int depth);
  void fields(std::string_view type, std::span<const Field> all, char32_t verb);
  void alert(const TemplateData& data, char32_t verb);
  void sample(const TemplateSample& sample, char32_t verb);
  void extra(std::span<const Value> values);

  const std::size_t most_;
  bool over_ = false;
  std::string text_;
  Flags flags_;
  bool plain_ = false;  // a wrong verb's value is shown: a month by its number
};

}  // namespace tallymill::alerting::templates
