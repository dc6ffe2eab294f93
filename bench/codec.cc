// What the codec costs a job: nanoseconds to pack and to take apart the messages that a job
// crosses. usage: figures.h.
#include <fmt/format.h>

#include <chrono>
#include <string>
#include <vector>

#include "base/check.h"
#include "bench/figures.h"
#include "bus/envelope.h"

namespace tallymill::bus {
namespace {

using Stopwatch = std::chrono::steady_clock;

Submit some_submit() {
  Submit submit;
  submit.request = 123'456;
  submit.kind = "synthetic";
  submit.key = "0123456789abcdef";
  submit.trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  return submit;
}

Work some_work() {
  Work work;
  work.token = {.job = 1'234'567, .epoch = 17, .attempt = 1};
  work.kind = "synthetic";
  work.route = {{.stage = "compute", .worker = "c-4bf92f3577b3"}};
  work.hops = {{.stage = "compute", .worker = "c-4bf92f3577b3", .sent_ns = 1'234'567'890'123}};
  work.from = "front";
  work.number = 4711;
  work.stall_ms = 60'000;
  return work;
}

Done some_done() {
  Done done;
  done.token = {.job = 1'234'567, .epoch = 17, .attempt = 1};
  done.worker = "c-4bf92f3577b3";
  done.outcome = "ok";
  done.hops = {{.stage = "compute",
                .worker = "c-4bf92f3577b3",
                .sent_ns = 1'234'567'890'123,
                .received_ns = 1'234'567'990'123,
                .started_ns = 1'234'568'090'123,
                .finished_ns = 1'234'569'890'123,
                .handed_ns = 1'234'570'890'123}};
  return done;
}

Event some_event() {
  Event event;
  event.job = 1'234'567;
  event.seq = 7'654'321;
  event.what = "done";
  event.attempts = 1;
  event.whole_ns = 654'321;
  event.took_ns = 543'210;
  return event;
}

std::string_view some_params() {
  return {"\x83\xaaservice_us\x00\xa4mode\xa4spin\xa5route\x90", 30};
}

// Runs `batch` (which does `per_batch` operations) until half a second is gone.
template <class F>
void measure(std::string_view name, std::size_t per_batch, std::size_t bytes, F&& batch) {
  std::vector<double> ns;
  batch();
  const auto end = Stopwatch::now() + std::chrono::milliseconds(500);
  while (Stopwatch::now() < end) {
    const auto begin = Stopwatch::now();
    batch();
    ns.push_back(std::chrono::duration<double, std::nano>(Stopwatch::now() - begin).count() /
                 static_cast<double>(per_batch));
  }
  bench::print(fmt::format("{}, {} B each", name, bytes / per_batch), "ns a message", ns);
}

template <class M>
void measure_message(std::string_view name, const M& message, std::string_view params) {
  for (const std::size_t batch : {1u, 128u}) {
    // A sample takes some microseconds, so that reading the clock does not count.
    const std::size_t envelopes = batch == 1 ? 256 : 4;
    const std::size_t messages = envelopes * batch;
    Packer packer;
    const auto pack = [&] {
      for (std::size_t i = 0; i < batch; ++i) packer.add(message, params);
      return packer.take();
    };
    const Frames packed = pack();
    const std::size_t bytes = (packed[1].size() + packed[2].size()) * envelopes;
    std::size_t total = 0;
    measure(fmt::format("encode {} x{}", name, batch), messages, bytes, [&] {
      for (std::size_t e = 0; e < envelopes; ++e) total += pack().size();
    });

    std::vector<Frames> inbox(envelopes);
    M into;
    // The frames that are decoded must be copied for each sample; that is not timed with the rest
    // by subtracting a run that only copies.
    const auto copies = [&] {
      for (Frames& frames : inbox) {
        frames.resize(packed.size());
        for (std::size_t i = 0; i < packed.size(); ++i)
          frames[i].copy(const_cast<zmq::message_t&>(packed[i]));
      }
    };
    measure(fmt::format("copy {} x{}", name, batch), messages, bytes, copies);
    measure(fmt::format("copy and decode {} x{}", name, batch), messages, bytes, [&] {
      copies();
      for (Frames& frames : inbox) {
        auto envelope = Envelope::decode(std::move(frames));
        TM_CHECK(envelope.has_value());
        for (const Item& item : envelope->items()) TM_CHECK(read_into(item, into).has_value());
      }
    });
    TM_CHECK(total > 0);
  }
}

}  // namespace
}  // namespace tallymill::bus

int main(int argc, char** argv) {
  using namespace tallymill::bus;
  (void)tallymill::bench::asked({.name = "codec", .parts = {}}, argc, argv);
  measure_message("submit", some_submit(), some_params());
  measure_message("work", some_work(), some_params());
  measure_message("done", some_done(), {});
  measure_message("event", some_event(), {});
}
