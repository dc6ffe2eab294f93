// HandlerThread: takes jobs from the desk, runs them one after the other, sends on what they made.
//
// Results leave at once when nothing more waits; while more short jobs wait they are gathered
// (egress.h). The thread sleeps on the desk and nowhere else.
//
// Threads: made and destroyed by the worker's loop thread; the rest happens on its own.
#pragma once

#include <thread>

#include "stages/shared.h"

namespace tallymill::stages {

class HandlerThread {
 public:
  // `results`: its socket to the front's results door. `shared` outlives the thread.
  HandlerThread(Shared& shared, int index, zmq::socket_t&& results);
  // REQUIRES: the desk is closed. Returns when the running job and those taken with it are through.
  ~HandlerThread();
  HandlerThread(const HandlerThread&) = delete;
  HandlerThread& operator=(const HandlerThread&) = delete;

 private:
  std::thread thread_;
};

}  // namespace tallymill::stages
