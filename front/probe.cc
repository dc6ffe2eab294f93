#include "front/probe.h"

namespace tallymill::front {
namespace {

void set_to(metrics::Counter& counter, std::int64_t value) {
  const auto now = static_cast<std::int64_t>(counter.value());
  if (value > now) counter.add(static_cast<std::uint64_t>(value - now));
}

}  // namespace

Probe::Probe(metrics::Registry& registry)
    : registry_(registry),
      anomalies_(&registry.counter(
          "tallymill_timing_anomalies_total",
          "Jobs whose parts are no cut of their whole: a sum 1 % and 20 microseconds off, or a "
          "part that ends before it begins.")) {
  std::size_t n = 0;
  for (const char* why : {"failed", "expired", "drawn"})
    kept_[n++] =
        &registry.counter("tallymill_waterfalls_kept_total",
                          "Waterfalls that are kept beyond their job, by reason.", {{"why", why}});
}

void Probe::waterfall_kept(EndState state) {
  kept_[state == EndState::failed ? 0 : state == EndState::expired ? 1 : 2]->add();
}

metrics::Histogram& Probe::part(std::string_view name, std::string_view stage) {
  // Job after job they come in the same order: looked for from where the last one was found.
  for (std::size_t n = 0; n < parts_.size(); ++n) {
    next_part_ = next_part_ + 1 < parts_.size() ? next_part_ + 1 : 0;
    const OfPart& known = parts_[next_part_];
    if (known.stage == stage && known.name == name) return *known.histogram;
  }
  auto& histogram = registry_.histogram(
      "tallymill_job_part_seconds", "How long each part of a job took, by part and stage.",
      {{"part", std::string(name)}, {"stage", stage.empty() ? "front" : std::string(stage)}});
  parts_.push_back({std::string(name), std::string(stage), &histogram});
  return histogram;
}

void Probe::job_ended(const Ended& ended, const std::vector<Part>& parts, Duration clock_error) {
  const auto& [job, kind, whole, at] = ended;
  auto response = response_.find(kind);
  if (response == response_.end())
    response = response_
                   .emplace(kind, &registry_.histogram("tallymill_job_response_seconds",
                                                       "From a job's submit to its end, by kind.",
                                                       {{"kind", std::string(kind)}}))
                   .first;
  response->second->record(whole, job, at);
  for (const Part& one : parts) part(one.name, one.stage).record(one.length);
  if (!cuts(parts, whole, clock_error)) anomalies_->add();
}

void Probe::submit_refused(Errc code) {
  auto& counter = refused_[static_cast<int>(code)];
  if (counter == nullptr)
    counter = &registry_.counter("tallymill_submits_refused_total",
                                 "Submits answered with an error, by code.",
                                 {{"code", std::string(info(code).name)}});
  counter->add();
}

Probe::Door Probe::door(std::string_view name) {
  const metrics::Labels labels{{"door", std::string(name)}};
  return {&registry_.counter("tallymill_front_disconnects_total",
                             "Connections that ended, at either end, by door.", labels),
          &registry_.counter("tallymill_front_handshakes_failed_total",
                             "Connections that ended in their handshake, by door.", labels)};
}

void Probe::copy(const Snapshot& snapshot, const MachineCounts& counts, const Measures& measures) {
  const auto counter = [&](const char* name, const char* help, std::int64_t value,
                           metrics::Labels labels = {}) {
    set_to(registry_.counter(name, help, std::move(labels)), value);
  };
  const auto gauge = [&](const char* name, const char* help, std::int64_t value,
                         metrics::Labels labels = {}) {
    registry_.gauge(name, help, std::move(labels)).set(static_cast<double>(value));
  };
  counter("tallymill_jobs_accepted_total", "Jobs that are on disk, ever.",
          snapshot.totals.accepted);
  for (int s = 0; s < end_states; ++s)
    counter("tallymill_jobs_ended_total", "Jobs that ended, by end.", snapshot.totals.ended[s],
            {{"end", std::string(name_of(static_cast<EndState>(s)))}});
  constexpr const char* waiting_help = "Jobs that wait in the front, by what for.";
  gauge("tallymill_jobs_waiting", waiting_help, snapshot.waiting.ready, {{"for", "place"}});
  gauge("tallymill_jobs_waiting", waiting_help, snapshot.waiting.backoff, {{"for", "backoff"}});
  gauge("tallymill_jobs_waiting", waiting_help, snapshot.waiting.scheduled, {{"for", "schedule"}});
  gauge("tallymill_jobs_in_flight", "Jobs that are leased to workers.", snapshot.in_flight);
  gauge("tallymill_jobs_settling", "Jobs whose end is decided and not yet on disk.",
        snapshot.settling);
  gauge("tallymill_conservation_balanced",
        "1 while every accepted job is accounted for, or the "
        "ledger is still read back, else 0.",
        snapshot.replaying || snapshot.balanced() ? 1 : 0);
  counter("tallymill_dispatches_total", "Jobs sent to workers, each attempt.", counts.dispatched);
  counter("tallymill_redeliveries_total", "Dispatches of a job that had been dispatched before.",
          counts.redelivered);
  counter("tallymill_leases_lapsed_total", "Leases that no worker listed in time.", counts.lapsed);
  counter("tallymill_charges_total", "Attempts that were lost with their worker.", counts.charged);
  counter("tallymill_retries_total", "Attempts that failed and are tried again.", counts.retried);
  counter("tallymill_results_fenced_total", "Results under a token that is not the present one.",
          counts.fenced);
  counter("tallymill_results_dropped_total", "Results after a cancel or a deadline.",
          counts.dropped_stopping);
  counter("tallymill_jobs_adopted_total", "Jobs that workers kept over a restart of the front.",
          counts.adopted);
  counter("tallymill_jobs_handed_back_total", "Jobs that a worker gave back unstarted.",
          counts.handed_back);
  gauge("tallymill_links_broken", "Pairs of workers of which one cannot hand jobs to the other.",
        snapshot.broken_links);
  gauge("tallymill_jobs_live_bytes", "Bytes of the jobs that have not ended.",
        measures.live_bytes.raw());
  gauge("tallymill_jobs_kept_bytes", "Bytes of waiting jobs that are kept in memory.",
        measures.kept_bodies.raw());
  gauge("tallymill_process_cache_bytes",
        "Memory in caches that have a bound, of what is allocated.", measures.sqlite.raw());
  gauge("tallymill_idempotency_keys", "Idempotency keys that the ledger holds.",
        measures.idempotency_keys);
  gauge("tallymill_waterfalls_held", "Waterfalls that the ledger keeps for who reads them.",
        measures.waterfalls);
  constexpr const char* errands_help = "Questions that wait for a disk, by what they need of it.";
  gauge("tallymill_front_errands", errands_help, measures.questions, {{"for", "ledger"}});
  gauge("tallymill_front_errands", errands_help, measures.blobs, {{"for", "blobs"}});
  gauge("tallymill_front_unstored_bytes", "Bytes that wait for the blob store.",
        measures.unstored.raw());
  gauge("tallymill_front_connections", "Clients that the front knows.", measures.connections);
  gauge("tallymill_front_client_names", "Names of clients that are connected or have jobs.",
        measures.clients);
  gauge("tallymill_front_kinds", "Kinds of jobs that the front knows.", measures.kinds);
  gauge("tallymill_front_stages", "Stages that the front knows.", measures.stages);
  gauge("tallymill_front_clients_behind",
        "Clients that do not read: they lost ends and could not be told of the gap yet.",
        measures.behind);
  gauge("tallymill_front_client_out_bytes", "Bytes of large frames that clients have yet to read.",
        measures.client_out.raw());
  gauge("tallymill_commit_queue", "Entries that wait for their commit.", measures.commit_queue);
  counter("tallymill_front_messages_refused_total", "Messages that were not of the protocol.",
          messages_refused_ + measures.control_refused);
  counter("tallymill_front_messages_dropped_total",
          "Messages to clients that were gone or did not read.", measures.messages_dropped);
}

}  // namespace tallymill::front
