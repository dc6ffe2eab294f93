// A file of its own: <netinet/tcp.h>, which Boost.Asio includes, has an older tcp_info.
#include "http/tcp_acked.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace tallymill::http {

std::uint64_t tcp_acked(int socket) {
  tcp_info info{};
  socklen_t size = sizeof(info);
  if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return 0;
  return info.tcpi_bytes_acked;
}

}  // namespace tallymill::http
