// Heap: what this process's allocator holds, and giving back to the system what nobody uses.
//
// After a burst an allocator keeps the memory for the next one, glibc for ever, jemalloc until it
// is called again, which in an idle process is never. So an idle process is told to give it back
// whenever more than before lies there unused.
//
//   invariant: nothing is given back while the process works: that takes the allocator's locks
//
// Threads: any, but an IdleTrim by one.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "base/limits.h"

namespace tallymill {

struct Heap {
  std::uint64_t allocated_bytes = 0;  // what the program asked for and has not freed
  std::uint64_t held_bytes = 0;       // what the allocator took from the system for that
};

// Of jemalloc in a program that links it, else of the C library. Cost: glibc takes the lock of each
// arena and walks its free pieces; some microseconds, in a fragmented heap milliseconds.
[[nodiscard]] Heap read_heap();

// Gives back what is free. Cost: takes the locks of all arenas, and the system's time for each page
// given back; milliseconds after a burst of a hundred MB.
void trim_heap();

// Says when: the process has used little CPU for limits::heap_idle, and more of its memory is spare
// than the last trim left. And once when it has been idle for four times as long: what was freed
// little by little since.
class IdleTrim {
 public:
  // At each look; `cpu` is what the process has used since its start.
  [[nodiscard]] bool is_idle(Instant now, Duration cpu);
  // At each look while it is idle; `spare_bytes`: in RAM, and not what the program asked for. Some
  // of it no trim gives back: code, and what lies between pieces in use.
  [[nodiscard]] bool due(std::uint64_t spare_bytes);
  // After a trim: what is spare still.
  void trimmed(std::uint64_t spare_bytes) { left_bytes_ = spare_bytes; }

 private:
  Instant last_look_{};
  Duration last_cpu_{0};
  Instant idle_since_{};
  bool seen_ = false;
  bool settled_ = true;  // nothing was done since the trim for what was freed little by little
  std::uint64_t left_bytes_ = 0;
};

}  // namespace tallymill
