#include "base/schema.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <optional>
#include <string_view>

#include "base/limits.h"
#include "base/text.h"
#include "base/utf8.h"

namespace tallymill {
namespace {

using nlohmann::json;
using Type = ParamSpec::Type;

constexpr std::array<std::pair<Type, std::string_view>, 6> type_names{{
    {Type::number, "number"},
    {Type::integer, "integer"},
    {Type::boolean, "boolean"},
    {Type::text, "text"},
    {Type::choice, "choice"},
    {Type::list, "list"},
}};

std::string_view name_of(Type type) {
  for (const auto& [value, name] : type_names)
    if (value == type) return name;
  std::unreachable();
}

std::unexpected<Error> bad(const std::string& pointer, std::string_view what) {
  return fail(Errc::bad_params, fmt::format("{}: {}", pointer.substr(1), what), pointer);
}

// min == max == 0 means that no range was given.
bool has_range(double min, double max) { return min != 0 || max != 0; }

Result<json> check_number(const std::string& pointer, const json& value, bool whole, double min,
                          double max, std::string_view unit) {
  if (!value.is_number()) return bad(pointer, whole ? "must be an integer" : "must be a number");
  const double number = value.get<double>();
  if (!std::isfinite(number)) return bad(pointer, "must be finite");
  if (whole && (std::trunc(number) != number || std::abs(number) > 9e15))
    return bad(pointer, "must be an integer");
  if (has_range(min, max) && (number < min || number > max))
    return bad(pointer, fmt::format("must be {} to {}{}{}, is {}", min, max,
                                    unit.empty() ? "" : " ", unit, number));
  // One form for one value, however the sender wrote it.
  return whole ? json(static_cast<std::int64_t>(number)) : json(number);
}

Result<json> check_list(const ParamSpec& spec, const std::string& pointer, const json& value) {
  if (!value.is_array()) return bad(pointer, "must be a list");
  const auto length = static_cast<double>(value.size());
  if (has_range(spec.min, spec.max) && (length < spec.min || length > spec.max))
    return bad(pointer,
               fmt::format("must have {} to {} entries, has {}", spec.min, spec.max, value.size()));
  json checked = json::array();
  for (std::size_t i = 0; i < value.size(); ++i) {
    auto item = check_number(fmt::format("{}/{}", pointer, i), value[i], true, spec.item_min,
                             spec.item_max, spec.unit);
    if (!item) return item;
    checked.push_back(std::move(*item));
  }
  return checked;
}

Result<json> check_text(const ParamSpec& spec, const std::string& pointer, const json& value) {
  const auto* text = value.get_ptr<const json::string_t*>();
  if (text == nullptr) return bad(pointer, "must be text");
  if (!is_utf8(*text)) return bad(pointer, "must be valid UTF-8");
  if (spec.type == Type::choice) {
    for (const std::string& choice : spec.choices)
      if (choice == *text) return value;
    return bad(pointer, fmt::format("must be one of {}", fmt::join(spec.choices, ", ")));
  }
  const auto length = static_cast<double>(text->size());
  if (has_range(spec.min, spec.max) && (length < spec.min || length > spec.max))
    return bad(pointer,
               fmt::format("must be {} to {} bytes long, is {}", spec.min, spec.max, text->size()));
  return value;
}

Result<json> check_value(const ParamSpec& spec, const json& value) {
  const std::string pointer = pointer_to(spec.name);
  switch (spec.type) {
    case Type::number:
    case Type::integer:
      return check_number(pointer, value, spec.type == Type::integer, spec.min, spec.max,
                          spec.unit);
    case Type::boolean:
      if (!value.is_boolean()) return bad(pointer, "must be true or false");
      return value;
    case Type::text:
    case Type::choice:
      return check_text(spec, pointer, value);
    case Type::list:
      return check_list(spec, pointer, value);
  }
  std::unreachable();
}

const ParamSpec* find(const KindSpec& kind, std::string_view name) {
  for (const ParamSpec& spec : kind.params)
    if (spec.name == name) return &spec;
  return nullptr;
}

// Reads an object that a peer sent, remembering the first thing that is not as it should be.
class ObjectReader {
 public:
  ObjectReader(const json& object, std::string what) : object_(object), what_(std::move(what)) {
    if (!object.is_object()) problem("is not an object");
  }

  std::string text(std::string_view key) {
    const json* value = at(key);
    const auto* text = value == nullptr ? nullptr : value->get_ptr<const json::string_t*>();
    if (text == nullptr || text->size() > static_cast<std::size_t>(limits::max_kind_text) ||
        !is_utf8(*text)) {
      problem(fmt::format("{} is not a short text", key));
      return {};
    }
    return *text;
  }

  double number(std::string_view key) {
    const json* value = at(key);
    if (value == nullptr || !value->is_number() || !std::isfinite(value->get<double>())) {
      problem(fmt::format("{} is not a number", key));
      return 0;
    }
    return value->get<double>();
  }

  int count(std::string_view key) {
    const double value = number(key);
    if (value < 0 || value > 1e6 || std::trunc(value) != value) {
      problem(fmt::format("{} is not a count", key));
      return 0;
    }
    return static_cast<int>(value);
  }

  std::vector<std::string> texts(std::string_view key, int most) {
    std::vector<std::string> out;
    for (const json& item : list(key, most)) {
      const auto* text = item.get_ptr<const json::string_t*>();
      if (text == nullptr || text->size() > static_cast<std::size_t>(limits::max_kind_text))
        problem(fmt::format("{} holds something that is not a short text", key));
      else
        out.push_back(*text);
    }
    return out;
  }

  const json& list(std::string_view key, int most) {
    static const json none = json::array();
    const json* value = at(key);
    if (value == nullptr || !value->is_array() || value->size() > static_cast<std::size_t>(most)) {
      problem(fmt::format("{} is not a list of at most {}", key, most));
      return none;
    }
    return *value;
  }

  const json* at(std::string_view key) const {
    if (!object_.is_object()) return nullptr;
    const auto found = object_.find(key);
    return found == object_.end() ? nullptr : &*found;
  }

  void problem(std::string_view what) {
    if (!error_) error_ = Error{Errc::bad_frame, fmt::format("{}: {}", what_, what)};
  }
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }

 private:
  const json& object_;
  std::string what_;
  std::optional<Error> error_;
};

Result<ParamSpec> param_from_json(const json& object) {
  ObjectReader in(object, "kind: parameter");
  ParamSpec spec;
  spec.name = in.text("name");
  spec.help = in.text("help");
  spec.unit = in.text("unit");
  spec.min = in.number("min");
  spec.max = in.number("max");
  spec.item_min = in.number("item_min");
  spec.item_max = in.number("item_max");
  spec.choices = in.texts("choices", limits::max_kind_choices);
  const std::string type = in.text("type");
  bool known = false;
  for (const auto& [value, name] : type_names)
    if (name == type) spec.type = value, known = true;
  if (!known) in.problem("the type is unknown");
  if (spec.name.empty()) in.problem("the name is empty");
  if (const json* fallback = in.at("default"); fallback != nullptr) spec.fallback = *fallback;
  if (in.error()) return std::unexpected(*in.error());
  if (!spec.fallback.is_null()) {
    auto checked = check_value(spec, spec.fallback);
    if (!checked) return fail(Errc::bad_frame, "kind: the default of " + checked.error().message);
  }
  return spec;
}

}  // namespace

Result<json> check_params(const KindSpec& kind, const json& params) {
  if (!params.is_object()) return fail(Errc::bad_params, "the parameters must be an object", "");
  for (const auto& [name, value] : params.items())
    if (find(kind, name) == nullptr)
      return bad(pointer_to(name), fmt::format("is not a parameter of {}", kind.name));
  json checked = json::object();
  for (const ParamSpec& spec : kind.params) {
    const auto given = params.find(spec.name);
    const bool absent = given == params.end() || given->is_null();
    if (absent && spec.fallback.is_null()) return bad(pointer_to(spec.name), "is required");
    auto value = check_value(spec, absent ? spec.fallback : *given);
    if (!value) return value;
    checked[spec.name] = std::move(*value);
  }
  return checked;
}

json to_json(const KindSpec& kind) {
  json params = json::array();
  for (const ParamSpec& spec : kind.params)
    params.push_back({{"name", spec.name},
                      {"type", name_of(spec.type)},
                      {"help", spec.help},
                      {"unit", spec.unit},
                      {"default", spec.fallback},
                      {"min", spec.min},
                      {"max", spec.max},
                      {"item_min", spec.item_min},
                      {"item_max", spec.item_max},
                      {"choices", spec.choices}});
  return {{"name", kind.name},
          {"route", kind.route},
          {"help", kind.help},
          {"params", std::move(params)},
          {"inputs_min", kind.inputs_min},
          {"inputs_max", kind.inputs_max}};
}

Result<KindSpec> kind_from_json(const json& object) {
  ObjectReader in(object, "kind");
  KindSpec kind;
  kind.name = in.text("name");
  kind.route = in.texts("route", limits::max_kind_route);
  kind.help = in.text("help");
  kind.inputs_min = in.count("inputs_min");
  kind.inputs_max = in.count("inputs_max");
  if (kind.name.empty()) in.problem("the name is empty");
  if (kind.route.empty()) in.problem("the route is empty");
  if (kind.inputs_min > kind.inputs_max) in.problem("inputs_min is above inputs_max");
  for (const json& param : in.list("params", limits::max_kind_params)) {
    auto spec = param_from_json(param);
    if (!spec) return std::unexpected(std::move(spec).error());
    if (find(kind, spec->name) != nullptr) in.problem("two parameters of one name");
    kind.params.push_back(std::move(*spec));
  }
  if (in.error()) return std::unexpected(*in.error());
  return kind;
}

}  // namespace tallymill
