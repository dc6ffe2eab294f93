// Where a test's ROUTER stands in the front's place: inproc, as the front itself, but for the
// sanitizer of threads, which does not see how libzmq hands a message over within a process.
//
// Threads: plain function.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

namespace tallymill::gateway {

inline std::string front_address() {
#ifdef __SANITIZE_THREAD__
  return "ipc://" + ::testing::TempDir() + "gateway-" + std::to_string(::getpid());
#else
  return "inproc://jobs";
#endif
}

}  // namespace tallymill::gateway
