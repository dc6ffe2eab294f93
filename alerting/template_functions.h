// TemplateFunctions: what a template may call: Go's functions, Prometheus' own, and the methods of
// a time.
//
//   invariant: what a call makes and takes is paid for out of its Budget
//
// Threads: the tables are constant; a Budget is of one expansion.
// Source: Go's text/template; Prometheus 2.42, template.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "alerting/limits.h"
#include "alerting/template_value.h"
#include "base/result.h"

namespace tallymill::alerting::templates {

// What an expansion may still do.
class Budget {
 public:
  // too_big: it took too long.
  [[nodiscard]] Status spend(std::size_t steps);
  // Of going over so many bytes.
  [[nodiscard]] Status spend_on(std::size_t bytes) { return spend(1 + bytes / 64); }
  [[nodiscard]] Status query();

 private:
  std::int64_t steps_ = limits::template_steps;
  std::size_t queries_ = limits::template_queries;
};

struct Expansion {
  const TemplateData& data;
  Budget& budget;
};

// What a function takes at one place: anything there is, with nil for what is not; anything; or a
// value of one type.
enum class Parameter : std::uint8_t { value, any, text, samples, sample };
[[nodiscard]] std::string_view name_of(Parameter parameter);

struct Function {
  using Values = std::span<const Value>;
  std::string_view name;
  std::vector<Parameter> parameters;
  bool variadic;  // the last one, any number of times
  // Each value is of its parameter's type. bad_params, too_big.
  Result<Value> (*call)(Expansion&, Values);
  enum class Logic : std::uint8_t { none, all, any } logic = Logic::none;  // `and`, `or`
};

// Null: there is none.
[[nodiscard]] const Function* function_named(std::string_view name);
// Of a value of this type, which is the first that call() is given; it is none of the parameters.
[[nodiscard]] const Function* method_named(Type type, std::string_view name);

}  // namespace tallymill::alerting::templates
