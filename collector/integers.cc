// 1. Differences of each order go over the values once, and say what their groups and varints would
//    cost; an order that costs more than the one before it ends the search.
// 2. The cheapest is written.
// Reading undoes the last step as it goes: remainders of a group into `into`, then running sums.
#include "collector/integers.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/check.h"
#include "base/limits.h"

namespace tallymill::collector {
namespace {

enum class Form : std::uint8_t { uniform, varints, groups };

constexpr std::size_t group_size = 64;
constexpr unsigned orders = 3;
// Above this a value does not lie within one 64-bit word read at a byte's edge.
constexpr unsigned widest_packed = 56;

std::int64_t minus(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b));
}
std::int64_t plus(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}

unsigned width_of(std::int64_t least, std::int64_t most) {
  const auto width =
      static_cast<unsigned>(std::bit_width(static_cast<std::uint64_t>(minus(most, least))));
  return width > widest_packed ? 64 : width;
}

std::size_t packed_bytes(std::size_t count, unsigned width) { return (count * width + 7) / 8; }

struct Plan {
  unsigned order = 0;
  Form form = Form::uniform;
  std::size_t bytes = 0;
};

// The cheapest form of these remainders, as far as it takes less than `most_bytes`. What varints
// take at least follows from the least and the most of each group, and mostly ends the matter.
Plan plan_of(std::span<const std::int64_t> left, std::size_t most_bytes) {
  std::size_t groups = 0;
  std::size_t least_varints = 0;
  bool uniform = true;
  for (std::size_t at = 0; at < left.size(); at += group_size) {
    const auto group = left.subspan(at, std::min(group_size, left.size() - at));
    std::int64_t least = group[0];
    std::int64_t most = group[0];
    for (const std::int64_t value : group) {
      least = std::min(least, value);
      most = std::max(most, value);
    }
    uniform = uniform && least == left[0] && most == left[0];
    groups += varint_size(zigzag(least)) + 1 + packed_bytes(group.size(), width_of(least, most));
    const std::int64_t smallest = std::clamp(std::int64_t{0}, least, most);
    least_varints += varint_size(zigzag(smallest)) * group.size();
  }
  if (uniform) return {0, Form::uniform, left.empty() ? 0 : varint_size(zigzag(left[0]))};
  if (least_varints < std::min(groups, most_bytes)) {
    std::size_t varints = 0;
    for (const std::int64_t value : left) varints += varint_size(zigzag(value));
    if (varints < groups) return {0, Form::varints, varints};
  }
  return {0, Form::groups, groups};
}

void append_group(std::span<const std::int64_t> group, std::string& to) {
  const auto [least, most] = std::ranges::minmax(group);
  const unsigned width = width_of(least, most);
  append_varint(to, zigzag(least));
  to += static_cast<char>(width);
  if (width == 64) {
    for (const std::int64_t value : group) append_word(to, minus(value, least));
    return;
  }
  // Less than a byte is held between two values, so that 7 + 56 bits fit. Words are written whole,
  // each over the end of the one before it.
  const std::size_t size = packed_bytes(group.size(), width);
  std::array<char, group_size * 8 + 8> packed;
  char* at = packed.data();
  std::uint64_t held = 0;
  unsigned bits = 0;
  for (const std::int64_t value : group) {
    held |= static_cast<std::uint64_t>(minus(value, least)) << bits;
    bits += width;
    std::memcpy(at, &held, sizeof held);
    const unsigned whole = bits / 8;
    at += whole;
    held >>= 8 * whole;
    bits -= 8 * whole;
  }
  to.append(packed.data(), size);
}

// Remainders of one group, or nothing and the reader has failed.
void read_group(Reader& from, std::span<std::int64_t> into) {
  const std::int64_t least = unzigzag(from.varint());
  const unsigned width = from.byte();
  if (width > widest_packed && width != 64) return from.fail();
  const std::size_t size = packed_bytes(into.size(), width);
  const char* at = from.rest().data();
  std::array<char, group_size * 8 + 8> padded;
  // The last word read may reach 7 bytes beyond what is packed.
  if (from.rest().size() < size + 8) {
    const std::string_view bytes = from.take(size);
    if (!from.ok()) return;
    std::ranges::copy(bytes, padded.begin());
    std::memset(padded.data() + size, 0, 8);
    at = padded.data();
  } else {
    (void)from.take(size);
  }
  if (width == 64) {
    for (std::size_t i = 0; i < into.size(); ++i)
      into[i] = plus(load_word<std::int64_t>(at + 8 * i), least);
    return;
  }
  const std::uint64_t mask = (std::uint64_t{1} << width) - 1;
  std::size_t bit = 0;
  for (std::int64_t& value : into) {
    const std::uint64_t word = load_word<std::uint64_t>(at + (bit >> 3)) >> (bit & 7);
    value = plus(static_cast<std::int64_t>(word & mask), least);
    bit += width;
  }
}

void read_remainders(Reader& from, Form form, std::span<std::int64_t> into) {
  switch (form) {
    case Form::uniform:
      if (!into.empty()) std::ranges::fill(into, unzigzag(from.varint()));
      return;
    case Form::varints:
      for (std::int64_t& value : into) value = unzigzag(from.varint());
      return;
    case Form::groups:
      for (std::size_t at = 0; at < into.size() && from.ok(); at += group_size)
        read_group(from, into.subspan(at, std::min(group_size, into.size() - at)));
      return;
  }
}

// A column whose steps are all the same, as are ids of one push, or timestamps of a series: found
// without its differences. False: it is none.
bool pack_even(std::span<const std::int64_t> values, std::string& to) {
  if (values.size() < 2) return false;
  const std::int64_t step = minus(values[1], values[0]);
  for (std::size_t i = 2; i < values.size(); ++i)
    if (minus(values[i], values[i - 1]) != step) return false;
  const unsigned order = step == 0 ? 0 : 1;
  to += static_cast<char>(order | static_cast<unsigned>(Form::uniform) << 2);
  append_varint(to, zigzag(values[0]));
  if (order == 1) append_varint(to, zigzag(step));
  return true;
}

}  // namespace

void pack_integers(std::span<const std::int64_t> values, std::string& to) {
  TM_CHECK(values.size() <= limits::integers_column);
  if (pack_even(values, to)) return;
  static thread_local std::array<std::vector<std::int64_t>, orders> left;
  std::array<std::int64_t, orders> first{};
  Plan best;
  std::size_t heads = 0;  // bytes of the first values up to this order
  for (unsigned order = 0; order < orders && order <= values.size(); ++order) {
    std::vector<std::int64_t>& now = left[order];
    if (order == 0) {
      now.assign(values.begin(), values.end());
    } else {
      const std::vector<std::int64_t>& before = left[order - 1];
      if (before.empty()) break;
      first[order - 1] = before[0];
      heads += varint_size(zigzag(before[0]));
      now.resize(before.size() - 1);
      for (std::size_t i = 0; i < now.size(); ++i) now[i] = minus(before[i + 1], before[i]);
    }
    const std::size_t of_use = order == 0 ? SIZE_MAX : best.bytes - std::min(best.bytes, heads);
    Plan plan = plan_of(now, of_use);
    plan.order = order;
    plan.bytes += heads;
    if (order > 0 && plan.bytes >= best.bytes) break;
    best = plan;
    if (plan.form == Form::uniform) break;
  }
  to += static_cast<char>(best.order | static_cast<unsigned>(best.form) << 2);
  for (unsigned order = 0; order < best.order; ++order) append_varint(to, zigzag(first[order]));
  const std::span<const std::int64_t> remainders = left[best.order];
  switch (best.form) {
    case Form::uniform:
      if (!remainders.empty()) append_varint(to, zigzag(remainders[0]));
      return;
    case Form::varints:
      for (const std::int64_t value : remainders) append_varint(to, zigzag(value));
      return;
    case Form::groups:
      for (std::size_t at = 0; at < remainders.size(); at += group_size)
        append_group(remainders.subspan(at, std::min(group_size, remainders.size() - at)), to);
      return;
  }
}

bool unpack_integers(Reader& from, std::span<std::int64_t> into) {
  TM_CHECK(into.size() <= limits::integers_column);
  const unsigned head = from.byte();
  const unsigned order = head & 3;
  if (order >= orders || (head >> 2) > static_cast<unsigned>(Form::groups) || order > into.size()) {
    from.fail();
    return false;
  }
  std::array<std::int64_t, orders> first{};
  for (unsigned i = 0; i < order; ++i) first[i] = unzigzag(from.varint());
  read_remainders(from, static_cast<Form>(head >> 2), into.subspan(order));
  if (!from.ok()) return false;
  if (order == 1) {
    std::int64_t value = into[0] = first[0];
    for (std::int64_t& at : into.subspan(1)) at = value = plus(value, at);
  } else if (order == 2) {
    std::int64_t value = into[0] = first[0];
    std::int64_t step = first[1];
    into[1] = value = plus(value, step);
    for (std::int64_t& at : into.subspan(2)) {
      step = plus(step, at);
      at = value = plus(value, step);
    }
  }
  return true;
}

}  // namespace tallymill::collector
