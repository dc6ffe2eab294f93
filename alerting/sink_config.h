// SinkConfig: where alerts are told, from a file in YAML.
//
//   sinks:
//     - name: ops
//       kind: webhook                    # or slack: the same with a text
//       url: https://ops.example/hook    # or url_file, url_env: where the address is a secret
//       token_file: /etc/tallymill/ops.token
//       group_by: [alertname]            # [] is one group, [...] each alert its own (the default)
//       group_wait: 5s                   # 0s
//       group_interval: 1m               # 0s
//       repeat_interval: 4h              # 0s: never
//     - {name: am, kind: alertmanager, url: "http://127.0.0.1:9093"}
//     - {name: page, kind: exec, command: [/usr/local/bin/page, --now], timeout: 5s}
//     - {name: mail, kind: smtp, url: "smtp://mail.example:587", from: mill@example.org,
//        to: [ops@example.org], username: mill, password_env: MAIL_PASSWORD}
//     - {name: bus, kind: publish, endpoint: "ipc:///run/tallymill/alerts"}
//   inhibit_rules:
//     - source_matchers: ['severity="page"']
//       target_matchers: ['severity="warning"']
//       equal: [stage]
//
// A secret (token, password, an address that is one) is named by its file or its variable of the
// environment, never written here, and never in an error's text.
//
//   invariant: names are distinct, also to a file system; each sink has what its kind needs and
//              nothing of another's
//
// Threads: functions, but for the files.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/grouping.h"
#include "alerting/inhibition.h"
#include "alerting/limits.h"
#include "base/result.h"
#include "base/secret.h"

namespace tallymill::alerting {

struct SinkConfig {
  enum class Kind : std::uint8_t { webhook, slack, alertmanager, exec, smtp, publish };
  // Where it is; both empty: there is none.
  struct Where {
    std::string file = {};
    std::string env = {};
    [[nodiscard]] bool none() const { return file.empty() && env.empty(); }
  };

  std::string name;
  Kind kind = Kind::webhook;
  std::string url = {};
  Where secret_url = {};     // of webhook and slack, instead
  Where secret = {};         // the token, or the password
  std::string ca_file = {};  // of https and smtp
  std::chrono::milliseconds timeout = limits::sink_timeout;
  Route route = {};                       // of webhook, slack, exec and smtp
  std::vector<std::string> command = {};  // of exec
  std::string from = {};                  // of smtp, as the three that follow
  std::vector<std::string> to = {};
  std::string username = {};
  bool starttls = true;
  std::string endpoint = {};  // of publish
};

struct SinksConfig {
  std::vector<SinkConfig> sinks;
  std::vector<InhibitRule> inhibit;
};

// bad_params, "FILE:LINE:COLUMN: ...": it is none of this, or over a limit. `name`: the file's.
[[nodiscard]] Result<SinksConfig> parse_sinks(std::string_view text, std::string_view name);
// not_found: it cannot be read.
[[nodiscard]] Result<SinksConfig> read_sinks(const std::string& path);

// Its first line. not_found: the file cannot be read, or the variable is not set; bad_params: it is
// empty, longer than limits::sink_secret_bytes, or not printable ASCII. None where there is none.
[[nodiscard]] Result<Secret> read_secret(const SinkConfig::Where& where);

}  // namespace tallymill::alerting
