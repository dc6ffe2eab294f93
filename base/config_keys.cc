#include "base/config_keys.h"

#include "base/limits.h"

namespace tallymill::config_keys {
namespace {

constexpr std::int64_t billion = 1'000'000'000;
constexpr std::int64_t pebibyte = std::int64_t{1} << 50;

// A captureless lambda that returns a reference becomes one of Slot's function pointers.
// NOLINTNEXTLINE(bugprone-macro-parentheses): a parameter's type and a member's name take none
#define TM_AT(Owner, member) +[](Owner& at) -> decltype((at.member)) { return at.member; }

const std::vector<Key<Config>>& table() {
  using C = Config;
  static const std::vector<Key<Config>> keys{
      {"run_dir", TM_AT(C, run_dir), "", "folder of sockets and what does not outlive a boot"},
      {"data_dir", TM_AT(C, data_dir), "", "folder of the ledger and the blobs"},

      {"front.listen", TM_AT(C, front.listen), "", "where clients submit jobs (ROUTER)"},
      {"front.results", TM_AT(C, front.results), "", "where stages push results (PULL)"},
      {"front.control", TM_AT(C, front.control), "", "where workers say hello (ROUTER)"},
      {"front.http", TM_AT(C, front.http), "", "where it answers HTTP (host:port), or off"},
      {"front.http_hosts", TM_AT(C, front.http_hosts), "",
       "names by which clients reach it, beside the loopback ones and its address"},
      {"front.http_token_file", TM_AT(C, front.http_token_file), "",
       "who may speak over HTTP: lines made by `tallymill token`; none: everybody"},
      {"front.http_certificate", TM_AT(C, front.http_certificate), "",
       "PEM file: with it and the key, HTTPS"},
      {"front.http_key", TM_AT(C, front.http_key), "", "PEM file of the certificate's key"},
      {"front.http_access_log", TM_AT(C, front.http_access_log), "",
       "a line of the log for each HTTP request"},
      {"front.insecure", TM_AT(C, front.insecure), "",
       "allow addresses that other hosts can reach, with nobody asked for a key"},
      {"front.diagnostics", TM_AT(C, front.diagnostics), "", "serve the kind `synthetic`"},
      {"front.max_depth", TM_AT(C, front.max_depth), "jobs",
       "waiting jobs; beyond it a submit gets E_BUSY", 1, billion},
      {"front.max_depth_bytes", TM_AT(C, front.max_depth_bytes), "bytes",
       "what waiting jobs may take on disk; beyond it a submit gets E_BUSY", 1, pebibyte},
      {"front.max_jobs_per_client", TM_AT(C, front.max_jobs_per_client), "jobs",
       "waiting jobs of one client; beyond it its submits get E_BUSY", 1, billion},
      {"front.retention_days", TM_AT(C, front.retention), "days",
       "how long jobs that ended stay in the ledger", 1, 3'650},
      {"front.retention_jobs", TM_AT(C, front.retention_jobs), "jobs",
       "how many jobs that ended stay in the ledger", 1, billion},
      {"front.result_retention_bytes", TM_AT(C, front.result_retention), "bytes",
       "results kept; the oldest go first", 0, pebibyte},
      {"front.disk_floor_bytes", TM_AT(C, front.disk_floor), "bytes",
       "free space below which a submit gets E_DISK", 0, pebibyte},
      {"front.idempotency_max_keys", TM_AT(C, front.idempotency_max_keys), "keys",
       "idempotency keys kept; beyond it a submit with a new key gets E_BUSY", 1, billion},

      {"stages.compute.workers", TM_AT(C, stages.compute.workers), "processes",
       "compute workers that `up` starts", 0, limits::workers_per_stage},
      {"stages.image.workers", TM_AT(C, stages.image.workers), "processes",
       "image workers that `up` starts", 0, limits::workers_per_stage},
      {"stages.prefetch", TM_AT(C, stages.prefetch), "jobs",
       "places of a worker beyond its threads; the front fills them with short jobs only", 0,
       limits::max_places_per_worker.jobs.raw()},

      {"collector.http", TM_AT(C, collector.http), "",
       "where it answers HTTP (host:port); off: `up` starts none"},
      {"collector.data", TM_AT(C, collector.data), "",
       "folder of the series store (of `up`: DATA_DIR/collector)"},
      {"collector.http_hosts", TM_AT(C, collector.http_hosts), "",
       "names by which clients reach it, beside the loopback ones and its address"},
      {"collector.http_token_file", TM_AT(C, collector.http_token_file), "",
       "who may speak over HTTP: lines made by `tallymill token`; none: everybody"},
      {"collector.http_access_log", TM_AT(C, collector.http_access_log), "",
       "a line of the log for each HTTP request"},
      {"collector.insecure", TM_AT(C, collector.insecure), "",
       "allow addresses that other hosts can reach, with nobody asked for a token"},
      {"collector.front_http", TM_AT(C, collector.front_http), "",
       "the front that answers /v1/ here (host:port, or its URL); none: nobody does"},
      {"collector.front_token_file", TM_AT(C, collector.front_token_file), "",
       "the token of role read with which its waterfalls are asked for"},
      {"collector.retention_days", TM_AT(C, collector.retention), "days",
       "how long samples are kept", 1, 3'650},
      {"collector.long_tier_days", TM_AT(C, collector.long_tier), "days",
       "after how long samples of its own bus are thinned to one in 5 minutes; 0: never", 0, 3'650},
      {"collector.max_series", TM_AT(C, collector.max_series), "series",
       "series kept; what would be one more is refused", 1, 10'000'000},
      {"collector.bus", TM_AT(C, collector.bus), "",
       "endpoints where processes push what they count (PULL); none: nothing is opened"},
      {"collector.leak_window_s", TM_AT(C, collector.leak_window), "s",
       "how long memory must grow to be called a leak", 20, 86'400},
      {"collector.scrape", TM_AT(C, collector.scrape), "",
       "a file of targets that are asked for their metrics"},
      {"collector.statsd", TM_AT(C, collector.statsd), "",
       "where it takes StatsD datagrams (host:port)"},

      {"alerting.rules", TM_AT(C, alerting.rules), "",
       "files of rules, as Prometheus' or *.tm.yml, or patterns of them"},
      {"alerting.shipped_rules", TM_AT(C, alerting.shipped_rules), "",
       "judge the rules that come with it, too; `up` does unless this is false"},
      {"alerting.window_percent", TM_AT(C, alerting.window_percent), "%",
       "scales the times of the shipped rules (for, ranges, interval), no threshold", 1, 10'000},
      {"alerting.sinks", TM_AT(C, alerting.sinks), "",
       "a file that says who is told: webhooks, commands, mail"},
      {"alerting.alertmanager", TM_AT(C, alerting.alertmanager), "",
       "Alertmanagers that are told (host:port, or URLs)"},
      {"alerting.probes", TM_AT(C, alerting.probes), "",
       "a file of endpoints that are watched: tcp, http, redis, postgres"},
      {"alerting.evaluation_interval", TM_AT(C, alerting.evaluation_interval), "",
       "how often rules are judged whose group says nothing of it", 10, 86'400'000},
      {"alerting.resend_delay", TM_AT(C, alerting.resend_delay), "",
       "how soon an Alertmanager is told again of what has not changed", 1, 86'400'000},
      {"alerting.for_outage_tolerance", TM_AT(C, alerting.for_outage_tolerance), "",
       "after a longer pause alerts begin anew", 0, 365LL * 86'400'000},
      {"alerting.for_grace_period", TM_AT(C, alerting.for_grace_period), "",
       "after a restart no alert fires sooner whose `for` is as long or longer", 0,
       365LL * 86'400'000},
      {"alerting.external_url", TM_AT(C, alerting.external_url), "",
       "what links in alerts begin with (default: http:// and collector.http)"},

      {"telemetry.endpoint", TM_AT(C, telemetry.endpoint), "",
       "a collector's bus, to which what is counted goes each second; none: nowhere"},
      {"telemetry.instance", TM_AT(C, telemetry.instance), "",
       "what this process is called there (default: host and pid)"},

      {"log.level",
       TM_AT(C, log.level),
       "",
       "the least that is logged",
       0,
       0,
       {"trace", "debug", "info", "warn", "error", "off"}},
      {"log.format",
       TM_AT(C, log.format),
       "",
       "for a person, for grep, or for a program",
       0,
       0,
       {"console", "logfmt", "json"}},
  };
  return keys;
}

const std::vector<Key<KindPolicy>>& kind_table() {
  using K = KindPolicy;
  static const std::vector<Key<KindPolicy>> keys{
      {"retries", TM_AT(K, retries), "", "how often a failed job is tried again", 0, 100},
      {"retry_base_ms", TM_AT(K, retry_base), "ms",
       "the bound of the first retry's random delay; it doubles with each", 1, 86'400'000},
      {"retry_cap_ms", TM_AT(K, retry_cap), "ms", "where that bound stops to grow", 1, 86'400'000},
      {"stall_s", TM_AT(K, stall), "s",
       "silence of a handler (no progress, no span) after which its process is ended", 1, 86'400},
      {"route", TM_AT(K, route), "", "its stages in order, instead of what they announce"},
  };
  return keys;
}

#undef TM_AT

}  // namespace

std::span<const Key<Config>> all() { return table(); }
std::span<const Key<KindPolicy>> of_a_kind() { return kind_table(); }

}  // namespace tallymill::config_keys
