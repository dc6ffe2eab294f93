// Command: what every subcommand of the command line shares: its common flags, the connection to a
// front, and how answers and errors are told.
//
// A command is a function from its own arguments to an exit code (design: base/result.h has them).
// main.cc alone knows the flags.
//
// Threads: one.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/cli/tunnel.h"
#include "apps/exit_codes.h"
#include "base/result.h"
#include "base/schema.h"
#include "base/secret.h"
#include "bus/client.h"

namespace tallymill::http {
struct ClientRequest;
struct ClientResponse;
}  // namespace tallymill::http

namespace tallymill::cli {

struct Common {
  std::string command;     // "jobs": for errors
  std::string server;      // empty: see server_of()
  std::string client;      // empty: a random name
  std::string token_file;  // over HTTP; empty: TALLYMILL_TOKEN, if there is one
  std::string ca_file;     // of https; empty: the system's authorities
  bool json = false;
  bool insecure = false;
  double timeout_s = 0;  // 0: not given
};

struct JobArgs {
  Common common;
  std::string kind;
  std::vector<std::string> files;
  std::vector<std::string> params;  // name=value
  std::string params_json;          // a whole object; --param goes over it
  std::string out = ".";
  bool force = false;
  int priority = 4;
  std::string key;
  double deadline_s = 0;
  double delay_s = 0;
};
int run(const JobArgs& args);     // submit, wait, write the results
int submit(const JobArgs& args);  // print the jobs' ids

struct IdArgs {
  Common common;
  std::vector<std::int64_t> jobs;
  std::string out = ".";  // result
  bool force = false;
};
int status(const IdArgs& args);
int wait(const IdArgs& args);
int result(const IdArgs& args);
int cancel(const IdArgs& args);
int retry(const IdArgs& args);
int explain(const IdArgs& args);

struct JobsArgs {
  Common common;
  std::string state;
  std::string kind;
  std::string stage;
  std::string client;
  double since_s = 0;  // ago; 0: any
  std::string query;
  std::string sort;
  std::string cursor;
  int limit = 20;
};
int jobs(const JobsArgs& args);

int workers(const Common& common);
int topology(const Common& common);
int kinds(const Common& common, const std::string& only);
int ping(const Common& common);

struct SnapshotArgs {
  Common common;
  bool prometheus = false;
};
int snapshot(const SnapshotArgs& args);

struct CollectorAt {
  std::string url;  // empty: the configured one
};

struct CollectorSnapshotArgs {
  Common common;
  CollectorAt collector;
};
int collector_snapshot(const CollectorSnapshotArgs& args);

struct TrendsArgs {
  Common common;
  CollectorAt collector;
  std::string query;
  double last_s = 86'400;  // how far back
  double window_s = 0;     // 0: a 48th of it
};
int trends(const TrendsArgs& args);

struct BacktestArgs {
  Common common;
  CollectorAt collector;
  std::vector<std::string> rules;  // patterns of files
  double last_s = 0;               // how far back; 0: from and to are said
  std::string from;                // seconds since 1970, or RFC 3339
  std::string to;                  // empty: now
  std::string interval;            // of groups that say none; empty: the collector's, or 1m
  std::string sinks;               // a file
  std::string dump;                // OpenMetrics with timestamps, instead of a collector
  std::string store;               // a folder of samples that nobody has open, likewise
};
int backtest(const BacktestArgs& args);
// Alerts, as an alerting collector has them; matchers as stage="image", a bare word is a name.
struct AlertsArgs {
  Common common;
  CollectorAt collector;
  std::vector<std::string> matchers;
  std::string state;       // ls: pending, firing, silenced, inhibited; empty: any
  std::string name;        // explain
  double last_s = 86'400;  // explain: how far back
};
int alerts_ls(const AlertsArgs& args);
int alerts_explain(const AlertsArgs& args);

struct SilenceArgs {
  Common common;
  CollectorAt collector;
  std::vector<std::string> matchers;
  double for_s = 3'600;
  std::string until;  // RFC 3339, instead
  std::string from;   // empty: now
  std::string by;     // empty: USER
  std::string comment;
  bool all = false;              // ls: those that are over, too
  std::vector<std::string> ids;  // expire; the begin of an id will do
};
int silence_add(const SilenceArgs& args);
int silence_ls(const SilenceArgs& args);
int silence_expire(const SilenceArgs& args);

struct LogsArgs {
  Common common;
  std::int64_t job = 0;  // 0: any
  std::string trace;
  std::string process;  // or a program
  std::string level = "trace";
  double since_s = 0;  // ago; 0: any
  bool follow = false;
  std::string format = "console";
  std::string folder;  // empty: the configured one
};
// REQUIRES: a level and a format of base/log.h.
int logs(const LogsArgs& args);

int ledger_check(const Common& common, const std::string& folder, bool read_blobs);
int doctor(const Common& common);
int config_check(const Common& common, const std::string& file);

struct ConfigShowArgs {
  Common common;
  bool origin = false;
  std::vector<std::string> settings;  // flags as `up` takes them, and a file
};
int config_show(const ConfigShowArgs& args);

struct TokenArgs {
  Common common;
  std::string name;
  std::string role = "submit";
  std::string file;  // empty: the line is printed
};
// REQUIRES: a role of http::role_named().
int token(const TokenArgs& args);

struct Command;  // apps/cli/reference.h
// REQUIRES: a shell of completion_script().
int completion(const Common& common, const std::string& shell,
               const std::vector<Command>& commands);

struct ManArgs {
  Common common;
  std::vector<std::string> words;  // of a command; none: tallymill itself
  std::string out;                 // a folder for every page; empty: one is printed
};
int man(const ManArgs& args, const std::vector<Command>& commands);

// ---- for the commands ----

// The folder that was said, or the configured one.
[[nodiscard]] std::string data_folder(const std::string& said);
// The address that was said, or of the front in the run directory, or the configured one.
[[nodiscard]] std::string server_of(const Common& common);
// bad_params: no such file, or none that holds a token.
[[nodiscard]] Result<Secret> token_of(const Common& common);
// Connected, or the exit code, with the reason said. `timeout`: of questions.
struct Session {
  std::unique_ptr<Tunnel> tunnel;  // outlives the client
  std::unique_ptr<bus::Client> client;
  int exit_code = 0;
  explicit operator bool() const { return client != nullptr; }
  bus::Client* operator->() const { return client.get(); }
};
[[nodiscard]] Session open_session(const Common& common);
// The same, and nothing is said.
[[nodiscard]] Result<Session> connect(const Common& common, Duration timeout);
// `data` of a collector's answer to a form of Prometheus' API. bad_params, not_found, disk, busy:
// it refused; who cannot be reached or does not speak it, as http::Client::fetch() and refusal().
[[nodiscard]] Result<nlohmann::json> ask_collector(const Common& common,
                                                   const CollectorAt& collector,
                                                   std::string_view path, std::string form);
// The same with a body of another kind, and more patience.
[[nodiscard]] Result<nlohmann::json> ask_collector(const Common& common,
                                                   const CollectorAt& collector,
                                                   std::string_view path, std::string body,
                                                   std::string_view type, Duration patience);
// A collector's answer, whatever its status; `url`: a path. Errors as http::Client::fetch().
[[nodiscard]] Result<http::ClientResponse> fetch_from_collector(const Common& common,
                                                                const CollectorAt& collector,
                                                                http::ClientRequest request);
// What helps against an error of connect(): a sentence; empty: nothing that is known.
[[nodiscard]] std::string help_against(const Error& error);
// How long wait and run wait: as said, else for ever.
[[nodiscard]] Duration patience_of(const Common& common);

// To stderr (as JSON with --json); the exit code of this error.
int tell(const Common& common, const Error& error);
// The same as members of an answer: code, message and field.
void add_error(nlohmann::json& value, const Error& error);
void print_json(const nlohmann::json& value);
void print(std::string_view text);  // to stdout

[[nodiscard]] Result<std::vector<KindSpec>> kinds_of(bus::Client& client);
// name=value pairs by the kind's schema: numbers, booleans, text as it says. A value of a parameter
// that the schema does not have is a JSON literal if it is one, else text. bad_params: no '=', or a
// value that is not of its type.
[[nodiscard]] Result<nlohmann::json> params_of(const std::vector<std::string>& pairs,
                                               const std::string& base_json, const KindSpec* kind);

// That results could be written to this folder, of which nothing is made; disk: why not.
[[nodiscard]] Status check_folder(const std::string& folder);
// Writes a result's files into `folder`, which is made for the first; their paths. disk: why not;
// wrong_state: a file is there already, without `force`; bad_frame: a name that is none.
[[nodiscard]] Result<std::vector<std::string>> write_files(bus::Client& client,
                                                           const bus::JobResult& result,
                                                           const std::string& folder, bool force);

// A member of an answer as text or number, or the fallback where it is missing or another type.
[[nodiscard]] std::string text_at(const nlohmann::json& object, std::string_view key,
                                  std::string fallback = "");
[[nodiscard]] std::int64_t number_at(const nlohmann::json& object, std::string_view key,
                                     std::int64_t fallback = 0);

}  // namespace tallymill::cli
