#include "alerting/go_compare.h"

#include <fmt/format.h>

#include "alerting/go_format.h"
#include "alerting/limits.h"

namespace tallymill::alerting::templates {
namespace {

enum class Kind : std::uint8_t { other, boolean, integer, real, text };

Kind kind_of(const Value& value) {
  if (value.type == Type::boolean) return Kind::boolean;
  if (value.is_integer()) return Kind::integer;
  if (value.type == Type::real) return Kind::real;
  if (value.is_text()) return Kind::text;
  return Kind::other;
}

auto incompatible() { return fail(Errc::bad_params, "incompatible types for comparison"); }
auto wrong_type() { return fail(Errc::bad_params, "invalid type for comparison"); }

bool can_be_compared(const Value& value) {
  return value.type != Type::labels && value.type != Type::arguments &&
         value.type != Type::samples && value.type != Type::alert;
}
auto not_comparable(const Value& value) {
  GoFormat format(limits::template_output_bytes);
  format.printf("%s", std::span(&value, 1));
  return fail(Errc::bad_params,
              fmt::format("non-comparable type {}: {}", format.text(), name_of(value.type)));
}

Result<bool> same(const Value& one, const Value& other) {
  const Kind kind = kind_of(one);
  if (kind != kind_of(other)) {
    if (one.type == Type::none || other.type == Type::none) return false;
    return incompatible();
  }
  switch (kind) {
    case Kind::boolean:
      return one.boolean() == other.boolean();
    case Kind::integer:
      return one.integer() == other.integer();
    case Kind::real:
      return one.real() == other.real();
    case Kind::text:
      return one.text() == other.text();
    case Kind::other:
      break;
  }
  if (one.type == Type::none || other.type == Type::none) return one.type == other.type;
  if (!can_be_compared(other)) return not_comparable(other);
  // Pointers are the same when they point to the same.
  if (one.type != other.type) return false;
  if (one.type == Type::sample) return one.sample() == other.sample();
  return one.type == Type::time_value && one.integer() == other.integer();
}

}  // namespace

Result<bool> equal(const Value& one, std::span<const Value> others) {
  if (others.empty()) return fail(Errc::bad_params, "missing argument for comparison");
  for (const Value& other : others) {
    auto found = same(one, other);
    if (!found || *found) return found;
  }
  return false;
}

Result<bool> less(const Value& one, const Value& other) {
  const Kind kind = kind_of(one);
  if (kind == Kind::other || kind_of(other) == Kind::other) return wrong_type();
  if (kind != kind_of(other)) return incompatible();
  switch (kind) {
    case Kind::integer:
      return one.integer() < other.integer();
    case Kind::real:
      return one.real() < other.real();
    case Kind::text:
      return one.text() < other.text();
    default:
      return wrong_type();
  }
}

Result<bool> less_or_equal(const Value& one, const Value& other) {
  auto found = less(one, other);
  if (!found || *found) return found;
  return same(one, other);
}

}  // namespace tallymill::alerting::templates
