#include "alerting/sink_probe.h"

namespace tallymill::alerting {

SinkProbe::SinkProbe(metrics::Registry& registry, const std::string& sink) {
  constexpr const char* words[] = {"taken", "again", "given_up"};
  for (std::size_t i = 0; i < 3; ++i)
    outcomes_[i] = &registry.counter("tallymill_alert_sink_messages_total",
                                     "Messages sent to a sink, by what came of it.",
                                     {{"sink", sink}, {"outcome", words[i]}});
  seconds_ = &registry.histogram("tallymill_alert_sink_send_seconds",
                                 "How long a sink took for a message.", {{"sink", sink}});
  waiting_ = &registry.gauge("tallymill_alert_sink_waiting_notices",
                             "Notices that a sink did not take yet.", {{"sink", sink}});
  oldest_ = &registry.gauge("tallymill_alert_sink_oldest_notice_seconds",
                            "How long the oldest notice waits that a sink did not take yet.",
                            {{"sink", sink}});
  muted_ = &registry.counter(
      "tallymill_alert_sink_muted_total",
      "Alerts that were over before they were no longer silenced or inhibited.", {{"sink", sink}});
  merged_ = &registry.counter("tallymill_alert_sink_merged_total",
                              "Notices that took the place of an earlier one, for too many waited.",
                              {{"sink", sink}});
}

void SinkProbe::sent(Outcome outcome, Duration took) {
  outcomes_[static_cast<std::size_t>(outcome)]->add();
  seconds_->record(took);
}

void SinkProbe::merged(std::int64_t all) {
  const auto now = static_cast<std::uint64_t>(all);
  if (now > merged_->value()) merged_->add(now - merged_->value());
}

}  // namespace tallymill::alerting
