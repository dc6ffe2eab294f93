// bench collector_load: what bench/collector.py sends: samples and events, made beforehand.
//
// usage: bench_collector_load make FILE STEPS END_MS     remote write requests, in FILE
//        bench_collector_load push FILE PORT             sends them over two connections
//        bench_collector_load bus ENDPOINT STEPS END_MS  the same as telemetry of two processes
//        bench_collector_load statsd PORT SECONDS        counts, flat out
//        bench_collector_load seal FOLDER                seals and merges a store that nobody has
//        open
// Each says what it did as one JSON object.
//
// As Prometheus does, a connection has series of its own, and its requests are its samples in their
// order, 2,000 in each; so what was acknowledged to it is a prefix of them.
//
// Threads: one a connection.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/check.h"
#include "bench/collector_bus.h"
#include "bench/collector_samples.h"
#include "bench/figures.h"
#include "collector/store.h"
#include "tests/collector/write_request.h"

namespace tallymill::collector {
namespace {

using bench::labels_of_series;
using bench::series_count;
using bench::step_ms;
using bench::Values;
using Stopwatch = std::chrono::steady_clock;

constexpr std::size_t request_samples = 2'000;
constexpr std::size_t connections = 2;
constexpr std::size_t connection_series = series_count / connections;

double seconds_since(Stopwatch::time_point begin) {
  return std::chrono::duration<double>(Stopwatch::now() - begin).count();
}

// ---- make ----

// FILE: requests in the order in which they are sent: of which connection (4 bytes), how long (4),
// the body.
void make(const char* file, std::size_t steps, std::int64_t end_ms) {
  std::ofstream out(file, std::ios::binary);
  std::vector<std::string> labels;
  for (std::size_t i = 0; i < series_count; ++i)
    labels.push_back(label_fields(labels_of_series(i)));
  std::array<std::string, connections> message;
  std::array<std::size_t, connections> held{};
  std::size_t requests = 0;
  std::size_t bytes = 0;
  const auto end_request = [&](std::size_t c) {
    if (held[c] == 0) return;
    const std::string body = snappy_block(message[c]);
    const std::uint32_t head[2] = {std::uint32_t(c), std::uint32_t(body.size())};
    out.write(reinterpret_cast<const char*>(head), sizeof head);
    out.write(body.data(), std::streamsize(body.size()));
    ++requests;
    bytes += body.size();
    message[c].clear();
    held[c] = 0;
  };
  Values values;
  for (std::size_t step = 0; step < steps; ++step) {
    values.step();
    const std::int64_t t_ms = end_ms - std::int64_t(steps - 1 - step) * step_ms;
    // One of each connection in turn, so that the file is in the order in which both advance.
    for (std::size_t k = 0; k < connection_series; ++k)
      for (std::size_t c = 0; c < connections; ++c) {
        const std::size_t i = c * connection_series + k;
        message[c] += time_series(labels[i] + sample_field(values.of(i), t_ms));
        if (++held[c] == request_samples) end_request(c);
      }
  }
  for (std::size_t c = 0; c < connections; ++c) end_request(c);
  TM_CHECK(out.good());
  fmt::print(R"({{"samples": {}, "requests": {}, "bytes": {}}})"
             "\n",
             steps * series_count, requests, bytes);
}

// ---- push ----

int connected(std::uint16_t port, int type) {
  const int fd = ::socket(AF_INET, type | SOCK_CLOEXEC, 0);
  TM_CHECK(fd >= 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  TM_CHECK(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  const int on = 1;
  if (type == SOCK_STREAM) ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

bool send_all(int fd, std::string_view head, std::string_view body) {
  while (!head.empty() || !body.empty()) {
    iovec parts[2] = {{const_cast<char*>(head.data()), head.size()},
                      {const_cast<char*>(body.data()), body.size()}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    const ssize_t sent = ::sendmsg(fd, &message, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    const std::size_t of_head = std::min(head.size(), std::size_t(sent));
    head.remove_prefix(of_head);
    body.remove_prefix(std::size_t(sent) - of_head);
  }
  return true;
}

// The status of the next answer, whose body is dropped; 0: the connection ended.
int answer(int fd, std::string& held) {
  std::size_t end = 0;
  const auto more = [&] {
    std::array<char, 4096> piece;
    const ssize_t got = ::recv(fd, piece.data(), piece.size(), 0);
    if (got > 0) held.append(piece.data(), std::size_t(got));
    return got > 0;
  };
  while ((end = held.find("\r\n\r\n")) == std::string::npos)
    if (!more()) return 0;
  std::size_t length = 0;
  for (const char* name : {"Content-Length: ", "content-length: "})
    if (const std::size_t at = held.find(name); at < end)
      std::from_chars(held.data() + at + 16, held.data() + end, length);
  while (held.size() < end + 4 + length)
    if (!more()) return 0;
  int status = 0;
  std::from_chars(held.data() + 9, held.data() + 12, status);
  held.erase(0, end + 4 + length);
  return status;
}

// What one connection did.
struct Pushed {
  std::vector<double> seconds;  // of each request
  std::size_t acknowledged = 0;
  std::size_t refused = 0;
};

Pushed push_over(std::uint16_t port, const std::vector<std::string_view>& bodies) {
  Pushed pushed;
  const int fd = connected(port, SOCK_STREAM);
  std::string held;
  for (const std::string_view body : bodies) {
    const std::string head = fmt::format(
        "POST /api/v1/write HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: "
        "application/x-protobuf\r\nContent-Encoding: snappy\r\n"
        "X-Prometheus-Remote-Write-Version: 0.1.0\r\nContent-Length: {}\r\n\r\n",
        port, body.size());
    const auto begin = Stopwatch::now();
    if (!send_all(fd, head, body)) break;
    const int status = answer(fd, held);
    if (status == 0) break;
    ++(status / 100 == 2 ? pushed.acknowledged : pushed.refused);
    pushed.seconds.push_back(seconds_since(begin));
  }
  ::close(fd);
  return pushed;
}

void push(const char* file, std::uint16_t port) {
  std::ifstream in(file, std::ios::binary);
  const std::string requests{std::istreambuf_iterator<char>(in), {}};
  std::array<std::vector<std::string_view>, connections> bodies;
  for (std::string_view rest = requests; !rest.empty();) {
    std::uint32_t head[2];
    std::memcpy(head, rest.data(), sizeof head);
    bodies[head[0]].push_back(rest.substr(sizeof head, head[1]));
    rest.remove_prefix(sizeof head + head[1]);
  }
  std::array<Pushed, connections> pushed;
  const auto begin = Stopwatch::now();
  std::vector<std::thread> threads;
  for (std::size_t c = 0; c < connections; ++c)
    threads.emplace_back([&, c] { pushed[c] = push_over(port, bodies[c]); });
  for (std::thread& thread : threads) thread.join();
  const double seconds = seconds_since(begin);
  std::vector<double> each;
  for (const Pushed& one : pushed) each.insert(each.end(), one.seconds.begin(), one.seconds.end());
  if (each.empty()) each.push_back(0);
  fmt::print(
      R"({{"seconds": {}, "acknowledged": [{}, {}], "refused": {}, "p50_ms": {}, "p99_ms": {}}})"
      "\n",
      seconds, pushed[0].acknowledged, pushed[1].acknowledged,
      pushed[0].refused + pushed[1].refused, bench::quantile(each, 0.5) * 1e3,
      bench::quantile(each, 0.99) * 1e3);
}

// ---- statsd ----

// Counts of a thousand names by chance, as many lines as fit a datagram of an Ethernet.
void statsd(std::uint16_t port, double seconds) {
  constexpr std::size_t names = 1'000;
  constexpr std::size_t datagram_bytes = 1'432;
  constexpr unsigned at_once = 32;
  std::vector<std::string> datagrams(1);
  std::vector<std::size_t> lines(1, 0);
  std::mt19937_64 random(1);
  for (std::size_t i = 0; i < 20 * names; ++i) {
    const std::string line = fmt::format("mill.requests.{}:1|c\n", random() % names);
    if (datagrams.back().size() + line.size() > datagram_bytes) {
      datagrams.emplace_back();
      lines.push_back(0);
    }
    datagrams.back() += line;
    ++lines.back();
  }
  const int fd = connected(port, SOCK_DGRAM);
  std::uint64_t sent = 0;
  std::size_t next = 0;
  const auto begin = Stopwatch::now();
  while (seconds_since(begin) < seconds) {
    std::array<mmsghdr, at_once> messages{};
    std::array<iovec, at_once> parts;
    for (unsigned i = 0; i < at_once; ++i) {
      std::string& datagram = datagrams[(next + i) % datagrams.size()];
      parts[i] = {datagram.data(), datagram.size()};
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    const int went = ::sendmmsg(fd, messages.data(), at_once, 0);
    for (int i = 0; i < went; ++i) sent += lines[next++ % lines.size()];
  }
  fmt::print(R"({{"sent": {}, "seconds": {}}})"
             "\n",
             sent, seconds_since(begin));
  ::close(fd);
}

// ---- seal ----

void seal(const char* folder) {
  Store::Options options;
  options.background = false;
  auto store = Store::open(folder, options);
  TM_CHECK(store.has_value());
  TM_CHECK((*store)->seal().has_value());
  TM_CHECK((*store)->merge(true).has_value());
  const Store::Stats stats = (*store)->stats();
  fmt::print(R"({{"samples": {}, "bytes": {}}})"
             "\n",
             stats.sealed_samples, stats.part_bytes);
}

template <class Number>
Number number(const char* text) {
  Number value{};
  const char* const end = text + std::strlen(text);
  const auto [at, error] = std::from_chars(text, end, value);
  if (error != std::errc() || at != end) {
    fmt::print(stderr, "bench collector_load: '{}' is no number that it takes\n", text);
    std::exit(2);  // NOLINT(concurrency-mt-unsafe): no other thread yet
  }
  return value;
}

}  // namespace
}  // namespace tallymill::collector

int main(int argc, char** argv) {
  using namespace tallymill::collector;
  const std::string_view what = argc > 1 ? argv[1] : "";
  if (what == "make" && argc == 5) {
    make(argv[2], number<std::size_t>(argv[3]), number<std::int64_t>(argv[4]));
  } else if (what == "push" && argc == 4) {
    push(argv[2], number<std::uint16_t>(argv[3]));
  } else if (what == "bus" && argc == 5) {
    tallymill::bench::push_bus(argv[2], number<std::size_t>(argv[3]),
                               number<std::int64_t>(argv[4]));
  } else if (what == "statsd" && argc == 4) {
    statsd(number<std::uint16_t>(argv[2]), number<double>(argv[3]));
  } else if (what == "seal" && argc == 3) {
    seal(argv[2]);
  } else {
    fmt::print(stderr,
               "usage: bench_collector_load make|push|bus|statsd|seal ...; its source says how\n");
    return 2;
  }
}
