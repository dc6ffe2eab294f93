#include "apps/programs.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/check.h"

namespace tallymill::apps {
namespace {

Program up() {
  return {.words = "up",
          .summary = "front, stages and collector as one process tree",
          .about =
              "tallymill up: the front, its stages and a collector as one process tree.\n"
              "\n"
              "  tallymill up [FILE] [--KEY VALUE ...]\n"
              "\n"
              "A child that ends is started again. SIGTERM or Ctrl-C: no submit is taken, what\n"
              "is leased is finished, then all end. A second one ends them at once. Without\n"
              "a collector, jobs go on all the same.\n",
          .sources = {.sections = {"front"}}};
}

Program front() {
  return {.words = "front",
          .summary = "intake, ledger, dispatch and results alone",
          .about =
              "tallymill front: takes jobs from clients, keeps them in its ledger, and sends\n"
              "them to stages.\n"
              "\n"
              "  tallymill front --data-dir DIR [--run-dir DIR] [--listen ADDRESS] ...\n"
              "\n"
              "SIGTERM drains it: no submit is taken, what is leased is finished. A second\n"
              "one stops it.\n",
          .sources = {.sections = {"front"},
                      .reads = {"front.", "run_dir", "data_dir", "telemetry.", "log.", "kinds."}}};
}

Program collector() {
  return {
      .words = "collector",
      .summary = "metrics and alerts: Prometheus remote write in, PromQL out, rules judged",
      .about =
          "tallymill collector: keeps samples, answers PromQL over them and judges rules,\n"
          "as Prometheus would.\n"
          "\n"
          "  tallymill collector --data DIR [--http HOST:PORT] [--scrape FILE]\n"
          "                      [--statsd HOST:PORT] [--rules FILE ...]\n"
          "                      [--alertmanager HOST:PORT ...] [--sinks FILE] ...\n"
          "\n"
          "SIGHUP reads the rules again: all of them are as they were when one is wrong.\n"
          "SIGTERM ends it; what was acknowledged is there when it starts again.\n"
          "`tallymill collector snapshot` copies the samples of one that runs. The names\n"
          "of Prometheus' flags are taken, too: --rules.alert.resend-delay and the like.\n",
      .sources = {.sections = {"collector", "alerting"},
                  .aliases = {{"rules.alert.resend-delay", "alerting.resend_delay"},
                              {"rules.alert.for-outage-tolerance", "alerting.for_outage_tolerance"},
                              {"rules.alert.for-grace-period", "alerting.for_grace_period"},
                              {"web.external-url", "alerting.external_url"}},
                  .reads = {"collector.", "alerting.", "telemetry.instance", "log."}}};
}

Program stage(std::string_view name) {
  constexpr const char* about =
      "tallymill stage {0}: a worker of its stage. It takes jobs from a front\n"
      "and gives back what they make. Start as many as there should be; each has\n"
      "--threads handlers.\n"
      "\n"
      "  tallymill stage {0} --run-dir DIR --data-dir DIR\n"
      "  tallymill stage {0} --control tcp://HOST:7752 --results tcp://HOST:7751\n"
      "\n"
      "With a run directory it meets a front on this host on the ipc sockets there.\n"
      "A front on another host is named by its addresses, with --insecure; what its\n"
      "blob store holds comes over its jobs door, and the worker's lane is bound where\n"
      "that host reaches it.\n"
      "\n"
      "SIGTERM drains it: what has not started goes back to the front, the rest is\n"
      "finished. A second one ends it.\n";
  return {
      .words = fmt::format("stage {}", name),
      .summary = fmt::format("one worker of the {} stage", name),
      .about = fmt::format(about, name),
      .sources = {.sections = {"front", "stages"},
                  .program_flags = {{"threads", "handler threads of this worker (default 1)"},
                                    {"lane-address",
                                     "where its tcp lane is bound (default: this host's "
                                     "address as --control sees it)"}},
                  .reads = {"front.results", "front.control", "front.insecure", "front.diagnostics",
                            "stages.prefetch", "run_dir", "data_dir", "telemetry.", "log."}}};
}

}  // namespace

std::span<const Program> programs() {
  static const std::vector<Program> all{up(), front(), collector(), stage("compute"),
                                        stage("image")};
  return all;
}

const Program& program_named(std::string_view words) {
  const auto found = std::ranges::find(programs(), words, &Program::words);
  TM_CHECK(found != programs().end());
  return *found;
}

ConfigSources sources_of(const Program& program, int argc, char** argv) {
  ConfigSources sources = program.sources;
  sources.args.assign(argv + 1, argv + argc);
  sources.environment = environment_of(environ);
  return sources;
}

std::string help_of(const Program& program) {
  ConfigSources sources = program.sources;
  sources.environment = environment_of(environ);
  return program.about + "\n" + config_help(sources);
}

}  // namespace tallymill::apps
