#include "collector/promql/go_expand.h"

#include <algorithm>
#include <optional>

namespace tallymill::promql {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// As much of the text's front as Go would take for a group's name.
std::size_t name_size(std::string_view text) {
  static const RE2 letters("[_\\pL\\p{Nd}]*");
  re2::StringPiece rest(text.data(), text.size());
  return RE2::Consume(&rest, letters) ? text.size() - rest.size() : 0;
}

// The name behind the sign, which is taken off with it; empty when there is none.
std::string_view take_name(std::string_view& rest) {
  const bool braced = rest.size() > 1 && rest[1] == '{';
  const std::size_t begin = braced ? 2 : 1;
  const std::size_t end = begin + name_size(rest.substr(begin));
  if (end == begin || (braced && (end >= rest.size() || rest[end] != '}'))) return {};
  const std::string_view name = rest.substr(begin, end - begin);
  rest.remove_prefix(end + (braced ? 1 : 0));
  return name;
}

std::optional<std::size_t> index_of(const RE2& expression, std::string_view name) {
  const bool number = std::ranges::all_of(name, is_digit) && (name.size() == 1 || name[0] != '0');
  if (number && name.size() < 4) return static_cast<std::size_t>(std::stoul(std::string(name)));
  const auto& names = expression.NamedCapturingGroups();
  const auto at = names.find(std::string(name));
  if (at == names.end()) return std::nullopt;
  return static_cast<std::size_t>(at->second);
}

}  // namespace

void append_expanded(std::string& to, std::string_view replacement, const RE2& expression,
                     std::span<const re2::StringPiece> groups, std::size_t most) {
  std::string_view rest = replacement;
  while (!rest.empty() && to.size() <= most) {
    const std::size_t plain = std::min(rest.find('$'), rest.size());
    to += rest.substr(0, plain);
    rest.remove_prefix(plain);
    if (rest.empty()) break;
    if (rest.starts_with("$$")) {
      to += '$';
      rest.remove_prefix(2);
      continue;
    }
    const std::string_view name = take_name(rest);
    if (name.empty()) {
      to += '$';  // malformed: it stands for itself
      rest.remove_prefix(1);
      continue;
    }
    const auto group = index_of(expression, name);
    if (group && *group < groups.size()) to.append(groups[*group].data(), groups[*group].size());
  }
}

}  // namespace tallymill::promql
