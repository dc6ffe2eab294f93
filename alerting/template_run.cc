#include "alerting/template_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "alerting/go_format.h"
#include "alerting/limits.h"
#include "collector/promql/go_text.h"

namespace tallymill::alerting::templates {
namespace {

enum class Flow : std::uint8_t { on, break_, continue_ };

// What is called, and with what: operands that are still to be evaluated, and what a pipeline
// handed on, which is the last.
struct Call {
  const Function& function;
  const Node& node;  // blamed for what the function itself finds wrong
  std::span<const NodePointer> operands;
  const std::optional<Value>& handed;
  std::optional<Value> receiver = {};  // of a method
};

constexpr std::span<const NodePointer> no_operands = {};
const std::optional<Value> nothing_handed;

// Walks a tree. `at_` is the node that an error is about: the last one that was come to, as in Go.
class Runner {
 public:
  Runner(const Tree& tree, const TemplateData& data)
      : tree_(tree), data_(data), out_(limits::template_output_bytes) {}

  Result<std::string> text() {
    const Value dot{Type::alert, &data_};
    variables_.emplace_back("$", dot);
    const auto done = walk_root(dot);
    if (done) return out_.take();
    Error error = done.error();
    error.message = fmt::format("error executing template {}: {}", root_name(), error.message);
    return std::unexpected(std::move(error));
  }

 private:
  std::string root_name() const { return "__alert_" + data_.alert; }

  std::unexpected<Error> wrong(std::string_view why, Errc code = Errc::bad_params) const {
    return fail(code, fmt::format("template: {}:{}: executing {} at <{}>: {}", root_name(),
                                  place_of(tree_.text, at_->at),
                                  promql::go_quoted(name_ == nullptr ? root_name() : *name_),
                                  at_->written(), why));
  }
  std::unexpected<Error> over(const Error& error) const { return wrong(error.message, error.code); }

  Status come_to(const Node& node) {
    at_ = &node;
    if (auto paid = budget_.spend(1); !paid) return over(paid.error());
    return {};
  }

  Result<Flow> walk(const Node::List& nodes, const Value& dot) {
    for (const NodePointer& node : nodes) {
      if (auto come = come_to(*node); !come) return std::unexpected(come.error());
      auto flow = step(*node, dot);
      if (!flow || *flow != Flow::on) return flow;
    }
    return Flow::on;
  }

  Result<Flow> walk_root(const Value& dot) {
    if (tree_.prologue != nullptr)
      if (auto flow = walk(*tree_.prologue, dot); !flow) return flow;
    return walk(tree_.root, dot);
  }

  Result<Flow> step(const Node& node, const Value& dot) {
    switch (node.kind) {
      case Node::Kind::text:
        out_.show_text(node.text);
        return check_output();
      case Node::Kind::action:
        return action(node, dot);
      case Node::Kind::if_:
      case Node::Kind::with:
        return choose(node, dot);
      case Node::Kind::range:
        return range(node, dot);
      case Node::Kind::invoke:
        return invoke(node, dot);
      case Node::Kind::break_:
        return Flow::break_;
      case Node::Kind::continue_:
        return Flow::continue_;
      default:
        return wrong("unknown node");
    }
  }

  Result<Flow> check_output() {
    if (!out_.is_over()) return Flow::on;
    return wrong(fmt::format("it gives more than {} bytes", limits::template_output_bytes),
                 Errc::too_big);
  }

  Result<Flow> action(const Node& node, const Value& dot) {
    const auto value = pipeline(*node.pipe, dot);
    if (!value) return std::unexpected(value.error());
    if (!node.pipe->names.empty()) return Flow::on;
    at_ = &node;
    out_.show(*value);
    return check_output();
  }

  Result<Flow> choose(const Node& node, const Value& dot) {
    const std::size_t mark = variables_.size();
    const auto value = pipeline(*node.pipe, dot);
    if (!value) return std::unexpected(value.error());
    const bool yes = is_true(*value);
    auto flow = walk(yes ? node.bodies->body : node.bodies->otherwise,
                     yes && node.kind == Node::Kind::with ? *value : dot);
    variables_.resize(mark);
    return flow;
  }

  // One round of a range; false: it was left.
  Result<bool> round(const Node& node, Value key, const Value& element) {
    const std::size_t mark = variables_.size();
    const std::size_t names = node.pipe->names.size();
    // Those on top, as Go 1.19 does, though a range that assigns (=) may mean others.
    if (names > mark) return wrong("no such variable");
    if (names > 0) variables_[mark - 1].second = element;
    if (names > 1) variables_[mark - 2].second = std::move(key);
    const auto flow = walk(node.bodies->body, element);
    variables_.resize(mark);
    if (!flow) return std::unexpected(flow.error());
    if (auto paid = budget_.spend(1); !paid) return over(paid.error());
    return *flow != Flow::break_;
  }

  // Sets `any`: there was something to go over.
  Result<Flow> rounds(const Node& node, const Value& over_what, bool& any) {
    const auto go_on = [&](Value key, const Value& element, Status& error) {
      any = true;
      auto next = round(node, std::move(key), element);
      if (!next) error = std::unexpected(next.error());
      return next && *next;
    };
    Status error;
    if (over_what.type == Type::samples) {
      // Its length is that at the beginning; no function makes a list longer or shorter.
      const Samples& samples = over_what.samples();
      for (std::size_t i = 0; i < samples.size(); ++i)
        if (!go_on(of(static_cast<std::int64_t>(i)), of(samples[i]), error)) break;
    } else if (over_what.type == Type::labels) {
      for (const auto& label : over_what.labels())
        if (!go_on(of(std::string(label.name)), of(std::string(label.value)), error)) break;
    } else if (over_what.type == Type::arguments) {
      for (const auto& [name, element] : over_what.arguments().by_name)
        if (!go_on(of(name), element, error)) break;
    } else if (over_what.type != Type::none) {
      GoFormat said(limits::template_output_bytes);
      said.show(over_what);
      return wrong(fmt::format("range can't iterate over {}", said.text()));
    }
    if (!error) return std::unexpected(std::move(error).error());
    return Flow::on;
  }

  Result<Flow> range(const Node& node, const Value& dot) {
    const std::size_t mark = variables_.size();
    const auto value = pipeline(*node.pipe, dot);
    if (!value) return std::unexpected(value.error());
    bool any = false;
    auto flow = rounds(node, *value, any);
    if (flow && !any) flow = walk(node.bodies->otherwise, dot);
    variables_.resize(mark);
    return flow;
  }

  Result<Flow> invoke(const Node& node, const Value& dot) {
    const auto found = tree_.defined.find(node.text);
    const bool itself = node.text == root_name();
    if (found == tree_.defined.end() && !itself)
      return wrong(fmt::format("template {} not defined", promql::go_quoted(node.text)));
    if (calls_ == limits::template_depth)
      return wrong(fmt::format("exceeded maximum template depth ({})", limits::template_depth),
                   Errc::too_big);
    Value argument;
    if (node.pipe != nullptr) {
      auto value = pipeline(*node.pipe, dot);
      if (!value) return std::unexpected(value.error());
      argument = std::move(*value);
    }
    auto variables = std::exchange(variables_, {{"$", argument}});
    const std::string* const name = std::exchange(name_, itself ? nullptr : &node.text);
    ++calls_;
    auto flow = itself ? walk_root(argument) : walk(found->second, argument);
    if (!flow) return flow;  // at_ and name_ stay those of the error
    --calls_;
    name_ = name;
    variables_ = std::move(variables);
    return Flow::on;
  }

  Value* variable(std::string_view name) {
    for (auto at = variables_.rbegin(); at != variables_.rend(); ++at)
      if (at->first == name) return &at->second;
    return nullptr;
  }

  Result<Value> pipeline(const Node& pipe, const Value& dot) {
    if (auto come = come_to(pipe); !come) return std::unexpected(come.error());
    std::optional<Value> value;
    for (const NodePointer& one : pipe.children) {
      auto next = command(*one, dot, value);
      if (!next) return next;
      value = std::move(*next);
    }
    for (const std::string& name : pipe.names) {
      if (!pipe.assigns) {
        variables_.emplace_back(name, *value);
        continue;
      }
      Value* const known = variable(name);
      if (known == nullptr) return wrong(fmt::format("undefined variable: {}", name));
      *known = *value;
    }
    return std::move(*value);
  }

  Result<Value> command(const Node& node, const Value& dot, const std::optional<Value>& handed) {
    const Node& first = *node.children[0];
    const auto operands = std::span(node.children).subspan(1);
    const bool alone = operands.empty() && !handed;
    const auto given = [&] {
      return wrong(fmt::format("can't give argument to non-function {}", first.written()));
    };
    if (first.kind == Node::Kind::pipe) return alone ? pipeline(first, dot) : given();
    if (auto come = come_to(first); !come) return std::unexpected(come.error());
    switch (first.kind) {
      case Node::Kind::field:
        return chain(first, dot, first.names, dot, operands, handed);
      case Node::Kind::chain:
        return chained(first, dot, operands, handed);
      case Node::Kind::identifier:
        return call({*first.function, node, operands, handed}, dot);
      case Node::Kind::variable:
        return variable_chain(first, dot, operands, handed);
      default:
        break;
    }
    if (!alone) return given();
    switch (first.kind) {
      case Node::Kind::dot:
        return dot;
      case Node::Kind::nil:
        return wrong("nil is not a command");
      default:
        return constant(first);
    }
  }

  Result<Value> constant(const Node& node) const {
    if (node.value->type == Type::none) return wrong(fmt::format("{} overflows int", node.text));
    return *node.value;
  }

  Result<Value> variable_chain(const Node& node, const Value& dot,
                               std::span<const NodePointer> operands,
                               const std::optional<Value>& handed) {
    const Value* const known = variable(node.names[0]);
    if (known == nullptr) return wrong(fmt::format("undefined variable: {}", node.names[0]));
    if (auto paid = budget_.spend(variables_.size() / 32); !paid) return over(paid.error());
    if (node.names.size() > 1)
      return chain(node, dot, std::span(node.names).subspan(1), *known, operands, handed);
    if (!operands.empty() || handed)
      return wrong(fmt::format("can't give argument to non-function {}", node.written()));
    return *known;
  }

  Result<Value> chained(const Node& node, const Value& dot, std::span<const NodePointer> operands,
                        const std::optional<Value>& handed) {
    if (node.children[0]->kind == Node::Kind::nil)
      return wrong(fmt::format("indirection through explicit nil in {}", node.written()));
    const auto from = any_operand(*node.children[0], dot);
    if (!from) return from;
    return chain(node, dot, node.names, *from, operands, handed);
  }

  // from.a.b.c: what is given as arguments goes to the last.
  Result<Value> chain(const Node& node, const Value& dot, std::span<const std::string> names,
                      Value from, std::span<const NodePointer> operands,
                      const std::optional<Value>& handed) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      const bool last = i + 1 == names.size();
      if (auto paid = budget_.spend(1); !paid) return over(paid.error());
      auto next = last ? field(node, dot, names[i], std::move(from), operands, handed)
                       : field(node, dot, names[i], std::move(from), no_operands, nothing_handed);
      if (!next) return next;
      from = std::move(*next);
    }
    return from;
  }

  Result<Value> field(const Node& node, const Value& dot, const std::string& name, Value of_what,
                      std::span<const NodePointer> operands, const std::optional<Value>& handed) {
    if (of_what.type == Type::none) return Value{};
    if (const Function* const method = method_named(of_what.type, name))
      return call({*method, node, operands, handed, std::move(of_what)}, dot);
    const bool given = !operands.empty() || handed;
    const std::string_view type = templates::name_of(of_what.type);
    if (of_what.type == Type::labels || of_what.type == Type::arguments) {
      if (given) return wrong(fmt::format("{} is not a method but has arguments", name));
      if (of_what.type == Type::labels) return of(std::string(of_what.labels().get(name)));
      const auto& all = of_what.arguments().by_name;
      const auto at = all.find(name);
      return at == all.end() ? Value{} : at->second;
    }
    auto found = struct_field(of_what, name);
    if (!found) return wrong(fmt::format("can't evaluate field {} in type {}", name, type));
    if (of_what.type == Type::sample && of_what.sample() == nullptr)
      return wrong(fmt::format("nil pointer evaluating {}.{}", type, name));
    if (given)
      return wrong(fmt::format("{} has arguments but cannot be invoked as function", name));
    return std::move(*found);
  }

  static std::optional<Value> struct_field(const Value& from, std::string_view name) {
    if (from.type == Type::sample) {
      const TemplateSample* const sample = from.sample().get();
      if (name == "Labels") return sample != nullptr ? of(sample->labels) : Value{};
      if (name == "Value") return sample != nullptr ? of(sample->value) : Value{};
    } else if (from.type == Type::alert) {
      const TemplateData& data = from.alert();
      if (name == "Labels") return of(data.labels);
      if (name == "Value") return of(data.value);
      if (name == "ExternalLabels") return of(data.external_labels);
      if (name == "ExternalURL") return of(data.external_url);
    }
    return std::nullopt;
  }

  // An operand on its own, of whatever type.
  Result<Value> any_operand(const Node& node, const Value& dot) {
    if (auto come = come_to(node); !come) return std::unexpected(come.error());
    switch (node.kind) {
      case Node::Kind::dot:
        return dot;
      case Node::Kind::nil:
        return Value{};
      case Node::Kind::field:
        return chain(node, dot, node.names, dot, no_operands, nothing_handed);
      case Node::Kind::variable:
        return variable_chain(node, dot, no_operands, nothing_handed);
      case Node::Kind::pipe:
        return pipeline(node, dot);
      case Node::Kind::identifier:
        return call({*node.function, node, no_operands, nothing_handed}, dot);
      case Node::Kind::chain:
        return chained(node, dot, no_operands, nothing_handed);
      default:
        return constant(node);
    }
  }

  // A value as a parameter takes it.
  Result<Value> fitted(Value value, Parameter parameter) const {
    switch (parameter) {
      case Parameter::value:
      case Parameter::any:
        return value;
      case Parameter::text:
        if (value.type == Type::text) return value;
        if (value.type == Type::none) return wrong("invalid value; expected string");
        break;
      case Parameter::samples:
        if (value.type == Type::none) return of(Samples());
        if (value.type == Type::samples) return value;
        break;
      case Parameter::sample:
        if (value.type == Type::none) return of(SamplePointer());
        if (value.type == Type::sample) return value;
        break;
    }
    return wrong(fmt::format("wrong type for value; expected {}; got {}",
                             templates::name_of(parameter), templates::name_of(value.type)));
  }

  Result<Value> operand(const Node& node, const Value& dot, Parameter parameter) {
    const bool typed = parameter != Parameter::value && parameter != Parameter::any;
    if (typed && node.kind == Node::Kind::constant && node.value->type != Type::text) {
      at_ = &node;
      return parameter == Parameter::text
                 ? wrong(fmt::format("expected string; found {}", node.text))
                 : wrong(fmt::format("can't handle {} for arg of type {}", node.text,
                                     templates::name_of(parameter)));
    }
    if (typed && node.kind == Node::Kind::constant && parameter != Parameter::text) {
      at_ = &node;
      return wrong(fmt::format("can't handle {} for arg of type {}", node.text,
                               templates::name_of(parameter)));
    }
    if (node.kind == Node::Kind::nil && parameter == Parameter::text) {
      at_ = &node;
      return wrong("cannot assign nil to string");
    }
    auto value = any_operand(node, dot);
    if (!value) return value;
    return fitted(std::move(*value), parameter);
  }

  Status check_count(const Call& call) const {
    const Function& function = call.function;
    const std::size_t given = call.operands.size() + (call.handed ? 1 : 0);
    const std::size_t named = function.parameters.size();
    if (function.variadic && given + 1 < named)
      return wrong(fmt::format("wrong number of args for {}: want at least {} got {}",
                               function.name, named - 1, call.operands.size()));
    if (!function.variadic && given != named)
      return wrong(
          fmt::format("wrong number of args for {}: want {} got {}", function.name, named, given));
    return {};
  }

  Result<Value> call(Call call, const Value& dot) {
    if (auto count = check_count(call); !count) return std::unexpected(count.error());
    const Function& function = call.function;
    std::vector<Value> values;
    if (call.receiver) values.push_back(std::move(*call.receiver));
    const std::size_t receivers = values.size();
    const auto parameter = [&] {
      const std::size_t at = values.size() - receivers;
      return function.parameters[std::min(at, function.parameters.size() - 1)];
    };
    for (const NodePointer& one : call.operands) {
      auto value = operand(*one, dot, parameter());
      if (!value) return value;
      values.push_back(std::move(*value));
      const bool decided = function.logic != Function::Logic::none &&
                           is_true(values.back()) == (function.logic == Function::Logic::any);
      if (decided) return values.back();
    }
    if (call.handed) {
      auto value = fitted(*call.handed, parameter());
      if (!value) return value;
      values.push_back(std::move(*value));
    }
    return called(call, values);
  }

  Result<Value> called(const Call& call, std::span<const Value> values) {
    std::size_t bytes = 0;
    for (const Value& value : values)
      if (value.is_text()) bytes += value.text().size();
    Expansion expansion{data_, budget_};
    auto paid = budget_.spend_on(bytes);
    auto made =
        paid ? call.function.call(expansion, values) : Result<Value>(std::unexpected(paid.error()));
    if (made && made->is_text()) {
      if (made->text().size() > limits::template_output_bytes)
        made = fail(Errc::too_big,
                    fmt::format("it gives more than {} bytes", limits::template_output_bytes));
      else if (paid = budget_.spend_on(made->text().size()); !paid)
        made = std::unexpected(paid.error());
    }
    if (made) return made;
    at_ = &call.node;
    return wrong(fmt::format("error calling {}: {}", call.function.name, made.error().message),
                 made.error().code == Errc::too_big ? Errc::too_big : Errc::bad_params);
  }

  const Tree& tree_;
  const TemplateData& data_;
  GoFormat out_;
  Budget budget_;
  std::vector<std::pair<std::string_view, Value>> variables_;
  const Node* at_ = nullptr;
  const std::string* name_ = nullptr;  // of the template that is run; null: the outermost
  int calls_ = 0;
};

}  // namespace

Result<std::string> run(const Tree& tree, const TemplateData& data) {
  return Runner(tree, data).text();
}

}  // namespace tallymill::alerting::templates
