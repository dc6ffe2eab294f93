#include "stages/probe.h"

namespace tallymill::stages {

LoopProbe::LoopProbe(metrics::Registry& registry)
    : received_(registry.counter("tallymill_stage_received_total",
                                 "Jobs that came in on the worker's lane.")),
      duplicates_(registry.counter("tallymill_stage_duplicates_total",
                                   "Jobs that came while the worker held them already.")),
      refused_(registry.counter("tallymill_stage_refused_total",
                                "Jobs that came while the worker held all that it may.")),
      missing_(
          registry.counter("tallymill_stage_missing_total",
                           "Numbers that a lane skipped: jobs that were sent and never came.")),
      bad_messages_(registry.counter("tallymill_stage_messages_refused_total",
                                     "Messages that were not of the protocol.")),
      handed_back_(registry.counter("tallymill_stage_handed_back_total",
                                    "Jobs given back unstarted because the worker leaves.")),
      stopped_(registry.counter("tallymill_stage_stopped_waiting_total",
                                "Jobs that were cancelled or too late before they started.")),
      sent_again_(registry.counter("tallymill_stage_results_sent_again_total",
                                   "Results that were sent once more, because the front asked or "
                                   "was away.")),
      held_(registry.gauge("tallymill_stage_held", "Jobs that the worker holds, in any phase.")),
      waiting_(registry.gauge("tallymill_stage_waiting", "Jobs that wait for a handler thread.")),
      retained_(registry.gauge("tallymill_stage_results_retained",
                               "Finished results that the front has not settled yet.")),
      held_bytes_(
          registry.gauge("tallymill_stage_held_bytes", "Bytes of the jobs that are not finished.")),
      fetched_bytes_(registry.gauge("tallymill_stage_fetched_bytes",
                                    "Bytes of the blobs that are kept for the next job.")),
      utilization_(registry.gauge("tallymill_stage_utilization_ratio",
                                  "Busy share of the handler threads since the last beat.")) {}

void LoopProbe::holds(std::size_t held, std::size_t waiting, std::size_t retained,
                      std::size_t bytes, std::size_t fetched_bytes, double utilization) {
  held_.set(static_cast<double>(held));
  waiting_.set(static_cast<double>(waiting));
  retained_.set(static_cast<double>(retained));
  held_bytes_.set(static_cast<double>(bytes));
  fetched_bytes_.set(static_cast<double>(fetched_bytes));
  utilization_.set(utilization);
}

HandlerProbe::HandlerProbe(metrics::Registry& registry, int thread)
    : service_(registry.histogram("tallymill_stage_service_seconds",
                                  "From start to finish of a job.",
                                  {{"thread", std::to_string(thread)}})),
      failed_(registry.counter("tallymill_stage_errors_total", "Jobs whose handler gave an error.",
                               {{"thread", std::to_string(thread)}})),
      stopped_(registry.counter("tallymill_stage_stopped_total",
                                "Jobs that stopped because they were cancelled or too late.",
                                {{"thread", std::to_string(thread)}})),
      handed_on_(registry.counter("tallymill_stage_handed_on_total",
                                  "Jobs given to the next hop's worker.",
                                  {{"thread", std::to_string(thread)}})),
      lane_gone_(registry.counter("tallymill_stage_lane_gone_total",
                                  "Jobs given back because the next hop's lane was not there.",
                                  {{"thread", std::to_string(thread)}})),
      not_sent_(registry.counter("tallymill_stage_results_not_sent_total",
                                 "Results that could not leave at once: the front was away.",
                                 {{"thread", std::to_string(thread)}})),
      notices_dropped_(registry.counter("tallymill_stage_notices_dropped_total",
                                        "Words for the front that found no room to wait.",
                                        {{"thread", std::to_string(thread)}})),
      blob_bytes_in_(registry.counter("tallymill_stage_blob_fetched_bytes_total",
                                      "Bytes of blobs that were fetched over the bus.",
                                      {{"thread", std::to_string(thread)}})),
      blob_bytes_out_(registry.counter("tallymill_stage_blob_put_bytes_total",
                                       "Bytes of results that were put over the bus.",
                                       {{"thread", std::to_string(thread)}})) {}

}  // namespace tallymill::stages
