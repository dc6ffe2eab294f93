#include "alerting/go_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <utility>

#include "alerting/go_letters.h"
#include "alerting/go_time.h"
#include "collector/promql/go_text.h"

namespace tallymill::alerting::templates {
namespace {

// Go's own bound of a width and of a precision.
constexpr std::size_t widest = 1'000'000;

bool is_stringer(Type type) {
  return type == Type::time || type == Type::time_value || type == Type::month ||
         type == Type::weekday;
}

std::string stringer_text(const Value& value) {
  if (value.type == Type::month) return std::string(month_name(value.integer()));
  if (value.type == Type::weekday) return std::string(weekday_name(value.integer()));
  return time_text(value.integer());
}

std::string c_format(double number, char verb, std::size_t precision) {
  const char format[] = {'%', '.', '*', verb, '\0'};
  const int size = std::snprintf(nullptr, 0, format, static_cast<int>(precision), number);
  std::string made(static_cast<std::size_t>(size) + 1, '\0');
  std::snprintf(made.data(), made.size(), format, static_cast<int>(precision), number);
  made.pop_back();
  return made;
}

std::string shortest(double number, std::chars_format format) {
  std::array<char, 400> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, format);
  return {digits.data(), end.ptr};
}

// 0x1.8p+00: its exponent has two digits at least.
std::string hexadecimal(double number, std::optional<std::size_t> precision) {
  std::string made = precision ? c_format(number, 'a', *precision)
                               : (std::signbit(number) ? "-0x" : "0x") +
                                     shortest(std::abs(number), std::chars_format::hex);
  const std::size_t p = made.find('p');
  if (p != std::string::npos && made.size() == p + 3) made.insert(p + 2, "0");
  return made;
}

std::string power_of_two(double number) {
  int exponent = 0;
  const double fraction = std::frexp(number, &exponent);
  if (number == 0) return std::signbit(number) ? "-0p-1074" : "0p-1074";
  const int power = std::max(exponent - 53, -1074);
  const auto mantissa = static_cast<std::int64_t>(std::ldexp(fraction, exponent - power));
  return fmt::format("{}p{:+}", mantissa, power);
}

std::string number_as(double number, char32_t verb, std::optional<std::size_t> precision) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number > 0 ? "+Inf" : "-Inf";
  switch (verb) {
    case 'b':
      return power_of_two(number);
    case 'x':
    case 'X':
      return hexadecimal(number, precision);
    case 'v':
    case 'g':
    case 'G':
      return precision ? c_format(number, 'g', *precision) : promql::go_number(number);
    default:
      return c_format(number, verb == 'F' ? 'f' : static_cast<char>(verb | 0x20),
                      precision.value_or(6));
  }
}

// What # makes of a number: it has a point, and with some verbs the zeros of so many digits.
std::string with_point(std::string_view number, char32_t verb,
                       std::optional<std::size_t> precision) {
  const bool hexadecimal = verb == 'x' || verb == 'X';
  const bool negative = number.starts_with('-');
  const std::string_view size = number.substr(negative ? 1 : 0);
  const std::size_t end = std::min(size.find_first_of(hexadecimal ? "pP" : "pPeE"), size.size());
  std::string made(size.substr(0, end));
  if (verb == 'b') return std::string(number);
  const bool fills = hexadecimal || verb == 'v' || verb == 'g' || verb == 'G';
  auto missing = fills ? static_cast<std::ptrdiff_t>(precision.value_or(6)) : 0;
  bool counts = false;
  for (const char c : made) {
    counts = counts || (c != '0' && c != '.');
    missing -= counts && c != '.';
  }
  if (made.find('.') == std::string::npos) {
    missing -= made == "0";
    made += '.';
  }
  // Go's bound of a precision, and no string is that long.
  if (missing > 0) made.append(static_cast<std::size_t>(missing), '0');
  return fmt::format("{}{}{}", negative ? "-" : "", made, size.substr(end));
}

void raise(std::string& text) {
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 0x20);
}

bool can_be_backquoted(std::string_view text) {
  while (!text.empty()) {
    const Rune rune = first_rune(text);
    if (rune.number == 0xfffd && rune.bytes == 1) return false;
    if (rune.number == 0xfeff || rune.number == '`' || rune.number == 0x7f) return false;
    if (rune.number < ' ' && rune.number != '\t') return false;
    text.remove_prefix(rune.bytes);
  }
  return true;
}

// What is no ASCII as an escape, too.
std::string in_ascii(std::string_view quoted) {
  std::string made;
  while (!quoted.empty()) {
    const Rune rune = first_rune(quoted);
    if (rune.number < 0x80)
      made += static_cast<char>(rune.number);
    else if (rune.number < 0x10000)
      made += fmt::format("\\u{:04x}", rune.number);
    else
      made += fmt::format("\\U{:08x}", rune.number);
    quoted.remove_prefix(rune.bytes);
  }
  return made;
}

}  // namespace

void GoFormat::write(std::string_view text) {
  const std::size_t fits = std::min(text.size(), most_ - text_.size());
  over_ = over_ || fits < text.size();
  text_ += text.substr(0, fits);
}

void GoFormat::pad(std::string_view text) {
  const std::size_t size = flags_.width ? rune_count(text) : 0;
  if (!flags_.width || size >= *flags_.width) return write(text);
  // No more blanks than there is room for, and one that shows that it was not enough.
  const std::size_t blanks = std::min(*flags_.width - size, most_ - text_.size() + 1);
  if (flags_.minus) write(text);
  write(std::string(blanks, flags_.zero && !flags_.minus ? '0' : ' '));
  if (!flags_.minus) write(text);
}

void GoFormat::wrong(const Value& shown, char32_t verb) {
  write("%!");
  std::string letter;
  append_rune(letter, verb);
  write(letter);
  write("(");
  if (shown.type == Type::none) {
    write("<nil>");
  } else {
    write(name_of(shown.type));
    write("=");
    const bool outer = std::exchange(plain_, true);
    value(shown, 'v');
    plain_ = outer;
  }
  write(")");
}

void GoFormat::value(const Value& shown, char32_t verb) {
  if (over_) return;
  if (verb == 'T') return pad(name_of(shown.type));
  if (shown.type == Type::none) return verb == 'v' ? pad("<nil>") : wrong(shown, verb);
  const bool by_name = !plain_ || !shown.is_integer();
  if (is_stringer(shown.type) && by_name && !flags_.sharp_v &&
      std::u32string_view(U"vsxXq").find(verb) != std::u32string_view::npos)
    return text(shown, stringer_text(shown), verb);
  if (shown.is_text()) return text(shown, shown.text(), verb);
  if (shown.type == Type::boolean) return boolean(shown, verb);
  if (shown.is_integer()) return integer(shown, verb);
  if (shown.type == Type::real) return real(shown, verb);
  composite(shown, verb, 0);
}

void GoFormat::boolean(const Value& shown, char32_t verb) {
  if (verb != 't' && verb != 'v') return wrong(shown, verb);
  pad(shown.boolean() ? "true" : "false");
}

void GoFormat::integer(const Value& shown, char32_t verb) {
  switch (verb) {
    case 'v':
      if (flags_.sharp_v && shown.type == Type::byte) {
        const bool sharp = std::exchange(flags_.sharp, true);
        digits(shown, 16, 'x');
        flags_.sharp = sharp;
        return;
      }
      return digits(shown, 10, verb);
    case 'd':
      return digits(shown, 10, verb);
    case 'b':
      return digits(shown, 2, verb);
    case 'o':
    case 'O':
      return digits(shown, 8, verb);
    case 'x':
    case 'X':
      return digits(shown, 16, verb);
    case 'c':
    case 'q':
    case 'U':
      return character(shown, verb);
    default:
      return wrong(shown, verb);
  }
}

void GoFormat::digits(const Value& shown, unsigned base, char32_t verb) {
  const std::int64_t number = shown.integer();
  const bool negative = number < 0;
  const auto size =
      negative ? 0 - static_cast<std::uint64_t>(number) : static_cast<std::uint64_t>(number);
  std::array<char, 70> room{};
  const auto end =
      std::to_chars(room.data(), room.data() + room.size(), size, static_cast<int>(base)).ptr;
  std::string made(room.data(), end);
  const std::string_view sign = negative ? "-" : flags_.plus ? "+" : flags_.space ? " " : "";
  std::size_t least = 0;
  if (flags_.precision) {
    least = *flags_.precision;
    if (least == 0 && number == 0) {
      const bool zero = std::exchange(flags_.zero, false);
      pad("");
      if (flags_.width && *flags_.width > 0 && zero) flags_.zero = zero;
      return;
    }
  } else if (flags_.zero && flags_.width) {
    least = *flags_.width - std::min(*flags_.width, sign.size());
  }
  least = std::min(least, most_ + 1);
  if (made.size() < least) made.insert(0, least - made.size(), '0');
  std::string_view prefix;
  if (flags_.sharp) {
    if (base == 2) prefix = "0b";
    if (base == 8 && made[0] != '0') prefix = "0";
    if (base == 16) prefix = verb == 'X' ? "0X" : "0x";
  }
  if (verb == 'O') prefix = "0o";
  if (verb == 'X') raise(made);
  const bool zero = std::exchange(flags_.zero, false);
  pad(fmt::format("{}{}{}", sign, prefix, made));
  flags_.zero = zero;
}

void GoFormat::character(const Value& shown, char32_t verb) {
  const std::int64_t number = shown.integer();
  std::string one;
  append_rune(one, number < 0 || number > 0x10ffff ? 0xfffd : static_cast<std::uint32_t>(number));
  if (verb == 'c') return pad(one);
  if (verb == 'U') {
    std::string made = fmt::format("U+{:04X}", static_cast<std::uint64_t>(number));
    if (flags_.sharp && number >= 0 && number <= 0x10ffff && is_printable(one))
      made += fmt::format(" '{}'", one);
    const bool zero = std::exchange(flags_.zero, false);
    pad(made);
    flags_.zero = zero;
    return;
  }
  std::string made = promql::go_quoted(one);
  if (flags_.plus) made = in_ascii(made);
  made = made.substr(1, made.size() - 2);
  if (one == "'") made = "\\'";
  if (one == "\"") made = "\"";
  pad("'" + made + "'");
}

// A sign before the zeros that fill it up.
void GoFormat::signed_number(std::string number) {
  const bool finite = number.find_first_of("IN") == std::string::npos;
  if (number[0] != '-' && number[0] != '+') number.insert(0, "+");
  if (flags_.space && number[0] == '+' && !flags_.plus) number[0] = ' ';
  if (!finite) {
    const bool zero = std::exchange(flags_.zero, false);
    if (number[1] == 'N' && !flags_.space && !flags_.plus) number.erase(0, 1);
    pad(number);
    flags_.zero = zero;
    return;
  }
  if (!flags_.plus && number[0] == '+') return pad(number.substr(1));
  if (flags_.zero && flags_.width && *flags_.width > number.size()) {
    write(number.substr(0, 1));
    write(std::string(std::min(*flags_.width - number.size(), most_ + 1), '0'));
    return write(number.substr(1));
  }
  pad(number);
}

void GoFormat::real(const Value& shown, char32_t verb) {
  if (verb > 0x7f || std::strchr("vbgGxXfFeE", static_cast<int>(verb)) == nullptr || verb == 0)
    return wrong(shown, verb);
  // More digits than there is room for are as good as any number of them.
  auto precision = flags_.precision;
  if (precision) precision = std::min(*precision, most_ + 1);
  std::string made = number_as(shown.real(), verb, precision);
  if (verb == 'G' || verb == 'E' || verb == 'X')
    if (std::isfinite(shown.real())) raise(made);
  if (flags_.sharp && std::isfinite(shown.real())) made = with_point(made, verb, precision);
  signed_number(std::move(made));
}

void GoFormat::text(const Value& shown, std::string_view text, char32_t verb) {
  std::string_view cut = text;
  if (flags_.precision && verb != 'x' && verb != 'X') {
    std::size_t size = 0;
    for (std::size_t i = 0; i < *flags_.precision && size < text.size(); ++i)
      size += first_rune(text.substr(size)).bytes;
    cut = text.substr(0, size);
  }
  switch (verb) {
    case 'v':
      return flags_.sharp_v ? quoted(cut) : pad(cut);
    case 's':
      return pad(cut);
    case 'q':
      return quoted(cut);
    case 'x':
    case 'X':
      return bytes_in_hex(cut, verb == 'X');
    default:
      return wrong(shown, verb);
  }
}

void GoFormat::quoted(std::string_view text) {
  if (flags_.sharp && can_be_backquoted(text)) return pad(fmt::format("`{}`", text));
  const std::string made = promql::go_quoted(text);
  pad(flags_.plus ? in_ascii(made) : made);
}

void GoFormat::bytes_in_hex(std::string_view text, bool capital) {
  if (flags_.precision) text = text.substr(0, *flags_.precision);
  std::string made;
  const std::string_view prefix = !flags_.sharp ? "" : capital ? "0X" : "0x";
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i == 0 || flags_.space) made += prefix;
    const auto byte = static_cast<unsigned char>(text[i]);
    made += capital ? fmt::format("{:02X}", byte) : fmt::format("{:02x}", byte);
    if (flags_.space && i + 1 < text.size()) made += ' ';
  }
  pad(made);
}

// Maps, lists and structs: the verb is their elements'.
void GoFormat::composite(const Value& shown, char32_t verb, int depth) {
  if (over_) return;
  const bool map = shown.type == Type::labels || shown.type == Type::arguments;
  if (map || shown.type == Type::samples) {
    // %#v writes it as a Go program would.
    write(flags_.sharp_v ? fmt::format("{}{{", name_of(shown.type)) : map ? "map[" : "[");
    elements(shown, verb, depth);
    return write(flags_.sharp_v ? "}" : "]");
  }
  if (shown.type == Type::sample) {
    if (shown.sample() == nullptr) return pad("<nil>");
    if (depth == 0) write("&");
    return sample(*shown.sample(), verb);
  }
  if (shown.type == Type::alert) return alert(shown.alert(), verb);
  // Of a moment, and a verb that is none of a text: Go would show its inside.
  pad(stringer_text(shown));
}

void GoFormat::elements(const Value& shown, char32_t verb, int depth) {
  bool first = true;
  const auto part = [&] {
    if (!std::exchange(first, false)) write(flags_.sharp_v ? ", " : " ");
  };
  const auto pair = [&](std::string_view name, const Value& element) {
    part();
    value(of(std::string(name)), verb);
    write(":");
    value(element, verb);
  };
  if (shown.type == Type::labels) {
    for (const auto& label : shown.labels()) pair(label.name, of(std::string(label.value)));
  } else if (shown.type == Type::arguments) {
    for (const auto& [name, element] : shown.arguments().by_name) {
      if (over_) return;
      pair(name, element);
    }
  } else {
    for (const SamplePointer& one : shown.samples()) {
      if (over_) return;
      part();
      composite(of(one), verb, depth + 1);
    }
  }
}

void GoFormat::fields(std::string_view type, std::span<const Field> all, char32_t verb) {
  if (flags_.sharp_v) write(type);
  write("{");
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i > 0) write(flags_.sharp_v ? ", " : " ");
    if (flags_.sharp_v || flags_.plus_v) write(fmt::format("{}:", all[i].first));
    value(all[i].second, verb);
  }
  write("}");
}

void GoFormat::sample(const TemplateSample& sample, char32_t verb) {
  fields("template.sample",
         std::array<Field, 2>{{{"Labels", of(sample.labels)}, {"Value", of(sample.value)}}}, verb);
}

void GoFormat::alert(const TemplateData& data, char32_t verb) {
  fields(name_of(Type::alert),
         std::array<Field, 4>{{{"Labels", of(data.labels)},
                               {"ExternalLabels", of(data.external_labels)},
                               {"ExternalURL", of(data.external_url)},
                               {"Value", of(data.value)}}},
         verb);
}

void GoFormat::show(const Value& shown) {
  flags_ = {};
  if (shown.type == Type::none) return write("<no value>");
  if (shown.type == Type::sample) {
    if (shown.sample() == nullptr) return write("<no value>");
    return sample(*shown.sample(), 'v');
  }
  value(shown, 'v');
}

void GoFormat::print(std::span<const Value> values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0 && !values[i].is_text() && !values[i - 1].is_text()) write(" ");
    flags_ = {};
    value(values[i], 'v');
  }
}

void GoFormat::println(std::span<const Value> values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) write(" ");
    flags_ = {};
    value(values[i], 'v');
  }
  write("\n");
}

void GoFormat::extra(std::span<const Value> values) {
  flags_ = {};
  write("%!(EXTRA ");
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) write(", ");
    write(name_of(values[i].type));
    if (values[i].type == Type::none) continue;
    write("=");
    value(values[i], 'v');
  }
  write(")");
}

// One %... of a format: its flags, and which value it takes.
class GoFormat::Directive {
 public:
  Directive(std::string_view format, std::span<const Value> values)
      : format_(format), values_(values) {}

  // Behind the %. False: the format ends in the middle of it.
  bool read(GoFormat& to) {
    good_ = true;
    after_index_ = false;
    to.flags_ = {};
    flags(to.flags_);
    index();
    if (!width(to) || !precision(to)) return false;
    if (!after_index_) index();
    if (at_ >= format_.size()) return false;
    const Rune rune = first_rune(format_.substr(at_));
    verb_ = rune.number;
    at_ += rune.bytes;
    return true;
  }

  std::size_t at_ = 0;        // in the format
  std::size_t argument_ = 0;  // the next one
  bool reordered_ = false;    // some were named by their number
  bool good_ = true;
  char32_t verb_ = 0;

 private:
  void flags(Flags& flags) {
    for (; at_ < format_.size(); ++at_) {
      switch (format_[at_]) {
        case '#':
          flags.sharp = true;
          break;
        case '0':
          flags.zero = !flags.minus;
          break;
        case '+':
          flags.plus = true;
          break;
        case '-':
          flags.minus = true;
          flags.zero = false;
          break;
        case ' ':
          flags.space = true;
          break;
        default:
          return;
      }
    }
  }

  // Nothing: there is none, or it is too large, which ends the format.
  std::optional<std::size_t> number() {
    std::size_t made = 0;
    const std::size_t begin = at_;
    for (; at_ < format_.size() && format_[at_] >= '0' && format_[at_] <= '9'; ++at_) {
      if (made > widest) {
        at_ = format_.size();
        return std::nullopt;
      }
      made = made * 10 + static_cast<std::size_t>(format_[at_] - '0');
    }
    if (at_ == begin) return std::nullopt;
    return made;
  }

  // [n]: the number of the value that is meant, from 1.
  void index() {
    if (at_ >= format_.size() || format_[at_] != '[') return;
    reordered_ = true;
    const std::size_t close = format_.find(']', at_);
    if (close == std::string_view::npos) {
      good_ = false;
      ++at_;
      return;
    }
    const std::size_t begin = ++at_;
    const auto named = number();
    const bool whole = at_ == close && at_ > begin;
    at_ = close + 1;
    after_index_ = whole && named && *named >= 1 && *named <= values_.size();
    if (after_index_)
      argument_ = *named - 1;
    else
      good_ = false;
  }

  // The next value, if it is a number that can be a width.
  std::optional<std::int64_t> number_argument() {
    if (argument_ >= values_.size()) return std::nullopt;
    const Value& value = values_[argument_++];
    if (!value.is_integer()) return std::nullopt;
    const std::int64_t number = value.integer();
    if (number > static_cast<std::int64_t>(widest) || number < -static_cast<std::int64_t>(widest))
      return std::nullopt;
    return number;
  }

  bool width(GoFormat& to) {
    if (at_ < format_.size() && format_[at_] == '*') {
      ++at_;
      const auto given = number_argument();
      if (!given) to.write("%!(BADWIDTH)");
      if (given && *given < 0) {
        to.flags_.minus = true;
        to.flags_.zero = false;
      }
      if (given) to.flags_.width = static_cast<std::size_t>(std::abs(*given));
      after_index_ = false;
      return true;
    }
    to.flags_.width = number();
    if (after_index_ && to.flags_.width) good_ = false;
    return true;
  }

  bool precision(GoFormat& to) {
    if (at_ >= format_.size() || format_[at_] != '.') return true;
    ++at_;
    if (after_index_) good_ = false;
    index();
    if (at_ < format_.size() && format_[at_] == '*') {
      ++at_;
      const auto given = number_argument();
      if (!given)
        to.write("%!(BADPREC)");
      else if (*given >= 0)
        to.flags_.precision = static_cast<std::size_t>(*given);
      else
        to.write("%!(BADPREC)");
      after_index_ = false;
      return true;
    }
    to.flags_.precision = number().value_or(0);
    return true;
  }

  std::string_view format_;
  std::span<const Value> values_;
  bool after_index_ = false;
};

void GoFormat::printf(std::string_view format, std::span<const Value> values) {
  Directive directive(format, values);
  while (directive.at_ < format.size() && !over_) {
    const std::size_t percent = std::min(format.find('%', directive.at_), format.size());
    write(format.substr(directive.at_, percent - directive.at_));
    directive.at_ = percent + 1;
    if (percent == format.size()) break;
    if (!directive.read(*this)) {
      write("%!(NOVERB)");
      break;
    }
    std::string letter;
    append_rune(letter, directive.verb_);
    if (directive.verb_ == '%') {
      write("%");
    } else if (!directive.good_) {
      write("%!" + letter + "(BADINDEX)");
    } else if (directive.argument_ >= values.size()) {
      write("%!" + letter + "(MISSING)");
    } else {
      if (directive.verb_ == 'v') {
        flags_.sharp_v = std::exchange(flags_.sharp, false);
        flags_.plus_v = std::exchange(flags_.plus, false);
      }
      value(values[directive.argument_++], directive.verb_);
    }
  }
  if (!directive.reordered_ && directive.argument_ < values.size())
    extra(values.subspan(directive.argument_));
}

}  // namespace tallymill::alerting::templates
