// bench instruments: what counting costs: a Counter against a bare slot, a Histogram against a bare
// slab, with and without an exemplar, by one thread and by two that each have their own.
//
// Each figure is nanoseconds an event; the ratios are of neighbours in one round. Bound: 1.5.
// Events are given from outside, so that no loop is folded into one addition.
//
// usage: figures.h.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/histogram.h"
#include "base/metrics.h"
#include "bench/figures.h"

namespace {

using namespace tallymill;
using namespace tallymill::bench;
using Clock = std::chrono::steady_clock;

constexpr std::size_t lengths = 4096;  // of events, over and over

// What the simplest of programs would do. Each on cache lines of its own, as the instruments are.
struct alignas(64) BareSlot {
  std::uint64_t value = 0;
};
struct alignas(64) BareSlab {
  std::array<std::uint64_t, ProbeHistogram::Layout::buckets> slab{};
  std::uint64_t sum = 0;
};

// The compiler must take `what` for used and changed by somebody else.
template <class T>
void touch(T& what) {
  asm volatile("" : "+m"(what) : : "memory");
}

// Nanoseconds an event of `body(i)`, by each of `threads` at once: the slowest's.
template <class Make>
double ns_per_event(int threads, double seconds, Make make) {
  std::atomic<int> waiting = threads;
  std::vector<double> took(static_cast<std::size_t>(threads));
  std::vector<std::jthread> all;
  for (int t = 0; t < threads; ++t)
    all.emplace_back([&, t] {
      auto body = make();
      for (std::size_t i = 0; i < lengths; ++i) body(i);
      --waiting;
      while (waiting.load() > 0) {
      }
      const auto begin = Clock::now();
      const auto until = begin + std::chrono::duration<double>(seconds);
      std::uint64_t events = 0;
      auto now = begin;
      for (; now < until; now = Clock::now(), events += lengths)
        for (std::size_t i = 0; i < lengths; ++i) body(i);
      const std::chrono::duration<double, std::nano> ns = now - begin;
      took[static_cast<std::size_t>(t)] = ns.count() / static_cast<double>(events);
    });
  all.clear();
  return *std::max_element(took.begin(), took.end());
}

std::vector<std::uint64_t> events() {
  std::mt19937_64 random(1);
  std::lognormal_distribution<double> length(13, 1.5);
  std::vector<std::uint64_t> all(lengths);
  for (std::uint64_t& one : all) one = static_cast<std::uint64_t>(length(random));
  return all;
}

void increments(const Asked& asked, int threads) {
  std::vector<double> bare, counted;
  for (int round = 0; round < asked.rounds; ++round) {
    bare.push_back(ns_per_event(threads, asked.seconds, [] {
      return [slot = std::make_unique<BareSlot>()](std::size_t) {
        ++slot->value;
        touch(slot->value);
      };
    }));
    counted.push_back(ns_per_event(threads, asked.seconds, [] {
      return [counter = std::make_unique<metrics::Counter>()](std::size_t) {
        counter->add();
        touch(*counter);
      };
    }));
  }
  print(fmt::format("increment of a bare slot, {} threads", threads), "ns", bare);
  print(fmt::format("Counter::add, {} threads", threads), "ns", counted);
  print(fmt::format("Counter::add / bare slot, {} threads", threads), "x", ratios(counted, bare));
}

void observations(const Asked& asked, int threads) {
  const std::vector<std::uint64_t> all = events();
  std::vector<double> bare, recorded, with_exemplar;
  for (int round = 0; round < asked.rounds; ++round) {
    bare.push_back(ns_per_event(threads, asked.seconds, [&] {
      return [&all, slab = std::make_unique<BareSlab>()](std::size_t i) {
        ++slab->slab[ProbeHistogram::Layout::index(all[i])];
        slab->sum += all[i];
        touch(*slab);
      };
    }));
    recorded.push_back(ns_per_event(threads, asked.seconds, [&] {
      return [&all, histogram = std::make_unique<metrics::Histogram>()](std::size_t i) {
        histogram->record(Duration(all[i]));
        touch(*histogram);
      };
    }));
    with_exemplar.push_back(ns_per_event(threads, asked.seconds, [&] {
      return [&all, histogram = std::make_unique<metrics::Histogram>()](std::size_t i) {
        histogram->record(Duration(all[i]), JobId(static_cast<std::int64_t>(i)),
                          instant_from_ns(static_cast<std::int64_t>(i)));
        touch(*histogram);
      };
    }));
  }
  print(fmt::format("event into a bare slab, {} threads", threads), "ns", bare);
  print(fmt::format("Histogram::record, {} threads", threads), "ns", recorded);
  print(fmt::format("Histogram::record with an exemplar, {} threads", threads), "ns",
        with_exemplar);
  print(fmt::format("Histogram::record / bare slab, {} threads", threads), "x",
        ratios(recorded, bare));
  print(fmt::format("with an exemplar / bare slab, {} threads", threads), "x",
        ratios(with_exemplar, bare));
}

}  // namespace

int main(int argc, char** argv) {
  const Asked wanted = asked(
      {.name = "instruments", .parts = {"increment", "observe"}, .rounds = 11, .seconds = 0.1},
      argc, argv);
  for (const int threads : {1, 2}) {
    if (wanted.wants("increment")) increments(wanted, threads);
    if (wanted.wants("observe")) observations(wanted, threads);
  }
}
