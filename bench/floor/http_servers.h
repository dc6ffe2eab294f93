// The floors under HTTP: a bare Boost.Beast program, and Debian's nginx, each with the same answers
// as ours; and who asks them: wrk and h2load.
//
// Threads: each server a process of its own.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/histogram.h"
#include "bench/floor/processes.h"

namespace tallymill::bench {

struct FixedAnswer {
  std::string path;  // "/page.json"
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;  // all but Content-Length
};

// A port that was free a moment ago.
[[nodiscard]] std::uint16_t free_port();
// Waits until somebody listens there.
void until_open(std::uint16_t port);

// One thread, keep-alive, each answer made before it starts; a read and a write a request.
class BeastFloor {
 public:
  explicit BeastFloor(std::vector<FixedAnswer> answers);
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] pid_t pid() const { return server_.pid(); }

 private:
  std::uint16_t port_;
  Child server_;
};

// One worker, files by sendfile and kept open, no log.
class Nginx {
 public:
  // The answers are written as files into the folder.
  Nginx(const std::filesystem::path& folder, const std::vector<FixedAnswer>& answers);
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] pid_t pid() const { return server_.pid(); }

 private:
  std::uint16_t port_;
  Child server_;
};

// How many requests one thread of wrk with 32 connections got answered, and how many a second, in
// whole seconds. Fails when one answer was none, or not 200.
struct Asks {
  double count = 0;
  double rate = 0;
};
[[nodiscard]] Asks wrk(std::uint16_t port, const std::string& path, double seconds);

// What h2load sends: `rate` requests a second over 50 connections, in whole seconds, each with the
// body, JSON.
struct Posts {
  std::uint16_t port = 0;
  std::string path;
  std::string body;
  int rate = 0;
  double seconds = 0;
};
struct Posted {
  int accepted = 0;  // 202
  int errors = 0;
  LoadHistogram latency;  // from when each was sent
};
// Its files are written into the folder.
[[nodiscard]] Posted h2load(const std::filesystem::path& folder, const Posts& posts);

}  // namespace tallymill::bench
