#include "collector/codec.h"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <vector>

#include "base/check.h"
#include "base/limits.h"
#include "collector/bytes.h"
#include "collector/decimal.h"
#include "collector/integers.h"
#include "collector/xor_column.h"

namespace tallymill::collector {
namespace {

enum class Form : std::uint8_t { same, decimals, bits };

// One in so many values may be none, since each costs 9 bytes beside the column.
constexpr std::size_t values_per_exception = 16;

std::uint64_t bits_of(double value) { return std::bit_cast<std::uint64_t>(value); }

std::size_t most_exceptions(std::size_t count) { return count / values_per_exception + 1; }

struct Exception {
  std::size_t index;
  double value;
};

// Values as integers over one power of ten.
struct Decimals {
  unsigned digits = 0;
  std::vector<std::int64_t> integers;
  std::vector<Exception> exceptions;  // each takes its neighbour's place among the integers
};

// The fewest digits behind the point, `digits` or more, with which the value is a decimal.
std::optional<unsigned> digits_of(double value, unsigned digits) {
  while (digits <= most_decimals && !decimal_integer(value, digits)) ++digits;
  return digits <= most_decimals ? std::optional(digits) : std::nullopt;
}

// With the fewest digits with which nearly all are decimals; false: too many are none. A value with
// more digits than those before it begins anew, which the first few mostly settle.
bool to_decimals(std::span<const double> values, Decimals& into) {
  into.digits = 0;
  for (bool settled = false; !settled;) {
    into.integers.clear();
    into.exceptions.clear();
    settled = true;
    std::int64_t last = 0;
    for (std::size_t i = 0; settled && i < values.size(); ++i) {
      if (const auto integer = decimal_integer(values[i], into.digits)) {
        last = *integer;
      } else if (const auto digits = digits_of(values[i], into.digits + 1)) {
        into.digits = *digits;
        settled = false;
      } else {
        into.exceptions.push_back({i, values[i]});
        if (into.exceptions.size() > most_exceptions(values.size())) return false;
      }
      into.integers.push_back(last);
    }
  }
  // Before the first decimal there was none.
  std::size_t leading = 0;
  while (leading < into.exceptions.size() && into.exceptions[leading].index == leading) ++leading;
  if (leading < into.integers.size())
    std::fill_n(into.integers.begin(), leading, into.integers[leading]);
  return true;
}

bool pack_decimals(std::span<const double> values, std::string& to) {
  static thread_local Decimals decimals;
  if (!to_decimals(values, decimals)) return false;
  to += static_cast<char>(decimals.digits);
  append_varint(to, decimals.exceptions.size());
  std::size_t before = 0;
  for (const Exception& exception : decimals.exceptions) {
    append_varint(to, exception.index - before);
    append_word(to, exception.value);
    before = exception.index;
  }
  pack_integers(decimals.integers, to);
  return true;
}

bool unpack_decimals(Reader& from, std::span<double> into) {
  static thread_local std::array<std::int64_t, limits::block_samples> integers;
  const unsigned decimals = from.byte();
  const std::uint64_t count = from.varint();
  if (decimals > most_decimals || count > most_exceptions(into.size())) return false;
  // Patched in behind the column, which is read first.
  Reader exceptions = from;
  for (std::uint64_t i = 0; i < count; ++i) {
    (void)from.varint();
    (void)from.word<double>();
  }
  if (!unpack_integers(from, std::span(integers).first(into.size()))) return false;
  const double power = powers_of_ten[decimals];
  for (std::size_t i = 0; i < into.size(); ++i) into[i] = static_cast<double>(integers[i]) / power;
  std::uint64_t index = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t gap = exceptions.varint();
    if (gap >= into.size() - index) return false;
    index += gap;
    into[index] = exceptions.word<double>();
  }
  return true;
}

bool unpack_values(Reader& from, Form form, std::span<double> into) {
  switch (form) {
    case Form::same:
      std::ranges::fill(into, from.word<double>());
      return from.ok();
    case Form::decimals:
      return unpack_decimals(from, into);
    case Form::bits:
      return unpack_xor(from, into);
  }
  return false;
}

}  // namespace

void pack_block(std::span<const std::int64_t> t_ms, std::span<const double> values,
                std::string& to) {
  TM_CHECK(t_ms.size() == values.size() && values.size() <= limits::block_samples);
  const std::size_t head = to.size();
  to += static_cast<char>(Form::same);
  append_varint(to, values.size());
  if (values.empty()) return;
  pack_integers(t_ms, to);
  if (std::ranges::all_of(values, [&](double v) { return bits_of(v) == bits_of(values[0]); })) {
    append_word(to, values[0]);
    return;
  }
  if (pack_decimals(values, to)) {
    to[head] = static_cast<char>(Form::decimals);
    return;
  }
  to[head] = static_cast<char>(Form::bits);
  pack_xor(values, to);
}

Status unpack_block(std::string_view untrusted, Column& into) {
  Reader from(untrusted);
  const unsigned form = from.byte();
  const std::uint64_t count = from.varint();
  const std::size_t before = into.size();
  if (from.ok() && form <= static_cast<unsigned>(Form::bits) && count <= limits::block_samples) {
    into.t_ms.resize(before + count);
    into.value.resize(before + count);
    const bool read = count == 0 || (unpack_integers(from, std::span(into.t_ms).subspan(before)) &&
                                     unpack_values(from, static_cast<Form>(form),
                                                   std::span(into.value).subspan(before)));
    if (read && from.ok() && from.at_end()) return {};
  }
  into.t_ms.resize(before);
  into.value.resize(before);
  return fail(Errc::corrupt, "these bytes are no block of samples");
}

}  // namespace tallymill::collector
