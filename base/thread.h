// Thread discipline: which thread may touch an object, said in code and checked in debug builds; a
// thread's name; and unique_handle, which closes a C library's handle.
//
// Threads: as each type says.
#pragma once

#include <pthread.h>

#include <memory>
#include <thread>

#include "base/check.h"

namespace tallymill {

// Belongs to the thread that first asks it; any other thread's question is a bug. A member of every
// class that "one thread owns". Costs nothing in release.
class ThreadChecker {
 public:
#ifdef NDEBUG
  void check() const {}
  void detach() {}
#else
  void check() const {
    if (owner_ == std::thread::id{}) owner_ = std::this_thread::get_id();
    TM_CHECK(owner_ == std::this_thread::get_id());
  }
  // The next thread that asks becomes the owner: for objects made on one thread and run on another.
  void detach() { owner_ = {}; }

 private:
  mutable std::thread::id owner_{};
#endif
};

// What `top -H`, `perf` and a debugger call this thread: at most 15 bytes. Not for the first
// thread, whose name is the process's.
inline void name_thread(const char* name) { (void)::pthread_setname_np(::pthread_self(), name); }

// unique_handle<sqlite3, sqlite3_close_v2>: a unique_ptr to a C handle, closed by its function.
template <auto Close>
struct HandleCloser {
  template <class T>
  void operator()(T* handle) const {
    Close(handle);
  }
};
template <class T, auto Close>
using unique_handle = std::unique_ptr<T, HandleCloser<Close>>;

}  // namespace tallymill
