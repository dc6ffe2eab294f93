// TCP acked: how far the other end of a connection has come in taking what was written to it.
//
// A write that does not end says nothing of its reader: megabytes stand in the system's buffers.
// How many bytes were acknowledged tells a slow reader from one that does not read.
//
// Threads: a pure question to the system.
#pragma once

#include <cstdint>

namespace tallymill::http {

// Bytes since the connection began; 0 where the system does not tell.
[[nodiscard]] std::uint64_t tcp_acked(int socket);

}  // namespace tallymill::http
