#include "collector/promql/parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "base/duration.h"
#include "base/limits.h"
#include "collector/promql/function_table.h"
#include "collector/promql/lexer.h"
#include "collector/promql/types.h"

namespace tallymill::promql {
namespace {

using Kind = Token::Kind;

std::string lower(std::string_view text) {
  std::string low(text);
  for (char& c : low)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return low;
}

// A word that stands for something else than itself where a name could stand; upper case too.
bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::ranges::find(words, word) != words.end();
}

struct Level {
  Operator op;
  int precedence;
};
std::optional<Level> operator_of(const Token& token) {
  static constexpr std::array<std::pair<std::string_view, Level>, 16> all = {
      {{"or", {Operator::lor, 1}},
       {"and", {Operator::land, 2}},
       {"unless", {Operator::lunless, 2}},
       {"==", {Operator::equal, 3}},
       {"!=", {Operator::not_equal, 3}},
       {"<", {Operator::less, 3}},
       {"<=", {Operator::less_equal, 3}},
       {">", {Operator::greater, 3}},
       {">=", {Operator::greater_equal, 3}},
       {"+", {Operator::add, 4}},
       {"-", {Operator::sub, 4}},
       {"*", {Operator::mul, 5}},
       {"/", {Operator::div, 5}},
       {"%", {Operator::mod, 5}},
       {"atan2", {Operator::atan2, 5}},
       {"^", {Operator::pow, 6}}}};
  if (token.kind != Kind::word && token.kind != Kind::sign) return std::nullopt;
  const std::string word = lower(token.text);
  for (const auto& [name, level] : all)
    if (word == name) return level;
  return std::nullopt;
}
constexpr int unary_precedence = 5;  // as of a product: -a * b is (-a) * b, -1^2 is -(1^2)

class Parser {
 public:
  explicit Parser(std::string_view query) : query_(query), lexer_(query) {}

  Result<NodePtr> whole() {
    if (auto begun = advance(); !begun) return std::unexpected(std::move(begun).error());
    if (next_.kind == Kind::end) return wrong(next_, "no expression found in input");
    auto node = expression(0);
    if (!node) return node;
    if (next_.kind != Kind::end) return unexpected_token();
    return node;
  }
  Result<std::vector<Matcher>> selector_alone() {
    auto node = whole();
    if (!node) return std::unexpected(std::move(node).error());
    auto* selector = std::get_if<Selector>(&(*node)->is);
    if (selector == nullptr || selector->range_ms != 0 || selector->shift.at ||
        selector->shift.offset_ms != 0)
      return std::unexpected(parse_error(query_, (*node)->at, "expected a vector selector"));
    return std::move(selector->matchers);
  }

 private:
  // ---- tokens ----

  Status advance() {
    auto token = lexer_.next();
    if (!token) return std::unexpected(std::move(token).error());
    next_ = *token;
    return {};
  }
  [[nodiscard]] std::unexpected<Error> wrong(const Token& token, std::string_view what) const {
    return std::unexpected(parse_error(query_, token.at, what));
  }
  [[nodiscard]] std::unexpected<Error> unexpected_token(std::string_view where = "") const {
    const std::string said = next_.kind == Kind::end ? "unexpected end of input"
                                                     : fmt::format("unexpected \"{}\"", next_.text);
    return wrong(next_, where.empty() ? said : fmt::format("{} in {}", said, where));
  }
  [[nodiscard]] bool next_is_word(std::string_view word) const {
    return next_.kind == Kind::word && lower(next_.text) == word;
  }
  Status expect(std::string_view sign, std::string_view where) {
    if (!next_.is(sign)) return unexpected_token(where);
    return advance();
  }
  // At the parser's own place; what a leaf of it said without one.
  template <class T>
  Result<T> placed(const Token& token, Result<T>&& value) const {
    if (!value) return wrong(token, value.error().message);
    return std::move(value);
  }

  template <class Is>
  static NodePtr node(Is&& is, Type type, std::size_t at) {
    return std::make_unique<Node>(Node{std::forward<Is>(is), type, at});
  }

  // ---- operators ----

  Result<NodePtr> expression(int precedence) {
    if (depth_ >= limits::query_depth) return wrong(next_, "nested too deeply");
    ++depth_;
    auto made = climb(precedence);
    --depth_;
    return made;
  }

  Result<NodePtr> climb(int precedence) {
    auto left = unary();
    if (!left) return left;
    for (;;) {
      const auto level = operator_of(next_);
      if (!level || level->precedence < precedence) return left;
      const Token at = next_;
      if (++operators_ > limits::query_operators) return wrong(at, "too many operators");
      if (auto gone = advance(); !gone) return std::unexpected(std::move(gone).error());
      Binary binary;
      binary.op = level->op;
      if (auto read = modifiers(binary); !read) return std::unexpected(std::move(read).error());
      // Only a power groups to the right.
      auto right =
          expression(level->op == Operator::pow ? level->precedence : level->precedence + 1);
      if (!right) return right;
      const std::size_t begin = (*left)->at;
      binary.left = std::move(*left);
      binary.right = std::move(*right);
      auto type = check(binary);
      if (!type) return wrong(at, type.error().message);
      left = node(std::move(binary), *type, begin);
    }
  }

  Result<NodePtr> unary() {
    if (!next_.is("-") && !next_.is("+")) return postfix();
    const Token sign = next_;
    if (auto gone = advance(); !gone) return std::unexpected(std::move(gone).error());
    auto of = expression(unary_precedence + 1);
    if (!of) return of;
    const Type type = (*of)->type;
    if (type != Type::scalar && type != Type::vector)
      return wrong(sign, fmt::format("unary expression only allowed on expressions of type scalar "
                                     "or instant vector, got \"{}\"",
                                     name_of(type)));
    const bool minus = sign.text == "-";
    if (auto* number = std::get_if<Number>(&(*of)->is)) {
      if (minus) number->value = -number->value;
      (*of)->at = sign.at;
      return of;
    }
    return node(Signed{std::move(*of), minus}, type, sign.at);
  }

  // bool, on, ignoring, group_left, group_right
  Status modifiers(Binary& binary) {
    if (next_is_word("bool")) {
      binary.return_bool = true;
      if (auto gone = advance(); !gone) return gone;
    }
    Matching& matching = binary.matching;
    if (is_set(binary.op)) matching.card = Matching::Card::many_to_many;
    if (!next_is_word("on") && !next_is_word("ignoring")) return {};
    matching.on = next_is_word("on");
    if (auto gone = advance(); !gone) return gone;
    auto names = label_list();
    if (!names) return std::unexpected(std::move(names).error());
    matching.labels = std::move(*names);
    if (!next_is_word("group_left") && !next_is_word("group_right")) return {};
    matching.card =
        next_is_word("group_left") ? Matching::Card::many_to_one : Matching::Card::one_to_many;
    if (auto gone = advance(); !gone) return gone;
    if (!next_.is("(")) return {};
    auto include = label_list();
    if (!include) return std::unexpected(std::move(include).error());
    matching.include = std::move(*include);
    return {};
  }

  Result<std::vector<std::string>> label_list() {
    std::vector<std::string> names;
    if (auto open = expect("(", "grouping opts"); !open)
      return std::unexpected(std::move(open).error());
    while (!next_.is(")")) {
      if (next_.kind != Kind::word || next_.text.contains(':'))
        return unexpected_token("grouping opts, expected label");
      names.emplace_back(next_.text);
      if (auto gone = advance(); !gone) return std::unexpected(std::move(gone).error());
      if (next_.is(")")) break;
      if (auto comma = expect(",", "grouping opts"); !comma)
        return std::unexpected(std::move(comma).error());
    }
    if (auto gone = advance(); !gone) return std::unexpected(std::move(gone).error());
    return names;
  }

  // ---- what follows an operand ----

  Result<NodePtr> postfix() {
    auto operand = primary();
    if (!operand) return operand;
    for (;;) {
      Status read;
      if (next_.is("[")) {
        read = range(*operand);
      } else if (next_is_word("offset")) {
        read = offset(**operand);
      } else if (next_.is("@")) {
        read = at(**operand);
      } else {
        return operand;
      }
      if (!read) return std::unexpected(std::move(read).error());
    }
  }

  Status range(NodePtr& of) {
    const Token open = next_;
    if (auto gone = advance(); !gone) return gone;
    auto length = duration();
    if (!length) return std::unexpected(std::move(length).error());
    if (!next_.is(":")) {
      if (auto closed = expect("]", "range"); !closed) return closed;
      return to_matrix(*of, *length, open);
    }
    if (auto gone = advance(); !gone) return gone;
    Subquery subquery;
    subquery.range_ms = *length;
    if (!next_.is("]")) {
      auto step = duration();
      if (!step) return std::unexpected(std::move(step).error());
      subquery.step_ms = *step;
    }
    if (auto closed = expect("]", "subquery selector"); !closed) return closed;
    if (of->type != Type::vector)
      return wrong(open, fmt::format("subquery is only allowed on instant vector, got {} instead",
                                     name_of(of->type)));
    const std::size_t at = of->at;
    subquery.of = std::move(of);
    of = node(std::move(subquery), Type::matrix, at);
    return {};
  }

  Status to_matrix(Node& of, std::int64_t length, const Token& open) const {
    auto* selector = std::get_if<Selector>(&of.is);
    if (selector == nullptr || selector->range_ms != 0)
      return wrong(open, "ranges only allowed for vector selectors");
    if (selector->shift.offset_ms != 0 || selector->shift.at)
      return wrong(open, "no offset or @ modifiers allowed before range");
    selector->range_ms = length;
    of.type = Type::matrix;
    return {};
  }

  // More than nothing.
  Result<std::int64_t> duration_of(const Token& token) const {
    auto ms = placed(token, duration_ms(token.text));
    if (ms && *ms == 0) return wrong(token, "duration must be greater than 0");
    return ms;
  }
  // Of a range.
  Result<std::int64_t> duration() {
    const Token token = next_;
    if (token.kind != Kind::duration) return unexpected_token("duration");
    auto ms = duration_of(token);
    if (auto gone = advance(); !gone) return std::unexpected(std::move(gone).error());
    return ms;
  }

  static Shift* shift_of(Node& of) {
    if (auto* selector = std::get_if<Selector>(&of.is)) return &selector->shift;
    if (auto* subquery = std::get_if<Subquery>(&of.is)) return &subquery->shift;
    return nullptr;
  }
  static constexpr std::string_view shifted =
      "must be preceded by an instant vector selector or range vector selector or a subquery";

  Status offset(Node& of) {
    const Token word = next_;
    if (auto gone = advance(); !gone) return gone;
    const bool minus = next_.is("-");
    if (minus || next_.is("+"))
      if (auto gone = advance(); !gone) return gone;
    const Token token = next_;
    if (token.kind != Kind::duration) return unexpected_token("offset, expected duration");
    const auto ms = duration_of(token);
    if (!ms) return std::unexpected(ms.error());
    if (auto gone = advance(); !gone) return gone;
    Shift* shift = shift_of(of);
    if (shift == nullptr) return wrong(word, fmt::format("offset modifier {}", shifted));
    if (shift->offset_ms != 0) return wrong(word, "offset may not be set multiple times");
    shift->offset_ms = minus ? -*ms : *ms;
    return {};
  }

  Status at(Node& of) {
    const Token sign = next_;
    if (auto gone = advance(); !gone) return gone;
    auto when = at_value();
    if (!when) return std::unexpected(std::move(when).error());
    Shift* shift = shift_of(of);
    if (shift == nullptr) return wrong(sign, fmt::format("@ modifier {}", shifted));
    if (shift->at) return wrong(sign, "@ <timestamp> may not be set multiple times");
    shift->at = *when;
    return {};
  }

  Result<At> at_value() {
    At when;
    if (next_is_word("start") || next_is_word("end")) {
      when.kind = next_is_word("start") ? At::Kind::start : At::Kind::end;
      if (auto gone = advance(); !gone) return std::unexpected(std::move(gone).error());
      if (auto open = expect("(", "@"); !open) return std::unexpected(std::move(open).error());
      if (auto closed = expect(")", "@"); !closed)
        return std::unexpected(std::move(closed).error());
      return when;
    }
    const bool minus = next_.is("-");
    if (minus || next_.is("+"))
      if (auto gone = advance(); !gone) return std::unexpected(std::move(gone).error());
    const Token token = next_;
    const bool number = token.kind == Kind::number || next_is_word("inf") || next_is_word("nan");
    if (!number) return unexpected_token("@, expected timestamp");
    const auto seconds = placed(token, number_of(token.text));
    if (!seconds) return std::unexpected(seconds.error());
    constexpr double most = 9223372036854775808.0;
    if (!(std::abs(*seconds) < most)) return wrong(token, "timestamp out of bounds for @ modifier");
    const double ms = std::round((minus ? -*seconds : *seconds) * 1000);
    // As a processor makes an integer of what none can be.
    when.t_ms = std::abs(ms) < most ? static_cast<std::int64_t>(ms)
                                    : std::numeric_limits<std::int64_t>::min();
    if (auto gone = advance(); !gone) return std::unexpected(std::move(gone).error());
    return when;
  }

  // ---- operands ----

  Result<NodePtr> primary() {
    const Token token = next_;
    switch (token.kind) {
      case Kind::number: {
        const auto value = placed(token, number_of(token.text));
        if (!value) return std::unexpected(value.error());
        if (auto gone = advance(); !gone) return std::unexpected(std::move(gone).error());
        return node(Number{*value}, Type::scalar, token.at);
      }
      case Kind::text: {
        auto value = placed(token, unquoted(token.text));
        if (!value) return std::unexpected(std::move(value).error());
        if (auto gone = advance(); !gone) return std::unexpected(std::move(gone).error());
        return node(Text{std::move(*value)}, Type::string, token.at);
      }
      case Kind::word:
        return word();
      case Kind::sign:
        if (token.is("(")) return paren();
        if (token.is("{")) return selector({}, token.at);
        break;
      default:
        break;
    }
    return unexpected_token();
  }

  Result<NodePtr> paren() {
    const std::size_t begin = next_.at;
    if (auto gone = advance(); !gone) return std::unexpected(std::move(gone).error());
    auto of = expression(0);
    if (!of) return of;
    if (auto closed = expect(")", "paren expression"); !closed)
      return std::unexpected(std::move(closed).error());
    const Type type = (*of)->type;
    return node(Paren{std::move(*of)}, type, begin);
  }

  // A number, an aggregation, a call, or a metric's name.
  Result<NodePtr> word() {
    const Token name = next_;
    const std::string low = lower(name.text);
    if (low == "inf" || low == "nan") {
      if (auto gone = advance(); !gone) return std::unexpected(std::move(gone).error());
      return node(Number{*number_of(low)}, Type::scalar, name.at);
    }
    if (!may_be_metric(low)) return unexpected_token();
    if (auto gone = advance(); !gone) return std::unexpected(std::move(gone).error());
    const auto op = aggregation_named(low);
    if (op && (next_.is("(") || next_is_word("by") || next_is_word("without")))
      return aggregate(*op, name);
    if (next_.is("(")) return call(name);
    return selector(std::string(name.text), name.at);
  }

  Result<NodePtr> aggregate(Aggregation op, const Token& name) {
    Aggregate made;
    made.op = op;
    const bool before = !next_.is("(");
    if (before)
      if (auto read = grouping(made); !read) return std::unexpected(std::move(read).error());
    if (!next_.is("(")) return unexpected_token("aggregation");
    auto arguments = call_arguments();
    if (!arguments) return std::unexpected(std::move(arguments).error());
    if (!before && (next_is_word("by") || next_is_word("without")))
      if (auto read = grouping(made); !read) return std::unexpected(std::move(read).error());
    if (auto checked = check(made, std::move(*arguments)); !checked)
      return wrong(name, checked.error().message);
    return node(std::move(made), Type::vector, name.at);
  }

  Status grouping(Aggregate& made) {
    made.without = next_is_word("without");
    if (auto gone = advance(); !gone) return gone;
    auto labels = label_list();
    if (!labels) return std::unexpected(std::move(labels).error());
    made.labels = std::move(*labels);
    return {};
  }

  Result<NodePtr> call(const Token& name) {
    const Function* function = function_named(name.text);
    if (function == nullptr)
      return wrong(name, fmt::format("unknown function with name \"{}\"", name.text));
    auto arguments = call_arguments();
    if (!arguments) return std::unexpected(std::move(arguments).error());
    if (auto checked = check(*function, *arguments); !checked)
      return wrong(name, checked.error().message);
    return node(Call{function, std::move(*arguments)}, function->returns, name.at);
  }

  Result<std::vector<NodePtr>> call_arguments() {
    std::vector<NodePtr> arguments;
    if (auto gone = advance(); !gone) return std::unexpected(std::move(gone).error());
    while (!next_.is(")")) {
      auto argument = expression(0);
      if (!argument) return std::unexpected(std::move(argument).error());
      arguments.push_back(std::move(*argument));
      if (next_.is(")")) break;
      if (auto comma = expect(",", "call arguments"); !comma)
        return std::unexpected(std::move(comma).error());
      if (next_.is(")")) return wrong(next_, "trailing commas not allowed in function call args");
    }
    if (auto gone = advance(); !gone) return std::unexpected(std::move(gone).error());
    return arguments;
  }

  // From its brace, or the whole of it when it is a name alone.
  Result<NodePtr> selector(std::string metric, std::size_t begin) {
    Selector made;
    if (next_.is("{"))
      if (auto read = matchers(made.matchers); !read)
        return std::unexpected(std::move(read).error());
    const Token place{Kind::word, {}, begin};
    if (!metric.empty()) {
      for (const Matcher& matcher : made.matchers)
        if (matcher.name() == collector::metric_name)
          return wrong(place, fmt::format("metric name must not be set twice: \"{}\" or \"{}\"",
                                          metric, matcher.value()));
      made.metric = metric;
      made.matchers.push_back(*Matcher::of(Matcher::Kind::equal,
                                           std::string(collector::metric_name), std::move(metric)));
    }
    const bool any = std::ranges::any_of(made.matchers, [](const auto& m) { return !m.fits(""); });
    if (!any) return wrong(place, "vector selector must contain at least one non-empty matcher");
    return node(std::move(made), Type::vector, begin);
  }

  Status matchers(std::vector<Matcher>& into) {
    if (auto gone = advance(); !gone) return gone;
    while (!next_.is("}")) {
      const Token name = next_;
      if (name.kind != Kind::word) return unexpected_token("label matching, expected label name");
      if (auto gone = advance(); !gone) return gone;
      const auto kind = matcher_kind(next_);
      if (!kind) return unexpected_token("label matching, expected label matching operator");
      if (auto gone = advance(); !gone) return gone;
      if (next_.kind != Kind::text) return unexpected_token("label matching, expected string");
      auto value = placed(next_, unquoted(next_.text));
      if (!value) return std::unexpected(std::move(value).error());
      auto matcher = placed(next_, Matcher::of(*kind, std::string(name.text), std::move(*value)));
      if (!matcher) return std::unexpected(std::move(matcher).error());
      program_ += matcher->program();
      if (program_ > limits::query_program)
        return wrong(next_, "the regular expressions are too large");
      into.push_back(std::move(*matcher));
      if (auto gone = advance(); !gone) return gone;
      if (next_.is("}")) break;
      if (auto comma = expect(",", "label matching"); !comma) return comma;
    }
    return advance();
  }
  static std::optional<Matcher::Kind> matcher_kind(const Token& token) {
    if (token.is("=")) return Matcher::Kind::equal;
    if (token.is("!=")) return Matcher::Kind::not_equal;
    if (token.is("=~")) return Matcher::Kind::matches;
    if (token.is("!~")) return Matcher::Kind::not_matches;
    return std::nullopt;
  }

  std::string_view query_;
  Lexer lexer_;
  Token next_;
  int depth_ = 0;
  int operators_ = 0;
  std::int64_t program_ = 0;  // of all matchers
};

Status short_enough(std::string_view query) {
  if (query.size() <= static_cast<std::size_t>(limits::query_bytes.raw())) return {};
  return fail(Errc::bad_params,
              fmt::format("a query has at most {} bytes", limits::query_bytes.raw()));
}

}  // namespace

Result<NodePtr> parse(std::string_view query) {
  if (auto fits = short_enough(query); !fits) return std::unexpected(std::move(fits).error());
  return Parser(query).whole();
}

Result<std::vector<Matcher>> parse_selector(std::string_view text) {
  if (auto fits = short_enough(text); !fits) return std::unexpected(std::move(fits).error());
  return Parser(text).selector_alone();
}

bool may_be_metric(std::string_view word) {
  return !is_one_of(lower(word),
                    {"inf", "nan", "bool", "on", "ignoring", "group_left", "group_right", "atan2"});
}

}  // namespace tallymill::promql
