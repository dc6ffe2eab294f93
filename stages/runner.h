// Runner: one job through its handler: parameters, inputs, the call, what it returned.
//
// The only place that calls a handler, and the only one that stops what it throws.
//
// Threads: a Runner belongs to its handler thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log_budget.h"
#include "base/result.h"
#include "stages/blob_door.h"
#include "stages/desk.h"
#include "stages/handler.h"
#include "stages/run_context.h"
#include "stages/shared.h"

namespace tallymill::stages {

struct OutFile {
  std::string name;
  std::string media_type;
  std::string digest;  // empty: inline
  std::string bytes;   // inline
  std::int64_t size = 0;
};

// A job whose hop is over.
struct Outcome {
  enum class What : std::uint8_t { ok, error, stopped } what = What::ok;
  HeldPtr job;
  Error error{Errc::stage_failed, {}, {}, {}};  // error, stopped
  std::string values;                           // msgpack, a map; empty: none
  std::vector<OutFile> files;
  std::vector<SpanRecord> spans;
  std::int64_t started_ns = 0;  // this host's clock; 0: it never did
  std::int64_t finished_ns = 0;
};

class Runner {
 public:
  Runner(Shared& shared, Slot& slot, HandlerProbe& probe)
      : shared_(shared), slot_(slot), probe_(probe), blobs_(shared, probe) {}

  // Runs it, or says at once why not: cancelled, too late, bad parameters, no such kind.
  [[nodiscard]] Outcome run(HeldPtr job);

  // What the job's service time will be, by the last ones of its kind; long when there was none.
  [[nodiscard]] Duration expected(const HeldJob& job) const;

 private:
  struct KindMemo {  // jobs of one kind often have the same parameters: they are checked once
    std::string raw;
    nlohmann::json checked;
    Duration expected = Duration::max();
    bool valid = false;
  };
  [[nodiscard]] std::size_t kind_index(std::string_view name) const;
  [[nodiscard]] Result<const nlohmann::json*> checked_params(std::size_t kind,
                                                             std::string_view raw);
  [[nodiscard]] Result<Output> call(std::size_t kind, const HeldJob& job, std::string_view raw,
                                    std::string_view carried, RunContext& context);
  // The bytes of each file: inline ones lie in the item's frames, others in what `holds` holds.
  [[nodiscard]] Status open_files(const std::vector<bus::FileRef>& refs, const bus::Item& item,
                                  RunContext& context,
                                  std::vector<std::shared_ptr<const void>>& holds,
                                  std::vector<Input>& out);
  [[nodiscard]] Status store_output(Output&& output, Outcome& outcome, RunContext& context);
  void say_end(const HeldJob& job, const Outcome& outcome, Duration service, Instant now);

  Shared& shared_;
  Slot& slot_;
  HandlerProbe& probe_;
  BlobDoor blobs_;
  std::vector<KindMemo> memos_;
  log::Budget ended_lines_{limits::job_lines_per_second};
};

}  // namespace tallymill::stages
