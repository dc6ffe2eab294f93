// snapshot: every accepted job accounted for, as the front counted it in one turn.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/conservation.h"
#include "apps/cli/terminal.h"
#include "bus/messages.h"

namespace tallymill::cli {
namespace {

using nlohmann::json;

struct Terms {
  std::int64_t accepted, done, failed, cancelled, expired, waiting, in_flight, settling;
  [[nodiscard]] std::int64_t sum() const {
    return done + failed + cancelled + expired + waiting + in_flight + settling;
  }
};

Terms terms_of(const json& snapshot) {
  const json jobs = snapshot.value("jobs", json::object());
  const json waiting = jobs.value("waiting", json::object());
  return {
      number_at(jobs, "accepted"),
      number_at(jobs, "done"),
      number_at(jobs, "failed"),
      number_at(jobs, "cancelled"),
      number_at(jobs, "expired"),
      number_at(waiting, "ready") + number_at(waiting, "backoff") + number_at(waiting, "scheduled"),
      number_at(jobs, "in_flight"),
      number_at(jobs, "settling")};
}

void print_lanes(const json& lanes) {
  Table table({{"LANE"},
               {"STAGE"},
               {"SENT", true},
               {"RECEIVED", true},
               {"IN FLIGHT", true},
               {"LOST", true},
               {""}});
  for (const json& lane : lanes) {
    std::int64_t lost = 0;
    for (const json& n : lane.value("lost", json::object()))
      if (n.is_number_integer()) lost += n.get<std::int64_t>();
    const bool balanced = number_at(lane, "sent") ==
                          number_at(lane, "received") + number_at(lane, "in_flight") + lost;
    table.row(
        {printable(text_at(lane, "from")) + (speaks_utf8() ? " → " : " > ") +
             printable(text_at(lane, "to")),
         printable(text_at(lane, "stage")), human_count(number_at(lane, "sent")),
         human_count(number_at(lane, "received")), human_count(number_at(lane, "in_flight")),
         human_count(lost),
         balanced ? coloured("balanced", Colour::green) : coloured("NOT BALANCED", Colour::red)});
  }
  if (!table.empty()) print("\n" + table.text());
}

}  // namespace

Conservation conservation_of(const json& snapshot) {
  const Terms t = terms_of(snapshot);
  const bool says = snapshot.value("balanced", false);
  const bool holds = says && t.accepted == t.sum();
  const auto n = [](std::int64_t value) { return human_count(value); };
  return {fmt::format("accepted {} = done {} + failed {} + cancelled {} + expired {} + waiting {} "
                      "+ in flight {} + settling {}",
                      n(t.accepted), n(t.done), n(t.failed), n(t.cancelled), n(t.expired),
                      n(t.waiting), n(t.in_flight), n(t.settling)),
          holds};
}

int snapshot(const SnapshotArgs& args) {
  const Session client = open_session(args.common);
  if (!client) return client.exit_code;
  auto answer = client->ask(bus::Verb::snapshot,
                            {.state = args.prometheus ? std::string_view("prometheus") : ""});
  if (!answer) return tell(args.common, answer.error());
  auto snapshot = answer->json();
  if (!snapshot) return tell(args.common, snapshot.error());
  const Conservation law = conservation_of(*snapshot);
  if (args.prometheus) {
    print(text_at(*snapshot, "prometheus"));
    return law.holds ? exit_ok : exit_inconsistent;
  }
  if (args.common.json) {
    print_json(*snapshot);
    return law.holds ? exit_ok : exit_inconsistent;
  }
  print(fmt::format("{}\n{}\n", law.line,
                    law.holds
                        ? coloured("balanced: every accepted job is accounted for", Colour::green)
                        : coloured("NOT BALANCED: jobs are missing; run `tallymill ledger "
                                   "check`",
                                   Colour::red)));
  print_lanes(snapshot->value("lanes", json::array()));
  print(coloured(
      fmt::format("\nepoch {}, sequence {}, taken {}\n", number_at(*snapshot, "front_epoch"),
                  number_at(*snapshot, "seq"), human_time(number_at(*snapshot, "taken_unix_ns"))),
      Colour::dim));
  return law.holds ? exit_ok : exit_inconsistent;
}

}  // namespace tallymill::cli
