// Shared: what the loop and the handler threads of one worker have in common.
//
// Threads: as each member says; all outlive the handler threads.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>
#include <zmq.hpp>

#include "base/clock.h"
#include "base/limits.h"
#include "bus/endpoints.h"
#include "bus/mailbox.h"
#include "stages/blob_place.h"
#include "stages/clock_offset.h"
#include "stages/desk.h"
#include "stages/fetched.h"
#include "stages/handler.h"
#include "stages/probe.h"

namespace tallymill::stages {

// What a handler thread is doing, for the stall watch and the utilization.
struct alignas(64) Slot {
  std::atomic<std::int64_t> sign_ns{0};  // last sign of life of the job that runs; 0: none does
  std::atomic<std::int64_t> started_ns{0};
  std::atomic<std::int64_t> stall_ns{0};  // its bound on silence; 0: none
  std::atomic<std::int64_t> job{0};
  std::atomic<std::int64_t> busy_ns{0};  // sum over the jobs that ended here

  // The trace id of the job, 32 characters or none: for the line that says that it hangs.
  void set_trace(std::string_view id) {
    for (std::size_t i = 0; i < trace_.size(); ++i) {
      std::uint64_t part = 0;
      if (id.size() == sizeof trace_) std::memcpy(&part, id.data() + i * sizeof part, sizeof part);
      trace_[i].store(part, std::memory_order_relaxed);
    }
  }
  [[nodiscard]] std::string trace() const {
    std::string id(sizeof trace_, '\0');
    for (std::size_t i = 0; i < trace_.size(); ++i) {
      const std::uint64_t part = trace_[i].load(std::memory_order_relaxed);
      std::memcpy(id.data() + i * sizeof part, &part, sizeof part);
    }
    return id.front() == '\0' ? std::string() : id;
  }

 private:
  std::array<std::atomic<std::uint64_t>, 4> trace_{};
};

// What a handler thread has to say on the control socket.
struct Notice {
  enum class What : std::uint8_t { finished, back, preview, unsent } what = What::finished;
  bus::Token token;         // unsent: none; the desk knows which results did not leave
  std::string_view reason;  // a literal
  std::int64_t at_ns = 0;   // on the front's clock
  File file;                // preview
};

struct Shared {
  Shared(const Clock& the_clock, int handlers, std::size_t bound)
      : clock(the_clock), desk(handlers, bound), slots(static_cast<std::size_t>(handlers)) {}

  const Clock& clock;
  std::string stage;
  std::string incarnation;
  bool insecure = false;
  std::vector<StageKind> kinds;
  zmq::context_t zmq = bus::make_context();
  Desk desk;
  std::vector<Slot> slots;
  bus::Mailbox<Notice> notices{limits::worker_notices};
  ClockOffset offset;
  BlobPlace blobs;
  Fetched fetched{limits::fetched_bytes};
  metrics::Registry registry;
  LoopProbe probe{registry};  // the loop's alone

  // When the box is full the lease tells the front what the notice would have.
  void tell(Notice&& notice, HandlerProbe& from) {
    if (!notices.put(std::move(notice))) from.notice_dropped();
  }
};

}  // namespace tallymill::stages
