#include "collector/scrape_config.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <fstream>
#include <initializer_list>
#include <set>
#include <utility>

#include "base/duration.h"
#include "collector/labels_check.h"
#include "http/url.h"

namespace tallymill::collector {
namespace {

using std::chrono::milliseconds;

class Loader {
 public:
  explicit Loader(std::string_view name) : name_(name) {}

  Result<std::vector<ScrapeJob>> load(std::string_view text);

 private:
  Status global(const YAML::Node& node);
  Status jobs(const YAML::Node& node);
  Status job(const YAML::Node& node);
  Status read(const YAML::Node& node, ScrapeJob& job);
  Status groups(const YAML::Node& node, ScrapeJob& job);
  Status group(const YAML::Node& node, ScrapeJob& job);
  Status target(const YAML::Node& node, const Labels::Pairs& own, ScrapeJob& job);
  Status labels(const YAML::Node& node, Labels::Pairs& into);

  // That it is a map with these keys and no others, each once.
  Status keys(const YAML::Node& node, std::initializer_list<std::string_view> known);
  Status list(const YAML::Node& node, std::string_view what);
  Status text(const YAML::Node& node, std::string& into);
  Status truth(const YAML::Node& node, bool& into);
  Status length(const YAML::Node& node, milliseconds& into);

  [[nodiscard]] std::unexpected<Error> wrong(const YAML::Node& node, std::string_view what) const {
    return wrong(node.Mark(), what);
  }
  [[nodiscard]] std::unexpected<Error> wrong(const YAML::Mark& mark, std::string_view what) const {
    return fail(Errc::bad_params,
                fmt::format("{}:{}:{}: {}", name_, mark.line + 1, mark.column + 1, what));
  }

  std::string name_;
  milliseconds interval_ = limits::scrape_interval;
  milliseconds timeout_ = limits::scrape_timeout;
  std::vector<ScrapeJob> jobs_;
  std::size_t targets_ = 0;
};

Result<std::vector<ScrapeJob>> Loader::load(std::string_view text) {
  if (text.size() > limits::scrape_file_bytes)
    return fail(Errc::bad_params,
                fmt::format("{}: longer than {} bytes", name_, limits::scrape_file_bytes));
  YAML::Node root;
  try {
    root.reset(YAML::Load(std::string(text)));
  } catch (const YAML::Exception& broken) {
    return wrong(broken.mark, broken.msg);
  }
  if (auto fit = keys(root, {"global", "scrape_configs"}); !fit)
    return std::unexpected(std::move(fit).error());
  if (const YAML::Node node = root["global"])
    if (auto done = global(node); !done) return std::unexpected(std::move(done).error());
  if (const YAML::Node node = root["scrape_configs"])
    if (auto done = jobs(node); !done) return std::unexpected(std::move(done).error());
  return std::move(jobs_);
}

Status Loader::keys(const YAML::Node& node, std::initializer_list<std::string_view> known) {
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

Status Loader::list(const YAML::Node& node, std::string_view what) {
  if (!node.IsSequence()) return wrong(node, fmt::format("expected a list of {}", what));
  return {};
}

Status Loader::text(const YAML::Node& node, std::string& into) {
  if (!node.IsScalar() || node.Scalar().empty()) return wrong(node, "expected a text");
  into = node.Scalar();
  return {};
}

Status Loader::truth(const YAML::Node& node, bool& into) {
  if (!node.IsScalar() || (node.Scalar() != "true" && node.Scalar() != "false"))
    return wrong(node, "expected true or false");
  into = node.Scalar() == "true";
  return {};
}

Status Loader::length(const YAML::Node& node, milliseconds& into) {
  const auto ms = duration_ms(node.IsScalar() ? node.Scalar() : std::string());
  if (!ms) return wrong(node, "expected a duration, as 15s or 1m");
  if (milliseconds(*ms) < limits::scrape_interval_least || *ms > 86'400'000)
    return wrong(node, fmt::format("expected {}ms to 1d", limits::scrape_interval_least.count()));
  into = milliseconds(*ms);
  return {};
}

Status Loader::global(const YAML::Node& node) {
  if (auto fit = keys(node, {"scrape_interval", "scrape_timeout"}); !fit) return fit;
  if (const YAML::Node said = node["scrape_interval"])
    if (auto done = length(said, interval_); !done) return done;
  timeout_ = std::min(timeout_, interval_);
  if (const YAML::Node said = node["scrape_timeout"]) {
    if (auto done = length(said, timeout_); !done) return done;
    if (timeout_ > interval_) return wrong(said, "longer than the scrape_interval");
  }
  return {};
}

Status Loader::jobs(const YAML::Node& node) {
  if (auto fit = list(node, "jobs"); !fit) return fit;
  for (const YAML::Node& one : node)
    if (auto done = job(one); !done) return done;
  return {};
}

Status Loader::job(const YAML::Node& node) {
  if (auto fit =
          keys(node, {"job_name", "scrape_interval", "scrape_timeout", "metrics_path", "scheme",
                      "honor_labels", "honor_timestamps", "bearer_token_file", "static_configs"});
      !fit)
    return fit;
  ScrapeJob job{.interval = interval_, .timeout = timeout_};
  if (auto done = read(node, job); !done) return done;
  if (const YAML::Node said = node["static_configs"])
    if (auto done = groups(said, job); !done) return done;
  jobs_.push_back(std::move(job));
  return {};
}

Status Loader::read(const YAML::Node& node, ScrapeJob& job) {
  if (!node["job_name"]) return wrong(node, "a job without its job_name");
  if (auto done = text(node["job_name"], job.name); !done) return done;
  if (std::ranges::find(jobs_, job.name, &ScrapeJob::name) != jobs_.end())
    return wrong(node["job_name"], fmt::format("a second job of the name '{}'", job.name));
  if (const YAML::Node said = node["scrape_interval"])
    if (auto done = length(said, job.interval); !done) return done;
  job.timeout = std::min(job.timeout, job.interval);
  if (const YAML::Node said = node["scrape_timeout"]) {
    if (auto done = length(said, job.timeout); !done) return done;
    if (job.timeout > job.interval) return wrong(said, "longer than the scrape_interval");
  }
  if (const YAML::Node said = node["metrics_path"]) {
    if (auto done = text(said, job.path); !done) return done;
    if (!job.path.starts_with('/')) return wrong(said, "a path begins with a slash");
  }
  if (const YAML::Node said = node["scheme"]) {
    if (auto done = text(said, job.scheme); !done) return done;
    if (job.scheme != "http" && job.scheme != "https") return wrong(said, "expected http or https");
  }
  if (const YAML::Node said = node["honor_labels"])
    if (auto done = truth(said, job.honor_labels); !done) return done;
  if (const YAML::Node said = node["honor_timestamps"])
    if (auto done = truth(said, job.honor_timestamps); !done) return done;
  if (const YAML::Node said = node["bearer_token_file"]) return text(said, job.token_file);
  return {};
}

Status Loader::groups(const YAML::Node& node, ScrapeJob& job) {
  if (auto fit = list(node, "targets and their labels"); !fit) return fit;
  for (const YAML::Node& one : node)
    if (auto done = group(one, job); !done) return done;
  return {};
}

Status Loader::group(const YAML::Node& node, ScrapeJob& job) {
  if (auto fit = keys(node, {"targets", "labels"}); !fit) return fit;
  Labels::Pairs own;
  if (const YAML::Node said = node["labels"])
    if (auto done = labels(said, own); !done) return done;
  const YAML::Node targets = node["targets"];
  if (!targets) return wrong(node, "labels without targets");
  if (auto fit = list(targets, "addresses"); !fit) return fit;
  for (const YAML::Node& one : targets)
    if (auto done = target(one, own, job); !done) return done;
  return {};
}

Status Loader::labels(const YAML::Node& node, Labels::Pairs& into) {
  if (!node.IsMap()) return wrong(node, "expected labels with values");
  for (const auto& entry : node) {
    const std::string name = entry.first.IsScalar() ? entry.first.Scalar() : std::string();
    if (!is_label_name(name) || name.starts_with("__"))
      return wrong(entry.first, fmt::format("'{}' is no label's name", name));
    if (std::ranges::count(into, name, &std::pair<std::string, std::string>::first) != 0)
      return wrong(entry.first, fmt::format("'{}' is there twice", name));
    if (!entry.second.IsScalar()) return wrong(entry.second, "expected a label's value");
    into.emplace_back(name, entry.second.Scalar());
  }
  return {};
}

Status Loader::target(const YAML::Node& node, const Labels::Pairs& own, ScrapeJob& job) {
  ScrapeTarget target{.own = Labels::of(own)};
  if (auto done = text(node, target.address); !done) return done;
  if (target.address.find_first_of("/?#") != std::string::npos)
    return wrong(node, "expected host:port");
  target.url = job.scheme + "://" + target.address + job.path;
  const auto url = http::parse_url(target.url);
  if (!url) return wrong(node, url.error().message);
  const bool has_port =
      target.address.find(':', target.address.rfind(']') + 1) != std::string::npos;
  LabelsBuilder builder(target.own);
  if (target.own.get("job").empty()) builder.set("job", job.name);
  if (target.own.get("instance").empty())
    builder.set("instance", target.address + (has_port ? "" : fmt::format(":{}", url->port)));
  target.labels = builder.build();
  std::vector<Label> all(target.labels.begin(), target.labels.end());
  if (const LabelFault fault = settle(all); fault != LabelFault::none)
    return wrong(node, collector::text(fault));
  for (const ScrapeTarget& other : job.targets)
    if (other.labels == target.labels && other.url == target.url)
      return wrong(node, fmt::format("'{}' is there twice", target.address));
  if (++targets_ > limits::scrape_targets)
    return wrong(node, fmt::format("more than {} targets", limits::scrape_targets));
  job.targets.push_back(std::move(target));
  return {};
}

// What the file holds; nothing: it cannot be read. At most one byte more than `most`.
std::optional<std::string> content_of(const std::string& path, std::size_t most) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::string text(most + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return std::nullopt;
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

Status read_token(ScrapeJob& job) {
  if (job.token_file.empty()) return {};
  auto text = content_of(job.token_file, limits::token_file_bytes);
  if (!text) return fail(Errc::not_found, fmt::format("cannot read {}", job.token_file));
  const std::size_t end = text->find_last_not_of(" \t\r\n") + 1;
  const bool plain = std::ranges::all_of(std::string_view(*text).substr(0, end),
                                         [](char c) { return c > 0x20 && c < 0x7f; });
  if (end == 0 || end > limits::token_file_bytes || !plain) {
    Secret::wipe(*text);
    return fail(Errc::bad_params, fmt::format("{}: expected a token alone", job.token_file));
  }
  job.token = Secret(text->substr(0, end));
  Secret::wipe(*text);
  return {};
}

// A text in YAML's double quotes.
std::string yaml_of(std::string_view text) {
  YAML::Emitter out;
  out << YAML::DoubleQuoted << std::string(text);
  return out.c_str();
}

}  // namespace

Result<std::vector<ScrapeJob>> parse_scrape_config(std::string_view text, std::string_view name) {
  return Loader(name).load(text);
}

Result<std::vector<ScrapeJob>> read_scrape_config(const std::string& path) {
  const auto text = content_of(path, limits::scrape_file_bytes);
  if (!text) return fail(Errc::not_found, "cannot read " + path);
  auto jobs = parse_scrape_config(*text, path);
  if (!jobs) return jobs;
  for (ScrapeJob& job : *jobs)
    if (auto read = read_token(job); !read) return std::unexpected(std::move(read).error());
  return jobs;
}

std::string text_of(const std::vector<ScrapeJob>& jobs) {
  std::string text = "scrape_configs:\n";
  for (const ScrapeJob& job : jobs) {
    text += fmt::format(
        "- job_name: {}\n  honor_labels: {}\n  honor_timestamps: {}\n  scrape_interval: {}\n"
        "  scrape_timeout: {}\n  metrics_path: {}\n  scheme: {}\n",
        yaml_of(job.name), job.honor_labels, job.honor_timestamps,
        duration_text(job.interval.count()), duration_text(job.timeout.count()), yaml_of(job.path),
        job.scheme);
    if (!job.token_file.empty()) text += "  bearer_token_file: " + yaml_of(job.token_file) + "\n";
    if (!job.targets.empty()) text += "  static_configs:\n";
    for (const ScrapeTarget& target : job.targets) {
      text += "  - targets: [" + yaml_of(target.address) + "]\n";
      if (target.own.empty()) continue;
      text += "    labels:\n";
      for (const Label& label : target.own)
        text += fmt::format("      {}: {}\n", label.name, yaml_of(label.value));
    }
  }
  return text;
}

}  // namespace tallymill::collector
