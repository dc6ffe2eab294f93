// Cases: the files of tests/rules/*.cases, whose first lines say what they hold.
//
// Threads: plain values.
#pragma once

#include <charconv>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace tallymill::alerting {

struct Case {
  std::string title;
  std::string text;
  std::string says;  // "ok", or how what is told begins
  int line = 0;      // of the title
};

// \x41 is A.
inline std::string unescaped(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i).starts_with("\\x") && i + 4 <= text.size()) {
      unsigned byte = 0;
      std::from_chars(text.data() + i + 2, text.data() + i + 4, byte, 16);
      plain += static_cast<char>(byte);
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

inline std::vector<Case> cases_of(const std::string& name) {
  std::ifstream file(TALLYMILL_SOURCE_DIR "/tests/rules/" + name);
  std::vector<Case> found;
  bool in_text = false;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (line.starts_with("== ")) {
      found.push_back({.title = line.substr(3), .text = {}, .says = {}, .line = number});
      in_text = true;
    } else if (in_text && line.starts_with("-- ")) {
      found.back().says = line.substr(3);
      if (found.back().title.ends_with("(\\x)")) found.back().text = unescaped(found.back().text);
      in_text = false;
    } else if (in_text) {
      found.back().text += line + '\n';
    }
  }
  return found;
}

}  // namespace tallymill::alerting
