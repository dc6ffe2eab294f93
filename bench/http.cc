// bench http: what our HTTP server costs over bare Beast, and what the front does for clients of
// HTTP.
//
// 1. answers: requests a second, a JSON of 2 KiB and a file of 100 KiB, of our server, of a bare
//    Beast program that sends the same bytes, and of nginx; asked by wrk, 32 connections.
// 2. sockets: what 500 idle WebSockets add to the front's memory.
// 3. jobs: 1,000 durable jobs a second through POST /v1/jobs for --seconds, timed from when each
//    was to be sent, while 50 Server-Sent Events and 50 WebSockets hear of all of them.
// 4. h2load: the same, sent by h2load, which times from when it sent.
//
// usage: figures.h. One round of 1 takes a twentieth of --seconds for each of its six figures.
#include <fmt/core.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/histogram.h"
#include "bench/figures.h"
#include "bench/floor/http_servers.h"
#include "bench/floor/processes.h"
#include "bench/http_listeners.h"
#include "bench/processor_time.h"
#include "bus/endpoints.h"
#include "http/assets.h"
#include "http/client.h"
#include "http/server.h"

namespace {

using namespace tallymill;
using namespace tallymill::bench;
using Clock = std::chrono::steady_clock;

// ---- answers --------------------------------------------------------------------------------

std::string some_json() {
  std::string text = R"({"jobs": [)";
  for (int i = 0; text.size() < 1960; ++i)
    text += fmt::format("{}{{\"job\": {}, \"kind\": \"engrave\", \"state\": \"done\"}}",
                        i == 0 ? "" : ", ", 1000 + i);
  text += "]}";
  text.resize(2048, ' ');
  return text;
}

std::string some_file() {
  std::mt19937_64 random(1);
  std::string bytes(std::size_t{100} << 10, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

[[noreturn]] void serve(std::uint16_t port, const std::string& text, const std::string& bytes) {
  const http::Asset file = http::make_asset("/file.bin", bytes);
  http::Router router;
  router.add({http::Method::get,
              "/page.json",
              http::Role::read,
              {.whole = [&](http::Request&&, http::Answer answer) { answer.send({.body = text}); }},
              {}});
  router.add(
      {http::Method::get,
       "/file.bin",
       http::Role::read,
       {.whole = [&](http::Request&& request,
                     http::Answer answer) { answer.send(http::asset_response(request, file)); }},
       {}});
  http::Server server(std::move(router), {.listen = fmt::format("127.0.0.1:{}", port)});
  TM_CHECK(server.open());
  server.start();
  while (true) ::pause();
}

// What ours says, for the floor to say the same.
FixedAnswer answer_of(std::uint16_t port, const std::string& path) {
  http::Client client({});
  TM_CHECK(client.start());
  auto said = client.fetch({.url = fmt::format("http://127.0.0.1:{}{}", port, path)});
  TM_CHECK(said && said->status == 200);
  FixedAnswer fixed{path, std::move(said->body), {}};
  for (const auto& [name, value] : said->headers.all())
    if (name != "Content-Length") fixed.headers.emplace_back(name, value);
  return fixed;
}

// What wrk gets out of a server, and what each request costs it: the second says something on a
// machine that has other things to do, too.
struct Rates {
  std::vector<double> rates;
  std::vector<double> work;  // processor seconds a request
  void measure(pid_t server, std::uint16_t port, const std::string& path, double seconds) {
    const auto total = [&] {
      double all = 0;
      for (const auto& [thread, s] : seconds_by_thread(server)) all += s;
      return all;
    };
    const double before = total();
    const Asks said = wrk(port, path, seconds);
    rates.push_back(said.rate);
    work.push_back((total() - before) / said.count);
  }
};

void answers(const Asked& asked) {
  const std::string text = some_json();
  const std::string bytes = some_file();
  const Folder folder;
  const std::uint16_t port = free_port();
  const Child ours([&] { serve(port, text, bytes); });
  until_open(port);
  const std::vector<FixedAnswer> fixed{answer_of(port, "/page.json"), answer_of(port, "/file.bin")};
  TM_CHECK(fixed[0].body == text && fixed[1].body == bytes);
  const BeastFloor floor(fixed);
  const Nginx nginx(folder.path(), fixed);
  for (const auto& [name, path] : {std::pair<std::string, std::string>{"JSON, 2 KiB", "/page.json"},
                                   {"file, 100 KiB", "/file.bin"}}) {
    Rates mine, bare, peer;
    for (int round = 0; round < asked.rounds; ++round) {
      mine.measure(ours.pid(), port, path, asked.seconds / 20);
      bare.measure(floor.pid(), floor.port(), path, asked.seconds / 20);
      peer.measure(nginx.pid(), nginx.port(), path, asked.seconds / 20);
    }
    print(name, "requests/s", mine.rates);
    print(name + ", bare Beast", "requests/s", bare.rates);
    print(name + ", nginx", "requests/s", peer.rates);
    print(name + " / bare Beast", "x", ratios(mine.rates, bare.rates));
    print(name + " / nginx", "x", ratios(mine.rates, peer.rates));
    print(name + ", processor time of one, bare Beast / ours", "x", ratios(bare.work, mine.work));
    print(name + ", processor time of one, nginx / ours", "x", ratios(peer.work, mine.work));
  }
}

// ---- the front ------------------------------------------------------------------------------

// The shipped front with HTTP and one compute worker, in their default configuration.
class Mill {
 public:
  Mill() : port(free_port()) {
    const std::string run = (folder_.path() / "run").string();
    const std::string data = (folder_.path() / "data").string();
    const std::string ipc = "ipc://" + run;
    std::filesystem::create_directories(run);
    const std::vector<std::string> common{
        "--results", ipc + "/results.sock", "--control", ipc + "/control.sock", "--data-dir",
        data,        "--diagnostics",       "true",      "--log.level",         "error"};
    std::vector<std::string> front{(programs() / "tallymill-front").string(), "--listen",
                                   ipc + "/jobs.sock", "--http", fmt::format("127.0.0.1:{}", port)};
    front.insert(front.end(), common.begin(), common.end());
    std::vector<std::string> worker{(programs() / "tallymill-stage-compute").string(), "--run-dir",
                                    run};
    worker.insert(worker.end(), common.begin(), common.end());
    front_ = Child(front);
    worker_ = Child(worker);
    until_open(port);
  }
  [[nodiscard]] std::string url(std::string_view path) const {
    return fmt::format("http://127.0.0.1:{}{}", port, path);
  }
  // What is in memory of the front's own, in MB.
  [[nodiscard]] double memory_mb() const {
    std::ifstream status(fmt::format("/proc/{}/status", front_.pid()));
    for (std::string line; std::getline(status, line);)
      if (line.starts_with("VmRSS:")) return std::stod(line.substr(6)) * 1024 / 1e6;
    TM_CHECK(false && "the front is gone");
    return 0;
  }
  // Processor seconds so far, by process and thread.
  [[nodiscard]] std::map<std::string, double> seconds() const {
    std::map<std::string, double> all;
    for (const auto& [process, pid] :
         {std::pair{"front", front_.pid()}, {"worker", worker_.pid()}, {"client", ::getpid()}})
      for (const auto& [thread, s] : seconds_by_thread(pid))
        all[fmt::format("{}: {}", process, thread)] += s;
    return all;
  }
  const std::uint16_t port;

 private:
  Folder folder_;
  Child front_;
  Child worker_;
};

void until_served(const Mill& mill, http::Client& client) {
  for (int tries = 0; tries < 1000; ++tries) {
    const auto workers = client.fetch({.url = mill.url("/v1/workers")});
    if (workers && workers->body.find("\"open\":true") != std::string::npos) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  TM_CHECK(false && "the stage did not come up");
}

// Each is greeted, so that the front has done all that it does for one.
void sockets(const Asked& asked) {
  constexpr int count = 500;
  std::vector<double> added;
  for (int round = 0; round < asked.rounds; ++round) {
    const Mill mill;
    {
      http::Client client({});
      TM_CHECK(client.start());
      until_served(mill, client);
    }
    const double before = mill.memory_mb();
    const HttpListeners listeners(mill.port, 0, count);
    added.push_back(mill.memory_mb() - before);
    TM_CHECK(listeners.lost() == 0);
  }
  print("memory of 500 idle WebSockets", "MB", added);
}

// ---- jobs -----------------------------------------------------------------------------------

constexpr std::string_view job_body = R"({"kind": "synthetic", "params": {"service_us": 100}})";

// Sends one each `step`, late ones at once; times each from when it was due.
class Load {
 public:
  explicit Load(const Mill& mill)
      : client_({.connections = 64, .waiting = 1 << 20, .thread = "submits"}) {
    TM_CHECK(client_.start());
    until_served(mill, client_);
    job_ = {.method = http::Method::post,
            .url = mill.url("/v1/jobs"),
            .headers = {},
            .body = std::string(job_body)};
    job_.headers.add("Content-Type", "application/json");
  }
  void run(int jobs, Clock::duration step) {
    const auto begin = Clock::now() + std::chrono::milliseconds(10);
    for (int i = 0; i < jobs; ++i) {
      const auto due = begin + i * step;
      std::this_thread::sleep_until(due);
      client_.request(job_, [this, due](const Result<http::ClientResponse>& said) {
        const bool well = said && said->status == 202;
        if (well)
          accepted_.record(
              static_cast<std::uint64_t>(std::chrono::nanoseconds(Clock::now() - due).count()));
        else
          ++errors;
        ++answered;
      });
    }
    while (answered < jobs) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    client_.stop();
  }
  std::atomic<int> answered = 0;
  std::atomic<int> errors = 0;
  // REQUIRES: run() is over.
  [[nodiscard]] const LoadHistogram& accepted() const { return accepted_; }

 private:
  http::ClientRequest job_;
  LoadHistogram accepted_;  // the client's thread
  http::Client client_;
};

void print_ms(const std::string& what, const LoadHistogram& histogram) {
  for (const auto& [name, q] : {std::pair{"p50", 0.5}, {"p99", 0.99}, {"most", 1.0}})
    print(fmt::format("{}, {}", what, name), "ms",
          {static_cast<double>(histogram.quantile_ns(q)) / 1e6});
}

constexpr int jobs_rate = 1000;

// 100 listeners, until they have heard of the end of as many jobs as `send` says were accepted.
void heard_by_all(const Mill& mill, const std::string& by, const std::function<int()>& send) {
  constexpr int each = 50;
  HttpListeners listeners(mill.port, each, each);
  const int accepted = send();
  const auto patience = Clock::now() + std::chrono::seconds(30);
  while (listeners.fewest_ends() < accepted && Clock::now() < patience)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  const std::int64_t missing = std::max<std::int64_t>(0, accepted - listeners.fewest_ends());
  listeners.stop();
  print_ms("event lag, 50 Server-Sent Events" + by, listeners.stream_lag());
  print_ms("event lag, 50 WebSockets" + by, listeners.socket_lag());
  print("ends that a listener missed, lines lost, gaps" + by, "",
        {static_cast<double>(missing), static_cast<double>(listeners.lost()),
         static_cast<double>(listeners.gaps())});
}

void jobs(const Asked& asked) {
  sleep_exactly();
  const Mill mill;
  Load load(mill);
  const int count = std::max(1, static_cast<int>(asked.seconds * jobs_rate));
  std::map<std::string, double> before, after;
  heard_by_all(mill, "", [&] {
    before = mill.seconds();
    const auto begin = Clock::now();
    load.run(count, std::chrono::nanoseconds(std::chrono::seconds(1)) / jobs_rate);
    const double took = std::chrono::duration<double>(Clock::now() - begin).count();
    after = mill.seconds();
    print("jobs over HTTP, durable", "jobs/s", {count / took});
    print("jobs over HTTP, errors", "jobs", {static_cast<double>(load.errors)});
    print_ms("accepted, since it was due", load.accepted());
    return count - load.errors;
  });
  for (const auto& [thread, s] : after) {
    const auto was = before.find(thread);
    print("work a job, " + thread, "us",
          {(s - (was == before.end() ? 0 : was->second)) * 1e6 / count});
  }
}

void jobs_by_h2load(const Asked& asked) {
  const Mill mill;
  {
    http::Client client({});
    TM_CHECK(client.start());
    until_served(mill, client);
  }
  const Folder folder;
  heard_by_all(mill, ", h2load", [&] {
    const Posted posted = h2load(folder.path(), {.port = mill.port,
                                                 .path = "/v1/jobs",
                                                 .body = std::string(job_body),
                                                 .rate = jobs_rate,
                                                 .seconds = asked.seconds});
    print("jobs over HTTP, accepted, h2load", "jobs", {static_cast<double>(posted.accepted)});
    print("jobs over HTTP, errors, h2load", "jobs", {static_cast<double>(posted.errors)});
    print_ms("accepted, since it was sent, h2load", posted.latency);
    return posted.accepted;
  });
}

}  // namespace

int main(int argc, char** argv) {
  const Asked asked = bench::asked(
      {.name = "http", .parts = {"answers", "sockets", "jobs", "h2load"}, .seconds = 60}, argc,
      argv);
  bus::allow_open_files();
  if (asked.wants("answers")) answers(asked);
  if (asked.wants("sockets")) sockets(asked);
  if (asked.wants("jobs")) jobs(asked);
  if (asked.wants("h2load")) jobs_by_h2load(asked);
}
