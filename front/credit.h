// Credits: the places at a worker, so that nothing is ever sent into a full queue.
//
// A worker's hello says how many jobs and bytes it will hold. The front keeps one CreditWindow per
// worker incarnation, takes a place for each job it sends and gives it back when that job's hop
// ends or its lease lapses. With no place the job waits in the ledger (where queue wait is
// measured), not in a socket buffer (where it is not). Nothing is granted by messages that add up:
// a lost one would shrink the window for ever. The window is derived from the leases, and dies with
// the incarnation.
//
//   invariant: try_take() never passes the limit; held() is zero when nothing is leased
//
// Threads: owned by the front's loop thread; no locks, and none needed.
// Source: credit-based flow control, as in the ZeroMQ guide; why not by HWM: docs/adr.
#pragma once

#include "base/check.h"
#include "base/limits.h"
#include "base/result.h"
#include "base/units.h"

namespace tallymill::front {

struct Places {
  Credits jobs;
  Bytes bytes;
};

class CreditWindow {
 public:
  // Sets what the worker says it will hold, at hello or later; may be less than what it holds now,
  // and then nothing is sent until enough comes back. bad_params when not positive, too_big when
  // over limits::max_places_per_worker: a broken or hostile worker. Nothing changes then, and the
  // caller drops the worker.
  [[nodiscard]] Status set_limit(Places limit) {
    if (limit.jobs <= Credits(0) || limit.bytes <= Bytes(0))
      return fail(Errc::bad_params, "a worker must hold at least one job and one byte");
    if (limit.jobs > limits::max_places_per_worker.jobs ||
        limit.bytes > limits::max_places_per_worker.bytes)
      return fail(Errc::too_big, "a worker offers more places than one worker may");
    limit_ = limit;
    return {};
  }

  // Takes a place for a job of `size`. False when there is none: leave the job in the ledger. A job
  // larger than the whole byte limit goes alone, else it would wait for ever.
  // REQUIRES: 0 <= size <= limits::max_job_bytes.
  [[nodiscard]] bool try_take(Bytes size) {
    TM_CHECK(size >= Bytes(0) && size <= limits::max_job_bytes);
    const bool alone = held_.jobs == Credits(0);
    if (held_.jobs >= limit_.jobs) return false;
    if (!alone && held_.bytes + size > limit_.bytes) return false;
    held_.jobs += Credits(1);
    held_.bytes += size;
    return true;
  }

  // Takes a place that the worker fills already, whatever the limit says: it held the job before
  // this front knew it, or the job reached it from an earlier hop. try_take() then says no until
  // enough came back.
  void force_take(Bytes size) {
    held_.jobs += Credits(1);
    held_.bytes += size;
  }

  // REQUIRES: a place of exactly `size` was taken and not given back.
  void give_back(Bytes size) {
    TM_CHECK(held_.jobs > Credits(0) && held_.bytes >= size);
    held_.jobs -= Credits(1);
    held_.bytes -= size;
  }

  [[nodiscard]] Places held() const { return held_; }
  [[nodiscard]] Places limit() const { return limit_; }

 private:
  Places limit_{};
  Places held_{};
};

}  // namespace tallymill::front
