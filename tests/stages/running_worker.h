// RunningWorker: a real worker on a thread of its own, with kinds that tests steer.
//
// Threads: the test's.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <thread>

#include "base/check.h"
#include "base/clock.h"
#include "stages/worker.h"
#include "tests/fakes/fake_front.h"

namespace tallymill::stages {

// Handlers of kind "gate" wait here.
class Gate {
 public:
  void open() {
    {
      const std::lock_guard lock(open_mutex_);
      open_ = true;
    }
    changed_.notify_all();
  }
  // False when `give_up` became true first; it is asked every millisecond.
  bool pass(const std::function<bool()>& give_up) {
    std::unique_lock lock(open_mutex_);
    while (!open_) {
      if (give_up()) return false;
      changed_.wait_for(lock, std::chrono::milliseconds(1));
    }
    return true;
  }

 private:
  std::mutex open_mutex_;  // guards open_
  std::condition_variable changed_;
  bool open_ = false;
};

class RunningWorker {
 public:
  // Returns when the front has heard its hello.
  RunningWorker(fakes::FakeFront& front, std::vector<StageKind> kinds, int concurrency = 1,
                const std::string& stage = "compute") {
    WorkerOptions options{.stage = stage,
                          .control = front.control(),
                          .results = front.results(),
                          .run_dir = front.folder(),
                          .concurrency = concurrency,
                          .kinds = std::move(kinds)};
    std::promise<Worker*> made;
    auto is_made = made.get_future();
    thread_ = std::thread([this, &made, options = std::move(options)]() mutable {
      auto worker = Worker::make(std::move(options), clock_);
      TM_CHECK(worker.has_value());
      made.set_value(worker->get());
      (*worker)->run();
      left_ = true;
      stopped_.get_future().wait();  // the test may still call stop()
    });
    worker_ = is_made.get();
    const std::size_t before = front.hellos.size();
    const std::size_t beats = front.beats.size();
    TM_CHECK(
        front.wait([&] { return front.hellos.size() > before && front.beats.size() > beats; }));
  }
  ~RunningWorker() {
    worker_->stop();
    stopped_.set_value();
    thread_.join();
  }

  Worker& operator*() { return *worker_; }
  Worker* operator->() { return worker_; }
  // run() returned.
  [[nodiscard]] bool left() const { return left_; }

 private:
  SystemClock clock_;
  Worker* worker_ = nullptr;
  std::promise<void> stopped_;
  std::atomic<bool> left_ = false;
  std::thread thread_;
};

inline StageKind echo_kind() {
  return {.spec = {.name = "echo",
                   .route = {"compute"},
                   .help = "Answers with its parameter.",
                   .params = {{.name = "x",
                               .type = ParamSpec::Type::integer,
                               .help = "Anything.",
                               .fallback = 1,
                               .min = 0,
                               .max = 1'000'000}}},
          .handler = [](const Job& job, Context& context) -> Result<Output> {
            const Span span(context, "outer");
            {
              const Span inner(context, "inner");
            }
            Output output;
            output.values["x"] = job.params.at("x");
            for (const Input& input : job.inputs)
              output.files.push_back({"copy", "text/plain", std::string(input.bytes)});
            return output;
          }};
}

// Runs until the gate opens; 0.1 ... 0.9 of progress first.
inline StageKind gate_kind(Gate& gate) {
  return {.spec = {.name = "gate", .route = {"compute"}, .help = "Waits.", .params = {}},
          .handler = [&gate](const Job&, Context& context) -> Result<Output> {
            double fraction = 0;
            const bool passed = gate.pass([&] {
              fraction = fraction > 0.85 ? fraction : fraction + 0.01;
              context.progress(fraction);
              context.progress(fraction / 2);  // falls: the runtime must not show it
              return context.cancelled();
            });
            if (!passed) return fail(Errc::cancelled, "stopped");
            return Output{};
          }};
}

}  // namespace tallymill::stages
