#include "tests/sim/clients.h"

#include <algorithm>

#include "tests/sim/world.h"

namespace tallymill::sim {

namespace {

constexpr Duration patience = 2s;
constexpr int tries_with_a_key = 40;

std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

}  // namespace

Plan plan_of(std::uint64_t content, const Faults& faults) {
  std::uint64_t bits = mix(content);
  const auto draw = [&](std::uint64_t n) {
    bits = mix(bits + 1);
    return bits % n;
  };
  const auto length = [&] {
    const std::uint64_t which = draw(faults.slow_jobs ? 30 : 1000);
    const std::uint64_t most_us = which < 20    ? 2'500'000
                                  : which < 100 ? 400'000
                                  : which < 400 ? 40'000
                                                : 2'000;
    return Duration(std::chrono::microseconds(100 + draw(most_us)));
  };
  Plan plan;
  plan.kind = static_cast<int>(draw(kinds));
  plan.hops = plan.kind == 2 ? 2 : 1;
  plan.service = {length(), length()};
  plan.fail_first = draw(10) == 0 ? 1 + static_cast<int>(draw(4)) : 0;
  plan.hopeless = draw(50) == 0;
  plan.poison = faults.poison && draw(40) == 0;
  plan.hangs = faults.hangs && draw(40) == 0;
  plan.deaf = draw(10) == 0;
  plan.has_input = draw(4) == 0;
  plan.has_output = draw(4) == 0;
  plan.size = Bytes(static_cast<std::int64_t>(draw(20) == 0 ? 150'000 : 50 + draw(3'000)));
  return plan;
}

void Clients::start() {
  Events& events = world_.events;
  const Profile& profile = world_.profile;
  intents_.resize(static_cast<std::size_t>(profile.jobs));
  for (int i = 0; i < profile.jobs; ++i) {
    Request& request = intents_[static_cast<std::size_t>(i)].request;
    request.intent = i;
    request.client = static_cast<int>(events.pick(static_cast<std::uint64_t>(profile.clients)));
    request.content = static_cast<std::uint64_t>(i) + 1;
    // Some come back with a key that was used, for the same or for other content.
    const bool with_key = events.chance(600);
    if (with_key) request.key = "k" + std::to_string(i);
    if (with_key && i > 0 && events.chance(80)) {
      const auto& other = intents_[events.pick(static_cast<std::uint64_t>(i))].request;
      if (!other.key.empty()) {
        request.key = other.key;
        request.client = other.client;
        if (events.chance(700)) request.content = other.content;
      }
    }
    request.plan = plan_of(request.content, profile.faults);
    request.priority = static_cast<int>(events.pick(10));
    // Most come in bursts, so that there is a queue.
    const Duration burst = std::chrono::seconds(events.pick(static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::seconds>(profile.faulty).count())));
    events.after(100ms + burst + events.between(0ms, 500ms), [this, i] { submit(i); });
  }
}

void Clients::submit(int index) {
  Intent& intent = intents_[static_cast<std::size_t>(index)];
  if (intent.settled || (stopped_ && intent.tries == 0)) return;
  Events& events = world_.events;
  Request& request = intent.request;
  if (++intent.tries == 1) {
    if (events.chance(80)) request.deadline = world_.wall() + events.between(1ms, 5s);
    if (events.chance(50)) request.not_before = world_.wall() + events.between(1ms, 5s);
  }
  request.reply_to = ++next_reply_;
  intent.waiting_for = request.reply_to;
  if (request.plan.has_input && !events.chance(20))
    world_.store.put(Store::input_of(request.content));
  events.after(events.between(20us, 5ms), [this, request] { world_.shell.on_submit(request); });
  events.after(patience, [this, index, reply = request.reply_to] {
    Intent& waiting = intents_[static_cast<std::size_t>(index)];
    if (waiting.settled || waiting.waiting_for != reply) return;
    // No answer: with a key it is safe to ask again.
    if (waiting.request.key.empty() || waiting.tries > tries_with_a_key)
      waiting.settled = true;
    else
      submit(index);
  });
}

void Clients::on_answer(const Answer& answer, int index) {
  Intent& intent = intents_[static_cast<std::size_t>(index)];
  if (intent.settled) return;
  if (answer.accepted) {
    intent.settled = true;
    intent.job = answer.job;
    if (world_.events.chance(100))
      world_.events.after(world_.events.between(0ms, world_.events.chance(500) ? 20ms : 3s),
                          [this, index] { cancel(index); });
    return;
  }
  intent.waiting_for = 0;
  if (!info(answer.error).retry && answer.error != Errc::not_found) {
    intent.settled = true;
    return;
  }
  if (answer.error == Errc::not_found) world_.store.put(Store::input_of(intent.request.content));
  if (intent.tries > tries_with_a_key)
    intent.settled = true;
  else
    world_.events.after(world_.events.between(50ms, 500ms), [this, index] { submit(index); });
}

void Clients::cancel(int index) {
  const JobId job = intents_[static_cast<std::size_t>(index)].job;
  const int times = world_.events.chance(200) ? 2 : 1;
  for (int i = 0; i < times; ++i) {
    world_.events.after(world_.events.between(20us, 2ms), [this, index, job,
                                                           reply = ++next_reply_] {
      world_.shell.on_cancel(reply, intents_[static_cast<std::size_t>(index)].request.client, job);
    });
  }
}

bool Clients::done() const {
  return std::ranges::all_of(intents_, [&](const Intent& intent) {
    return intent.settled || (stopped_ && intent.tries == 0);
  });
}

}  // namespace tallymill::sim
