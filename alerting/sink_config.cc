#include "alerting/sink_config.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <optional>
#include <set>
#include <utility>

#include "base/duration.h"
#include "collector/promql/parser.h"
#include "http/url.h"

namespace tallymill::alerting {
namespace {

using std::chrono::milliseconds;
using Kind = SinkConfig::Kind;

struct KindOf {
  std::string_view word;
  Kind kind;
  std::vector<std::string_view> keys;  // beside name and kind
};

const std::vector<KindOf>& kinds() {
  static const std::vector<std::string_view> http{
      "url",     "url_file", "url_env",    "token_file",     "token_env",      "ca_file",
      "timeout", "group_by", "group_wait", "group_interval", "repeat_interval"};
  static const std::vector<KindOf> all{
      {"webhook", Kind::webhook, http},
      {"slack", Kind::slack, http},
      {"alertmanager",
       Kind::alertmanager,
       {"url", "token_file", "token_env", "ca_file", "timeout"}},
      {"exec",
       Kind::exec,
       {"command", "timeout", "group_by", "group_wait", "group_interval", "repeat_interval"}},
      {"smtp",
       Kind::smtp,
       {"url", "from", "to", "username", "password_file", "password_env", "starttls", "ca_file",
        "timeout", "group_by", "group_wait", "group_interval", "repeat_interval"}},
      {"publish", Kind::publish, {"endpoint"}}};
  return all;
}

class Loader {
 public:
  explicit Loader(std::string_view name) : name_(name) {}
  Result<SinksConfig> load(std::string_view text);

 private:
  Status sink(const YAML::Node& node);
  Status read(const YAML::Node& node, SinkConfig& sink);
  Status address(const YAML::Node& node, SinkConfig& sink);
  Status secrets(const YAML::Node& node, SinkConfig& sink);
  Status mail(const YAML::Node& node, SinkConfig& sink);
  Status route(const YAML::Node& node, Route& route);
  Status inhibit(const YAML::Node& node);
  Status matchers(const YAML::Node& node, std::vector<collector::Matcher>& into);

  template <class Keys>
  Status keys(const YAML::Node& node, const Keys& known);
  Status text(const YAML::Node& node, std::string& into);
  Status texts(const YAML::Node& node, std::vector<std::string>& into);
  Status length(const YAML::Node& node, milliseconds least, milliseconds& into);
  template <class Work>
  Status each(const YAML::Node& list, std::string_view what, std::size_t most, Work work);

  [[nodiscard]] std::unexpected<Error> wrong(const YAML::Node& node, std::string_view what) const {
    return wrong(node.Mark(), what);
  }
  [[nodiscard]] std::unexpected<Error> wrong(const YAML::Mark& mark, std::string_view what) const {
    return fail(Errc::bad_params,
                fmt::format("{}:{}:{}: {}", name_, mark.line + 1, mark.column + 1, what));
  }

  std::string name_;
  SinksConfig config_;
};

Result<SinksConfig> Loader::load(std::string_view said) {
  if (said.size() > limits::sink_file_bytes)
    return fail(Errc::bad_params,
                fmt::format("{}: longer than {} bytes", name_, limits::sink_file_bytes));
  YAML::Node root;
  try {
    root.reset(YAML::Load(std::string(said)));
  } catch (const YAML::Exception& broken) {
    return wrong(broken.mark, broken.msg);
  }
  const std::initializer_list<std::string_view> known{"sinks", "inhibit_rules"};
  Status done = keys(root, known);
  if (const YAML::Node node = root["sinks"]; done && node)
    done = each(node, "sinks", limits::sinks, [&](const YAML::Node& one) { return sink(one); });
  if (const YAML::Node node = root["inhibit_rules"]; done && node)
    done = each(node, "rules", limits::inhibit_rules,
                [&](const YAML::Node& one) { return inhibit(one); });
  if (!done) return std::unexpected(std::move(done).error());
  return std::move(config_);
}

template <class Keys>
Status Loader::keys(const YAML::Node& node, const Keys& known) {
  if (!node.IsMap()) return wrong(node, "expected names with values");
  std::set<std::string> seen;
  for (const auto& entry : node) {
    const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : std::string();
    if (std::ranges::find(known, key) == known.end())
      return wrong(entry.first, fmt::format("unknown key '{}'", key));
    if (!seen.insert(key).second)
      return wrong(entry.first, fmt::format("'{}' is there twice", key));
  }
  return {};
}

template <class Work>
Status Loader::each(const YAML::Node& list, std::string_view what, std::size_t most, Work work) {
  if (!list.IsSequence()) return wrong(list, fmt::format("expected a list of {}", what));
  if (list.size() > most) return wrong(list, fmt::format("more than {} {}", most, what));
  for (const YAML::Node& one : list)
    if (auto done = work(one); !done) return done;
  return {};
}

Status Loader::text(const YAML::Node& node, std::string& into) {
  if (!node.IsScalar() || node.Scalar().empty()) return wrong(node, "expected a text");
  if (std::ranges::any_of(node.Scalar(), [](char c) { return static_cast<unsigned char>(c) < 32; }))
    return wrong(node, "a control character");
  into = node.Scalar();
  return {};
}

Status Loader::texts(const YAML::Node& node, std::vector<std::string>& into) {
  return each(node, "texts", 256, [&](const YAML::Node& one) {
    into.emplace_back();
    return text(one, into.back());
  });
}

Status Loader::length(const YAML::Node& node, milliseconds least, milliseconds& into) {
  const auto ms = duration_ms(node.IsScalar() ? node.Scalar() : std::string());
  const bool none = node.IsScalar() && node.Scalar() == "0s";  // which PromQL knows not
  if (!ms && !none) return wrong(node, "expected a duration, as 15s or 1m");
  into = milliseconds(none ? 0 : *ms);
  if (into < least || into > std::chrono::days(31))
    return wrong(node, fmt::format("expected {}ms to 31d", least.count()));
  return {};
}

Status Loader::sink(const YAML::Node& node) {
  if (!node.IsMap()) return wrong(node, "expected names with values");
  if (config_.sinks.size() == limits::sinks)
    return wrong(node, fmt::format("more than {} sinks", limits::sinks));
  if (!node["kind"]) return wrong(node, "a sink without its kind");
  if (!node["name"]) return wrong(node, "a sink without its name");
  SinkConfig sink;
  if (auto done = text(node["name"], sink.name); !done) return done;
  const bool plain =
      sink.name.size() <= 64 && std::ranges::all_of(sink.name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
      });
  if (!plain) return wrong(node["name"], "expected a name of a-z, 0-9, - and _, at most 64 long");
  if (std::ranges::find(config_.sinks, sink.name, &SinkConfig::name) != config_.sinks.end())
    return wrong(node["name"], fmt::format("a second sink of the name '{}'", sink.name));
  std::string word;
  if (auto done = text(node["kind"], word); !done) return done;
  const auto kind = std::ranges::find(kinds(), word, &KindOf::word);
  if (kind == kinds().end())
    return wrong(node["kind"], "expected webhook, slack, alertmanager, exec, smtp or publish");
  sink.kind = kind->kind;
  std::vector<std::string_view> known = kind->keys;
  known.insert(known.end(), {"name", "kind"});
  if (auto done = keys(node, known); !done) return done;
  if (auto done = read(node, sink); !done) return done;
  config_.sinks.push_back(std::move(sink));
  return {};
}

Status Loader::read(const YAML::Node& node, SinkConfig& sink) {
  Status done = address(node, sink);
  if (done) done = secrets(node, sink);
  if (done) done = mail(node, sink);
  if (done) done = route(node, sink.route);
  if (const YAML::Node said = node["timeout"]; done && said) {
    done = length(said, milliseconds(10), sink.timeout);
    if (done && sink.timeout > std::chrono::minutes(5)) return wrong(said, "expected at most 5m");
  }
  if (const YAML::Node said = node["ca_file"]; done && said) done = text(said, sink.ca_file);
  if (sink.kind == Kind::exec && done) {
    if (!node["command"]) return wrong(node, "an exec sink without its command");
    done = texts(node["command"], sink.command);
    if (done && (sink.command.empty() || !sink.command.front().starts_with('/')))
      return wrong(node["command"], "a command begins with a path from the root");
  }
  if (sink.kind == Kind::publish && done) {
    if (!node["endpoint"]) return wrong(node, "a publish sink without its endpoint");
    done = text(node["endpoint"], sink.endpoint);
  }
  return done;
}

// The text of an address is in no error: who wrote a secret into it need not read it in a log.
Status Loader::address(const YAML::Node& node, SinkConfig& sink) {
  if (sink.kind == Kind::exec || sink.kind == Kind::publish) return {};
  int said = 0;
  for (const char* key : {"url", "url_file", "url_env"})
    if (node[key]) ++said;
  if (said != 1) return wrong(node, "expected one of url, url_file and url_env");
  if (const YAML::Node at = node["url_file"]) return text(at, sink.secret_url.file);
  if (const YAML::Node at = node["url_env"]) return text(at, sink.secret_url.env);
  const YAML::Node at = node["url"];
  if (auto done = text(at, sink.url); !done) return done;
  if (sink.kind == Kind::smtp) {
    const bool fits = sink.url.starts_with("smtp://") || sink.url.starts_with("smtps://");
    if (!fits || sink.url.find('@') != std::string::npos)
      return wrong(at, "expected smtp://host:port or smtps://host:port, without a user");
    return {};
  }
  const auto url = http::parse_url(sink.url);
  if (!url) return wrong(at, url.error().message);
  if (url->socket) return wrong(at, "expected http or https");
  return {};
}

Status Loader::secrets(const YAML::Node& node, SinkConfig& sink) {
  const std::string what = sink.kind == Kind::smtp ? "password" : "token";
  const YAML::Node file = node[what + "_file"];
  const YAML::Node env = node[what + "_env"];
  if (file && env) return wrong(env, fmt::format("{0}_file and {0}_env are two", what));
  if (file) return text(file, sink.secret.file);
  if (env) return text(env, sink.secret.env);
  return {};
}

Status Loader::mail(const YAML::Node& node, SinkConfig& sink) {
  if (sink.kind != Kind::smtp) return {};
  if (!node["from"] || !node["to"]) return wrong(node, "a mail sink without its from and to");
  if (auto done = text(node["from"], sink.from); !done) return done;
  if (auto done = texts(node["to"], sink.to); !done) return done;
  if (sink.to.empty()) return wrong(node["to"], "expected a mail address");
  if (const YAML::Node said = node["username"])
    if (auto done = text(said, sink.username); !done) return done;
  if (sink.username.empty() != sink.secret.none())
    return wrong(node, "a username goes with a password_file or a password_env");
  if (const YAML::Node said = node["starttls"]) {
    if (!said.IsScalar() || (said.Scalar() != "true" && said.Scalar() != "false"))
      return wrong(said, "expected true or false");
    sink.starttls = said.Scalar() == "true";
    if (!sink.starttls && !sink.username.empty() && sink.url.starts_with("smtp://"))
      return wrong(said, "a password would go over the net as it is");
  }
  return {};
}

Status Loader::route(const YAML::Node& node, Route& route) {
  if (const YAML::Node said = node["group_by"]) {
    if (auto done = texts(said, route.group_by); !done) return done;
    route.by_all = std::ranges::find(route.group_by, "...") != route.group_by.end();
    if (route.by_all && route.group_by.size() > 1)
      return wrong(said, "'...' is all labels: nothing goes beside it");
  }
  const milliseconds none(0);
  if (const YAML::Node said = node["group_wait"])
    if (auto done = length(said, none, route.wait); !done) return done;
  if (const YAML::Node said = node["group_interval"])
    if (auto done = length(said, none, route.interval); !done) return done;
  if (const YAML::Node said = node["repeat_interval"]) {
    if (auto done = length(said, none, route.repeat); !done) return done;
    if (route.repeat.count() > 0 && route.repeat < std::chrono::seconds(1))
      return wrong(said, "expected 0s or at least 1s");
  }
  return {};
}

Status Loader::inhibit(const YAML::Node& node) {
  const std::initializer_list<std::string_view> known{"source_matchers", "target_matchers",
                                                      "equal"};
  if (auto fit = keys(node, known); !fit) return fit;
  if (!node["source_matchers"] || !node["target_matchers"])
    return wrong(node, "a rule without source_matchers or target_matchers");
  InhibitRule rule;
  if (auto done = matchers(node["source_matchers"], rule.source); !done) return done;
  if (auto done = matchers(node["target_matchers"], rule.target); !done) return done;
  if (const YAML::Node said = node["equal"])
    if (auto done = texts(said, rule.equal); !done) return done;
  config_.inhibit.push_back(std::move(rule));
  return {};
}

Status Loader::matchers(const YAML::Node& node, std::vector<collector::Matcher>& into) {
  auto done = each(node, "matchers", 64, [&](const YAML::Node& one) -> Status {
    std::string said;
    if (auto read = text(one, said); !read) return read;
    // A selector must name something that is not empty: beside this one, matchers may be any.
    auto parsed = promql::parse_selector("x{" + said + "}");
    if (!parsed) return wrong(one, "expected a matcher, as severity=\"page\" or stage=~\"a|b\"");
    for (collector::Matcher& matcher : *parsed)
      if (matcher.name() != collector::metric_name) into.push_back(std::move(matcher));
    return {};
  });
  if (done && into.empty()) return wrong(node, "expected a matcher");
  return done;
}

}  // namespace

Result<SinksConfig> parse_sinks(std::string_view text, std::string_view name) {
  return Loader(name).load(text);
}

Result<SinksConfig> read_sinks(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(Errc::not_found, "cannot read " + path);
  std::string text(limits::sink_file_bytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return fail(Errc::not_found, "cannot read " + path);
  text.resize(static_cast<std::size_t>(file.gcount()));
  return parse_sinks(text, path);
}

Result<Secret> read_secret(const SinkConfig::Where& where) {
  if (where.none()) return Secret();
  const std::string name = where.env.empty() ? where.file : "$" + where.env;
  std::string text;
  if (!where.env.empty()) {
    const char* const said = std::getenv(where.env.c_str());
    if (said == nullptr) return fail(Errc::not_found, name + " is not set");
    text = said;
  } else {
    std::ifstream file(where.file, std::ios::binary);
    if (!file) return fail(Errc::not_found, "cannot read " + name);
    text.resize(limits::sink_secret_bytes + 2);
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
  }
  const std::size_t end = text.find_last_not_of(" \t\r\n") + 1;
  const bool plain = std::ranges::all_of(std::string_view(text).substr(0, end),
                                         [](char c) { return c > 0x20 && c < 0x7f; });
  const bool fits = end > 0 && end <= limits::sink_secret_bytes && plain;
  Secret secret = fits ? Secret(text.substr(0, end)) : Secret();
  Secret::wipe(text);
  if (!fits) return fail(Errc::bad_params, name + ": expected one line of printable ASCII");
  return secret;
}

}  // namespace tallymill::alerting
