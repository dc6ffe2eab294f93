#include "stages/worker.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <utility>

#include "base/address.h"
#include "base/boot.h"
#include "base/check.h"
#include "base/log.h"
#include "base/thread.h"
#include "bus/endpoints.h"
#include "bus/frames.h"
#include "bus/loop.h"
#include "stages/control.h"
#include "stages/handler_thread.h"
#include "stages/identity.h"
#include "stages/lane_in.h"
#include "stages/live_jobs.h"
#include "stages/reports.h"
#include "stages/shared.h"

namespace tallymill::stages {

namespace {

constexpr int interrupted_exit = 130;

Status check_options(const WorkerOptions& options) {
  const auto bad = [](std::string what) { return fail(Errc::bad_params, std::move(what)); };
  if (options.stage.empty() || options.stage.size() > limits::stage_name_bytes)
    return bad(fmt::format("a stage's name has 1 to {} bytes", limits::stage_name_bytes));
  if (options.concurrency < 1 || options.concurrency > limits::handler_threads)
    return bad(fmt::format("a worker has 1 to {} handler threads, not {}", limits::handler_threads,
                           options.concurrency));
  const auto& most = limits::max_places_per_worker;
  if (options.places < 1 || options.places > most.jobs.raw())
    return bad(fmt::format("a worker holds 1 to {} jobs, not {}", most.jobs.raw(), options.places));
  if (options.place_bytes < Bytes(1) || options.place_bytes > most.bytes)
    return bad(fmt::format("a worker holds 1 to {} bytes of jobs", most.bytes.raw()));
  if (options.unsettled < 1 || options.unsettled > limits::max_unsettled)
    return bad(fmt::format("a worker keeps 1 to {} results", limits::max_unsettled));
  if (options.kinds.empty()) return bad("a worker serves at least one kind");
  return {};
}

sigset_t ending_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

class Worker::State {
 public:
  State(WorkerOptions options, const Clock& clock)
      : options_(std::move(options)),
        shared_(clock, options_.concurrency,
                static_cast<std::size_t>(options_.places + options_.unsettled) * 2),
        loop_(clock) {
    shared_.stage = options_.stage;
    shared_.incarnation = fresh_incarnation(options_.stage);
    shared_.insecure = options_.insecure;
    if (is_loopback(options_.control)) shared_.offset.on_this_host();
    shared_.kinds = std::move(options_.kinds);
  }
  ~State() {
    shared_.desk.close();
    handlers_.clear();
    if (lane_) lane_->close();
    if (poke_ >= 0) ::close(poke_);
    if (signals_ >= 0) ::close(signals_);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  Status open();
  void run() { loop_.run(); }
  void stop() { loop_.stop(); }
  void request_drain();
  [[nodiscard]] const std::string& incarnation() const { return shared_.incarnation; }
  [[nodiscard]] metrics::Snapshot metrics() const { return shared_.registry.snapshot(); }
  [[nodiscard]] zmq::context_t& context() { return shared_.zmq; }

 private:
  // from the control socket
  void on_item(const bus::Item& item);
  void on_welcome(const bus::WorkerWelcome& welcome);
  void on_lanes(const bus::Lanes& lanes);
  void on_tell(const bus::Tell& tell);
  void on_verdict(const bus::Verdict& verdict);
  void send_again(const Desk::Again& again);
  void send_unsent();
  void flush_results();
  void answer_stopped(const HeldPtr& job, Stop why);
  // from the lane and the handler threads
  void on_jobs(std::vector<HeldPtr>& jobs);
  void on_notices();
  void hand_back(const HeldJob& job);
  // to the front
  void hello();
  void beat();
  void rebind();
  // timers and the end
  void watch_stalls();
  void on_signal();
  void begin_drain();
  void leave_if_drained();
  void find_blobs(const bus::WorkerWelcome& welcome);
  [[nodiscard]] double busy_ratio(Instant now);

  WorkerOptions options_;
  Shared shared_;
  bus::Loop loop_;
  std::unique_ptr<Control> control_;
  zmq::socket_t results_;  // for what is sent again, and for jobs that ended before they started
  bus::Packer results_out_;
  bool unsent_timer_ = false;
  std::unique_ptr<LaneIn> lane_;
  std::unique_ptr<LiveJobs> live_;
  std::vector<std::unique_ptr<HandlerThread>> handlers_;
  ThreadChecker thread_;

  std::string host_ = host_name();
  std::string boot_ = boot_id();
  std::string pids_ = pid_namespace();
  std::int64_t epoch_ = 0;  // of the front that welcomed us
  std::string store_;       // the blob store that it told of last
  int hellos_open_ = 0;     // not yet answered
  Instant hello_at_{};
  bus::Loop::TimerId beat_timer_ = 0;
  Duration beat_period_ = limits::heartbeat;
  Instant busy_since_{};
  std::int64_t busy_before_ns_ = 0;

  int poke_ = -1;
  int signals_ = -1;
  std::atomic<bool> drain_requested_ = false;
  bool draining_ = false;
  Instant drain_began_{};
  std::int64_t drain_told_ns_ = 0;  // sent_ns of the first beat that said so
  bool drain_known_ = false;        // the front answered that beat
  std::vector<Notice> notices_;
  bus::Tell tell_;
};

Status Worker::State::open() {
  if (!options_.run_dir.empty()) remove_stale_lanes(options_.run_dir.string());

  std::string base = "tcp://" + options_.lane_address;
  if (options_.lane_address.empty())
    base = options_.run_dir.empty() ? "tcp://127.0.0.1" : "ipc://" + options_.run_dir.string();
  lane_ = std::make_unique<LaneIn>(shared_, loop_, base, options_.insecure,
                                   [this](std::vector<HeldPtr>& jobs) { on_jobs(jobs); });
  if (auto bound = lane_->bind_next(); !bound) return bound;
  for (int i = 0; i < options_.concurrency; ++i) {
    auto results = bus::open_socket(shared_.zmq, bus::Role::worker_results, options_.results,
                                    {.insecure = options_.insecure});
    if (!results) return std::unexpected(std::move(results).error().in("results"));
    handlers_.push_back(std::make_unique<HandlerThread>(shared_, i, std::move(*results)));
  }
  auto results = bus::open_socket(shared_.zmq, bus::Role::worker_results, options_.results,
                                  {.insecure = options_.insecure});
  if (!results) return std::unexpected(std::move(results).error().in("results"));
  results_ = std::move(*results);
  control_ = std::make_unique<Control>(
      shared_, loop_,
      Control::On{[this] { hello(); }, [this](const bus::Item& item) { on_item(item); }});
  if (auto connected = control_->connect(options_.control, options_.insecure); !connected)
    return std::unexpected(std::move(connected).error().in("control"));
  live_ = std::make_unique<LiveJobs>(shared_, loop_, *control_);

  poke_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  TM_CHECK(poke_ >= 0);
  loop_.watch(poke_, [this] {
    std::uint64_t ignored = 0;
    (void)!::read(poke_, &ignored, sizeof ignored);
    if (drain_requested_.load()) begin_drain();
  });
  if (options_.handle_signals) {
    const sigset_t set = ending_signals();
    signals_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    TM_CHECK(signals_ >= 0);
    loop_.watch(signals_, [this] { on_signal(); });
  }
  loop_.watch(shared_.notices.fd(), [this] { on_notices(); });
  loop_.every(limits::stall_look, [this] { watch_stalls(); });
  beat_timer_ = loop_.every(beat_period_, [this] { beat(); });
  loop_.at_turn_end([this] { flush_results(); });
  loop_.at_turn_end([this] { leave_if_drained(); });
  busy_since_ = shared_.clock.now();
  thread_.detach();
  return {};
}

// A folder of that name is the front's store only if it has the store's id: on another host, or in
// another mount, it is some other folder, or a copy.
void Worker::State::find_blobs(const bus::WorkerWelcome& welcome) {
  if (epoch_ != 0 && welcome.epoch == epoch_ && welcome.store == store_) return;
  store_ = welcome.store;
  BlobsAt at{nullptr, beside(options_.control, welcome.jobs)};
  for (const auto& folder : {options_.data_dir, std::filesystem::path(welcome.blobs)}) {
    if (at.mapped || store_.empty() || store::Blobs::id_of(folder) != store_) continue;
    auto blobs = store::Blobs::open(folder, false);
    if (blobs)
      at.mapped = std::move(*blobs);
    else
      log::warn(blobs.error().message);
  }
  if (!at.mapped) log::info(fmt::format("blobs come and go over the bus, at {}", at.jobs_door));
  shared_.blobs.set(std::move(at));
}

void Worker::State::on_item(const bus::Item& item) {
  thread_.check();
  switch (item.verb) {
    case bus::Verb::tell:
      if (bus::read_into(item, tell_)) return on_tell(tell_);
      break;
    case bus::Verb::worker_welcome:
      if (const auto welcome = bus::read<bus::WorkerWelcome>(item)) return on_welcome(*welcome);
      break;
    case bus::Verb::lanes:
      if (const auto lanes = bus::read<bus::Lanes>(item)) return on_lanes(*lanes);
      break;
    default:
      break;
  }
  shared_.probe.bad_message();
}

void Worker::State::hello() {
  ++hellos_open_;
  hello_at_ = shared_.clock.now();
  control_->out().add(bus::WorkerHello{.incarnation = shared_.incarnation,
                                       .stage = shared_.stage,
                                       .host = host_,
                                       .boot = boot_,
                                       .pid = ::getpid(),
                                       .pids = pids_,
                                       .endpoint = lane_->endpoint(),
                                       .lane = lane_->number(),
                                       .limit_jobs = options_.places,
                                       .limit_bytes = options_.place_bytes.raw(),
                                       .limit_unsettled = options_.unsettled,
                                       .concurrency = options_.concurrency},
                      hello_params(shared_.desk.list(), shared_.kinds));
}

void Worker::State::on_welcome(const bus::WorkerWelcome& welcome) {
  find_blobs(welcome);
  if (welcome.epoch != epoch_) {
    if (epoch_ != 0) shared_.offset.reset();
    epoch_ = welcome.epoch;
    log::info(fmt::format("{} serves a front of epoch {}", shared_.incarnation, epoch_));
  }
  if (hellos_open_ == 0) return hello();  // this front does not know us
  --hellos_open_;
  const auto wanted = std::chrono::milliseconds(welcome.heartbeat_ms);
  if (wanted >= limits::heartbeat_min && wanted <= limits::heartbeat_max &&
      wanted != beat_period_) {
    beat_period_ = wanted;
    loop_.cancel(beat_timer_);
    beat_timer_ = loop_.every(beat_period_, [this] { beat(); });
  }
  beat();  // its echo is the first sample of the clocks' offset
}

void Worker::State::beat() {
  if (!control_->is_up()) return;
  const Instant now = shared_.clock.now();
  if (hellos_open_ > 0 && now - hello_at_ >= limits::hello_again) {
    hellos_open_ = 0;
    hello();
  }
  if (epoch_ == 0) return;
  const double busy = busy_ratio(now);
  const Desk::Counts counts = shared_.desk.counts();
  shared_.probe.holds(counts.held, counts.waiting, counts.retained, counts.bytes,
                      static_cast<std::size_t>(shared_.fetched.bytes().raw()), busy);
  if (draining_ && drain_told_ns_ == 0) drain_told_ns_ = to_ns(now);
  control_->out().add(bus::Beat{.incarnation = shared_.incarnation,
                                .sent_ns = to_ns(now),
                                .busy_ratio = busy,
                                .missing = lane_->missing(),
                                .draining = draining_},
                      held_params(shared_.desk.list()));
}

double Worker::State::busy_ratio(Instant now) {
  std::int64_t busy_ns = 0;
  for (const Slot& slot : shared_.slots) {
    busy_ns += slot.busy_ns.load(std::memory_order_relaxed);
    if (slot.sign_ns.load(std::memory_order_acquire) != 0)
      busy_ns += to_ns(now) - slot.started_ns.load(std::memory_order_relaxed);
  }
  const double span = static_cast<double>((now - busy_since_).count()) * options_.concurrency;
  const double ratio = span > 0 ? static_cast<double>(busy_ns - busy_before_ns_) / span : 0;
  busy_since_ = now;
  busy_before_ns_ = busy_ns;
  return std::clamp(ratio, 0.0, 1.0);
}

void Worker::State::rebind() {
  if (auto bound = lane_->bind_next(); !bound) {
    // Without a lane it is of no use; its supervisor starts another.
    log::error(bound.error().message);
    loop_.stop();
    return;
  }
  hello();
}

void Worker::State::on_lanes(const bus::Lanes& lanes) {
  auto set = std::make_shared<LaneSet>();
  for (const bus::LaneRef& lane : lanes.lanes)
    set->push_back({std::string(lane.worker), std::string(lane.endpoint)});
  shared_.desk.set_lanes(std::move(set));
}

void Worker::State::on_tell(const bus::Tell& tell) {
  if (tell.echo_ns != 0) {
    shared_.offset.sample(tell.echo_ns, tell.front_ns, to_ns(shared_.clock.now()));
    if (drain_told_ns_ != 0 && tell.echo_ns >= drain_told_ns_) drain_known_ = true;
  }
  for (const bus::Verdict& verdict : tell.verdicts) on_verdict(verdict);
  if (tell.rebind) rebind();
  if (tell.drain) begin_drain();
}

void Worker::State::on_verdict(const bus::Verdict& verdict) {
  if (verdict.what == "settled") {
    shared_.desk.settled(verdict.token);
  } else if (verdict.what == "keep") {
    // A result that left within the last beat is most likely still on its way.
    if (const auto again = shared_.desk.again(verdict.token, shared_.clock.now(), beat_period_))
      send_again(*again);
  } else if (verdict.what == "void") {
    (void)shared_.desk.stop(verdict.token, Stop::voided);
  } else if (verdict.what == "cancel" || verdict.what == "expire") {
    const Stop why = verdict.what == "cancel" ? Stop::cancelled : Stop::expired;
    if (const HeldPtr waited = shared_.desk.stop(verdict.token, why)) answer_stopped(waited, why);
  } else {
    shared_.probe.bad_message();
  }
}

void Worker::State::send_again(const Desk::Again& again) {
  if (results_out_.full()) flush_results();
  if (repack_result(again, results_out_)) shared_.probe.sent_again();
}

// Right after the start, or while the front is away: as soon as it is there.
void Worker::State::send_unsent() {
  while ((results_.get(zmq::sockopt::events) & ZMQ_POLLOUT) != 0) {
    const auto results = shared_.desk.take_unsent(limits::results_per_flush, shared_.clock.now());
    if (results.empty()) return;
    for (const Desk::Again& result : results) send_again(result);
    flush_results();
  }
  if (unsent_timer_ || !shared_.desk.has_unsent()) return;
  unsent_timer_ = true;
  loop_.once(limits::unsent_retry, [this] {
    unsent_timer_ = false;
    send_unsent();
  });
}

void Worker::State::flush_results() {
  if (results_out_.empty()) return;
  // One that cannot leave is still kept; the front will ask for it.
  (void)bus::send(results_, results_out_.take());
}

void Worker::State::answer_stopped(const HeldPtr& job, Stop why) {
  shared_.probe.stopped_waiting();
  auto sent = stopped_result(shared_, *job, why);
  shared_.desk.retain({&job, 1}, sent, shared_.clock.now());
  job->envelope.reset();
  if (results_out_.full()) flush_results();
  (void)repack_result({sent, 0}, results_out_);
}

void Worker::State::on_jobs(std::vector<HeldPtr>& jobs) {
  thread_.check();
  shared_.probe.received(jobs.size());
  if (draining_) {
    for (const HeldPtr& job : jobs) hand_back(*job);
    return;
  }
  live_->came(jobs);
  const Desk::Put put = shared_.desk.put(jobs);
  shared_.probe.duplicate(static_cast<std::uint64_t>(put.duplicates));
  shared_.probe.refused(static_cast<std::uint64_t>(put.refused));
}

void Worker::State::hand_back(const HeldJob& job) {
  shared_.probe.handed_back();
  control_->out().add(bus::HopEvent{.token = job.token,
                                    .worker = shared_.incarnation,
                                    .what = "back",
                                    .reason = "draining",
                                    .at_ns = shared_.offset.to_front(to_ns(loop_.now()))});
}

void Worker::State::on_notices() {
  if (!shared_.notices.take(notices_)) return;
  for (Notice& notice : notices_) {
    if (notice.what == Notice::What::unsent) {
      send_unsent();
      continue;
    }
    if (notice.what == Notice::What::preview) {
      add_preview(notice, control_->out());
      continue;
    }
    const bool back = notice.what == Notice::What::back;
    control_->out().add(bus::HopEvent{.token = notice.token,
                                      .worker = shared_.incarnation,
                                      .what = back ? "back" : "finished",
                                      .reason = notice.reason,
                                      .at_ns = notice.at_ns});
  }
}

void Worker::State::watch_stalls() {
  const std::int64_t now = to_ns(shared_.clock.now());
  for (const Slot& slot : shared_.slots) {
    const std::int64_t sign = slot.sign_ns.load(std::memory_order_acquire);
    const std::int64_t bound = slot.stall_ns.load(std::memory_order_relaxed);
    if (sign == 0 || bound == 0 || now - sign <= bound) continue;
    const std::string job = std::to_string(slot.job.load(std::memory_order_relaxed));
    const std::string trace = slot.trace();
    log::error(fmt::format("the handler of job {} gave no sign of life for {} ms: {} ends", job,
                           (now - sign) / 1'000'000, shared_.incarnation),
               {.job = job, .trace = trace});
    ::_exit(stalled_exit);
  }
}

void Worker::State::on_signal() {
  signalfd_siginfo info{};
  while (::read(signals_, &info, sizeof info) == sizeof info) {
    if (draining_) ::_exit(interrupted_exit);
    begin_drain();
  }
}

void Worker::State::request_drain() {
  drain_requested_.store(true);
  const std::uint64_t one = 1;
  (void)!::write(poke_, &one, sizeof one);
}

void Worker::State::begin_drain() {
  if (draining_) return;
  draining_ = true;
  drain_began_ = shared_.clock.now();
  for (const HeldPtr& job : shared_.desk.drain()) hand_back(*job);
  beat();
}

void Worker::State::leave_if_drained() {
  if (!draining_) return;
  const Instant now = shared_.clock.now();
  const Duration waited = now - drain_began_;
  if (waited >= limits::drain_wait) {
    log::warn(fmt::format("{} leaves with {} jobs held", shared_.incarnation,
                          shared_.desk.counts().held));
    ::_exit(0);
  }
  const bool front_knows = drain_known_ || epoch_ == 0 || waited >= limits::drain_notice;
  if (!front_knows || shared_.desk.counts().held > 0 || shared_.notices.size() > 0) return;
  lane_->drain();
  flush_results();
  control_->flush();
  loop_.stop();
}

Result<std::unique_ptr<Worker>> Worker::make(WorkerOptions options, const Clock& clock) {
  if (auto checked = check_options(options); !checked)
    return std::unexpected(std::move(checked).error());
  if (options.handle_signals) {
    // Before any thread is made: all inherit it, and only the signalfd sees them.
    const sigset_t set = ending_signals();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
  }
  auto state = std::make_unique<State>(std::move(options), clock);
  if (auto opened = state->open(); !opened) return std::unexpected(std::move(opened).error());
  return std::unique_ptr<Worker>(new Worker(std::move(state)));
}

Worker::Worker(std::unique_ptr<State> state) : state_(std::move(state)) {}
Worker::~Worker() = default;
void Worker::run() { state_->run(); }
void Worker::drain() { state_->request_drain(); }
void Worker::stop() { state_->stop(); }
metrics::Snapshot Worker::metrics() const { return state_->metrics(); }
zmq::context_t& Worker::context() { return state_->context(); }
const std::string& Worker::incarnation() const { return state_->incarnation(); }

}  // namespace tallymill::stages
