// ProberConfig: which endpoints are watched, from a file in YAML.
//
//   probes:
//     - {name: ssh, kind: tcp, address: "10.0.0.7:22"}
//     - {name: shop, kind: http, url: https://shop.example.com/health, status: 200, body: '"ok"'}
//     - {name: cache, kind: redis, address: "127.0.0.1:6379", password_file: redis.password}
//     - {name: books, kind: postgres, dsn_env: BOOKS_DSN, interval: 1m, timeout: 10s}
//
// Without interval and timeout it is asked each 15 s and has 5 s to answer. What is secret (a
// redis' password, a bearer token of HTTP, how postgres is reached) stands in a file or a variable
// of its own; what is read here shows none of it but to who asks by reveal().
//
//   invariant: what is read can be asked: addresses, times and secrets are checked
//
// Threads: pure functions, but for the files.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/limits.h"
#include "base/result.h"
#include "base/secret.h"

namespace tallymill::alerting {

struct ProbeConfig {
  enum class Kind : std::uint8_t { tcp, http, redis, postgres };

  std::string name;
  Kind kind = Kind::tcp;
  std::string target = {};  // for people: its address, or its URL without the query
  std::string host = {};    // of tcp and redis
  std::uint16_t port = 0;
  std::string url = {};  // of http, as the four that follow
  int status = 0;        // 0: any of 200 to 299
  std::string body = {};
  std::string ca_file = {};
  std::string username = {};     // of redis
  std::string secret_file = {};  // the one or the other, or none
  std::string secret_env = {};
  Secret secret = {};  // a password, a token, a DSN
  std::chrono::milliseconds interval = limits::probe_interval;
  std::chrono::milliseconds timeout = limits::probe_timeout;
};

// "tcp", "http", "redis", "postgres".
[[nodiscard]] std::string_view name_of(ProbeConfig::Kind kind);

// Without the secrets. bad_params, "FILE:LINE:COLUMN: ...": it is none of this. too_big: over a
// limit. `name`: the file's.
[[nodiscard]] Result<std::vector<ProbeConfig>> parse_probes(std::string_view text,
                                                            std::string_view name);
// The same of a file, with the secrets that it names. not_found: one of them is not there.
[[nodiscard]] Result<std::vector<ProbeConfig>> read_probes(const std::string& path);

}  // namespace tallymill::alerting
