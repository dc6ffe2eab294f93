// CodePages: a process gives back the memory of the code that only its start needed.
//
// What the loader reads to link a program of many libraries (symbols, relocations), and code that
// runs once, stays mapped for as long as the process lives. Given back, what is still needed is
// mapped again from the page cache when it is next used, in microseconds; the rest, some MB, is
// not.
//
//   invariant: only mappings of files that nobody writes are touched, code and the head of a file;
//              not data that the loader has made read-only, which is the process's own by then
//
// Threads: any time, beside any others.
#pragma once

#include <cstddef>

namespace tallymill {

// Bytes of mappings that were given back; 0 when /proc is not there.
std::size_t give_back_code_pages();

}  // namespace tallymill
