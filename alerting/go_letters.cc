#include "alerting/go_letters.h"

#include <fmt/format.h>
#include <locale.h>
#include <re2/re2.h>
#include <wctype.h>

#include "base/check.h"
#include "base/utf8.h"

namespace tallymill::alerting::templates {
namespace {

// Of the C library's own locale of Unicode, which is always there.
locale_t unicode() {
  static const locale_t made = [] {
    const locale_t locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    TM_CHECK(locale != nullptr);
    return locale;
  }();
  return made;
}

bool matches(std::string_view text, const RE2& one) {
  return RE2::FullMatch(re2::StringPiece(text.data(), text.size()), one);
}

bool is_ascii_word(std::uint32_t rune) {
  return (rune >= '0' && rune <= '9') || (rune >= 'a' && rune <= 'z') ||
         (rune >= 'A' && rune <= 'Z') || rune == '_';
}

bool is_separator(std::string_view one, std::uint32_t rune) {
  if (rune < 0x80) return !is_ascii_word(rune);
  static const RE2 blank(
      "[\\x{85}\\x{A0}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}"
      "\\x{3000}\\x{1680}]");
  return matches(one, blank);
}

template <class Change>
std::string changed(std::string_view text, Change change) {
  std::string made;
  while (!text.empty()) {
    const Rune rune = first_rune(text);
    append_rune(made, change(text.substr(0, rune.bytes), rune.number));
    text.remove_prefix(rune.bytes);
  }
  return made;
}

std::uint32_t upper_of(std::uint32_t rune) { return towupper_l(rune, unicode()); }

}  // namespace

Rune first_rune(std::string_view text) {
  const std::size_t size = utf8_length(text);
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (size == 0) return {0xfffd, 1};
  std::uint32_t rune = size == 1 ? byte(0) : byte(0) & (0x7fU >> size);
  for (std::size_t i = 1; i < size; ++i) rune = rune << 6 | (byte(i) & 0x3fU);
  return {rune, size};
}

void append_rune(std::string& to, std::uint32_t rune) {
  if (rune > 0x10ffff || (rune >= 0xd800 && rune < 0xe000)) rune = 0xfffd;
  const auto tail = [&](int shift) { to += static_cast<char>(0x80 | (rune >> shift & 0x3f)); };
  if (rune < 0x80) {
    to += static_cast<char>(rune);
  } else if (rune < 0x800) {
    to += static_cast<char>(0xc0 | rune >> 6);
    tail(0);
  } else if (rune < 0x10000) {
    to += static_cast<char>(0xe0 | rune >> 12);
    tail(6);
    tail(0);
  } else {
    to += static_cast<char>(0xf0 | rune >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

std::size_t rune_count(std::string_view text) {
  std::size_t count = 0;
  for (; !text.empty(); ++count) text.remove_prefix(first_rune(text).bytes);
  return count;
}

std::size_t word_letter(std::string_view text) {
  if (text.empty()) return 0;
  const Rune rune = first_rune(text);
  if (rune.number < 0x80) return is_ascii_word(rune.number) ? 1 : 0;
  static const RE2 letter("[\\pL\\p{Nd}]");
  return matches(text.substr(0, rune.bytes), letter) ? rune.bytes : 0;
}

bool is_printable(std::string_view one) {
  const std::uint32_t rune = first_rune(one).number;
  if (rune < 0x80) return rune >= 0x20 && rune < 0x7f;
  static const RE2 printable("[\\pL\\pM\\pN\\pP\\pS]");
  return matches(one, printable);
}

std::string rune_name(std::string_view text) {
  const Rune rune = first_rune(text);
  const std::string said = fmt::format("U+{:04X}", rune.number);
  std::string one;
  append_rune(one, rune.number);
  return is_printable(one) ? fmt::format("{} '{}'", said, one) : said;
}

std::string as_utf8(std::string_view text, std::size_t most) {
  std::string made;
  while (!text.empty()) {
    const Rune rune = first_rune(text);
    std::string one;
    append_rune(one, rune.number);
    if (made.size() + one.size() > most) break;
    made += one;
    text.remove_prefix(rune.bytes);
  }
  return made;
}

std::string upper(std::string_view text) {
  return changed(text, [](std::string_view, std::uint32_t rune) { return upper_of(rune); });
}

std::string lower(std::string_view text) {
  return changed(text, [](std::string_view, std::uint32_t rune) -> std::uint32_t {
    return towlower_l(rune, unicode());
  });
}

std::string title(std::string_view text) {
  bool begins = true;
  return changed(text, [&](std::string_view one, std::uint32_t rune) {
    const std::uint32_t made = begins ? upper_of(rune) : rune;
    begins = is_separator(one, rune);
    return made;
  });
}

}  // namespace tallymill::alerting::templates
