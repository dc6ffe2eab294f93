#include "alerting/go_index.h"

#include <fmt/format.h>

#include <array>

namespace tallymill::alerting::templates {
namespace {

auto wrong(std::string why) { return fail(Errc::bad_params, std::move(why)); }

// Of a pointer what it points to.
std::string_view pointed_to(Type type) {
  const std::string_view name = name_of(type);
  return name.starts_with('*') ? name.substr(1) : name;
}

Result<std::size_t> number(const Value& index, std::size_t most) {
  if (index.type == Type::none) return wrong("cannot index slice/array with nil");
  if (!index.is_integer())
    return wrong(fmt::format("cannot index slice/array with type {}", name_of(index.type)));
  const std::int64_t at = index.integer();
  if (at < 0 || static_cast<std::uint64_t>(at) > most)
    return wrong(fmt::format("index out of range: {}", at));
  return static_cast<std::size_t>(at);
}

Result<Value> element(const Value& item, const Value& index) {
  if (item.is_text() || item.type == Type::samples) {
    const std::size_t size = length(item);
    const auto at = number(index, size);
    if (!at) return std::unexpected(at.error());
    if (*at == size)
      return wrong(
          fmt::format("reflect: {} index out of range", item.is_text() ? "string" : "slice"));
    if (item.type == Type::samples) return of(item.samples()[*at]);
    return of(std::int64_t{static_cast<unsigned char>(item.text()[*at])}, Type::byte);
  }
  if (item.type != Type::labels && item.type != Type::arguments)
    return wrong(fmt::format("can't index item of type {}", pointed_to(item.type)));
  if (index.type == Type::none) return wrong("value is nil; should be of type string");
  if (index.type != Type::text)
    return wrong(fmt::format("value has type {}; should be string", name_of(index.type)));
  if (item.type == Type::labels) return of(std::string(item.labels().get(index.text())));
  const auto at = item.arguments().by_name.find(index.text());
  return at == item.arguments().by_name.end() ? Value{} : at->second;
}

}  // namespace

Result<Value> indexed(const Value& item, std::span<const Value> indexes) {
  if (item.type == Type::none) return wrong("index of untyped nil");
  Value found = item;
  for (const Value& index : indexes) {
    if (found.type == Type::none || (found.type == Type::sample && found.sample() == nullptr))
      return wrong("index of nil pointer");
    auto next = element(found, index);
    if (!next) return next;
    found = std::move(*next);
  }
  return found;
}

Result<Value> sliced(const Value& item, std::span<const Value> indexes) {
  if (item.type == Type::none) return wrong("slice of untyped nil");
  if (indexes.size() > 3) return wrong(fmt::format("too many slice indexes: {}", indexes.size()));
  if (!item.is_text() && item.type != Type::samples)
    return wrong(fmt::format("can't slice item of type {}", name_of(item.type)));
  if (item.is_text() && indexes.size() == 3) return wrong("cannot 3-index slice a string");
  std::array<std::size_t, 3> at = {0, length(item), 0};
  for (std::size_t i = 0; i < indexes.size(); ++i) {
    const auto one = number(indexes[i], length(item));
    if (!one) return std::unexpected(one.error());
    at[i] = *one;
  }
  if (at[0] > at[1]) return wrong(fmt::format("invalid slice index: {} > {}", at[0], at[1]));
  if (indexes.size() == 3 && at[1] > at[2])
    return wrong(fmt::format("invalid slice index: {} > {}", at[1], at[2]));
  if (item.is_text()) return of(item.text().substr(at[0], at[1] - at[0]), item.type);
  const auto begin = item.samples().begin();
  return of(Samples(begin + static_cast<std::ptrdiff_t>(at[0]),
                    begin + static_cast<std::ptrdiff_t>(at[1])));
}

Result<Value> length_of(const Value& item) {
  if (item.type == Type::none) return wrong("reflect: call of reflect.Value.Type on zero Value");
  if (item.type == Type::sample && item.sample() == nullptr) return wrong("len of nil pointer");
  if (has_length(item)) return of(static_cast<std::int64_t>(length(item)));
  return wrong(fmt::format("len of type {}", pointed_to(item.type)));
}

}  // namespace tallymill::alerting::templates
