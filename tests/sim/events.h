// Events: the virtual clock, the one queue of what will happen, the one source of chance, and a
// hash of all that happened. Two runs of one seed are equal when their hashes are.
//
// Threads: one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace tallymill::sim {

using namespace std::chrono_literals;

// A law of the system was broken: the finding of a seed.
struct Broken {
  std::string law;
};

class Events {
 public:
  using Action = std::function<void()>;

  explicit Events(std::uint64_t seed) : rng_(seed * 0x9e3779b97f4a7c15U + 1) {}

  [[nodiscard]] Instant now() const { return now_; }
  [[nodiscard]] std::uint64_t count() const { return count_; }

  void at(Instant when, Action action) {
    queue_.push_back({std::max(when, now_), ++order_, std::move(action)});
    std::ranges::push_heap(queue_, later);
  }
  void after(Duration delay, Action action) { at(now_ + delay, std::move(action)); }

  // Runs the next event. False: there is none before `until`, and it is `until` now.
  bool step(Instant until) {
    if (queue_.empty() || queue_.front().when > until) {
      now_ = until;
      return false;
    }
    std::ranges::pop_heap(queue_, later);
    Item item = std::move(queue_.back());
    queue_.pop_back();
    now_ = item.when;
    ++count_;
    item.action();
    return true;
  }

  // 0 .. n-1. Not std::uniform_int_distribution: a seed must mean the same with every library.
  std::uint64_t pick(std::uint64_t n) { return n == 0 ? 0 : rng_() % n; }
  bool chance(int per_mille) { return static_cast<int>(pick(1000)) < per_mille; }
  Duration between(Duration least, Duration most) {
    return least + Duration(static_cast<std::int64_t>(
                       pick(static_cast<std::uint64_t>((most - least).count()) + 1)));
  }

  // Into the hash, and with --log in words.
  void trace(const char* what, std::int64_t a = 0, std::int64_t b = 0, std::int64_t c = 0) {
    hash_ = (hash_ ^ static_cast<std::uint64_t>(to_ns(now_))) * 0x100000001b3U;
    for (const char* at = what; *at != 0; ++at)
      hash_ = (hash_ ^ static_cast<std::uint64_t>(*at)) * 0x100000001b3U;
    for (const std::int64_t word : {a, b, c})
      hash_ = (hash_ ^ static_cast<std::uint64_t>(word)) * 0x100000001b3U;
    if (log_)
      std::printf("%10.6f %-16s %lld %lld %lld\n",
                  std::chrono::duration<double>(now_ - Instant(1000s)).count(), what,
                  static_cast<long long>(a), static_cast<long long>(b), static_cast<long long>(c));
  }
  void set_log(bool log) { log_ = log; }
  [[nodiscard]] std::uint64_t hash() const { return hash_; }

 private:
  struct Item {
    Instant when;
    std::uint64_t order;
    Action action;
  };
  static bool later(const Item& a, const Item& b) {
    return std::pair(a.when, a.order) > std::pair(b.when, b.order);
  }

  Instant now_{1000s};
  std::uint64_t order_ = 0;
  std::uint64_t count_ = 0;
  std::uint64_t hash_ = 0xcbf29ce484222325U;
  std::mt19937_64 rng_;
  bool log_ = false;
  std::vector<Item> queue_;
};

// One direction of one connection: order is kept, as TCP and ZeroMQ keep it; what is under way when
// it breaks is lost; a network that stands still delays all of it.
class Channel {
 public:
  void send(Events& events, Instant blocked_until, Events::Action deliver) {
    Duration delay = events.between(20us, 300us);
    if (events.chance(30)) delay += events.between(1ms, 20ms);
    last_ = std::max({last_, events.now() + delay, blocked_until});
    events.at(last_, [this, life = life_, deliver = std::move(deliver)] {
      if (life == life_) deliver();
    });
  }
  void cut() { ++life_; }

 private:
  Instant last_;
  std::uint32_t life_ = 0;
};

}  // namespace tallymill::sim
