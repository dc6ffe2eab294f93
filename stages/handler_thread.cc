#include "stages/handler_thread.h"

#include <functional>
#include <memory>
#include <utility>

#include "base/limits.h"
#include "base/thread.h"
#include "stages/egress.h"
#include "stages/runner.h"

namespace tallymill::stages {

namespace {

// Jobs this short are taken several at a time also when there are several handler threads.
constexpr Duration short_job = std::chrono::microseconds(20);

void serve(Shared& shared, Slot& slot, std::unique_ptr<HandlerProbe> probe, zmq::socket_t results) {
  name_thread("handler");
  Runner runner(shared, slot, *probe);
  Egress egress(shared, *probe, std::move(results));

  Desk::Turn turn;
  std::shared_ptr<const LaneSet> connected;
  bool jobs_are_short = false;
  for (;;) {
    if (!shared.desk.try_take(turn, jobs_are_short)) {
      egress.flush();
      if (!shared.desk.take(turn, jobs_are_short)) break;
    }
    if (turn.lanes != connected) {
      connected = turn.lanes;
      egress.set_lanes(*connected);
    }
    for (HeldPtr& job : turn.jobs) {
      if (!job->claim()) continue;
      const Duration expected = runner.expected(*job);
      jobs_are_short = expected < short_job;
      if (egress.due(expected)) egress.flush();
      egress.add(runner.run(std::move(job)));
    }
  }
  egress.flush();
}

}  // namespace

HandlerThread::HandlerThread(Shared& shared, int index, zmq::socket_t&& results)
    : thread_(serve, std::ref(shared), std::ref(shared.slots[static_cast<std::size_t>(index)]),
              std::make_unique<HandlerProbe>(shared.registry, index), std::move(results)) {}

HandlerThread::~HandlerThread() { thread_.join(); }

}  // namespace tallymill::stages
