// TemplateValue: what an expression in a template is, with the type that Go would give it.
//
// Errors and printf's %T tell types to users, and comparisons depend on them: 1 is no 1.0.
//
//   invariant: `is` holds what `type` says; Type::none is Go's nil, and what is not there
//
// Threads: plain values; samples of a list are sorted in place by who expands the template.
// Source: Go's reflect, as text/template uses it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "alerting/template.h"

namespace tallymill::alerting::templates {

enum class Type : std::uint8_t {
  none,
  boolean,
  integer,
  integer64,
  byte,
  real,
  text,
  html,
  labels,     // map[string]string
  arguments,  // what args gives: map[string]interface {}
  samples,    // what query gives
  sample,
  time,        // *time.Time
  time_value,  // time.Time
  month,
  weekday,
  alert,  // what the whole template is about
};

// As Go names it.
[[nodiscard]] std::string_view name_of(Type type);

struct Value;

struct Arguments {
  std::map<std::string, Value> by_name;
  int depth = 1;  // of arguments in arguments
};
using SamplePointer = std::shared_ptr<const TemplateSample>;
using Samples = std::vector<SamplePointer>;

struct Value {
  Type type = Type::none;
  // Of a time milliseconds since 1970; of a month 1 to 12, of a weekday 0 (Sunday) to 6.
  std::variant<std::monostate, bool, std::int64_t, double, std::shared_ptr<const std::string>,
               collector::Labels, std::shared_ptr<const Arguments>, std::shared_ptr<Samples>,
               SamplePointer, const TemplateData*>
      is = {};

  [[nodiscard]] bool boolean() const { return std::get<bool>(is); }
  [[nodiscard]] std::int64_t integer() const { return std::get<std::int64_t>(is); }
  [[nodiscard]] double real() const { return std::get<double>(is); }
  [[nodiscard]] const std::string& text() const {
    return *std::get<std::shared_ptr<const std::string>>(is);
  }
  [[nodiscard]] const collector::Labels& labels() const { return std::get<collector::Labels>(is); }
  [[nodiscard]] const Arguments& arguments() const {
    return *std::get<std::shared_ptr<const Arguments>>(is);
  }
  [[nodiscard]] Samples& samples() const { return *std::get<std::shared_ptr<Samples>>(is); }
  // Null: Go's nil of this type.
  [[nodiscard]] const SamplePointer& sample() const { return std::get<SamplePointer>(is); }
  [[nodiscard]] const TemplateData& alert() const { return *std::get<const TemplateData*>(is); }

  [[nodiscard]] bool is_text() const { return type == Type::text || type == Type::html; }
  [[nodiscard]] bool is_integer() const {
    return type == Type::integer || type == Type::integer64 || type == Type::byte ||
           type == Type::month || type == Type::weekday;
  }
};

[[nodiscard]] inline Value of(bool value) { return {Type::boolean, value}; }
[[nodiscard]] inline Value of(std::int64_t value, Type type = Type::integer) {
  return {type, value};
}
[[nodiscard]] inline Value of(double value) { return {Type::real, value}; }
[[nodiscard]] inline Value of(std::string value, Type type = Type::text) {
  return {type, std::make_shared<const std::string>(std::move(value))};
}
[[nodiscard]] inline Value of(collector::Labels value) { return {Type::labels, std::move(value)}; }
[[nodiscard]] inline Value of(Samples value) {
  return {Type::samples, std::make_shared<Samples>(std::move(value))};
}
[[nodiscard]] inline Value of(SamplePointer value) { return {Type::sample, std::move(value)}; }

// Whether if and with take it for true: it is there, and is not zero nor empty.
[[nodiscard]] bool is_true(const Value& value);
// Of what has a length: a text, labels, arguments, samples; otherwise nothing.
[[nodiscard]] bool has_length(const Value& value);
[[nodiscard]] std::size_t length(const Value& value);  // REQUIRES: has_length()

}  // namespace tallymill::alerting::templates
