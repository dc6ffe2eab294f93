// Timeline: where a job's time went, from the stamps that its messages gathered.
//
//   whole  = intake .. announced, two readings of the front's own
//   parts  = intake | commit | earlier | queue | per hop: wire wait service handover | wire:front |
//            settle
//
// A job that was tried several times has the parts of each attempt added up, and backoff between
// them; an attempt of which no worker told anything is one part, lost attempt. `earlier` is what
// came before the first attempt that was noted: a scheduled start, a front that was away, places
// that were handed back.
//
// Each part is the difference of its own two stamps, taken by whoever was there, and never what is
// left over: the parts add up to the whole only if no stamp is missing or taken elsewhere, and that
// is checked for every job.
//
// Threads: plain values.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "bus/messages.h"
#include "front/ledger.h"
#include "front/machine.h"

namespace tallymill::front {

// One attempt as the ledger keeps it: the front's stamps and the Done header with its hops.
[[nodiscard]] std::string pack_attempt(const FrontStamps& stamps, const bus::Token& token,
                                       std::string_view outcome, std::string_view done_header);

// Views into the packed bytes.
struct StoredAttempt {
  FrontStamps stamps;
  bus::Token token;
  std::string_view outcome;  // ok error failed stopped lost; empty: it was never sent
  bus::Done done;            // what its worker said
  bool told = false;         // a worker said something at all; else `done` is empty
};
// corrupt when the bytes are not what pack_attempt() made.
[[nodiscard]] Result<StoredAttempt> read_attempt(std::string_view packed, JobId job);

// Views into static names and into the hops.
struct Part {
  std::string_view name;   // "intake", "commit", "queue", "wire", "wait", ...
  std::string_view stage;  // of a hop's parts, and "front" for the wire back; else empty
  Duration length{};

  // As on the wire: "queue", "wire:compute".
  [[nodiscard]] std::string title() const;
};
// The parts of the attempt that ended in `stamps.returned`, in order. Not `told`: no worker said
// anything of it.
[[nodiscard]] std::vector<Part> parts_of(const FrontStamps& stamps,
                                         const std::vector<bus::Hop>& hops, Duration earlier,
                                         bool told = true);

// How far the parts may differ from the whole before the job is counted as an anomaly.
[[nodiscard]] Duration tolerance(Duration whole);

// What the stamps of other hosts may be wrong by.
[[nodiscard]] Duration clock_error_of(const std::vector<bus::Hop>& hops);

// Whether the parts are a cut of the whole: they add up to it and none ends before it begins.
[[nodiscard]] bool cuts(const std::vector<Part>& parts, Duration whole, Duration clock_error);

// The timeline schema of docs/protocol.md. corrupt when the ledger's bytes cannot be read.
[[nodiscard]] Result<nlohmann::json> timeline_json(const StoredTimeline& stored);

}  // namespace tallymill::front
