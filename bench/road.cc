// bench road: whole round trips through the shipped programs, beside Redis Streams and beside the
// bare ZeroMQ chain, interleaved in one call.
//
// 1. throughput: durable round trips a second, `synthetic` with 0 us and 200 bytes of params,
// client
//    -> front -> compute -> front -> client; every job is synced twice (accepted, end), as Redis
//    with AOF always does. As many jobs under way for each, one client, server and worker process.
//    And how much of the processors each thread of ours takes for a job.
// 2. latency: one job at a time, the same way; where its time goes, and what a sync alone takes.
// 3. two_speeds: 400 jobs on a worker of 1 ms and one of 10 ms; against the ideal, both busy to the
//    end, and against bare PUSH.
// 4. reservation: what places taken ahead at a second hop cost, when the first is slow.
// 5. payload: by digest through the whole road, against copies through bare ZeroMQ.
//
// usage: figures.h.
#include <fmt/core.h>

#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/limits.h"
#include "bench/figures.h"
#include "bench/floor/disk_sync.h"
#include "bench/floor/processes.h"
#include "bench/floor/redis_streams.h"
#include "bench/floor/zmq_chain.h"
#include "bench/processor_time.h"
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
  // Processor seconds so far, by process and thread.
  [[nodiscard]] std::map<std::string, double> seconds() const {
    std::map<std::string, double> all;
    const auto add = [&](const std::string& process, pid_t pid) {
      for (const auto& [thread, s] : seconds_by_thread(pid))
        all[fmt::format("{}: {}", process, thread)] += s;
    };
    add("front", front_.pid());
    for (const Child& worker : workers_) add("worker", worker.pid());
    add("client", ::getpid());
    return all;
  }

 private:
  Folder folder_;
  Child front_;
  std::vector<Child> workers_;
};

// {"service_us": 0, "pad": "xx..."}: as many bytes as the peers' jobs have.
std::string job_params() {
  using namespace std::string_literals;
  std::string params = "\x82\xaaservice_us\x00\xa3pad\xd9"s;
  const std::size_t pad = job_bytes - params.size() - 1;
  params += static_cast<char>(pad);
  params.append(pad, 'x');
  TM_CHECK(params.size() == job_bytes);
  return params;
}

class Driver {
 public:
  explicit Driver(const std::string& endpoint) : client_({.name = "bench"}) {
    auto up = client_.connect(endpoint, std::chrono::seconds(10));
    TM_CHECK(up.has_value());
    client_.on_event([this](const bus::Event& event, const bus::Item&) {
      if (event.what != "done") return;
      ++done_;
      last_ = JobId(event.job);
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
  [[nodiscard]] std::int64_t done() const { return done_; }
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
  // Of each part, in microseconds, of as many jobs, one at a time.
  [[nodiscard]] std::map<std::string, std::vector<double>> parts(int jobs) {
    std::vector<JobId> ids;
    for (int i = 0; i < jobs; ++i) {
      (void)latencies(1);
      ids.push_back(last_);
    }
    std::map<std::string, std::vector<double>> micros;
    for (const JobId id : ids) {
      const auto timeline = client_.timeline(id);
      TM_CHECK(timeline.has_value());
      for (const auto& [part, ns] : (*timeline)["parts"].items())
        micros[part].push_back(ns.get<double>() / 1000);
    }
    return micros;
  }
  [[nodiscard]] std::string put(const std::string& bytes) {
    auto digest = client_.put(bytes);
    TM_CHECK(digest);
    return *digest;
  }
  // Jobs a second whose one input is that blob.
  [[nodiscard]] double with_input(double seconds, const std::string& digest, std::size_t bytes,
                                  int at_most) {
    bus::JobRequest job{.kind = "synthetic", .params = params_};
    job.inputs = {
        {.name = "payload", .digest = digest, .size = Bytes(static_cast<std::int64_t>(bytes))}};
    const auto begin = Clock::now();
    const auto until =
        begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    const std::int64_t first = done_;
    std::int64_t sent = done_;
    while (Clock::now() < until) {
      for (; sent - done_ < at_most; ++sent)
        TM_CHECK(client_.submit_async(
            job, [](const bus::Submitted& answer) { TM_CHECK(answer.error == nullptr); }));
      (void)client_.poll(std::chrono::milliseconds(100));
    }
    const double took = std::chrono::duration<double>(Clock::now() - begin).count();
    const auto finished = static_cast<double>(done_ - first);
    while (done_ < sent) (void)client_.poll(std::chrono::milliseconds(100));
    return finished / took;
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
  JobId last_;
  std::string params_ = job_params();
};

// A worker at which every job of `nap` takes `ms`.
void run_worker(const std::string& run, const std::string& data, const std::string& stage,
                const std::vector<std::string>& route, double ms) {
  sleep_exactly();
  stages::WorkerOptions options;
  options.stage = stage;
  options.control = "ipc://" + run + "/control.sock";
  options.results = "ipc://" + run + "/results.sock";
  options.run_dir = run;
  options.data_dir = data;
  stages::StageKind kind;
  kind.spec.name = "nap";
  kind.spec.route = route;
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
  const Child fast(
      [&] { run_worker(pipeline.run, pipeline.data, "compute", {"compute"}, fast_ms); });
  const Child slow(
      [&] { run_worker(pipeline.run, pipeline.data, "compute", {"compute"}, slow_ms); });
  Driver driver(pipeline.endpoint);
  driver.until_served("nap", 2);
  (void)driver.burst("nap", 40);  // both have been measured
  return driver.burst("nap", jobs);
}

// Enough for either to have a commit at work and the next one gathered at each end of a job.
constexpr int window = 8000;

void against_peers(const Asked& asked) {
  const Folder always_folder, no_folder, chain_folder;
  RedisStreams always(always_folder.path(), Append::always);
  RedisStreams no(no_folder.path(), Append::no);
  ZmqChain chain(chain_folder.path(), job_bytes);
  Pipeline pipeline(1);
  Driver ours(pipeline.endpoint);
  ours.until_served("synthetic", 1);

  if (asked.wants("throughput")) {
    (void)ours.throughput(0.5, window);  // warm
    (void)always.throughput(0.3, window);
    (void)no.throughput(0.3, window);
    (void)chain.throughput(0.3, window);
    std::vector<double> t_ours, t_always, t_no, t_chain;
    std::map<std::string, std::vector<double>> work;  // microseconds a job
    for (int round = 0; round < asked.rounds; ++round) {
      const auto before = pipeline.seconds();
      const std::int64_t done_before = ours.done();
      t_ours.push_back(ours.throughput(asked.seconds, window));
      const auto jobs = static_cast<double>(ours.done() - done_before);
      for (const auto& [thread, s] : pipeline.seconds()) {
        const auto was = before.find(thread);
        work[thread].push_back((s - (was == before.end() ? 0 : was->second)) * 1e6 / jobs);
      }
      t_always.push_back(always.throughput(asked.seconds, window));
      t_no.push_back(no.throughput(asked.seconds / 2, window));
      t_chain.push_back(chain.throughput(asked.seconds / 2, window));
    }
    print("durable round trips", "jobs/s", t_ours);
    print("durable round trips, Redis Streams with AOF always", "jobs/s", t_always);
    print("round trips, Redis Streams without AOF", "jobs/s", t_no);
    print("round trips, bare ZeroMQ chain", "jobs/s", t_chain);
    for (const auto& [thread, micros] : work) print("work a job, " + thread, "us", micros);
    print("durable round trips / Redis AOF always", "x", ratios(t_ours, t_always));
    print("durable round trips / Redis without AOF", "x", ratios(t_ours, t_no));
    print("durable round trips / bare ZeroMQ chain", "x", ratios(t_ours, t_chain));
  }
  if (asked.wants("latency")) {
    std::vector<double> l_ours, l_always, l_no, l_chain, syncs;
    for (int round = 0; round < asked.rounds; ++round) {
      l_ours.push_back(median(ours.latencies(500)));
      l_always.push_back(median(always.latencies(500)));
      l_no.push_back(median(no.latencies(500)));
      l_chain.push_back(median(chain.latencies(500)));
      syncs.push_back(synced_write_us(chain_folder.path(), std::size_t{16} << 10, 500));
    }
    print("one job at a time, p50", "us", l_ours);
    print("one job at a time, p50, Redis Streams with AOF always", "us", l_always);
    print("one job at a time, p50, Redis Streams without AOF", "us", l_no);
    print("one job at a time, p50, bare ZeroMQ chain", "us", l_chain);
    print("a write of 16 KiB and its sync, p50", "us", syncs);
    for (const auto& [part, micros] : ours.parts(300)) print("part " + part, "us", micros);
    print("p50 / Redis AOF always", "x", ratios(l_ours, l_always));
    print("p50 / bare ZeroMQ chain", "x", ratios(l_ours, l_chain));
  }
}

// 400 jobs, 1 ms and 10 ms: the ideal is both busy to the end.
void two_speeds(const Asked& asked) {
  constexpr double ideal = 400 / (1.0 + 0.1) / 1000;
  std::vector<double> two, bare;
  for (int round = 0; round < asked.rounds; ++round) {
    two.push_back(two_speeds(1, 10, 400) / ideal);
    const Folder folder;
    bare.push_back(push_to_two(folder.path(), 400, 1, 10) / ideal);
  }
  print("400 jobs on 1 ms and 10 ms / ideal", "x", two);
  print("400 jobs on 1 ms and 10 ms / ideal, bare PUSH", "x", bare);
}

// Two hops, the first one slow: the first stage's work is what the whole takes, if the places taken
// ahead at the second keep nobody idle. Two workers each, 5 ms and 1 ms.
void reservation(const Asked& asked) {
  constexpr int jobs = 400;
  const std::vector<std::string> route{"compute", "image"};
  std::vector<double> fast_second, equal;
  for (int round = 0; round < asked.rounds; ++round)
    for (const double second_ms : {1.0, 5.0}) {
      Pipeline pipeline(0);
      std::vector<Child> workers;
      for (const auto& [stage, ms] : {std::pair{"compute", 5.0},
                                      {"compute", 5.0},
                                      {"image", second_ms},
                                      {"image", second_ms}})
        workers.emplace_back([&] { run_worker(pipeline.run, pipeline.data, stage, route, ms); });
      Driver driver(pipeline.endpoint);
      driver.until_served("nap", 4);
      (void)driver.burst("nap", 40);
      // The last job still crosses the second hop.
      const double ideal = (jobs * 5.0 / 2 + second_ms) / 1000;
      (second_ms < 5 ? fast_second : equal).push_back(driver.burst("nap", jobs) / ideal);
    }
  print("two hops, 2 x 5 ms then 2 x 1 ms, 400 jobs / ideal", "x", fast_second);
  print("two hops, 2 x 5 ms then 2 x 5 ms, 400 jobs / ideal", "x", equal);
}

// A payload that rests in the blob store, from client to handler and its end back, each synced,
// beside a copy of it through as many ZeroMQ links, which keeps nothing. The put is apart: it is
// paid once for a payload, however many jobs use it.
void payload(const Asked& asked) {
  for (const std::size_t bytes : {std::size_t{1} << 20, std::size_t{8} << 20}) {
    const double mib = static_cast<double>(bytes) / (1 << 20);
    const Folder chain_folder;
    ZmqChain chain(chain_folder.path(), bytes);
    Pipeline pipeline(1);
    Driver driver(pipeline.endpoint);
    driver.until_served("synthetic", 1);
    std::vector<double> ours, copies, puts;
    for (int round = 0; round < asked.rounds; ++round) {
      copies.push_back(mib * chain.throughput(asked.seconds, 8));
      std::string content(bytes, 'x');
      content.replace(0, 16, fmt::format("{:016}", round));
      const auto begin = Clock::now();
      const std::string digest = driver.put(content);
      puts.push_back(mib / std::chrono::duration<double>(Clock::now() - begin).count());
      ours.push_back(mib * driver.with_input(asked.seconds, digest, bytes, 1000));
    }
    const std::string size = fmt::format("{} MiB payload", bytes >> 20);
    print(size + ", by digest", "MiB/s", ours);
    print(size + ", ZeroMQ copy", "MiB/s", copies);
    print(size + ", by digest / copy", "x", ratios(ours, copies));
    print(size + ", put through the front, once", "MiB/s", puts);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const Asked asked = bench::asked(
      {.name = "road", .parts = {"throughput", "latency", "two_speeds", "reservation", "payload"}},
      argc, argv);
  if (asked.wants("throughput") || asked.wants("latency")) against_peers(asked);
  if (asked.wants("two_speeds")) two_speeds(asked);
  if (asked.wants("reservation")) reservation(asked);
  if (asked.wants("payload")) payload(asked);
}
