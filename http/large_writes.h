// Large writes: how much of an answer one call hands to the system.
//
// Asio's own completion condition, transfer_all, cuts what is written into calls of 64 KiB, which
// costs a tenth of the rate of files of 100 KiB. Without a bound, a fast reader of a large file
// would hold up everybody else for as long as it drains.
//
// Threads: any.
#pragma once

#include <boost/system/error_code.hpp>
#include <cstddef>

#include "base/limits.h"

namespace tallymill::http {

// A completion condition of async_write.
inline constexpr auto large_writes = [](boost::system::error_code failed, std::size_t) {
  return failed ? std::size_t{0} : static_cast<std::size_t>(limits::http_write_bytes.raw());
};

}  // namespace tallymill::http
