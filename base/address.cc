#include "base/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstring>

namespace tallymill {
namespace {

constexpr std::string_view scheme_end = "://";

// Room for the path and its closing NUL.
constexpr std::size_t ipc_path_max = sizeof(sockaddr_un{}.sun_path) - 1;

std::unexpected<Error> wrong(std::string_view endpoint, std::string_view why) {
  return fail(Errc::bad_params, "'" + std::string(endpoint) + "' is no endpoint: " +
                                    std::string(why) + "; as tcp://127.0.0.1:7750 or ipc:///path");
}

Result<std::uint16_t> parse_port(std::string_view endpoint, std::string_view text) {
  if (text == "*") return std::uint16_t{0};
  std::uint16_t port = 0;
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (bad != std::errc{} || end != text.data() + text.size() || text.empty()) {
    return wrong(endpoint, "the port is a number up to 65535, or *");
  }
  return port;
}

bool is_loopback_host(const std::string& host) {
  if (host == "localhost" || host == "lo") return true;
  std::array<unsigned char, 16> bytes{};
  if (inet_pton(AF_INET, host.c_str(), bytes.data()) == 1) return bytes[0] == 127;
  if (inet_pton(AF_INET6, host.c_str(), bytes.data()) != 1) return false;
  std::array<unsigned char, 16> one{};
  one[15] = 1;
  if (bytes == one) return true;
  // An IPv4 address in IPv6 form, ::ffff:127.0.0.1.
  constexpr std::array<unsigned char, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::memcmp(bytes.data(), mapped.data(), mapped.size()) == 0 && bytes[12] == 127;
}

}  // namespace

Result<Endpoint> parse_endpoint(std::string_view text) {
  const std::size_t scheme = text.find(scheme_end);
  if (scheme == std::string_view::npos) return wrong(text, "it names no transport");
  Endpoint out{std::string(text.substr(0, scheme)), {}, 0};
  const std::string_view rest = text.substr(scheme + scheme_end.size());
  if (out.transport == "ipc") {
    if (rest.empty()) return wrong(text, "it names no path");
    if (rest.size() > ipc_path_max) return wrong(text, "the path is over 107 bytes");
    out.host = rest;
    return out;
  }
  if (out.transport != "tcp") return wrong(text, "the transport is neither tcp nor ipc");
  const std::size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return wrong(text, "it is not host:port");
  auto port = parse_port(text, rest.substr(colon + 1));
  if (!port) return std::unexpected(std::move(port).error());
  std::string_view host = rest.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  // libzmq takes "source;destination": what would be judged is not what would be reached.
  if (host.find_first_of(" ;/[]") != std::string_view::npos)
    return wrong(text, "the host is not one name or address");
  out.host = host;
  out.port = *port;
  return out;
}

std::string beside(std::string_view reached, std::string_view told) {
  const auto there = parse_endpoint(reached);
  const auto named = parse_endpoint(told);
  if (!there || !named || named->transport != "tcp") return std::string(told);
  const bool any = named->host == "*" || named->host == "0.0.0.0";
  if (there->transport != "tcp" && !any) return std::string(told);
  const std::string host = there->transport == "tcp" ? there->host : "127.0.0.1";
  return "tcp://" + host + ":" + std::to_string(named->port);
}

std::string address_towards(std::string_view endpoint) {
  std::string address = "127.0.0.1";  // unless a better one is found
  const auto to = parse_endpoint(endpoint);
  if (!to || to->transport != "tcp" || is_loopback(endpoint)) return address;
  addrinfo wanted{};
  wanted.ai_family = AF_INET;
  wanted.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(to->host.c_str(), std::to_string(to->port).c_str(), &wanted, &found) != 0)
    return address;
  // A datagram socket that connects only asks the routing table.
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in here{};
  socklen_t size = sizeof here;
  char text[INET_ADDRSTRLEN];
  if (fd >= 0 && ::connect(fd, found->ai_addr, found->ai_addrlen) == 0 &&
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&here), &size) == 0 &&
      inet_ntop(AF_INET, &here.sin_addr, text, sizeof text) != nullptr)
    address = text;
  if (fd >= 0) ::close(fd);
  freeaddrinfo(found);
  return address;
}

bool is_loopback(std::string_view endpoint) {
  if (endpoint.starts_with("inproc://")) return true;
  const auto parsed = parse_endpoint(endpoint);
  return parsed && (parsed->transport == "ipc" || is_loopback_host(parsed->host));
}

}  // namespace tallymill
