#include "alerting/prober_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <utility>

#include "alerting/prober_postgres.h"
#include "alerting/yaml_reader.h"
#include "alerting/yaml_tree.h"
#include "base/address.h"
#include "http/url.h"

namespace tallymill::alerting {
namespace {

using Kind = ProbeConfig::Kind;

class Loader {
 public:
  explicit Loader(std::string_view name) : reader_(name) {}

  Result<std::vector<ProbeConfig>> load(const YamlNode& root) {
    const YamlFields fields = reader_.fields(root, {"probes"});
    if (const YamlNode* said = fields.find("probes"))
      for (const YamlNode* one : reader_.list(*said, "probes")) probe(*one);
    if (!reader_.ok()) return std::unexpected(reader_.error());
    return std::move(probes_);
  }

 private:
  void probe(const YamlNode& node) {
    if (!reader_.ok()) return;
    const YamlFields fields =
        reader_.fields(node, {"name", "kind", "interval", "timeout", "address", "url", "status",
                              "body", "ca_file", "token_file", "token_env", "username",
                              "password_file", "password_env", "dsn_file", "dsn_env"});
    if (probes_.size() == limits::probes)
      return reader_.wrong(node, fmt::format("more than {} probes", limits::probes), Errc::too_big);
    ProbeConfig made{.name = text(fields, "name")};
    name(fields, made);
    kind(fields, made);
    if (!reader_.ok()) return;
    switch (made.kind) {
      case Kind::tcp:
        only(fields, made, {"address"});
        address(fields, made);
        break;
      case Kind::http:
        only(fields, made, {"url", "status", "body", "ca_file", "token_file", "token_env"});
        http(fields, made);
        secret(fields, "token", made);
        break;
      case Kind::redis:
        only(fields, made, {"address", "username", "password_file", "password_env"});
        address(fields, made);
        made.username = text(fields, "username");
        secret(fields, "password", made);
        break;
      case Kind::postgres:
        only(fields, made, {"dsn_file", "dsn_env"});
        secret(fields, "dsn", made);
        if (made.secret_file.empty() && made.secret_env.empty())
          reader_.wrong(node, "a postgres probe needs a dsn_file or a dsn_env");
        break;
    }
    times(fields, made);
    if (reader_.ok()) probes_.push_back(std::move(made));
  }

  void name(const YamlFields& fields, const ProbeConfig& made) {
    const auto fits = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '-' || c == '_' || c == '.';
    };
    const YamlNode& at = fields.place("name");
    if (made.name.empty() || made.name.size() > 64 || !std::ranges::all_of(made.name, fits))
      reader_.wrong(at, "a probe needs a name of letters, digits, - _ and ., at most 64 long");
    if (std::ranges::find(probes_, made.name, &ProbeConfig::name) != probes_.end())
      reader_.wrong(at, fmt::format("a second probe of the name '{}'", made.name));
  }

  void kind(const YamlFields& fields, ProbeConfig& made) {
    const std::string said = text(fields, "kind");
    for (const Kind one : {Kind::tcp, Kind::http, Kind::redis, Kind::postgres}) {
      if (said != name_of(one)) continue;
      made.kind = one;
      return;
    }
    reader_.wrong(fields.place("kind"), "expected a kind: tcp, http, redis or postgres");
  }

  // That nothing is said which is of another kind.
  void only(const YamlFields& fields, const ProbeConfig& made,
            std::initializer_list<std::string_view> own) {
    for (const char* key :
         {"address", "url", "status", "body", "ca_file", "token_file", "token_env", "username",
          "password_file", "password_env", "dsn_file", "dsn_env"})
      if (fields.find(key) != nullptr && std::ranges::find(own, std::string_view(key)) == own.end())
        reader_.wrong(fields.place(key),
                      fmt::format("'{}' is not of kind {}", key, name_of(made.kind)));
  }

  void address(const YamlFields& fields, ProbeConfig& made) {
    made.target = text(fields, "address");
    auto endpoint = parse_endpoint("tcp://" + made.target);
    if (!endpoint || endpoint->port == 0)
      return reader_.wrong(fields.place("address"), "expected an address: host:port");
    made.host = std::move(endpoint->host);
    made.port = endpoint->port;
  }

  // The text of an address is in no error: who wrote a secret into it need not read it in a log.
  void http(const YamlFields& fields, ProbeConfig& made) {
    made.url = text(fields, "url");
    const auto url = http::parse_url(made.url);
    if (!url || url->socket)
      return reader_.wrong(fields.place("url"),
                           url ? "expected http or https" : url.error().message);
    made.target = made.url.substr(0, made.url.find_first_of("?#"));
    made.body = text(fields, "body");
    made.ca_file = text(fields, "ca_file");
    if (const YamlNode* said = fields.find("status")) {
      const std::int64_t status = reader_.integer(*said);
      if (status < 200 || status > 599) reader_.wrong(*said, "expected a status: 200 to 599");
      made.status = static_cast<int>(status);
    }
  }

  void secret(const YamlFields& fields, const std::string& what, ProbeConfig& made) {
    made.secret_file = text(fields, what + "_file");
    made.secret_env = text(fields, what + "_env");
    if (!made.secret_file.empty() && !made.secret_env.empty())
      reader_.wrong(fields.place(what + "_env"), fmt::format("{0}_file and {0}_env are two", what));
  }

  void times(const YamlFields& fields, ProbeConfig& made) {
    if (const YamlNode* said = fields.find("interval")) made.interval = time(*said);
    made.timeout = std::min(made.timeout, made.interval);
    if (const YamlNode* said = fields.find("timeout")) {
      made.timeout = time(*said);
      if (made.timeout > made.interval) reader_.wrong(*said, "longer than the interval");
    }
  }

  std::chrono::milliseconds time(const YamlNode& node) {
    const auto said = reader_.duration(node);
    if (said < limits::probe_interval_least || said > std::chrono::days(1))
      reader_.wrong(node, fmt::format("expected {}ms to 1d", limits::probe_interval_least.count()));
    return said;
  }

  // Empty: it is not said.
  std::string text(const YamlFields& fields, std::string_view key) {
    const YamlNode* const said = fields.find(key);
    if (said == nullptr) return {};
    std::string found = reader_.text(*said);
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 32 || c == 127; };
    if (found.size() > limits::probe_text_bytes || std::ranges::any_of(found, is_control))
      reader_.wrong(*said, fmt::format("a control character, or more than {} bytes",
                                       limits::probe_text_bytes));
    return found;
  }

  YamlReader reader_;
  std::vector<ProbeConfig> probes_;
};

// At most one byte more than `most`; nothing: it cannot be read.
std::optional<std::string> content_of(const std::string& path, std::size_t most) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::string text(most + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return std::nullopt;
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

// One line; what is in it is in no error.
Result<Secret> read_secret(const ProbeConfig& probe) {
  std::optional<std::string> text;
  const std::string where = probe.secret_env.empty() ? probe.secret_file : "$" + probe.secret_env;
  if (!probe.secret_env.empty()) {
    const char* const said = std::getenv(probe.secret_env.c_str());
    if (said == nullptr) return fail(Errc::not_found, where + " is not set");
    text = said;
  } else {
    text = content_of(probe.secret_file, limits::probe_text_bytes + 2);
    if (!text) return fail(Errc::not_found, "cannot read " + where);
  }
  const std::size_t end = text->find_last_not_of(" \t\r\n") + 1;
  const bool fits = end > 0 && end <= limits::probe_text_bytes &&
                    std::ranges::none_of(std::string_view(*text).substr(0, end), [](char c) {
                      return static_cast<unsigned char>(c) < 32 || c == 127;
                    });
  Secret secret = fits ? Secret(text->substr(0, end)) : Secret();
  Secret::wipe(*text);
  if (!fits)
    return fail(Errc::bad_params, fmt::format("{}: expected one line of at most {} bytes", where,
                                              limits::probe_text_bytes));
  return secret;
}

Status add_secret(ProbeConfig& probe) {
  if (probe.secret_file.empty() && probe.secret_env.empty()) return {};
  auto secret = read_secret(probe);
  if (!secret) return std::unexpected(std::move(secret).error());
  probe.secret = std::move(*secret);
  if (probe.kind != Kind::postgres) return {};
  auto target = postgres_target(probe.secret);
  if (!target) return std::unexpected(std::move(target).error());
  probe.target = std::move(*target);
  return {};
}

}  // namespace

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::tcp:
      return "tcp";
    case Kind::http:
      return "http";
    case Kind::redis:
      return "redis";
    case Kind::postgres:
      return "postgres";
  }
  std::unreachable();
}

Result<std::vector<ProbeConfig>> parse_probes(std::string_view text, std::string_view name) {
  if (text.size() > limits::probe_file_bytes)
    return fail(Errc::too_big,
                fmt::format("{}: longer than {} bytes", name, limits::probe_file_bytes));
  const auto tree = YamlTree::parse(text, name);
  if (!tree) return std::unexpected(tree.error());
  return Loader(name).load(tree->root());
}

Result<std::vector<ProbeConfig>> read_probes(const std::string& path) {
  const auto text = content_of(path, limits::probe_file_bytes);
  if (!text) return fail(Errc::not_found, "cannot read " + path);
  auto probes = parse_probes(*text, path);
  if (!probes) return probes;
  for (ProbeConfig& probe : *probes)
    if (auto added = add_secret(probe); !added)
      return std::unexpected(std::move(added).error().in(path + ": probe '" + probe.name + "'"));
  return probes;
}

}  // namespace tallymill::alerting
