#include "alerting/delivery.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "alerting/sink_probe.h"
#include "base/log.h"
#include "base/thread.h"

namespace tallymill::alerting {
namespace {

using std::chrono::milliseconds;

// The wall clock may be set: nobody waits longer than that to find out.
constexpr milliseconds longest_rest{1'000};

std::vector<std::int64_t> ids_of(const std::vector<Notice>& notices) {
  std::vector<std::int64_t> ids;
  for (const Notice& notice : notices) ids.push_back(notice.id);
  return ids;
}

}  // namespace

class Delivery::Worker {
 public:
  Worker(Delivery& all, Destination destination, metrics::Registry& registry, std::uint64_t seed)
      : all_(all),
        sink_(std::move(destination.sink)),
        grouping_(std::move(destination.route)),
        believed_(all.options_.inhibit),
        probe_(registry, sink_->name()),
        backoff_(all.options_.again, seed) {}
  ~Worker() { stop(); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  Status start() {
    const auto held = all_.outbox_.held(name());
    if (!held) return std::unexpected(held.error());
    grouping_.restore(*held);
    for (const Outbox::Held& one : *held)
      if (one.told_ms != 0) believe(one.notice);
    thread_ = std::thread([this] {
      name_thread("alert sink");
      run();
    });
    return {};
  }
  void ask_to_stop() {
    {
      const std::lock_guard lock(wake_mutex_);
      stopping_ = true;
    }
    woken_.notify_all();
    sink_->stop();
  }
  void stop() {
    ask_to_stop();
    if (thread_.joinable()) thread_.join();
  }
  void wake() {
    {
      const std::lock_guard lock(wake_mutex_);
      awake_ = true;
    }
    woken_.notify_all();
  }
  [[nodiscard]] const std::string& name() const { return sink_->name(); }

 private:
  void run();
  [[nodiscard]] bool is_stopping() const {
    const std::lock_guard lock(wake_mutex_);
    return stopping_;
  }
  [[nodiscard]] std::int64_t now_ms() const { return to_ns(all_.clock_.wall()) / 1'000'000; }
  void rest(std::int64_t until_ms);
  [[nodiscard]] Result<bool> turn();
  [[nodiscard]] Result<std::int64_t> next();
  [[nodiscard]] Status sort_out_muted(std::vector<Outbox::Due>& due);
  [[nodiscard]] Status tell(const Message& message, bool claimed);
  [[nodiscard]] Status remind(Message message);
  [[nodiscard]] bool is_muted(const collector::Labels& alert) const;
  [[nodiscard]] Status note_failure(const Message& message, const Error& error, std::int64_t tries,
                                    Duration took);
  [[nodiscard]] bool is_too_old(const Message& message) const;
  void believe(const Notice& notice) { believed_.note({.alert = notice.alert}); }
  void tell_waiting();

  Delivery& all_;
  const std::unique_ptr<Sink> sink_;
  Grouping grouping_;
  Inhibition believed_;  // what fires as far as the sink was told
  SinkProbe probe_;
  Backoff backoff_;
  log::Limited log_;
  std::map<std::string, std::int64_t> tries_;  // of messages under way, by key
  std::set<std::string> unnoted_;              // that were taken, which the disk does not know
  std::int64_t failures_ = 0;                  // of the sink, in a row
  std::int64_t not_before_ms_ = 0;
  mutable std::mutex wake_mutex_;  // guards what follows
  std::condition_variable woken_;
  bool awake_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

void Delivery::Worker::run() {
  while (!is_stopping()) {
    std::int64_t until = now_ms() + longest_rest.count();
    const auto worked = turn();
    const auto after = worked && !*worked ? next() : Result<std::int64_t>(0);
    const auto* const failed = !worked ? &worked.error() : !after ? &after.error() : nullptr;
    if (failed != nullptr)
      log_.write(log::Level::error, fmt::format("sink {}: {}", name(), failed->message),
                 all_.clock_.now());
    else
      until = std::min(until, *after);
    tell_waiting();
    rest(until);
  }
}

void Delivery::Worker::tell_waiting() {
  if (const auto waiting = all_.outbox_.waiting(name())) probe_.waiting(*waiting);
  if (const auto oldest = all_.outbox_.oldest(name()))
    probe_.oldest(milliseconds(std::max<std::int64_t>(0, now_ms() - oldest->value_or(now_ms()))));
  probe_.merged(all_.outbox_.merged(name()));
}

// When there is something to do, if nobody wakes it.
Result<std::int64_t> Delivery::Worker::next() {
  const auto due = all_.outbox_.next_due(name());
  if (!due) return std::unexpected(due.error());
  std::int64_t at = now_ms() + longest_rest.count();
  if (*due) at = std::min(at, **due);
  if (const auto reminder = grouping_.next_reminder()) at = std::min(at, *reminder);
  return std::max(at, not_before_ms_);
}

void Delivery::Worker::rest(std::int64_t until_ms) {
  std::unique_lock lock(wake_mutex_);
  const auto left =
      milliseconds(std::clamp<std::int64_t>(until_ms - now_ms(), 0, longest_rest.count()));
  // Nobody wakes a sink that is left alone for a while.
  const bool alone = not_before_ms_ > now_ms();
  woken_.wait_for(lock, left, [&] { return stopping_ || (awake_ && !alone); });
  awake_ = false;
}

// True: something was done, and there may be more.
Result<bool> Delivery::Worker::turn() {
  if (now_ms() < not_before_ms_) return false;
  auto due = all_.outbox_.due(name(), now_ms(), limits::sink_page);
  if (!due) return std::unexpected(std::move(due).error());
  if (auto done = sort_out_muted(*due); !done) return std::unexpected(std::move(done).error());
  for (const Outbox::Due& one : *due)
    if (!one.message.empty()) tries_[one.message] = one.tries;
  const Grouping::Plan plan = grouping_.plan(std::move(*due), now_ms());
  for (const auto& [id, until] : plan.holds)
    if (auto done = all_.outbox_.hold(name(), std::span(&id, 1), until); !done)
      return std::unexpected(std::move(done).error());
  for (const Message& message : plan.messages) {
    if (is_stopping() || now_ms() < not_before_ms_) return false;
    if (auto done = tell(message, tries_.contains(message.key)); !done)
      return std::unexpected(std::move(done).error());
  }
  if (!plan.messages.empty() || !plan.holds.empty()) return true;
  const auto reminder = grouping_.reminder(now_ms());
  if (!reminder) return false;
  if (auto done = remind(*reminder); !done) return std::unexpected(std::move(done).error());
  return true;
}

// Takes out what may not be told now.
Status Delivery::Worker::sort_out_muted(std::vector<Outbox::Due>& due) {
  std::vector<std::int64_t> held;
  for (auto one = due.begin(); one != due.end();) {
    const Alert& alert = one->notice.alert;
    const bool asked = one->message.empty() && !is_over(alert);
    const bool silenced = asked && all_.options_.silenced && all_.options_.silenced(alert.labels);
    const bool inhibited =
        asked && (all_.inhibition_.inhibits(alert.labels) || believed_.inhibits(alert.labels));
    if (!silenced && !inhibited) {
      ++one;
      continue;
    }
    if (one->followed) {
      if (auto done = all_.outbox_.muted(name(), one->notice.id, now_ms(),
                                         silenced ? "silenced" : "inhibited");
          !done)
        return done;
      probe_.muted();
    } else {
      held.push_back(one->notice.id);
    }
    one = due.erase(one);
  }
  if (held.empty()) return {};
  return all_.outbox_.hold(name(), held, now_ms() + all_.options_.muted_again.count());
}

Status Delivery::Worker::tell(const Message& message, bool claimed) {
  const auto ids = ids_of(message.notices);
  if (!claimed)
    if (auto done = all_.outbox_.claim(name(), ids, message.key); !done) return done;
  grouping_.under_way(message, now_ms());
  const std::int64_t tries = claimed ? tries_[message.key] : 0;
  if (!unnoted_.contains(message.key)) {
    const Instant began = all_.clock_.now();
    const Status sent = sink_->send(message);
    const Duration took = all_.clock_.now() - began;
    if (is_stopping() && !sent && sent.error().code == Errc::cancelled) return {};
    if (!sent) return note_failure(message, sent.error(), tries + 1, took);
    probe_.sent(SinkProbe::Outcome::taken, took);
    failures_ = 0;
    unnoted_.insert(message.key);
  }
  if (auto done = all_.outbox_.taken(name(), ids, now_ms()); !done) return done;
  unnoted_.erase(message.key);
  grouping_.taken(message, now_ms());
  for (const Notice& notice : message.notices) believe(notice);
  tries_.erase(message.key);
  return {};
}

Status Delivery::Worker::note_failure(const Message& message, const Error& error,
                                      std::int64_t tries, Duration took) {
  const auto ids = ids_of(message.notices);
  const bool never = error.code == Errc::bad_params;
  const bool end = never || is_too_old(message);
  log_.write(log::Level::warn,
             fmt::format("sink {}: message {} {}: {}", name(), message.key,
                         end ? "is given up" : "was not taken", error.message),
             all_.clock_.now());
  probe_.sent(end ? SinkProbe::Outcome::given_up : SinkProbe::Outcome::again, took);
  if (never) {
    failures_ = 0;  // it is there
  } else {
    const auto pause = std::max(backoff_.after(++failures_), error.retry_after);
    not_before_ms_ = now_ms() + pause.count();
  }
  if (end) {
    grouping_.given_up(message);
    for (const Notice& notice : message.notices)
      if (is_over(notice.alert)) believe(notice);
    tries_.erase(message.key);
    return all_.outbox_.given_up(name(), ids, now_ms(), error.message);
  }
  const std::int64_t due_ms = std::max(not_before_ms_, now_ms() + backoff_.after(tries).count());
  grouping_.under_way(message, due_ms);
  tries_[message.key] = tries;
  return all_.outbox_.again(name(), ids, due_ms, error.message);
}

bool Delivery::Worker::is_muted(const collector::Labels& alert) const {
  return (all_.options_.silenced && all_.options_.silenced(alert)) ||
         all_.inhibition_.inhibits(alert) || believed_.inhibits(alert);
}

bool Delivery::Worker::is_too_old(const Message& message) const {
  return std::ranges::all_of(message.notices, [&](const Notice& notice) {
    return notice.at_ms + all_.options_.gives_up.count() < now_ms();
  });
}

// It is not stored: a reminder that fails is put off, and one that nobody got is nothing lost.
Status Delivery::Worker::remind(Message message) {
  std::erase_if(message.standing, [&](const Notice& one) { return is_muted(one.alert.labels); });
  if (message.standing.empty()) {
    grouping_.put_off(message, now_ms() + all_.options_.muted_again.count());
    return {};
  }
  const Instant began = all_.clock_.now();
  const Status sent = sink_->send(message);
  const Duration took = all_.clock_.now() - began;
  if (sent || sent.error().code == Errc::bad_params) {
    probe_.sent(sent ? SinkProbe::Outcome::taken : SinkProbe::Outcome::given_up, took);
    grouping_.taken(message, now_ms());
    failures_ = 0;
    return all_.outbox_.reminded(name(), ids_of(message.standing), now_ms());
  }
  probe_.sent(SinkProbe::Outcome::again, took);
  not_before_ms_ =
      now_ms() + std::max(backoff_.after(++failures_), sent.error().retry_after).count();
  grouping_.put_off(message, not_before_ms_);
  return {};
}

Delivery::Delivery(Outbox& outbox, std::vector<Destination> destinations, Options options,
                   metrics::Registry& registry, const Clock& clock)
    : outbox_(outbox), options_(std::move(options)), clock_(clock), inhibition_(options_.inhibit) {
  for (Destination& one : destinations) {
    names_.push_back(one.sink->name());
    workers_.push_back(
        std::make_unique<Worker>(*this, std::move(one), registry, options_.seed + workers_.size()));
  }
}

Delivery::~Delivery() { stop(); }

Status Delivery::start() {
  const auto stored = outbox_.read();
  if (!stored) return std::unexpected(stored.error());
  for (const StoredAlert& alert : stored->alerts) inhibition_.note(alert);
  if (auto done = outbox_.only(names_, to_ns(clock_.wall()) / 1'000'000); !done) return done;
  for (const auto& worker : workers_)
    if (auto done = worker->start(); !done) return done;
  return {};
}

void Delivery::stop() {
  for (const auto& worker : workers_) worker->ask_to_stop();
  for (const auto& worker : workers_) worker->stop();
}

Status Delivery::commit(Outbox::Commit commit) {
  // What begins to fire inhibits before anybody finds it; what is over does so until it is stored.
  std::vector<StoredAlert> over;
  for (const StoredAlert& alert : commit.forgotten) inhibition_.forget(alert);
  for (const StoredAlert& alert : commit.alerts)
    if (is_over(alert.alert))
      over.push_back(alert);
    else
      inhibition_.note(alert);
  commit.sinks = names_;
  auto done = outbox_.commit(std::move(commit));
  if (!done) return done;
  for (const StoredAlert& alert : over) inhibition_.forget(alert);
  wake();
  return {};
}

void Delivery::wake() {
  for (const auto& worker : workers_) worker->wake();
}

}  // namespace tallymill::alerting
