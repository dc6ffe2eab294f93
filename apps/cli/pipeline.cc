// workers, topology, kinds, ping: what the pipeline is made of.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/terminal.h"

namespace tallymill::cli {
namespace {

using nlohmann::json;

std::string joined(const json& list, std::string_view between) {
  std::string text;
  if (!list.is_array()) return text;
  for (const json& one : list) {
    if (!one.is_string()) continue;
    if (!text.empty()) text += between;
    text += printable(one.get<std::string>());
  }
  return text;
}

json member(const json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() ? json() : *found;
}

// `names`: of those that there are, each behind a space.
Error no_such_kind(const std::string& asked, const std::string& names) {
  return {Errc::no_route, fmt::format("no stage serves kind {}; there {}", asked,
                                      names.empty() ? "are none" : "are" + names)};
}

double real_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? found->get<double>() : 0.0;
}

std::string workers_table(const json& list) {
  Table table({{"WORKER"},
               {"STAGE"},
               {"PID", true},
               {"HOST"},
               {"HELD", true},
               {"PLACES", true},
               {"BUSY", true},
               {"SEEN", true},
               {"KINDS"}});
  for (const json& worker : list) {
    const json open = member(worker, "open");
    std::string name = printable(text_at(worker, "incarnation"));
    if (open.is_boolean() && !open.get<bool>())
      name = coloured(name.append(" (away)"), Colour::yellow);
    table.row({name, printable(text_at(worker, "stage")),
               fmt::format("{}", number_at(worker, "pid")), printable(text_at(worker, "host")),
               human_count(number_at(worker, "held")),
               human_count(number_at(member(worker, "limit"), "jobs")),
               fmt::format("{:.0f} %", 100 * real_at(worker, "busy_ratio")),
               fmt::format("{} ms", number_at(worker, "last_seen_ms")),
               joined(member(worker, "kinds"), " ")});
  }
  return table.text();
}

std::string type_of(const ParamSpec& p) {
  using Type = ParamSpec::Type;
  std::string text;
  const auto range = [&](double min, double max) {
    return min == max && min == 0 ? std::string() : fmt::format(" {:g}..{:g}", min, max);
  };
  switch (p.type) {
    case Type::number:
      return "number" + range(p.min, p.max);
    case Type::integer:
      return "integer" + range(p.min, p.max);
    case Type::boolean:
      return "true|false";
    case Type::text:
      return "text";
    case Type::choice:
      for (const std::string& choice : p.choices) text += (text.empty() ? "" : "|") + choice;
      return text;
    case Type::list:
      return "list" + range(p.item_min, p.item_max);
  }
  return text;
}

std::string files_of(const KindSpec& kind) {
  if (kind.inputs_max == 0) return "no file";
  if (kind.inputs_min == kind.inputs_max)
    return fmt::format("{} file{}", kind.inputs_min, kind.inputs_min == 1 ? "" : "s");
  return fmt::format("{} to {} files", kind.inputs_min, kind.inputs_max);
}

// `whole`: also what the table has no room for.
void print_kind(const KindSpec& kind, bool whole) {
  std::string route;
  for (const std::string& stage : kind.route)
    route += (route.empty() ? "" : speaks_utf8() ? " → " : " > ") + stage;
  print(fmt::format("{}  {}\n  {} Takes {}.\n", coloured(printable(kind.name), Colour::bold),
                    coloured(printable(route), Colour::cyan), printable(kind.help),
                    files_of(kind)));
  Table table({{"  PARAMETER"}, {"TYPE"}, {"DEFAULT"}, {"MEANING"}});
  for (const ParamSpec& p : kind.params) {
    std::string type = type_of(p);
    if (!p.unit.empty()) type += " " + p.unit;
    constexpr std::size_t widest = 36;
    if (columns_of(type) > widest) type = type.substr(0, widest - 3) + "...";
    table.row({"  " + printable(p.name), printable(type),
               p.fallback.is_null() ? coloured("required", Colour::yellow)
               : p.fallback.is_string()
                   ? printable(p.fallback.get<std::string>())
                   : printable(p.fallback.dump(-1, ' ', false, json::error_handler_t::replace)),
               printable(p.help)});
  }
  if (!kind.params.empty()) print(table.text());
  for (const ParamSpec& p : kind.params) {
    if (!whole || columns_of(type_of(p)) <= 36) continue;
    print(fmt::format("  {} is one of:", printable(p.name)));
    for (const std::string& choice : p.choices) print(" " + printable(choice));
    print("\n");
  }
}

}  // namespace

int workers(const Common& common) {
  const Session client = open_session(common);
  if (!client) return client.exit_code;
  const auto answer = client->workers();
  if (!answer) return tell(common, answer.error());
  if (common.json) return print_json(*answer), exit_ok;
  const json list = member(*answer, "workers");
  if (!list.is_array() || list.empty()) {
    fmt::print(stderr, "no workers are connected; `tallymill up` starts some\n");
    return exit_ok;
  }
  print(workers_table(list));
  return exit_ok;
}

int topology(const Common& common) {
  const Session client = open_session(common);
  if (!client) return client.exit_code;
  const auto answer = client->topology();
  if (!answer) return tell(common, answer.error());
  if (common.json) return print_json(*answer), exit_ok;
  print(coloured("routes\n", Colour::bold));
  Table routes({{"KIND"}, {"ROUTE"}});
  for (const json& route : member(*answer, "routes"))
    routes.row({printable(text_at(route, "kind")),
                "front" + std::string(speaks_utf8() ? " → " : " > ") +
                    joined(member(route, "route"), speaks_utf8() ? " → " : " > ")});
  print(routes.text());
  if (const json list = member(*answer, "workers"); list.is_array() && !list.empty())
    print(coloured("\nworkers\n", Colour::bold) + workers_table(list));
  const json lanes = member(*answer, "lanes");
  if (!lanes.is_array() || lanes.empty()) return exit_ok;
  print(coloured("\nlanes\n", Colour::bold));
  Table table({{"FROM"},
               {"TO"},
               {"STAGE"},
               {"SENT", true},
               {"RECEIVED", true},
               {"IN FLIGHT", true},
               {"LOST", true}});
  for (const json& lane : lanes) {
    std::int64_t lost = 0;
    for (const json& n : member(lane, "lost"))
      if (n.is_number_integer()) lost += n.get<std::int64_t>();
    table.row({printable(text_at(lane, "from")), printable(text_at(lane, "to")),
               printable(text_at(lane, "stage")), human_count(number_at(lane, "sent")),
               human_count(number_at(lane, "received")), human_count(number_at(lane, "in_flight")),
               human_count(lost)});
  }
  print(table.text());
  return exit_ok;
}

int kinds(const Common& common, const std::string& only) {
  const Session client = open_session(common);
  if (!client) return client.exit_code;
  if (common.json) {
    const auto answer = client->kinds();
    if (!answer) return tell(common, answer.error());
    if (only.empty()) return print_json(*answer), exit_ok;
    std::string names;
    for (const json& kind : member(*answer, "kinds")) {
      if (text_at(kind, "name") == only) return print_json(kind), exit_ok;
      names += " " + text_at(kind, "name");
    }
    return tell(common, no_such_kind(only, names));
  }
  const auto all = kinds_of(*client.client);
  if (!all) return tell(common, all.error());
  bool any = false;
  std::string names;
  for (const KindSpec& kind : *all) {
    names += " " + kind.name;
    if (!only.empty() && kind.name != only) continue;
    if (std::exchange(any, true)) print("\n");
    print_kind(kind, !only.empty());
  }
  if (any) return exit_ok;
  if (only.empty()) {
    fmt::print(stderr, "no stage is connected, so there are no kinds yet\n");
    return exit_ok;
  }
  return tell(common, no_such_kind(only, names));
}

int ping(const Common& common) {
  const Session client = open_session(common);
  if (!client) return client.exit_code;
  const SystemClock clock;
  const Instant begin = clock.now();
  if (auto answer = client->ping(); !answer) return tell(common, answer.error());
  const Duration took = clock.now() - begin;
  if (common.json)
    print_json({{"endpoint", client->endpoint()},
                {"version", client->front_version()},
                {"epoch", client->epoch()},
                {"ledger", client->ledger()},
                {"round_trip_ns", took.count()}});
  else
    print(fmt::format("{}  version {}  epoch {}  {}\n", client->endpoint(), client->front_version(),
                      client->epoch(), human(took)));
  return exit_ok;
}

}  // namespace tallymill::cli
