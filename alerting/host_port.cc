#include "alerting/host_port.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace tallymill::alerting::templates {
namespace {

struct HostPort {
  std::string_view host;
  std::string_view port;
};

std::optional<HostPort> split(std::string_view address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  HostPort parts{{}, address.substr(colon + 1)};
  std::string_view no_open = address, no_close = address;
  if (address.starts_with('[')) {
    const std::size_t close = address.find(']');
    if (close == std::string_view::npos || close + 1 != colon) return std::nullopt;
    parts.host = address.substr(1, close - 1);
    no_open.remove_prefix(1);
    no_close.remove_prefix(close + 1);
  } else {
    parts.host = address.substr(0, colon);
    if (parts.host.find(':') != std::string_view::npos) return std::nullopt;
  }
  if (no_open.find('[') != std::string_view::npos || no_close.find(']') != std::string_view::npos)
    return std::nullopt;
  return parts;
}

bool is_ip(std::string_view host) {
  std::array<unsigned char, 16> bytes{};
  const std::string text(host);
  if (text.find('\0') != std::string::npos) return false;
  return inet_pton(AF_INET, text.c_str(), bytes.data()) == 1 ||
         inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1;
}

}  // namespace

std::string without_port(std::string_view address) {
  const auto parts = split(address);
  return std::string(parts ? parts->host : address);
}

std::string without_domain(std::string_view address) {
  const auto parts = split(address);
  const std::string_view host = parts ? parts->host : address;
  if (is_ip(host)) return std::string(address);
  const std::string first(host.substr(0, host.find('.')));
  if (!parts || parts->port.empty()) return first;
  const bool brackets = first.find(':') != std::string::npos;
  return (brackets ? "[" + first + "]" : first) + ":" + std::string(parts->port);
}

std::string path_of(std::string_view url) {
  const std::size_t scheme = url.find("://");
  if (scheme != std::string_view::npos) {
    url.remove_prefix(scheme + 3);
    url.remove_prefix(std::min(url.find_first_of("/?#"), url.size()));
  }
  url = url.substr(0, url.find_first_of("?#"));
  std::string path;
  for (std::size_t i = 0; i < url.size(); ++i) {
    unsigned byte = 0;
    const char* const digits = url.data() + i + 1;
    if (url[i] == '%' && i + 2 < url.size() &&
        std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
      path += static_cast<char>(byte);
      i += 2;
    } else {
      path += url[i];
    }
  }
  return path;
}

}  // namespace tallymill::alerting::templates
