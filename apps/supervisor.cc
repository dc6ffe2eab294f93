#include "apps/supervisor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/exit_codes.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/log_line.h"

namespace tallymill::apps {
namespace {

constexpr int exit_not_found = 127;  // of the shell's making: the program could not be started

// From so many young deaths in a row it is a crash loop, and is called one.
constexpr int crash_loop = 5;

sigset_t handled_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) sigaddset(&set, signal);
  return set;
}

double seconds(Duration length) { return std::chrono::duration<double>(length).count(); }

// "signal 9 (SIGKILL)", "exit 1".
std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) {
    const char* name = sigabbrev_np(WTERMSIG(status));
    return fmt::format("signal {} (SIG{})", WTERMSIG(status), name == nullptr ? "?" : name);
  }
  return fmt::format("exit {}", WEXITSTATUS(status));
}

// Closes it as well.
bool holds_a_byte(int& pipe) {
  char byte = 0;
  const bool holds = pipe >= 0 && ::read(pipe, &byte, 1) == 1;
  if (pipe >= 0) ::close(std::exchange(pipe, -1));
  return holds;
}

// Text that JSON can hold, whatever a dying process wrote.
std::string as_json(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

Supervisor::Supervisor(SupervisorOptions options, std::vector<ChildSpec> children)
    : options_(std::move(options)) {
  // Whoever reads our stderr, or keeps our lines, may go away; the tree goes on.
  (void)::signal(SIGPIPE, SIG_IGN);
  if (!options_.log_folder.empty()) keeper_.emplace(options_.log_folder);
  for (auto& spec : children) children_.push_back({.spec = std::move(spec)});
}

Supervisor::~Supervisor() {
  for (const auto& child : children_) {
    if (child.output >= 0) ::close(child.output);
    if (child.ready >= 0) ::close(child.ready);
  }
}

int Supervisor::run() {
  const auto deaths = std::filesystem::path(options_.run_dir) / "deaths";
  std::error_code ignored;
  std::filesystem::remove_all(deaths, ignored);  // those of another run: their pids mean nothing
  std::filesystem::create_directories(deaths, ignored);

  const sigset_t handled = handled_signals();
  sigset_t before;
  TM_CHECK(::pthread_sigmask(SIG_BLOCK, &handled, &before) == 0);
  const int signals = ::signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK);
  TM_CHECK(signals >= 0);

  for (auto& child : children_) start(child);
  while (phase_ == Phase::running || anyone_alive()) {
    wait_for_event(signals);
    reap();
    end_collector();
    if (clock_.now() >= phase_ends_) {
      say(log::Level::warn,
          "not everyone has ended in time: killing the rest; nothing accepted is lost");
      enter(Phase::killing);
    }
    start_due();
  }
  ::close(signals);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return exit_code_;
}

void Supervisor::start(Child& child) {
  std::array<int, 2> ends{};
  std::array<int, 2> ready{};
  for (auto* pipe : {&ends, &ready}) {
    TM_CHECK(::pipe2(pipe->data(), O_CLOEXEC) == 0);
    TM_CHECK(::fcntl(pipe->front(), F_SETFL, O_NONBLOCK) == 0);
  }
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) become(child, ends[1], ready[1], parent);
  const int why = errno;
  ::close(ends[1]);
  ::close(ready[1]);
  child.due.reset();
  child.started = clock_.now();
  child.last_lines.clear();
  child.partial.clear();
  if (pid < 0) {  // out of processes or memory: as if it had died at once
    ::close(ends[0]);
    ::close(ready[0]);
    plan_restart(child, "cannot fork: " + std::generic_category().message(why));
    return;
  }
  child.pid = pid;
  child.output = ends[0];
  child.ready = ready[0];
  say(log::Level::debug, fmt::format("{} started, pid {}", child.spec.name, pid));
}

// In the child, between fork and exec.
void Supervisor::become(const Child& child, int output, int ready, pid_t parent) {
  (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(exit_cannot_run);  // it died before that took effect
  // A terminal's Ctrl-C is for the supervisor, which then ends its children in order.
  (void)::setpgid(0, 0);
  (void)::dup2(output, STDOUT_FILENO);
  (void)::dup2(output, STDERR_FILENO);
  sigset_t none;
  sigemptyset(&none);
  (void)::pthread_sigmask(SIG_SETMASK, &none, nullptr);
  (void)::signal(SIGPIPE, SIG_DFL);
  for (const auto& [name, value] : options_.environment) {
    ::setenv(name.c_str(), value.c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
  }
  // A front whose disk failed must not trust what the page cache shows: it is told how it ended.
  ::setenv("TALLYMILL_LAST_END", child.last_end.c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
  (void)::fcntl(ready, F_SETFD, 0);
  const std::string fd = std::to_string(ready);
  ::setenv("TALLYMILL_READY_FD", fd.c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
  std::vector<char*> argv;
  argv.reserve(child.spec.argv.size() + 1);
  for (const auto& word : child.spec.argv) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  ::execv(argv[0], argv.data());
  const std::string why = fmt::format("cannot start {}: {}\n", child.spec.argv[0],
                                      std::generic_category().message(errno));
  (void)!::write(STDERR_FILENO, why.data(), why.size());
  ::_exit(exit_not_found);
}

void Supervisor::start_due() {
  if (phase_ != Phase::running && phase_ != Phase::draining) return;
  for (auto& child : children_) {
    if (child.due && clock_.now() >= *child.due) start(child);
  }
}

Instant Supervisor::next_due() const {
  Instant next = phase_ends_;
  for (const auto& child : children_) {
    if (child.due) next = std::min(next, *child.due);
  }
  return next;
}

void Supervisor::wait_for_event(int signals) {
  std::vector<pollfd> fds{{signals, POLLIN, 0}};
  for (const auto& child : children_) fds.push_back({child.output, POLLIN, 0});  // -1 is skipped
  int timeout_ms = -1;
  if (const Instant next = next_due(); next != Instant::max()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - clock_.now());
    timeout_ms = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
  }
  if (::poll(fds.data(), fds.size(), timeout_ms) < 0) return;  // EINTR
  for (std::size_t i = 0; i < children_.size(); ++i) {
    if (fds[i + 1].revents != 0) read_output(children_[i]);
  }
  signalfd_siginfo info{};
  while (fds[0].revents != 0 && ::read(signals, &info, sizeof info) == sizeof info) {
    on_signal(static_cast<int>(info.ssi_signo));
  }
}

void Supervisor::read_output(Child& child) {
  std::array<char, 16384> buffer{};
  // One turn's worth: a child that floods must not keep us from its siblings.
  for (int turns = 0; child.output >= 0 && turns < 16; ++turns) {
    const ssize_t got = ::read(child.output, buffer.data(), buffer.size());
    if (got < 0) return;  // EAGAIN
    if (got == 0) {
      ::close(child.output);
      child.output = -1;
      return;
    }
    child.partial.append(buffer.data(), static_cast<std::size_t>(got));
    std::size_t from = 0;
    for (std::size_t end = 0; (end = child.partial.find('\n', from)) != std::string::npos;
         from = end + 1) {
      take_line(child, child.partial.substr(from, end - from));
    }
    child.partial.erase(0, from);
    if (child.partial.size() > limits::child_line_bytes) {
      take_line(child, std::exchange(child.partial, {}));
    }
  }
}

void Supervisor::take_line(Child& child, std::string text) {
  if (text.size() > limits::child_line_bytes) text.resize(limits::child_line_bytes);
  auto said = log::parse_line(text);
  const bool whole = said.has_value();
  // Else it is a library's, or the last words of a crash: who reads lines by program reads it too.
  log::Line line = whole ? std::move(*said) : log::line_of(child.spec.name, log::Level::warn, text);
  if (!whole) line.pid = child.pid;
  line.process = child.spec.name;
  const std::string kept = log::as_json(line);
  const std::string shown =
      whole ? log::as_console(line) : log::clean(text, false, text.max_size());
  std::string out = child.spec.name + " | " + shown;
  if (options_.format == log::Format::json) out = kept;
  if (options_.format == log::Format::logfmt) out = log::as_logfmt(line);
  out += '\n';
  (void)!::write(STDERR_FILENO, out.data(), out.size());
  if (keeper_) keeper_->keep(kept);
  child.last_lines.push_back(shown);
  if (child.last_lines.size() > limits::child_last_lines) child.last_lines.pop_front();
}

void Supervisor::say(log::Level level, std::string_view message) {
  if (!log::is_on(level)) return;
  log::write(level, message);
  if (keeper_) keeper_->keep(log::as_json(log::line_of("up", level, std::string(message))));
}

void Supervisor::on_signal(int signal) {
  if (signal == SIGCHLD) return;  // reap() looks in every turn
  if (phase_ != Phase::running) {
    say(log::Level::warn, "told twice to stop: killing everyone; nothing accepted is lost");
    exit_code_ = exit_interrupted;
    enter(Phase::killing);
    return;
  }
  say(log::Level::info,
      "stopping: the front takes no more jobs and finishes those it has given out");
  enter(Phase::draining);
}

void Supervisor::enter(Phase phase) {
  phase_ = phase;
  const auto is_alive = [](const Child& child) {
    return child.spec.role == ChildSpec::Role::front && child.pid > 0;
  };
  switch (phase) {
    case Phase::running:
      return;
    case Phase::draining:
      // A front that is down has nothing to drain; its ledger holds what it accepted.
      if (std::ranges::none_of(children_, is_alive)) return enter(Phase::stopping);
      for (auto& child : children_) {
        if (is_alive(child)) ::kill(child.pid, SIGTERM);
      }
      phase_ends_ = clock_.now() + options_.drain_bound;
      return;
    case Phase::stopping:
      for (auto& child : children_) child.due.reset();
      signal_role(ChildSpec::Role::stage, SIGTERM);
      phase_ends_ = clock_.now() + options_.stop_bound;
      return;
    case Phase::killing:
      for (auto& child : children_) child.due.reset();
      signal_all(SIGKILL);
      phase_ends_ = Instant::max();
      return;
  }
}

void Supervisor::signal_all(int signal) {
  for (const auto& child : children_) {
    if (child.pid > 0) ::kill(child.pid, signal);
  }
}

void Supervisor::signal_role(ChildSpec::Role role, int signal) {
  for (const auto& child : children_) {
    if (child.pid > 0 && child.spec.role == role) ::kill(child.pid, signal);
  }
}

// It hears the last words of all others first.
void Supervisor::end_collector() {
  if (phase_ != Phase::stopping || collector_told_) return;
  const auto speaks = [](const Child& child) {
    return child.pid > 0 && child.spec.role != ChildSpec::Role::collector;
  };
  if (std::ranges::any_of(children_, speaks)) return;
  collector_told_ = true;
  signal_role(ChildSpec::Role::collector, SIGTERM);
}

void Supervisor::reap() {
  int status = 0;
  for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
    const auto child = std::ranges::find(children_, pid, &Child::pid);
    if (child != children_.end()) on_death(*child, status);
  }
}

void Supervisor::on_death(Child& child, int status) {
  read_output(child);
  if (!child.partial.empty()) take_line(child, std::exchange(child.partial, {}));
  if (child.output >= 0) ::close(child.output);
  child.output = -1;
  const pid_t pid = std::exchange(child.pid, -1);
  write_death(child, pid, status);

  const Duration lived = clock_.now() - child.started;
  const bool young = lived < options_.healthy_after;
  child.can_run = holds_a_byte(child.ready) || !young || child.can_run;
  child.young_deaths = young ? child.young_deaths + 1 : 0;
  const std::string how = how_it_ended(status);
  child.last_end = WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status))
                                       : fmt::format("exit {}", WEXITSTATUS(status));
  const bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;

  if (phase_ == Phase::draining && child.spec.role == ChildSpec::Role::front) {
    if (!clean) {
      say(log::Level::error,
          fmt::format("the front did not drain: {}; what it accepted is in its ledger", how));
      exit_code_ = exit_cannot_run;
    }
    return enter(Phase::stopping);
  }
  if (phase_ == Phase::stopping || phase_ == Phase::killing) return;
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  if (!child.can_run && (code == exit_usage || code == exit_cannot_run || code == exit_not_found)) {
    if (child.spec.role != ChildSpec::Role::collector)
      return give_up(child, code == exit_usage ? exit_usage : exit_cannot_run);
    say(log::Level::error,
        fmt::format("{} cannot run (exit {}): {}; jobs go on without it", child.spec.name, code,
                    child.last_lines.empty() ? "it said nothing" : child.last_lines.back()));
  }
  plan_restart(child, fmt::format("pid {}, {} after {:.1f} s", pid, how, seconds(lived)));
}

void Supervisor::give_up(const Child& child, int code) {
  say(log::Level::error,
      fmt::format("{} cannot run (exit {}): {}", child.spec.name, code,
                  child.last_lines.empty() ? "it said nothing" : child.last_lines.back()));
  exit_code_ = code;
  enter(Phase::killing);
}

void Supervisor::plan_restart(Child& child, const std::string& how) {
  const int doublings = std::clamp(child.young_deaths - 1, 0, 20);
  const Duration cap = child.spec.role == ChildSpec::Role::collector
                           ? options_.collector_backoff_cap
                           : options_.backoff_cap;
  const Duration bound = std::min(cap, options_.backoff_base * (1 << doublings));
  const Duration delay(std::uniform_int_distribution<std::int64_t>(0, bound.count())(random_));
  child.due = clock_.now() + delay;
  say(log::Level::warn,
      fmt::format("{} died: {}; again in {:.0f} ms", child.spec.name, how, seconds(delay) * 1000));
  if (child.young_deaths >= crash_loop && child.young_deaths % crash_loop == 0) {
    say(log::Level::error,
        fmt::format("{} is in a crash loop: it died {} times in a row within {:.0f} s of its "
                    "start; its last words: {}",
                    child.spec.name, child.young_deaths, seconds(options_.healthy_after),
                    child.last_lines.empty() ? "none" : child.last_lines.back()));
  }
}

void Supervisor::write_death(const Child& child, pid_t pid, int status) {
  nlohmann::json death{
      {"name", child.spec.name},
      {"pid", pid},
      {"lived_ms",
       std::chrono::duration_cast<std::chrono::milliseconds>(clock_.now() - child.started).count()},
      {"last_stderr", child.last_lines}};
  death[WIFSIGNALED(status) ? "signal" : "exit"] =
      WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
  const std::string path = fmt::format("{}/deaths/{}.json", options_.run_dir, pid);
  const std::string aside = path + ".new";
  // Best effort: without it the front says `worker_lost` with no reason.
  std::ofstream(aside) << as_json(death) << '\n';
  std::error_code failed;
  std::filesystem::rename(aside, path, failed);
  if (failed) say(log::Level::warn, fmt::format("cannot write {}: {}", path, failed.message()));
  death_files_.push_back(path);
  if (death_files_.size() > limits::death_files) {
    std::filesystem::remove(death_files_.front(), failed);
    death_files_.pop_front();
  }
}

bool Supervisor::anyone_alive() const {
  return std::ranges::any_of(children_, [](const Child& child) { return child.pid > 0; });
}

}  // namespace tallymill::apps
