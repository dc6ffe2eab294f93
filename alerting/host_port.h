// HostPort: hosts, ports and paths out of addresses, as Go takes them apart.
//
// Threads: pure functions.
// Source: Go's net.SplitHostPort, net.ParseIP and net/url.
#pragma once

#include <string>
#include <string_view>

namespace tallymill::alerting::templates {

// host:port without its port; what is no such thing stays as it is.
[[nodiscard]] std::string without_port(std::string_view address);
// a.b.c:80 as a:80; an address of IP stays as it is.
[[nodiscard]] std::string without_domain(std::string_view address);
// /a/b of http://host/a/b?c.
[[nodiscard]] std::string path_of(std::string_view url);

}  // namespace tallymill::alerting::templates
