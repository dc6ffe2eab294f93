#include "http/router.h"

#include <algorithm>

#include "base/check.h"

namespace tallymill::http {
namespace {

// The first step of `rest`, which goes on behind it. REQUIRES: it begins with a slash.
std::string_view take_step(std::string_view& rest) {
  const std::size_t end = std::min(rest.find('/', 1), rest.size());
  const std::string_view step = rest.substr(1, end - 1);
  rest.remove_prefix(end);
  return step;
}

// The name in a step's braces; empty for a literal step.
std::string_view name_in(std::string_view step) {
  return step.starts_with('{') && step.ends_with('}') ? step.substr(1, step.size() - 2)
                                                      : std::string_view();
}

constexpr std::string_view all_that_is_left = "/{*}";

bool matches(std::string_view pattern, std::string_view path) {
  while (!pattern.empty() && !path.empty()) {
    if (pattern == all_that_is_left) return true;
    const std::string_view wanted = take_step(pattern);
    const std::string_view step = take_step(path);
    if (name_in(wanted).empty() ? wanted != step : step.empty()) return false;
  }
  return pattern.empty() && path.empty();
}

// Of two patterns that match one path: the one that is literal where they first differ.
bool goes_before(std::string_view a, std::string_view b) {
  while (!a.empty() && !b.empty()) {
    if ((a == all_that_is_left) != (b == all_that_is_left)) return b == all_that_is_left;
    const bool a_literal = name_in(take_step(a)).empty();
    const bool b_literal = name_in(take_step(b)).empty();
    if (a_literal != b_literal) return a_literal;
  }
  return false;
}

bool same_shape(std::string_view a, std::string_view b) {
  while (!a.empty() && !b.empty()) {
    if ((a == all_that_is_left) != (b == all_that_is_left)) return false;
    const std::string_view left = take_step(a);
    const std::string_view right = take_step(b);
    const bool literal = name_in(left).empty();
    if (literal != name_in(right).empty() || (literal && left != right)) return false;
  }
  return a.empty() && b.empty();
}

Pairs parts_of(std::string_view pattern, std::string_view path) {
  Pairs parts;
  while (!pattern.empty()) {
    if (pattern == all_that_is_left) {
      parts.emplace_back("*", path.substr(1));
      break;
    }
    const std::string_view name = name_in(take_step(pattern));
    const std::string_view step = take_step(path);
    if (!name.empty()) parts.emplace_back(name, step);
  }
  return parts;
}

bool is_pattern(std::string_view pattern) {
  if (!pattern.starts_with('/')) return false;
  std::vector<std::string_view> names;
  while (!pattern.empty()) {
    const std::string_view step = take_step(pattern);
    const std::string_view name = name_in(step);
    const std::string_view plain = name.empty() ? step : name;
    if (plain.find_first_of("{}") != std::string_view::npos) return false;
    if (name == "*" && !pattern.empty()) return false;
    if (std::ranges::count(names, name) != 0) return false;
    if (!name.empty()) names.push_back(name);
  }
  return true;
}

bool has_one(const Handler& handler) {
  return int{handler.whole != nullptr} + int{handler.pieces != nullptr} +
             int{handler.socket != nullptr} + int{handler.asked_socket != nullptr} ==
         1;
}

// The rows with the path's best pattern, one a method.
std::vector<const Route*> rows_for(const std::vector<Route>& routes, std::string_view path) {
  std::vector<const Route*> rows;
  if (!path.starts_with('/')) return rows;
  for (const Route& route : routes) {
    if (!matches(route.path, path)) continue;
    if (!rows.empty()) {
      if (goes_before(rows.front()->path, route.path)) continue;
      if (goes_before(route.path, rows.front()->path)) rows.clear();
    }
    rows.push_back(&route);
  }
  return rows;
}

const Route* row_of(const std::vector<const Route*>& rows, Method method) {
  const auto found = std::ranges::find(rows, method, &Route::method);
  return found == rows.end() ? nullptr : *found;
}

}  // namespace

void Router::add(Route route) {
  TM_CHECK(is_pattern(route.path));
  TM_CHECK(has_one(route.handler));
  for (const Route& other : routes_) {
    if (same_shape(other.path, route.path))
      TM_CHECK(other.method != route.method && other.path == route.path);
    TM_CHECK(route.operation.id.empty() || other.operation.id != route.operation.id);
  }
  routes_.push_back(std::move(route));
}

Result<Match> Router::match(Method method, std::string_view path) const {
  const std::vector<const Route*> rows = rows_for(routes_, path);
  if (rows.empty()) return fail(Errc::not_found, "nothing is served there");
  const Route* row = row_of(rows, method);
  if (row == nullptr && method == Method::head) row = row_of(rows, Method::get);
  if (row == nullptr)
    return fail(Errc::wrong_state, "what is served there does not answer to this method");
  return Match{row, parts_of(row->path, path)};
}

std::string Router::allowed(std::string_view path) const {
  const std::vector<const Route*> rows = rows_for(routes_, path);
  std::string list;
  const auto say = [&](Method method) {
    list += (list.empty() ? "" : ", ") + std::string(name_of(method));
  };
  for (const Route* row : rows) {
    say(row->method);
    if (row->method == Method::get && row_of(rows, Method::head) == nullptr) say(Method::head);
  }
  return list;
}

}  // namespace tallymill::http
