#include "bus/loop.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <ctime>
#include <functional>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/thread.h"

namespace tallymill::bus {
namespace {

struct Watched {
  void* socket = nullptr;  // null: a plain fd
  int fd = -1;
  std::function<void()> ready;
  bool gone = false;  // unwatched, perhaps by a callback that is still running: freed between turns
  bool fire = false;
};

struct Timer {
  Duration period{0};  // 0: once
  std::function<void()> fire;
};

struct Due {
  Instant at;
  Loop::TimerId id = 0;
  friend auto operator<=>(const Due&, const Due&) = default;
};
constexpr std::greater<> earliest_on_top;

bool has_input(void* socket) {
  int events = 0;
  std::size_t size = sizeof events;
  // Fails only for a closed socket or a stopped context: nothing to read then either.
  if (zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) != 0) return false;
  return (events & ZMQ_POLLIN) != 0;
}

int fd_of(void* socket) {
  int fd = -1;
  std::size_t size = sizeof fd;
  TM_CHECK(zmq_getsockopt(socket, ZMQ_FD, &fd, &size) == 0);
  return fd;
}

}  // namespace

struct Loop::State {
  explicit State(const Clock& c)
      : clock(c), now(c.now()), stop_fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    TM_CHECK(stop_fd >= 0);
    poll_fds.push_back({stop_fd, POLLIN, 0});
  }
  ~State() { ::close(stop_fd); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  void add(std::unique_ptr<Watched> watched) {
    poll_fds.push_back({watched->fd, POLLIN, 0});
    all.push_back(std::move(watched));
    ask_all = true;
  }
  void remove(void* socket, int fd) {
    const auto it = std::ranges::find_if(all, [&](const auto& w) {
      return !w->gone && w->socket == socket && (socket != nullptr || w->fd == fd);
    });
    TM_CHECK(it != all.end());
    (*it)->gone = true;
    any_gone = true;
    // A closed fd's number may come back as another's at once.
    poll_fds[static_cast<std::size_t>(it - all.begin()) + 1].fd = -1;
  }
  void sweep();
  bool ask_sockets();
  void wait(Duration longest);
  bool run_ready();
  bool run_timers();
  std::optional<Instant> next_due();

  const Clock& clock;
  Instant now;
  int stop_fd;
  std::atomic<bool> stop{false};
  ThreadChecker thread;

  std::vector<std::unique_ptr<Watched>> all;  // i-th here is the (i+1)-th of poll_fds
  std::vector<pollfd> poll_fds;
  bool any_gone = false;
  bool ask_all = true;  // something ran since the sockets were last asked

  std::vector<Due> heap;  // may name timers that were cancelled
  std::unordered_map<TimerId, Timer> timers;
  TimerId last_timer = 0;

  std::vector<std::function<void()>> flushes;
};

void Loop::State::sweep() {
  if (!any_gone) return;
  any_gone = false;
  std::erase_if(all, [](const auto& w) { return w->gone; });
  poll_fds.resize(1);
  for (const auto& w : all) poll_fds.push_back({w->fd, POLLIN, 0});
}

// True when a socket has messages already, so that nobody may sleep.
bool Loop::State::ask_sockets() {
  bool any = false;
  for (const auto& w : all) {
    w->fire = ask_all && w->socket != nullptr && has_input(w->socket);
    any |= w->fire;
  }
  ask_all = false;
  return any;
}

void Loop::State::wait(Duration longest) {
  timespec timeout{};
  timeout.tv_sec = static_cast<time_t>(longest.count() / 1'000'000'000);
  timeout.tv_nsec = static_cast<long>(longest.count() % 1'000'000'000);
  const bool forever = longest == Duration::max();
  const int ready = ppoll(poll_fds.data(), poll_fds.size(), forever ? nullptr : &timeout, nullptr);
  TM_CHECK(ready >= 0 || errno == EINTR);
  if (ready <= 0) return;
  if (poll_fds[0].revents != 0) {
    std::uint64_t ignored = 0;
    (void)!::read(stop_fd, &ignored, sizeof ignored);
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (poll_fds[i + 1].revents == 0 || all[i]->fire) continue;
    all[i]->fire = all[i]->socket == nullptr || has_input(all[i]->socket);
  }
}

bool Loop::State::run_ready() {
  bool any = false;
  // By index: a callback may watch another socket, which moves the vector. Its turn is the next.
  const std::size_t known = all.size();
  for (std::size_t i = 0; i < known; ++i) {
    Watched* const w = all[i].get();
    if (!w->fire || w->gone) continue;
    w->fire = false;
    any = true;
    w->ready();
  }
  return any;
}

std::optional<Instant> Loop::State::next_due() {
  while (!heap.empty() && !timers.contains(heap.front().id)) {
    std::ranges::pop_heap(heap, earliest_on_top);
    heap.pop_back();
  }
  if (heap.empty()) return std::nullopt;
  return heap.front().at;
}

bool Loop::State::run_timers() {
  bool any = false;
  // Timers set by a timer of this turn run in a later turn, also those with no delay: a chain of
  // them must not keep the sockets waiting.
  const TimerId newest = last_timer;
  std::vector<Due> later;
  while (next_due() && heap.front().at <= now) {
    const Due due = heap.front();
    std::ranges::pop_heap(heap, earliest_on_top);
    heap.pop_back();
    if (due.id > newest) {
      later.push_back(due);
      continue;
    }
    any = true;
    auto it = timers.find(due.id);
    if (it->second.period == Duration(0)) {
      const auto fire = std::move(it->second.fire);
      timers.erase(it);
      fire();
      continue;
    }
    // Taken out while it runs, so that it may cancel itself.
    const auto fire = std::move(it->second.fire);
    const Duration period = it->second.period;
    fire();
    it = timers.find(due.id);
    if (it == timers.end()) continue;
    it->second.fire = fire;
    const Instant next = due.at + period;
    heap.push_back({next > now ? next : now + period, due.id});
    std::ranges::push_heap(heap, earliest_on_top);
  }
  for (const Due& due : later) {
    heap.push_back(due);
    std::ranges::push_heap(heap, earliest_on_top);
  }
  return any;
}

Loop::Loop(const Clock& clock) : state_(std::make_unique<State>(clock)) {}
Loop::~Loop() = default;

void Loop::watch(zmq::socket_t& socket, std::function<void()> ready) {
  auto watched = std::make_unique<Watched>();
  watched->socket = socket.handle();
  watched->fd = fd_of(socket.handle());
  watched->ready = std::move(ready);
  state_->add(std::move(watched));
}

void Loop::unwatch(zmq::socket_t& socket) { state_->remove(socket.handle(), -1); }

void Loop::watch(int fd, std::function<void()> ready) {
  TM_CHECK(fd >= 0);
  auto watched = std::make_unique<Watched>();
  watched->fd = fd;
  watched->ready = std::move(ready);
  state_->add(std::move(watched));
}

void Loop::unwatch(int fd) { state_->remove(nullptr, fd); }

Loop::TimerId Loop::every(Duration period, std::function<void()> fire) {
  TM_CHECK(period > Duration(0));
  const TimerId id = ++state_->last_timer;
  state_->timers.emplace(id, Timer{period, std::move(fire)});
  state_->heap.push_back({state_->clock.now() + period, id});
  std::ranges::push_heap(state_->heap, earliest_on_top);
  return id;
}

Loop::TimerId Loop::once(Duration delay, std::function<void()> fire) {
  const TimerId id = ++state_->last_timer;
  state_->timers.emplace(id, Timer{Duration(0), std::move(fire)});
  state_->heap.push_back({state_->clock.now() + delay, id});
  std::ranges::push_heap(state_->heap, earliest_on_top);
  return id;
}

void Loop::cancel(TimerId timer) {
  state_->timers.erase(timer);
  // Cancelled timers leave the heap when they come up; many far-off ones must not pile up there.
  if (state_->heap.size() > 64 && state_->heap.size() > 2 * state_->timers.size()) {
    std::erase_if(state_->heap, [&](const Due& due) { return !state_->timers.contains(due.id); });
    std::ranges::make_heap(state_->heap, earliest_on_top);
  }
}

void Loop::at_turn_end(std::function<void()> flush) { state_->flushes.push_back(std::move(flush)); }

void Loop::run() {
  state_->thread.detach();
  // At least one turn: what was gathered before is flushed.
  do {
    turn(state_->stop ? Duration(0) : Duration::max());
  } while (!state_->stop);
  state_->stop = false;
}

bool Loop::turn(Duration longest) {
  State& s = *state_;
  s.thread.check();
  s.sweep();
  if (s.ask_sockets()) longest = Duration(0);
  if (const auto due = s.next_due())
    longest = std::clamp(*due - s.clock.now(), Duration(0), longest);
  s.wait(longest);
  s.now = s.clock.now();
  const bool input = s.run_ready();
  const bool timer = s.run_timers();
  if (!input && !timer) return false;
  for (std::size_t i = 0; i < s.flushes.size(); ++i) s.flushes[i]();
  s.ask_all = true;
  return true;
}

void Loop::stop() {
  state_->stop = true;
  const std::uint64_t one = 1;
  (void)!::write(state_->stop_fd, &one, sizeof one);
}

Instant Loop::now() const { return state_->now; }

}  // namespace tallymill::bus
