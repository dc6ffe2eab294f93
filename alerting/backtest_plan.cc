// 1. want() goes from the alerts to what they read, and notes who reads whom.
// 2. order() finds the groups that read one another (Tarjan), those that are read first.
// 3. A group whose rules only read those before them is a unit a rule; the rest are together.
#include "alerting/backtest_plan.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

namespace tallymill::alerting {
namespace {

class Planner {
 public:
  explicit Planner(const std::vector<RuleGroup>& groups) : groups_(groups), reads_(0) {
    for (std::size_t g = 0; g < groups.size(); ++g) {
      first_.push_back(plan_.rules.size());
      for (const Rule& rule : groups[g].rules) {
        const std::size_t number = plan_.rules.size();
        plan_.rules.push_back({.rule = &rule, .group = g, .reads = reads_of(rule)});
        if (rule.kind == Rule::Kind::recording)
          named_[rule.name].push_back(number);
        else
          for (const char* name : {"ALERTS", "ALERTS_FOR_STATE"}) named_[name].push_back(number);
      }
    }
    first_.push_back(plan_.rules.size());
    reads_.resize(plan_.rules.size());
  }

  BacktestPlan plan() {
    want();
    order();
    for (const PlannedRule& rule : plan_.rules) {
      if (!rule.wanted) continue;
      plan_.span_ms = std::max(plan_.span_ms, rule.reads.span_ms);
      if (rule.independent) continue;
      plan_.back_ms = std::max(plan_.back_ms, rule.reads.back_ms);
      plan_.keeps_all = plan_.keeps_all || rule.reads.moment_by_moment || rule.reads.anything;
    }
    return std::move(plan_);
  }

 private:
  // Those that a rule may read; of a selector that names no metric any rule is asked.
  std::vector<std::size_t> producers_of(const Reads& reads) const {
    std::vector<std::size_t> some;
    for (const auto& selector : reads.selectors) {
      const auto name = std::ranges::find_if(selector, [](const promql::Matcher& matcher) {
        return matcher.name() == collector::metric_name &&
               matcher.kind() == promql::Matcher::Kind::equal;
      });
      if (name == selector.end()) return all_that(reads);
      if (const auto at = named_.find(name->value()); at != named_.end())
        some.insert(some.end(), at->second.begin(), at->second.end());
    }
    if (reads.anything) return all_that(reads);
    std::ranges::sort(some);
    some.erase(std::ranges::unique(some).begin(), some.end());
    std::erase_if(some, [&](std::size_t i) { return !may_read(reads, *plan_.rules[i].rule); });
    return some;
  }
  std::vector<std::size_t> all_that(const Reads& reads) const {
    std::vector<std::size_t> some;
    for (std::size_t i = 0; i < plan_.rules.size(); ++i)
      if (may_read(reads, *plan_.rules[i].rule)) some.push_back(i);
    return some;
  }

  void want() {
    std::vector<std::size_t> todo;
    const auto wanted = [&](std::size_t i) {
      if (!std::exchange(plan_.rules[i].wanted, true)) todo.push_back(i);
    };
    for (std::size_t i = 0; i < plan_.rules.size(); ++i)
      if (plan_.rules[i].rule->kind == Rule::Kind::alerting) wanted(i);
    while (!todo.empty()) {
      const std::size_t i = todo.back();
      todo.pop_back();
      reads_[i] = producers_of(plan_.rules[i].reads);
      plan_.rules[i].independent = reads_[i].empty();
      plan_.rules[i].at_once = !plan_.rules[i].reads.moment_by_moment;
      for (const std::size_t producer : reads_[i]) {
        plan_.rules[producer].is_read = true;
        wanted(producer);
      }
    }
  }

  // Whether a group reads what it has not judged yet.
  bool reads_itself(std::size_t group) const {
    for (std::size_t i = first_[group]; i < first_[group + 1]; ++i)
      for (const std::size_t producer : reads_[i])
        if (plan_.rules[producer].group == group && producer >= i) return true;
    return false;
  }

  void order() {
    marks_.resize(groups_.size());
    for (std::size_t g = 0; g < groups_.size(); ++g)
      if (marks_[g].index == 0) visit(g);
  }

  // A group that is being visited, and how far that is.
  struct Frame {
    std::size_t group;
    std::vector<std::size_t> next;
  };
  std::vector<std::size_t> groups_read_by(std::size_t group) const {
    std::vector<std::size_t> some;
    for (std::size_t i = first_[group]; i < first_[group + 1]; ++i)
      for (const std::size_t producer : reads_[i]) some.push_back(plan_.rules[producer].group);
    std::ranges::sort(some);
    some.erase(std::ranges::unique(some).begin(), some.end());
    return some;
  }

  // Not by recursion: there are as many groups as limits::rule_groups.
  void visit(std::size_t start) {
    std::vector<Frame> frames;
    const auto enter = [&](std::size_t group) {
      marks_[group].index = marks_[group].low = ++visited_;
      marks_[group].open = true;
      open_.push_back(group);
      frames.push_back({group, groups_read_by(group)});
    };
    enter(start);
    while (!frames.empty()) {
      const std::size_t group = frames.back().group;
      if (!frames.back().next.empty()) {
        const std::size_t next = frames.back().next.back();
        frames.back().next.pop_back();
        if (marks_[next].index == 0)
          enter(next);
        else if (marks_[next].open)
          marks_[group].low = std::min(marks_[group].low, marks_[next].index);
        continue;
      }
      frames.pop_back();
      if (!frames.empty()) {
        Mark& above = marks_[frames.back().group];
        above.low = std::min(above.low, marks_[group].low);
      }
      if (marks_[group].low == marks_[group].index) close(group);
    }
  }

  void close(std::size_t root) {
    std::vector<std::size_t> members;
    do {
      members.push_back(open_.back());
      marks_[open_.back()].open = false;
      open_.pop_back();
    } while (members.back() != root);
    std::ranges::sort(members);
    const bool together = members.size() > 1 || reads_itself(root);
    BacktestUnit unit{.together = together};
    for (const std::size_t group : members) {
      for (std::size_t i = first_[group]; i < first_[group + 1]; ++i) {
        if (!plan_.rules[i].wanted) continue;
        unit.rules.push_back(i);
        if (together) continue;
        plan_.units.push_back(std::exchange(unit, {}));
      }
    }
    if (!together || unit.rules.empty()) return;
    for (const std::size_t i : unit.rules) {
      const bool reads_them = std::ranges::any_of(reads_[i], [&](std::size_t producer) {
        return std::ranges::binary_search(members, plan_.rules[producer].group);
      });
      if (reads_them) plan_.rules[i].at_once = false;
    }
    plan_.units.push_back(std::move(unit));
  }

  struct Mark {
    std::size_t index = 0;  // 0: not visited
    std::size_t low = 0;
    bool open = false;
  };

  const std::vector<RuleGroup>& groups_;
  BacktestPlan plan_;
  std::vector<std::size_t> first_;  // of each group its first rule; one more: their end
  std::map<std::string, std::vector<std::size_t>, std::less<>> named_;
  std::vector<std::vector<std::size_t>> reads_;  // of each rule those that it may read
  std::vector<Mark> marks_;
  std::vector<std::size_t> open_;
  std::size_t visited_ = 0;
};

}  // namespace

BacktestPlan plan_backtest(const std::vector<RuleGroup>& groups) { return Planner(groups).plan(); }

}  // namespace tallymill::alerting
