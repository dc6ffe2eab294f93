// GoLetters: characters as Go's unicode and strings see them.
//
// Threads: pure functions.
// Source: Go's unicode, strings and fmt.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tallymill::alerting::templates {

// The first character; what is no UTF-8 is U+FFFD, one byte long. REQUIRES: text is not empty.
struct Rune {
  std::uint32_t number;
  std::size_t bytes;
};
[[nodiscard]] Rune first_rune(std::string_view text);
void append_rune(std::string& to, std::uint32_t rune);
[[nodiscard]] std::size_t rune_count(std::string_view text);
// The bytes of the letter, digit or _ that the text begins with; 0: none.
[[nodiscard]] std::size_t word_letter(std::string_view text);
// As fmt's %#U: U+007D '}'.
[[nodiscard]] std::string rune_name(std::string_view text);
[[nodiscard]] bool is_printable(std::string_view one);

// What is no UTF-8 becomes U+FFFD; cut at a character's end, so that it has at most so many bytes.
[[nodiscard]] std::string as_utf8(std::string_view text, std::size_t most);

[[nodiscard]] std::string upper(std::string_view text);
[[nodiscard]] std::string lower(std::string_view text);
// Each word's first letter as a capital.
[[nodiscard]] std::string title(std::string_view text);

}  // namespace tallymill::alerting::templates
