#include "http/parameters.h"

#include <algorithm>

namespace tallymill::http {
namespace {

constexpr std::string_view space = " \t";

// Takes a value from the front of `rest`; nothing when its quote does not end.
std::optional<std::string> take_value(std::string_view& rest) {
  if (!rest.starts_with('"')) {
    const std::string_view word = rest.substr(0, rest.find_first_of("; \t\""));
    rest.remove_prefix(word.size());
    return std::string(word);
  }
  std::string value;
  for (std::size_t i = 1; i < rest.size(); ++i) {
    if (rest[i] == '"') {
      rest.remove_prefix(i + 1);
      return value;
    }
    const bool escaped =
        rest[i] == '\\' && i + 1 < rest.size() && (rest[i + 1] == '"' || rest[i + 1] == '\\');
    if (escaped) ++i;
    value += rest[i];
  }
  return std::nullopt;
}

void skip_space(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(space), text.size()));
}

}  // namespace

std::string_view trimmed(std::string_view text) {
  skip_space(text);
  return text.substr(0, text.find_last_not_of(space) + 1);
}

std::optional<Pairs> parameters_of(std::string_view untrusted) {
  Pairs pairs;
  untrusted.remove_prefix(std::min(untrusted.find(';'), untrusted.size()));
  while (true) {
    skip_space(untrusted);
    if (untrusted.empty()) return pairs;
    if (untrusted.front() != ';') return std::nullopt;
    untrusted.remove_prefix(1);
    skip_space(untrusted);
    if (untrusted.empty()) return pairs;  // some end with a semicolon
    const std::size_t equals = untrusted.find_first_of("=; \t\"");
    if (equals == 0 || equals == std::string_view::npos || untrusted[equals] != '=')
      return std::nullopt;
    std::string name = lower_case(untrusted.substr(0, equals));
    untrusted.remove_prefix(equals + 1);
    auto value = take_value(untrusted);
    if (!value || find(pairs, name)) return std::nullopt;
    pairs.emplace_back(std::move(name), std::move(*value));
  }
}

}  // namespace tallymill::http
