#include "alerting/template_functions.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "alerting/go_compare.h"
#include "alerting/go_escape.h"
#include "alerting/go_format.h"
#include "alerting/go_index.h"
#include "alerting/go_letters.h"
#include "alerting/go_regexp.h"
#include "alerting/go_time.h"
#include "alerting/host_port.h"
#include "alerting/humanize.h"
#include "collector/promql/go_text.h"
#include "collector/stable_sort.h"

namespace tallymill::alerting::templates {
namespace {

using Values = Function::Values;
constexpr std::string_view nil_pointer =
    "runtime error: invalid memory address or nil pointer dereference";

Result<Value> formatted(GoFormat& format) {
  if (format.is_over())
    return fail(Errc::too_big,
                fmt::format("it gives more than {} bytes", limits::template_output_bytes));
  return of(format.take());
}

// What strconv.ParseFloat says.
Result<double> parsed_number(std::string_view text) {
  if (const auto number = promql::go_float(text)) return *number;
  // Digits that are a number, but a larger one than there is.
  const bool digits = text.find_first_not_of("+-0123456789.eE_") == std::string_view::npos &&
                      text.find_first_of("0123456789") != std::string_view::npos;
  std::string one(text);
  if (const std::size_t e = one.find_first_of("eE"); e != std::string::npos) one.resize(e);
  const std::size_t e = text.find_first_of("eE");
  const std::string_view exponent = e == std::string_view::npos ? "" : text.substr(e + 1);
  const bool fits = digits && promql::go_float(one) &&
                    (e == std::string_view::npos || promql::go_float(exponent).has_value());
  return fail(Errc::bad_params,
              fmt::format("strconv.ParseFloat: parsing {}: {}", promql::go_quoted(text),
                          fits ? "value out of range" : "invalid syntax"));
}

Result<double> number_of(const Value& value) {
  if (value.type == Type::real) return value.real();
  if (value.type == Type::integer || value.type == Type::integer64)
    return static_cast<double>(value.integer());
  if (value.type == Type::text) return parsed_number(value.text());
  return fail(Errc::bad_params, fmt::format("can't convert {} to float", name_of(value.type)));
}

template <std::string (*humanized)(double)>
Result<Value> humanize_with(Expansion&, Values values) {
  const auto number = number_of(values[0]);
  if (!number) return std::unexpected(number.error());
  return of(humanized(*number));
}

Result<Value> humanize_timestamp_of(Expansion&, Values values) {
  const auto number = number_of(values[0]);
  if (!number) return std::unexpected(number.error());
  auto text = humanize_timestamp(*number);
  if (!text) return std::unexpected(text.error());
  return of(std::move(*text));
}

Result<Value> to_time_of(Expansion&, Values values) {
  const auto number = number_of(values[0]);
  if (!number) return std::unexpected(number.error());
  const auto ms = to_time(*number);
  if (!ms) return std::unexpected(ms.error());
  return of(*ms, Type::time);
}

Result<Value> parse_duration_of(Expansion&, Values values) {
  const auto seconds = parse_duration(values[0].text());
  if (!seconds) return std::unexpected(seconds.error());
  return of(*seconds);
}

template <std::string (*change)(std::string_view)>
Result<Value> change_text(Expansion&, Values values) {
  return of(change(values[0].text()));
}

// Of what print makes of all; a text alone stays as it is.
template <std::string (*escape)(std::string_view)>
Result<Value> escape_all(Expansion&, Values values) {
  if (values.size() == 1 && values[0].type == Type::text) return of(escape(values[0].text()));
  GoFormat format(limits::template_output_bytes);
  const auto is_text = [](const Value& value) {
    return value.is_text() || value.type == Type::none;  // which is shown as <no value>
  };
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0 && !is_text(values[i]) && !is_text(values[i - 1])) format.show_text(" ");
    format.show(values[i]);
  }
  auto text = formatted(format);
  if (!text) return text;
  return of(escape(text->text()));
}

Result<Value> query(Expansion& expansion, Values values) {
  if (auto allowed = expansion.budget.query(); !allowed) return std::unexpected(allowed.error());
  if (!expansion.data.query) return fail(Errc::bad_params, "there is nothing to query here");
  auto found = expansion.data.query(values[0].text());
  if (!found) return std::unexpected(std::move(found).error());
  if (auto paid = expansion.budget.spend(found->size()); !paid)
    return std::unexpected(paid.error());
  Samples samples;
  samples.reserve(found->size());
  for (TemplateSample& sample : *found)
    samples.push_back(std::make_shared<const TemplateSample>(std::move(sample)));
  return of(std::move(samples));
}

Result<Value> first(Expansion&, Values values) {
  const Samples& samples = values[0].samples();
  if (samples.empty()) return fail(Errc::bad_params, "first() called on vector with no elements");
  return of(samples.front());
}

Result<Value> label_of(const SamplePointer& sample, std::string_view name) {
  if (sample == nullptr) return fail(Errc::bad_params, std::string(nil_pointer));
  return of(std::string(sample->labels.get(name)));
}
Result<Value> label(Expansion&, Values values) {
  return label_of(values[1].sample(), values[0].text());
}
Result<Value> strvalue(Expansion&, Values values) {
  return label_of(values[0].sample(), "__value__");
}
Result<Value> value_of(Expansion&, Values values) {
  if (values[0].sample() == nullptr) return fail(Errc::bad_params, std::string(nil_pointer));
  return of(values[0].sample()->value);
}

// In place, as Go does: whoever has the list sees it sorted.
Result<Value> sort_by_label(Expansion& expansion, Values values) {
  Samples& samples = values[1].samples();
  if (auto paid = expansion.budget.spend(samples.size()); !paid)
    return std::unexpected(paid.error());
  const std::string& name = values[0].text();
  collector::stable_sort(samples, [&](const SamplePointer& a, const SamplePointer& b) {
    return a->labels.get(name) < b->labels.get(name);
  });
  return values[1];
}

Result<Value> args(Expansion& expansion, Values values) {
  Arguments made;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i].type == Type::arguments)
      made.depth = std::max(made.depth, values[i].arguments().depth + 1);
    made.by_name[fmt::format("arg{}", i)] = values[i];
  }
  if (made.depth > limits::template_depth)
    return fail(Errc::too_big,
                fmt::format("arguments in arguments, more than {} deep", limits::template_depth));
  if (auto paid = expansion.budget.spend(values.size()); !paid)
    return std::unexpected(paid.error());
  return Value{Type::arguments, std::make_shared<const Arguments>(std::move(made))};
}

Result<Value> re_replace_all(Expansion& expansion, Values values) {
  auto made =
      regexp_replaced(expansion.budget, values[0].text(), values[1].text(), values[2].text());
  if (!made) return std::unexpected(made.error());
  return of(std::move(*made));
}

Result<Value> match(Expansion& expansion, Values values) {
  const auto found = regexp_matches(expansion.budget, values[0].text(), values[1].text());
  if (!found) return std::unexpected(found.error());
  return of(*found);
}

Result<Value> safe_html(Expansion&, Values values) { return of(values[0].text(), Type::html); }

template <char tab>
Result<Value> link(Expansion&, Values values) {
  return of(fmt::format("/graph?g0.expr={}&g0.tab={}", query_escaped(values[0].text()), tab));
}

Result<Value> path_prefix(Expansion& expansion, Values) {
  return of(path_of(expansion.data.external_url));
}
Result<Value> external_url(Expansion& expansion, Values) { return of(expansion.data.external_url); }

Result<Value> print(Expansion&, Values values) {
  GoFormat format(limits::template_output_bytes);
  format.print(values);
  return formatted(format);
}
Result<Value> println(Expansion&, Values values) {
  GoFormat format(limits::template_output_bytes);
  format.println(values);
  return formatted(format);
}
Result<Value> printf(Expansion&, Values values) {
  GoFormat format(limits::template_output_bytes);
  format.printf(values[0].text(), values.subspan(1));
  return formatted(format);
}

Result<Value> not_(Expansion&, Values values) { return of(!is_true(values[0])); }

// Values that are no functions are all that there are.
Result<Value> call(Expansion&, Values values) {
  if (values[0].type == Type::none) return fail(Errc::bad_params, "call of nil");
  return fail(Errc::bad_params, fmt::format("non-function of type {}", name_of(values[0].type)));
}

// What is true decides: expand() asks only for as many as it takes.
Result<Value> last(Expansion&, Values values) { return values.back(); }

Result<Value> of_result(Result<bool> result) {
  if (!result) return std::unexpected(result.error());
  return of(*result);
}
Result<Value> eq(Expansion&, Values v) { return of_result(equal(v[0], v.subspan(1))); }
Result<Value> ne(Expansion&, Values v) {
  const auto same = equal(v[0], v.subspan(1));
  if (!same) return std::unexpected(same.error());
  return of(!*same);
}
Result<Value> lt(Expansion&, Values v) { return of_result(less(v[0], v[1])); }
Result<Value> le(Expansion&, Values v) { return of_result(less_or_equal(v[0], v[1])); }
Result<Value> gt(Expansion&, Values v) {
  const auto other = less_or_equal(v[0], v[1]);
  if (!other) return std::unexpected(other.error());
  return of(!*other);
}
Result<Value> ge(Expansion&, Values v) {
  const auto other = less(v[0], v[1]);
  if (!other) return std::unexpected(other.error());
  return of(!*other);
}
Result<Value> index(Expansion&, Values v) { return indexed(v[0], v.subspan(1)); }
Result<Value> slice(Expansion&, Values v) { return sliced(v[0], v.subspan(1)); }
Result<Value> len(Expansion&, Values v) { return length_of(v[0]); }

using enum Parameter;
using Logic = Function::Logic;
const Function functions[] = {
    {"and", {value, value}, true, last, Logic::all},
    {"args", {any}, true, args},
    {"call", {value, value}, true, call},
    {"eq", {value, value}, true, eq},
    {"externalURL", {}, false, external_url},
    {"first", {samples}, false, first},
    {"ge", {value, value}, false, ge},
    {"graphLink", {text}, false, link<'0'>},
    {"gt", {value, value}, false, gt},
    {"html", {any}, true, escape_all<html_escaped>},
    {"humanize", {any}, false, humanize_with<humanize>},
    {"humanize1024", {any}, false, humanize_with<humanize1024>},
    {"humanizeDuration", {any}, false, humanize_with<humanize_duration>},
    {"humanizePercentage", {any}, false, humanize_with<humanize_percentage>},
    {"humanizeTimestamp", {any}, false, humanize_timestamp_of},
    {"index", {value, value}, true, index},
    {"js", {any}, true, escape_all<js_escaped>},
    {"label", {text, sample}, false, label},
    {"le", {value, value}, false, le},
    {"len", {value}, false, len},
    {"lt", {value, value}, false, lt},
    {"match", {text, text}, false, match},
    {"ne", {value, value}, false, ne},
    {"not", {value}, false, not_},
    {"or", {value, value}, true, last, Logic::any},
    {"parseDuration", {text}, false, parse_duration_of},
    {"pathPrefix", {}, false, path_prefix},
    {"print", {any}, true, print},
    {"printf", {text, any}, true, printf},
    {"println", {any}, true, println},
    {"query", {text}, false, query},
    {"reReplaceAll", {text, text, text}, false, re_replace_all},
    {"safeHtml", {text}, false, safe_html},
    {"slice", {value, value}, true, slice},
    {"sortByLabel", {text, samples}, false, sort_by_label},
    {"stripDomain", {text}, false, change_text<without_domain>},
    {"stripPort", {text}, false, change_text<without_port>},
    {"strvalue", {sample}, false, strvalue},
    {"tableLink", {text}, false, link<'1'>},
    {"title", {text}, false, change_text<title>},
    {"toLower", {text}, false, change_text<lower>},
    {"toTime", {any}, false, to_time_of},
    {"toUpper", {text}, false, change_text<upper>},
    {"urlquery", {any}, true, escape_all<query_escaped>},
    {"value", {sample}, false, value_of},
};

// Methods.
Result<Value> time_string(Expansion&, Values v) { return of(time_text(v[0].integer())); }
Result<Value> time_format(Expansion&, Values v) {
  return of(time_text(v[0].integer(), v[1].text()));
}
Result<Value> time_utc(Expansion&, Values v) { return of(v[0].integer(), Type::time_value); }
Result<Value> time_seconds(Expansion&, Values v) {
  const std::int64_t ms = v[0].integer();
  return of(ms / 1000 - (ms % 1000 < 0), Type::integer64);
}
template <std::int64_t each>
Result<Value> time_units(Expansion&, Values v) {
  return of(v[0].integer() * each, Type::integer64);
}
template <std::int64_t GoTime::* part, Type type = Type::integer>
Result<Value> time_part(Expansion&, Values v) {
  return of(GoTime(v[0].integer()).*part, type);
}
Result<Value> time_nanosecond(Expansion&, Values v) {
  return of(GoTime(v[0].integer()).millisecond * 1'000'000);
}
Result<Value> time_is_zero(Expansion&, Values) { return of(false); }  // the year 1 is too far off
Result<Value> name_string(Expansion&, Values v) {
  return of(std::string(v[0].type == Type::month ? month_name(v[0].integer())
                                                 : weekday_name(v[0].integer())));
}

const Function time_methods[] = {
    {"Day", {}, false, time_part<&GoTime::day>},
    {"Format", {text}, false, time_format},
    {"Hour", {}, false, time_part<&GoTime::hour>},
    {"IsZero", {}, false, time_is_zero},
    {"Minute", {}, false, time_part<&GoTime::minute>},
    {"Month", {}, false, time_part<&GoTime::month, Type::month>},
    {"Nanosecond", {}, false, time_nanosecond},
    {"Second", {}, false, time_part<&GoTime::second>},
    {"String", {}, false, time_string},
    {"UTC", {}, false, time_utc},
    {"Unix", {}, false, time_seconds},
    {"UnixMicro", {}, false, time_units<1'000>},
    {"UnixMilli", {}, false, time_units<1>},
    {"UnixNano", {}, false, time_units<1'000'000>},
    {"Weekday", {}, false, time_part<&GoTime::weekday, Type::weekday>},
    {"Year", {}, false, time_part<&GoTime::year>},
    {"YearDay", {}, false, time_part<&GoTime::year_day>},
};
const Function name_methods[] = {{"String", {}, false, name_string}};

const Function* named(std::span<const Function> all, std::string_view name) {
  const auto at = std::ranges::find(all, name, &Function::name);
  return at == all.end() ? nullptr : &*at;
}

}  // namespace

Status Budget::spend(std::size_t steps) {
  const auto wanted = static_cast<std::int64_t>(
      std::min<std::size_t>(steps, static_cast<std::size_t>(limits::template_steps) + 1));
  steps_ = std::max<std::int64_t>(steps_ - wanted, -1);
  if (steps_ >= 0) return {};
  return fail(Errc::too_big, fmt::format("it takes more than {} steps", limits::template_steps));
}

Status Budget::query() {
  if (queries_ > 0) {
    --queries_;
    return {};
  }
  return fail(Errc::too_big, fmt::format("it asks more than {} queries", limits::template_queries));
}

std::string_view name_of(Parameter parameter) {
  switch (parameter) {
    case Parameter::value:
      return "reflect.Value";
    case Parameter::any:
      return "interface {}";
    case Parameter::text:
      return "string";
    case Parameter::samples:
      return "template.queryResult";
    case Parameter::sample:
      return "*template.sample";
  }
  return "";
}

const Function* function_named(std::string_view name) { return named(functions, name); }

const Function* method_named(Type type, std::string_view name) {
  if (type == Type::time || type == Type::time_value) return named(time_methods, name);
  if (type == Type::month || type == Type::weekday) return named(name_methods, name);
  return nullptr;
}

}  // namespace tallymill::alerting::templates
