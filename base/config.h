// Config: every setting of every program, typed, from flags, environment and one YAML file.
//
// A flag beats the environment, which beats the file, which beats the default. Each key stands once
// in the table of base/config_keys.cc, with unit, range and help; its type and default are those of
// its member here. --help, `config check` and the errors are made from that table. A key that is
// not in it is an error that says where it stands, never ignored. Programs get a const Config; it
// does not change while they run.
//
//   flag          --front.listen tcp://127.0.0.1:7750    (tallymill-front also: --listen)
//   environment   TALLYMILL_FRONT__LISTEN=tcp://127.0.0.1:7750
//   file          front: {listen: "tcp://127.0.0.1:7750"}
//
// A list is parted by commas, and the flag of one may be said several times. A time whose key names
// no unit is written with it: 1m30s.
//
// Threads: plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace tallymill {

// How one kind of job is treated: kinds.<name>.* in the file.
struct KindPolicy {
  std::int64_t retries = 3;
  std::chrono::milliseconds retry_base{1'000};
  std::chrono::milliseconds retry_cap{60'000};
  std::chrono::seconds stall{60};
  std::vector<std::string> route;  // empty: as its stages announce it
};

struct Config {
  std::string run_dir;   // sockets and what does not outlive a boot
  std::string data_dir;  // ledger and blobs

  struct Front {
    std::string listen = "tcp://127.0.0.1:7750";
    std::string results = "tcp://127.0.0.1:7751";
    std::string control = "tcp://127.0.0.1:7752";
    std::string http = "127.0.0.1:7780";  // "off": none
    std::vector<std::string> http_hosts;
    std::string http_token_file;
    std::string http_certificate;
    std::string http_key;
    bool http_access_log = false;
    bool insecure = false;
    bool diagnostics = false;
    std::int64_t max_depth = 2'000'000;
    Bytes max_depth_bytes{std::int64_t{8} << 30};
    std::int64_t max_jobs_per_client = 1'000'000;
    std::chrono::days retention{7};
    std::int64_t retention_jobs = 1'000'000;
    Bytes result_retention{std::int64_t{10} << 30};
    Bytes disk_floor{std::int64_t{512} << 20};
    std::int64_t idempotency_max_keys = 4'000'000;
  } front;

  struct Stages {
    struct Stage {
      std::int64_t workers = 1;
    };
    Stage compute;
    Stage image;
    std::int64_t prefetch = 1023;
  } stages;

  struct Collector {
    std::string http = "127.0.0.1:7790";
    std::string data;  // the series store
    std::vector<std::string> http_hosts;
    std::string http_token_file;
    bool http_access_log = false;
    bool insecure = false;
    std::chrono::days retention{35};
    std::chrono::days long_tier{0};
    std::int64_t max_series = 100'000;
    std::vector<std::string> bus;  // where processes push what they count; empty: nowhere
    std::string scrape;            // a file of targets; empty: nobody is asked
    std::string statsd;            // empty: no such socket
    std::string front_http;        // what /v1 is forwarded to; empty: nothing
    std::string front_token_file;
    std::chrono::seconds leak_window{600};
  } collector;

  struct Alerting {
    std::vector<std::string> rules;  // files, or patterns of them
    bool shipped_rules = false;
    std::int64_t window_percent = 100;
    std::string sinks;                      // a file; empty: nobody is told
    std::vector<std::string> alertmanager;  // host:port, or URLs
    std::string probes;                     // a file; empty: nothing is watched
    std::chrono::milliseconds evaluation_interval{60'000};
    std::chrono::milliseconds resend_delay{60'000};
    std::chrono::milliseconds for_outage_tolerance{60 * 60'000};
    std::chrono::milliseconds for_grace_period{10 * 60'000};
    std::string external_url;  // empty: where the collector listens
  } alerting;

  struct Telemetry {
    std::string endpoint;  // the collector's bus; empty: nothing is sent
    std::string instance;  // empty: host and pid
  } telemetry;

  struct Log {
    std::string level = "info";
    std::string format = "console";
  } log;

  std::map<std::string, KindPolicy> kinds;

  // The policy of a kind that the configuration may not name.
  [[nodiscard]] KindPolicy kind(std::string_view name) const;

  // Where a value came from: "default", "tallymill.yaml:3:11", "TALLYMILL_LOG__LEVEL", "--listen".
  std::map<std::string, std::string> origins;  // by key; those not here are defaults
};

struct ConfigSources {
  std::vector<std::string> args = {};                     // without the program's name
  std::map<std::string, std::string> environment = {};    // see environment_of()
  std::vector<std::string> sections = {};                 // flags may leave these names out
  std::map<std::string, std::string> program_flags = {};  // a program's own: name -> help
  std::map<std::string, std::string> aliases = {};        // other names of flags: name -> key
  // Beginnings of the keys that the program reads, for its --help; all, if none is named. It takes
  // the others too, for programs share a file and an environment.
  std::vector<std::string> reads = {};
};

struct LoadedConfig {
  Config config;
  std::string file;  // empty: none was given
  bool help = false;
  std::vector<std::string> positional;
  std::map<std::string, std::string> program_flags;  // those given
};

// Reads everything and checks it, so that a Config that exists is one that can be run with. The
// file is --config FILE or TALLYMILL_CONFIG. Errors name the key as a JSON pointer:
//   bad_params  unknown key, twice the same key, wrong type, out of range, no endpoint,
//               one address for two doors
//   not_found   the file cannot be read
//   denied      an address that other hosts can reach, without `front.insecure`
[[nodiscard]] Result<LoadedConfig> load_config(const ConfigSources& sources);

[[nodiscard]] std::map<std::string, std::string> environment_of(char** environ);

// One row a key, for `config check`; kinds that are named come out with all their keys.
struct ConfigRow {
  std::string key;
  std::string value;
  std::string unit;
  std::string origin;
};
[[nodiscard]] std::vector<ConfigRow> describe(const Config& config);

// The part of --help about keys, 80 columns wide: those of `sections` by their short flags, then
// the others.
[[nodiscard]] std::string config_help(const ConfigSources& sources);

}  // namespace tallymill
