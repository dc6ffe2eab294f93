// StoredEnd: what the packed bytes of a job's end say, once they are read.
//
// Threads: plain values; views into the JobEnd that was read.
#pragma once

#include "base/result.h"
#include "bus/messages.h"
#include "front/body.h"
#include "front/ledger.h"

namespace tallymill::front {

struct StoredEnd {
  Body result;        // values and inline files
  bus::Done done;     // what the worker said: hops, descriptions of the files that are kept
  bool told = false;  // a worker said something at all; else `done` is empty
};

// `into` keeps its memory from one end to the next. corrupt: the bytes are not what was stored.
[[nodiscard]] Status read_end(const JobEnd& end, StoredEnd& into);

}  // namespace tallymill::front
