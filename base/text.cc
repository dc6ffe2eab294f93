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
