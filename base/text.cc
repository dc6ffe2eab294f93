#include "base/text.h"

#include "base/utf8.h"

namespace tallymill {

void clean_text(std::string& text, std::size_t bytes) {
  if (text.size() > bytes) {
    while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xc0) == 0x80) --bytes;
    text.resize(bytes);
  }
  if (is_utf8(text)) return;
  for (char& c : text)
    if ((static_cast<unsigned char>(c) & 0x80) != 0) c = '?';
}

bool is_clean_text(std::string_view text) {
  if (!is_utf8(text)) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[i + at]); };
    if (byte(0) < 0x20 || byte(0) == 0x7f) return false;
    if (byte(0) == 0xc2 && byte(1) < 0xa0) return false;
    if (byte(0) != 0xe2) continue;
    // U+200E, U+200F, U+2028 to U+202E; U+2066 to U+2069.
    if (byte(1) == 0x80 &&
        (byte(2) == 0x8e || byte(2) == 0x8f || (byte(2) >= 0xa8 && byte(2) <= 0xae)))
      return false;
    if (byte(1) == 0x81 && byte(2) >= 0xa6 && byte(2) <= 0xa9) return false;
  }
  return true;
}

std::string pointer_to(std::string_view untrusted_name) {
  constexpr std::size_t longest = 64;
  std::string pointer = "/";
  for (const char c : untrusted_name.substr(0, longest)) {
    if (c == '~')
      pointer += "~0";
    else if (c == '/')
      pointer += "~1";
    else
      pointer += c >= ' ' && c <= '~' ? c : '?';
  }
  return pointer;
}

}  // namespace tallymill
