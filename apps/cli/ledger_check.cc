// ledger check: every law of a ledger, offline. Exit 7 names what is broken.
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/terminal.h"
#include "base/config.h"
#include "front/ledger_check.h"
#include "store/blobs.h"

namespace tallymill::cli {

std::string data_folder(const std::string& said) {
  if (!said.empty()) return said;
  ConfigSources sources;
  sources.environment = environment_of(environ);
  const auto loaded = load_config(sources);
  return loaded ? loaded->config.data_dir : std::string(".");
}

int ledger_check(const Common& common, const std::string& folder, bool read_blobs) {
  const std::filesystem::path data(folder);
  front::CheckOptions options;
  options.folder = data;
  options.read_blobs = read_blobs;
  std::unique_ptr<store::Blobs> blobs;
  if (std::filesystem::is_directory(data / "blobs")) {
    auto opened = store::Blobs::open(data / "blobs", false);
    if (!opened) return tell(common, opened.error());
    blobs = std::move(*opened);
    options.blobs = blobs.get();
  }
  const auto report = front::check_ledger(options);
  if (!report) return tell(common, report.error());
  if (common.json) {
    nlohmann::json violations = nlohmann::json::array();
    for (const front::Violation& one : report->violations)
      violations.push_back({{"law", one.law}, {"job", one.job.raw()}, {"what", one.what}});
    print_json({{"accepted", report->accepted},
                {"live", report->live},
                {"ended", report->ended},
                {"retired", report->retired},
                {"head", report->head},
                {"violations", report->violations_in_all},
                {"first", std::move(violations)}});
    return report->clean() ? exit_ok : exit_inconsistent;
  }
  print(fmt::format("accepted {} = live {} + ended {} + retired {}; {} violations\n",
                    report->accepted, report->live, report->ended, report->retired,
                    report->violations_in_all));
  for (const front::Violation& one : report->violations)
    print(fmt::format("{}{}: {}\n", coloured(one.law, Colour::red),
                      one.job == JobId(0) ? "" : fmt::format(", job {}", one.job.raw()),
                      printable(one.what)));
  return report->clean() ? exit_ok : exit_inconsistent;
}

}  // namespace tallymill::cli
