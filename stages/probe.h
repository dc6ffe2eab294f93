// Probe: the metrics of a worker. Names and labels stand here only; the code says what happened.
//
// Threads: any; each call is a relaxed add.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/clock.h"

namespace tallymill::stages {

class Probe {
 public:
  using Count = std::atomic<std::int64_t>;

  void received(std::int64_t jobs) { add(received_, jobs); }
  void duplicate(std::int64_t jobs) { add(duplicates_, jobs); }
  void refused(std::int64_t jobs) { add(refused_, jobs); }
  void bad_message() { add(bad_messages_, 1); }
  void missing(std::int64_t jobs) { add(missing_, jobs); }
  void served(Duration service) {
    add(served_, 1);
    add(service_ns_, service.count());
  }
  void failed() { add(failed_, 1); }
  void stopped() { add(stopped_, 1); }
  void handed_on() { add(handed_on_, 1); }
  void handed_back() { add(handed_back_, 1); }
  void sent_again() { add(sent_again_, 1); }
  void result_not_sent(std::int64_t jobs) { add(not_sent_, jobs); }
  void notice_dropped() { add(notices_dropped_, 1); }

  // For a reader: name, value. Counters but for none.
  template <class F>
  void each(F&& f) const {
    f("tallymill_stage_jobs_received_total", received_.load());
    f("tallymill_stage_jobs_duplicate_total", duplicates_.load());
    f("tallymill_stage_jobs_refused_total", refused_.load());
    f("tallymill_stage_jobs_missing_total", missing_.load());
    f("tallymill_stage_jobs_served_total", served_.load());
    f("tallymill_stage_service_nanoseconds_total", service_ns_.load());
    f("tallymill_stage_errors_total", failed_.load());
    f("tallymill_stage_stopped_total", stopped_.load());
    f("tallymill_stage_handed_on_total", handed_on_.load());
    f("tallymill_stage_handed_back_total", handed_back_.load());
    f("tallymill_stage_results_sent_again_total", sent_again_.load());
    f("tallymill_stage_results_not_sent_total", not_sent_.load());
    f("tallymill_stage_notices_dropped_total", notices_dropped_.load());
    f("tallymill_stage_bad_messages_total", bad_messages_.load());
  }

 private:
  static void add(Count& count, std::int64_t n) { count.fetch_add(n, std::memory_order_relaxed); }
  Count received_{0}, duplicates_{0}, refused_{0}, bad_messages_{0}, missing_{0}, served_{0},
      service_ns_{0}, failed_{0}, stopped_{0}, handed_on_{0}, handed_back_{0}, sent_again_{0},
      not_sent_{0}, notices_dropped_{0};
};

}  // namespace tallymill::stages
