#include "bench/floor/http_servers.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <thread>

namespace tallymill::bench {
namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int whole(double seconds) { return std::max(1, static_cast<int>(seconds)); }

std::string output_of(const std::string& command) {
  FILE* pipe = ::popen(command.c_str(), "r");
  TM_CHECK(pipe != nullptr);
  std::string said;
  char piece[4096];
  for (std::size_t n = 0; (n = std::fread(piece, 1, sizeof piece, pipe)) > 0;)
    said.append(piece, n);
  TM_CHECK(::pclose(pipe) == 0 && "it cannot run: ./dev setup bench");
  return said;
}

std::string write_nginx(const std::filesystem::path& folder, std::uint16_t port,
                        const std::vector<FixedAnswer>& answers) {
  const std::string root = folder.string();
  std::filesystem::create_directories(folder / "files");
  for (const FixedAnswer& answer : answers)
    std::ofstream(root + "/files" + answer.path, std::ios::binary) << answer.body;
  std::string temporary;
  for (const char* kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"})
    temporary += fmt::format("  {}_temp_path {}/{};\n", kind, root, kind);
  const std::string path = root + "/nginx.conf";
  std::ofstream(path) << fmt::format(
      "worker_processes 1;\nmaster_process off;\ndaemon off;\npid {0}/pid;\n"
      "error_log {0}/errors crit;\nevents {{ worker_connections 1024; }}\nhttp {{\n"
      "{1}  access_log off;\n  sendfile on;\n  tcp_nopush on;\n  keepalive_requests 1000000000;\n"
      "  open_file_cache max=100 inactive=600s;\n  default_type application/octet-stream;\n"
      "  types {{ application/json json; }}\n"
      "  server {{ listen 127.0.0.1:{2}; root {0}/files; }}\n}}\n",
      root, temporary, port);
  return path;
}

}  // namespace

std::uint16_t free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  TM_CHECK(::bind(socket, reinterpret_cast<sockaddr*>(&address), size) == 0);
  TM_CHECK(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  ::close(socket);
  return ntohs(address.sin_port);
}

void until_open(std::uint16_t port) {
  for (int tries = 0; tries < 1000; ++tries) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(port);
    const bool open =
        ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(socket);
    if (open) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  TM_CHECK(false && "a server did not come up: apt-get install nginx");
}

Nginx::Nginx(const std::filesystem::path& folder, const std::vector<FixedAnswer>& answers)
    : port_(free_port()),
      server_(std::vector<std::string>{"/usr/sbin/nginx", "-e", (folder / "errors").string(), "-c",
                                       write_nginx(folder, port_, answers)}) {
  until_open(port_);
}

Asks wrk(std::uint16_t port, const std::string& path, double seconds) {
  const std::string said = output_of(
      fmt::format("wrk -t1 -c32 -d{}s http://127.0.0.1:{}{}", whole(seconds), port, path));
  TM_CHECK(said.find("Non-2xx") == std::string::npos);
  TM_CHECK(said.find("Socket errors") == std::string::npos);
  // "  123456 requests in 3.00s, 1.23GB read", "Requests/sec:  41152.00"
  const auto count = said.find(" requests in ");
  constexpr std::string_view title = "Requests/sec:";
  const auto rate = said.find(title);
  TM_CHECK(count != std::string::npos && rate != std::string::npos);
  const auto line = said.rfind('\n', count);
  return {std::stod(said.substr(line + 1, count - line - 1)),
          std::stod(said.substr(rate + title.size()))};
}

Posted h2load(const std::filesystem::path& folder, const Posts& posts) {
  constexpr int connections = 50;
  const std::string body = (folder / "body.json").string();
  const std::string log = (folder / "requests").string();
  std::ofstream(body) << posts.body;
  (void)output_of(fmt::format(
      "h2load --h1 -t1 -c{} --rps={} -D{} -d {} -H 'Content-Type: application/json' --log-file={} "
      "http://127.0.0.1:{}{}",
      connections, static_cast<double>(posts.rate) / connections, whole(posts.seconds), body, log,
      posts.port, posts.path));
  // A line each: when it was sent, its status (-1: none came), how long it took, both in us.
  Posted posted;
  std::ifstream lines(log);
  std::int64_t at = 0;
  std::uint64_t took = 0;
  for (int status = 0; lines >> at >> status >> took;) {
    if (status != 202) {
      ++posted.errors;
      continue;
    }
    ++posted.accepted;
    posted.latency.record(took * 1000);
  }
  return posted;
}

}  // namespace tallymill::bench
