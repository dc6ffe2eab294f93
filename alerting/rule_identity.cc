#include "alerting/rule_identity.h"

#include <fmt/format.h>

#include <map>

namespace tallymill::alerting {
namespace {

// Between parts: in no name, and printable nowhere, so that texts seldom look like two.
constexpr char between = '\x1f';

std::string kind_of(const Rule& rule) {
  std::string all = rule.kind == Rule::Kind::alerting ? "alert " : "record ";
  all += rule.name;
  for (const Templated& label : rule.labels)
    for (const std::string& part : {label.name, label.text}) {
      all += between;
      all += part;
    }
  all += '\n';
  return all;
}

}  // namespace

std::vector<std::string> identities_of(const std::vector<Rule>& rules) {
  std::vector<std::string> all;
  std::map<std::string, int> seen;
  for (const Rule& rule : rules) {
    std::string identity = kind_of(rule) + rule.expr;
    const int number = seen[identity]++;
    if (number > 0) identity += fmt::format("\n{}", number);
    all.push_back(std::move(identity));
  }
  return all;
}

bool is_alike(const std::string& identity, const Rule& rule) {
  return identity.starts_with(kind_of(rule));
}

std::vector<std::optional<std::size_t>> partners(const std::vector<Rule>& fresh,
                                                 const std::vector<Rule>& old) {
  std::vector<std::optional<std::size_t>> found(fresh.size());
  std::vector<bool> taken(old.size(), false);
  const auto pair_up = [&](const std::function<std::string(const Rule&)>& key) {
    std::map<std::string, std::vector<std::size_t>> free;
    for (std::size_t i = old.size(); i-- > 0;)
      if (!taken[i]) free[key(old[i])].push_back(i);
    for (std::size_t i = 0; i < fresh.size(); ++i) {
      if (found[i]) continue;
      const auto at = free.find(key(fresh[i]));
      if (at == free.end() || at->second.empty()) continue;
      found[i] = at->second.back();
      taken[*found[i]] = true;
      at->second.pop_back();
    }
  };
  pair_up([](const Rule& rule) { return kind_of(rule) + rule.expr; });
  pair_up(kind_of);
  return found;
}

}  // namespace tallymill::alerting
