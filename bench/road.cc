// bench road: whole round trips through the shipped programs, beside Redis Streams and beside the
// bare ZeroMQ chain, interleaved in one call.
//
// 1. throughput: durable round trips a second, `synthetic` with 0 us, client -> front -> compute ->
//    front -> client; every job synced twice (accepted, end).
// 2. latency: one job at a time, the same way.
// 3. two speeds: 400 jobs on a worker of 1 ms and one of 10 ms; against the ideal of both busy to
// the
//    end, and against bare PUSH.
//
// usage: bench_road [--rounds N] [--seconds S]. One JSON line a figure; ratios pair by pair.
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/limits.h"
#include "bench/floor/processes.h"
#include "bench/floor/redis_streams.h"
#include "bench/floor/zmq_chain.h"
#include "bus/client.h"
#include "bus/messages.h"
#include "stages/handler.h"
#include "stages/worker.h"

namespace {

using namespace tallymill;
using namespace tallymill::bench;
using Clock = std::chrono::steady_clock;

// The shipped front and one compute worker, in their default configuration.
class Pipeline {
 public:
  explicit Pipeline(int compute_workers) {
    run = (folder_.path() / "run").string();
    data = (folder_.path() / "data").string();
    const std::string ipc = "ipc://" + run;
    std::filesystem::create_directories(run);
    front_ = Child({(programs() / "tallymill-front").string(), "--listen", ipc + "/jobs.sock",
                    "--results", ipc + "/results.sock", "--control", ipc + "/control.sock",
                    "--data-dir", data, "--diagnostics", "true", "--log.level", "error"});
    for (int i = 0; i < compute_workers; ++i)
      workers_.emplace_back(std::vector<std::string>{
          (programs() / "tallymill-stage-compute").string(), "--results", ipc + "/results.sock",
          "--control", ipc + "/control.sock", "--run-dir", run, "--data-dir", data, "--diagnostics",
          "true", "--log.level", "warn"});
    endpoint = ipc + "/jobs.sock";
  }
  std::string endpoint, run, data;
  pid_t front() const { return front_.pid(); }

 private:
  Folder folder_;
  Child front_;
  std::vector<Child> workers_;
};

class Driver {
 public:
  explicit Driver(const std::string& endpoint) : client_({.name = "bench"}) {
    auto up = client_.connect(endpoint, std::chrono::seconds(10));
    TM_CHECK(up.has_value());
    client_.on_event([this](const bus::Event& event, const bus::Item&) {
      if (event.what == "done") ++done_;
    });
  }
  void until_served(const std::string& kind, int workers) {
    for (int tries = 0; tries < 1000; ++tries) {
      const auto topology = client_.topology();
      int open = 0;
      if (topology)
        for (const auto& worker : (*topology)["workers"])
          open += worker["open"].get<bool>() &&
                  worker["kinds"].dump().find('"' + kind + '"') != std::string::npos;
      if (open >= workers) return;
      (void)client_.poll(std::chrono::milliseconds(10));
    }
    TM_CHECK(false && "the stages did not come up");
  }
  [[nodiscard]] double throughput(double seconds, int window) {
    const auto begin = Clock::now();
    const auto until =
        begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    const std::int64_t first = done_;
    std::int64_t sent = done_;
    std::vector<bus::RawJob> batch(128, bus::RawJob{.kind = "synthetic", .params = params_});
    while (Clock::now() < until) {
      while (sent - done_ + 128 <= window) {
        const auto taken = client_.submit_now(batch);
        sent += static_cast<std::int64_t>(taken);
        if (taken < batch.size()) break;
      }
      (void)client_.poll(std::chrono::milliseconds(100));
    }
    const double took = std::chrono::duration<double>(Clock::now() - begin).count();
    const auto finished = static_cast<double>(done_ - first);
    while (done_ < sent) (void)client_.poll(std::chrono::milliseconds(100));
    return finished / took;
  }
  [[nodiscard]] std::vector<double> latencies(int jobs) {
    std::vector<double> micros;
    const bus::RawJob one{.kind = "synthetic", .params = params_};
    for (int i = 0; i < jobs; ++i) {
      const auto begin = Clock::now();
      const std::int64_t before = done_;
      TM_CHECK(client_.submit_now({&one, 1}) == 1);
      while (done_ == before) (void)client_.poll(std::chrono::milliseconds(100));
      micros.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
    }
    return micros;
  }
  // Seconds until `jobs` jobs of `kind` are done.
  [[nodiscard]] double burst(const std::string& kind, int jobs) {
    const auto begin = Clock::now();
    const std::int64_t before = done_;
    const std::vector<bus::RawJob> all(static_cast<std::size_t>(jobs), bus::RawJob{.kind = kind});
    TM_CHECK(client_.submit_many(all) == all.size());
    while (done_ - before < jobs) (void)client_.poll(std::chrono::milliseconds(100));
    return std::chrono::duration<double>(Clock::now() - begin).count();
  }

 private:
  bus::Client client_;
  std::int64_t done_ = 0;
  // {"service_us": 0, "pad": 180 bytes}: a 200-byte job.
  std::string params_ = std::string("\x81\xaaservice_us\x00", 13);
};

// A worker whose every job takes `ms`.
void run_worker(const std::string& run, const std::string& data, double ms) {
  stages::WorkerOptions options;
  options.stage = "compute";
  options.control = "ipc://" + run + "/control.sock";
  options.results = "ipc://" + run + "/results.sock";
  options.run_dir = run;
  options.data_dir = data;
  stages::StageKind kind;
  kind.spec.name = "nap";
  kind.spec.route = {"compute"};
  kind.handler = [ms](const stages::Job&, stages::Context&) -> Result<stages::Output> {
    std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(ms));
    return stages::Output{};
  };
  options.kinds.push_back(std::move(kind));
  const SystemClock clock;
  auto worker = stages::Worker::make(std::move(options), clock);
  TM_CHECK(worker.has_value());
  (*worker)->run();
}

double two_speeds(double fast_ms, double slow_ms, int jobs) {
  Pipeline pipeline(0);
  const Child fast([&] { run_worker(pipeline.run, pipeline.data, fast_ms); });
  const Child slow([&] { run_worker(pipeline.run, pipeline.data, slow_ms); });
  Driver driver(pipeline.endpoint);
  driver.until_served("nap", 2);
  (void)driver.burst("nap", 40);  // both have been measured
  return driver.burst("nap", jobs);
}

std::vector<double> ratios(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> out;
  for (std::size_t i = 0; i < a.size(); ++i) out.push_back(a[i] / b[i]);
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = 5;
  double seconds = 2;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--rounds") == 0) rounds = std::atoi(argv[i + 1]);
    if (std::strcmp(argv[i], "--seconds") == 0) seconds = std::atof(argv[i + 1]);
  }
  const Folder always_folder, no_folder, chain_folder;
  RedisStreams always(always_folder.path(), Append::always);
  RedisStreams no(no_folder.path(), Append::no);
  ZmqChain chain(chain_folder.path());
  Pipeline pipeline(1);
  Driver ours(pipeline.endpoint);
  ours.until_served("synthetic", 1);

  (void)ours.throughput(0.5, 4000);  // warm
  (void)always.throughput(0.3, 1000);
  (void)chain.throughput(0.3, 1000);
  std::vector<double> t_ours, t_always, t_no, t_chain, l_ours, l_always, l_no, l_chain;
  for (int round = 0; round < rounds; ++round) {
    t_ours.push_back(ours.throughput(seconds, 4000));
    t_always.push_back(always.throughput(seconds, 1000));
    t_no.push_back(no.throughput(seconds / 2, 1000));
    t_chain.push_back(chain.throughput(seconds / 2, 1000));
    l_ours.push_back(median(ours.latencies(500)));
    l_always.push_back(median(always.latencies(500)));
    l_no.push_back(median(no.latencies(300)));
    l_chain.push_back(median(chain.latencies(300)));
  }
  print("road.durable_round_trips", "jobs/s", t_ours);
  print("road.redis_aof_always", "jobs/s", t_always);
  print("road.redis_no_aof", "jobs/s", t_no);
  print("road.bare_zmq_chain", "jobs/s", t_chain);
  print("road.ratio_to_redis_aof_always", "x", ratios(t_ours, t_always));
  print("road.ratio_to_redis_no_aof", "x", ratios(t_ours, t_no));
  print("road.ratio_to_bare_zmq_chain", "x", ratios(t_ours, t_chain));
  print("road.latency_p50", "us", l_ours);
  print("road.redis_aof_always_latency_p50", "us", l_always);
  print("road.redis_no_aof_latency_p50", "us", l_no);
  print("road.bare_zmq_chain_latency_p50", "us", l_chain);
  print("road.latency_ratio_to_redis_aof_always", "x", ratios(l_ours, l_always));

  // 400 jobs, 1 ms and 10 ms: the ideal is 400 / (1/1 + 1/10) ms.
  const double ideal = 400 / (1.0 + 0.1) / 1000;
  std::vector<double> two, bare;
  for (int round = 0; round < 3; ++round) {
    two.push_back(two_speeds(1, 10, 400) / ideal);
    const Folder folder;
    bare.push_back(push_to_two(folder.path(), 400, 1, 10) / ideal);
  }
  print("road.two_speeds_over_ideal", "x", two);
  print("road.bare_push_over_ideal", "x", bare);
}
