// Mutants: bugs planted on purpose, one per build, to show that the tests would find them: the
// simulator (tests/sim), and for what lives in the ledger its own tests (tests/front).
//
// -DTALLYMILL_MUTANT=no_fence builds the shipping code with that one bug. Without it every check
// below is a constant false and leaves no trace in the program.
//
// Threads: constants.
#pragma once

namespace tallymill::front {

enum class Mutant {
  none,
  // The delivery promise: found by the simulator.
  ack_before_commit,
  terminal_before_commit,
  epoch_not_raised,
  attempt_not_raised,  // at a free re-dispatch
  no_fence,
  no_idempotency,
  expiry_before_drain,  // leases are judged before the control sockets were drained
  place_not_given_back,
  adopt_lower_token,
  blob_before_commit,  // a blob is collected before the commit that refers to it
  cancel_forgotten,    // at restart
  commit_not_synced,   // found where power is cut, and only there
  // Why a job ends, what counts against it, who goes first: found by the simulator.
  cancelled_unasked,  // an attempt was lost
  expired_early,      // by a few milliseconds
  failed_early,       // one retry less than its kind has
  done_unsaid,        // after its last charge
  backoff_ignored,    // sent at once, whatever the note says
  failure_uncounted,  // retried without end
  charged_hand_back,  // by a worker that never ran it
  charged_twice,      // one lost attempt
  charge_forgotten,   // of one that was to blame
  charged_unstarted,  // it had merely been received
  charged_link,       // the link broke
  charged_bystander,  // another job's worker died
  retried_unasked,    // after an error that is final
  backoff_too_long,
  bytes_ignored,     // of the jobs at a worker
  place_free_early,  // when its job starts
  priority_ignored,
  turn_ignored,      // of the clients
  nearest_ignored,   // of a client's deadlines
  failure_not_kept,  // its waterfall goes with the job
  // The conservation law: found by the snapshot.
  drop_queue_entry,
  drop_lease,
  count_done_twice,
  swallow_lane_message,
};

#define TM_MUTANT_NAMED(name) Mutant::name
#ifdef TALLYMILL_MUTANT
inline constexpr Mutant planted = TM_MUTANT_NAMED(TALLYMILL_MUTANT);
#else
inline constexpr Mutant planted = Mutant::none;
#endif

// True in the one build that plants `mutant`.
[[nodiscard]] consteval bool plants(Mutant mutant) { return planted == mutant; }

}  // namespace tallymill::front
