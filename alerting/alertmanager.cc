#include "alerting/alertmanager.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "alerting/alert_json.h"
#include "base/thread.h"

namespace tallymill::alerting {
namespace {

using std::chrono::milliseconds;

HttpPost::Options of_api(const HttpPost::Options& root) {
  std::string url(root.url.reveal());
  while (url.ends_with('/')) url.pop_back();
  HttpPost::Options options;
  options.url = Secret(url + "/api/v2/alerts");
  Secret::wipe(url);
  options.token = Secret(std::string(root.token.reveal()));
  options.ca_file = root.ca_file;
  options.timeout = root.timeout;
  return options;
}

std::int64_t ms_of(WallTime at) { return to_ns(at) / 1'000'000; }

collector::Labels with_external(const collector::Labels& labels,
                                const collector::Labels& external) {
  if (external.empty()) return labels;
  collector::LabelsBuilder builder(labels);
  for (const collector::Label& label : external)
    if (labels.get(label.name).empty()) builder.set(label.name, label.value);
  return builder.build();
}

}  // namespace

Alertmanager::Alertmanager(Options options, metrics::Registry& registry, const Clock& clock)
    : options_(std::move(options)),
      clock_(clock),
      http_(of_api(options_.http)),
      probe_(registry, options_.name),
      backoff_(options_.again, options_.seed) {}

Alertmanager::~Alertmanager() { stop(); }

Status Alertmanager::start() {
  if (auto started = http_.start(); !started)
    return std::unexpected(std::move(started).error().in(options_.name));
  thread_ = std::thread([this] {
    name_thread("alertmanager");
    run();
  });
  return {};
}

void Alertmanager::stop() {
  {
    const std::lock_guard lock(state_mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  http_.stop();
  if (thread_.joinable()) thread_.join();
}

// As Prometheus: at once when it began or ended, then each resend delay.
bool Alertmanager::needs_sending(const Entry& entry, std::int64_t at_ms) const {
  const Alert& alert = entry.current.alert;
  const bool changed = entry.sent_ms == 0 || entry.sent_fired_ms != alert.fired_ms ||
                       (is_over(alert) && !entry.sent_end);
  return changed || entry.sent_ms + options_.resend_delay.count() <= at_ms;
}

void Alertmanager::update(const std::string& group, milliseconds interval,
                          std::vector<Current> alerts, std::int64_t at_ms) {
  bool any = false;
  {
    const std::lock_guard lock(state_mutex_);
    auto& known = groups_[group];
    std::map<collector::Labels, Entry> now;
    for (Current& one : alerts) {
      const bool over = is_over(one.alert);
      if (!over && one.alert.state != AlertState::firing) continue;
      if (over && one.alert.resolved_ms + limits::alertmanager_resolved.count() < at_ms) continue;
      if (one.alert.fired_ms == 0) continue;  // it was over before it fired
      const collector::Labels labels = one.alert.labels;
      const auto before = known.find(labels);
      Entry entry = before == known.end() ? Entry() : before->second;
      entry.current = std::move(one);
      entry.valid = 4 * std::max(options_.resend_delay, interval);
      entry.judged_ms = at_ms;
      entry.due = entry.due || needs_sending(entry, at_ms);
      any = any || entry.due;
      now[labels] = std::move(entry);
    }
    known = std::move(now);
    if (known.empty()) groups_.erase(group);
  }
  if (any) changed_.notify_all();
}

void Alertmanager::forget(const std::string& group) {
  const std::lock_guard lock(state_mutex_);
  groups_.erase(group);
}

std::size_t Alertmanager::waiting() const {
  const std::lock_guard lock(state_mutex_);
  std::size_t due = 0;
  for (const auto& [name, entries] : groups_)
    due += static_cast<std::size_t>(
        std::ranges::count_if(entries, [](const auto& one) { return one.second.due; }));
  return due;
}

std::string Alertmanager::take_batch(std::vector<Sending>& batch, std::int64_t now_ms) const {
  std::string body = "[";
  for (const auto& [group, entries] : groups_) {
    for (const auto& [labels, entry] : entries) {
      if (!entry.due) continue;
      if (batch.size() == limits::alertmanager_batch) return body + "]";
      const Alert& alert = entry.current.alert;
      const std::int64_t ends = is_over(alert) ? alert.resolved_ms : now_ms + entry.valid.count();
      if (!batch.empty()) body += ',';
      body += postable_json(with_external(labels, options_.external_labels), alert.annotations,
                            {.starts_ms = alert.fired_ms, .ends_ms = ends},
                            entry.current.generator_url);
      batch.push_back({group, labels, entry.judged_ms, alert.fired_ms, is_over(alert)});
    }
  }
  return body + "]";
}

void Alertmanager::run() {
  std::unique_lock lock(state_mutex_);
  while (!stopping_) {
    std::vector<Sending> batch;
    const bool may = std::chrono::steady_clock::now() >= not_before_;
    std::string body = may ? take_batch(batch, ms_of(clock_.wall())) : std::string();
    if (batch.empty()) {
      if (may)
        changed_.wait(lock);
      else
        changed_.wait_until(lock, not_before_);
      continue;
    }
    lock.unlock();
    send_batch(batch, std::move(body));
    probe_.waiting(static_cast<std::int64_t>(waiting()));
    lock.lock();
  }
}

void Alertmanager::send_batch(const std::vector<Sending>& batch, std::string body) {
  http::Headers headers;
  headers.add("Content-Type", "application/json");
  headers.add("User-Agent", "tallymill");
  const Instant began = clock_.now();
  const Status sent = http_.post(std::move(body), std::move(headers));
  const Duration took = clock_.now() - began;
  if (!sent && sent.error().code == Errc::cancelled) return;  // stopped
  const bool refused = !sent && sent.error().code == Errc::bad_params;
  if (!sent) {
    log_.write(log::Level::warn,
               fmt::format("sink {}: {} alerts {}: {}", options_.name, batch.size(),
                           refused ? "were refused" : "could not be told", sent.error().message),
               clock_.now());
  }
  if (sent || refused) {
    // One that it does not take shall not hold up the others: Alertmanager takes what it can.
    probe_.sent(sent ? SinkProbe::Outcome::taken : SinkProbe::Outcome::given_up, took);
    failures_ = 0;
    return mark_sent(batch);
  }
  probe_.sent(SinkProbe::Outcome::again, took);
  const auto pause = std::max(backoff_.after(++failures_), sent.error().retry_after);
  not_before_ = std::chrono::steady_clock::now() + pause;
}

void Alertmanager::mark_sent(const std::vector<Sending>& batch) {
  const std::lock_guard lock(state_mutex_);
  for (const Sending& one : batch) {
    const auto group = groups_.find(one.group);
    if (group == groups_.end()) continue;
    const auto found = group->second.find(one.labels);
    if (found == group->second.end()) continue;
    Entry& entry = found->second;
    entry.sent_ms = one.judged_ms;
    entry.sent_end = one.end;
    entry.sent_fired_ms = one.fired_ms;
    entry.due = needs_sending(entry, entry.judged_ms);
  }
}

std::optional<Alertmanager::Told> Alertmanager::told(const collector::Labels& alert) const {
  const std::lock_guard lock(state_mutex_);
  for (const auto& [name, entries] : groups_)
    if (const auto found = entries.find(alert); found != entries.end())
      return Told{found->second.sent_ms, found->second.sent_end, found->second.due};
  return std::nullopt;
}

}  // namespace tallymill::alerting
