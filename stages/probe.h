// Probe: the metrics of a worker. Names and labels stand here only; the code says what happened.
//
// A metric is written by one thread, so the loop has a probe and each handler thread has one.
//
// Threads: LoopProbe the loop's, HandlerProbe its handler thread's; made before these run.
#pragma once

#include <string>

#include "base/metrics.h"

namespace tallymill::stages {

class LoopProbe {
 public:
  explicit LoopProbe(metrics::Registry& registry);

  void received(std::uint64_t jobs) { received_.add(jobs); }
  void duplicate(std::uint64_t jobs) { duplicates_.add(jobs); }
  void refused(std::uint64_t jobs) { refused_.add(jobs); }
  void missing(std::uint64_t jobs) { missing_.add(jobs); }
  void bad_message() { bad_messages_.add(); }
  void handed_back() { handed_back_.add(); }
  void stopped_waiting() { stopped_.add(); }
  void sent_again() { sent_again_.add(); }
  // At each beat: the table's sizes and the handler threads' utilization.
  void holds(std::size_t held, std::size_t waiting, std::size_t retained, std::size_t bytes,
             std::size_t fetched_bytes, double utilization);

 private:
  metrics::Counter& received_;
  metrics::Counter& duplicates_;
  metrics::Counter& refused_;
  metrics::Counter& missing_;
  metrics::Counter& bad_messages_;
  metrics::Counter& handed_back_;
  metrics::Counter& stopped_;
  metrics::Counter& sent_again_;
  metrics::Gauge& held_;
  metrics::Gauge& waiting_;
  metrics::Gauge& retained_;
  metrics::Gauge& held_bytes_;
  metrics::Gauge& fetched_bytes_;
  metrics::Gauge& utilization_;
};

class HandlerProbe {
 public:
  HandlerProbe(metrics::Registry& registry, int thread);

  void served(Duration service, JobId job, Instant finished) {
    service_.record(service, job, finished);
  }
  void failed() { failed_.add(); }
  void stopped() { stopped_.add(); }
  void handed_on() { handed_on_.add(); }
  void lane_gone() { lane_gone_.add(); }
  void not_sent(std::uint64_t results) { not_sent_.add(results); }
  void notice_dropped() { notices_dropped_.add(); }
  void fetched(std::uint64_t bytes) { blob_bytes_in_.add(bytes); }
  void put(std::uint64_t bytes) { blob_bytes_out_.add(bytes); }

 private:
  metrics::Histogram& service_;
  metrics::Counter& failed_;
  metrics::Counter& stopped_;
  metrics::Counter& handed_on_;
  metrics::Counter& lane_gone_;
  metrics::Counter& not_sent_;
  metrics::Counter& notices_dropped_;
  metrics::Counter& blob_bytes_in_;
  metrics::Counter& blob_bytes_out_;
};

}  // namespace tallymill::stages
