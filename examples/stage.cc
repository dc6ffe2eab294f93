// A stage of one's own: `shout` answers with its text in capitals.
//
//   example-stage RUN_DIR     RUN_DIR: where a front on this host has its sockets
#include <cstdio>

#include "stages/worker.h"

namespace ts = tallymill::stages;

int main(int argc, char** argv) {
  if (argc != 2) return std::fputs("usage: example-stage RUN_DIR\n", stderr), 2;
  const std::string run_dir = argv[1];
  tallymill::KindSpec shout{.name = "shout",
                            .route = {"shouter"},  // the stages of this kind, in order
                            .help = "Says it louder.",
                            .params = {{.name = "text",
                                        .type = tallymill::ParamSpec::Type::text,
                                        .help = "What to say.",
                                        .min = 1,
                                        .max = 1000}}};
  const auto handler = [](const ts::Job& job, ts::Context&) -> tallymill::Result<ts::Output> {
    auto text = job.params.at("text").get<std::string>();
    for (char& c : text) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    return ts::Output{.values = {{"text", text}}};
  };
  const tallymill::SystemClock clock;
  auto worker = ts::Worker::make({.stage = "shouter",
                                  .control = "ipc://" + run_dir + "/control.sock",
                                  .results = "ipc://" + run_dir + "/results.sock",
                                  .run_dir = run_dir,
                                  .kinds = {{shout, handler}},
                                  .handle_signals = true},
                                 clock);
  if (!worker) return std::fprintf(stderr, "%s\n", worker.error().message.c_str()), 70;
  (*worker)->run();
}
