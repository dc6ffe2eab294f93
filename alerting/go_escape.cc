#include "alerting/go_escape.h"

#include <fmt/format.h>

#include "alerting/go_letters.h"

namespace tallymill::alerting::templates {

std::string html_escaped(std::string_view text) {
  std::string made;
  for (const char c : text) {
    switch (c) {
      case '\0':
        made += "\xef\xbf\xbd";  // U+FFFD
        break;
      case '"':
        made += "&#34;";
        break;
      case '\'':
        made += "&#39;";
        break;
      case '&':
        made += "&amp;";
        break;
      case '<':
        made += "&lt;";
        break;
      case '>':
        made += "&gt;";
        break;
      default:
        made += c;
    }
  }
  return made;
}

std::string js_escaped(std::string_view text) {
  std::string made;
  while (!text.empty()) {
    const Rune rune = first_rune(text);
    const std::string_view one = text.substr(0, rune.bytes);
    if (rune.number == '\\' || rune.number == '\'' || rune.number == '"')
      made.append("\\").append(one);
    else if (rune.number < ' ' || std::string_view("<>&=").find(one) != std::string_view::npos)
      made += fmt::format("\\u{:04X}", rune.number);
    else if (rune.number < 0x80 || is_printable(one))
      made += one;
    else
      made += fmt::format("\\u{:04X}", rune.number);
    text.remove_prefix(rune.bytes);
  }
  return made;
}

std::string query_escaped(std::string_view text) {
  std::string made;
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       std::string_view("-_.~").find(c) != std::string_view::npos;
    if (plain)
      made += c;
    else if (c == ' ')
      made += '+';
    else
      made += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return made;
}

}  // namespace tallymill::alerting::templates
