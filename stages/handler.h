// Handler: the one function a stage writes, and what it is given.
//
// A stage is a function from job to output. The runtime around it (worker.h) has received, fenced
// and timed the job before the handler sees it, and ships what it returns. A handler reads its
// parameters and inputs, says how far it is, asks now and then whether it may stop, and returns
// files and values or an Error. It must be deterministic: a job whose worker died runs again, and
// both runs must give the same bytes. It may throw nothing; adapters turn library exceptions into
// Errors.
//
// Which error means what to the job: bad_params, too_big, stage_failed, memory end it as failed at
// once; away and busy are retried by the kind's policy; cancelled says that the handler stopped
// because cancelled() was true.
//
// Threads: a handler runs on one handler thread at a time; the runtime owns as many handlers as it
// has threads. Context may be used only from inside the call that it was passed to.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/schema.h"
#include "base/units.h"

namespace tallymill::stages {

// A named piece of bytes that a job brings; read-only, valid during the call.
struct Input {
  std::string_view name;        // as the client called it, untrusted: never a path
  std::string_view media_type;  // as the client said, untrusted: decide by the bytes themselves
  std::string_view bytes;
};

// A named piece of bytes that a handler makes.
struct File {
  std::string name;        // "engraving.png": no folders
  std::string media_type;  // "image/png"
  std::string bytes;
};

// What a handler returns. From the last hop of a route it is the job's result; from an earlier hop
// it goes to the next one as Job::carried, values and files alike.
struct Output {
  nlohmann::json values = nlohmann::json::object();  // small facts: sizes, settings, counts
  std::vector<File> files;
};

// What an earlier hop of the same attempt made, for this one.
struct Carried {
  nlohmann::json values = nlohmann::json::object();
  std::vector<Input> files;
};

struct Job {
  JobId id;
  Attempt attempt;
  std::string_view kind;
  const nlohmann::json& params;  // an object; checked against the kind's schema, defaults filled in
  std::span<const Input> inputs;
  const Carried& carried;
  std::optional<Instant> deadline;
  std::string_view raw_params =
      {};  // params as they came: well-formed msgpack, nothing else checked
};

// What a handler may say and ask while it runs.
class Context {
 public:
  virtual ~Context() = default;

  // How far the job is, 0..1, never falling; also the sign of life that the stall bound waits for.
  // Cheap: call it per strip of rows, the runtime thins it out.
  virtual void progress(double fraction) = 0;

  // A first, coarse version of a file, shown to the client at once and then forgotten.
  virtual void preview(File file) = 0;

  // True once the job was cancelled or its deadline passed: stop soon and return Errc::cancelled.
  [[nodiscard]] virtual bool cancelled() const = 0;

  // A named part of the service time ("decode", "encode"); shows up in the job's waterfall. Spans
  // may nest. Use Span below.
  virtual void span_begin(std::string_view name) = 0;
  virtual void span_end() = 0;
};

// Opens a sub-span for a scope.
class Span {
 public:
  Span(Context& context, std::string_view name) : context_(context) { context_.span_begin(name); }
  ~Span() { context_.span_end(); }
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;

 private:
  Context& context_;
};

using Handler = std::function<Result<Output>(const Job&, Context&)>;

// A kind of job and the function that serves it at this stage.
struct StageKind {
  KindSpec spec;
  Handler handler;
  // The handler reads raw_params by itself, and `params` is empty: for jobs of a few microseconds,
  // where building JSON would be the dearest part.
  bool raw_params = false;
  // The handler reads no input here, as at the first hop of `engrave`: they come without their
  // bytes and none is opened, which on another host would fetch it.
  bool ignores_inputs = false;
};

}  // namespace tallymill::stages
