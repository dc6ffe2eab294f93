#include <utility>  // Boost.Asio 1.74 uses std::exchange in awaitable.hpp and does not include it
// in this order
#include <netinet/tcp.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <map>
#include <memory>

#include "bench/floor/http_servers.h"

namespace tallymill::bench {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using Answer = bhttp::response<bhttp::span_body<const char>>;

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, const std::map<std::string, Answer>& answers)
      : socket_(std::move(socket)), answers_(answers) {}
  void read() {
    request_ = {};
    bhttp::async_read(socket_, buffer_, request_,
                      [self = shared_from_this()](error_code failed, std::size_t) {
                        if (!failed) self->answer();
                      });
  }

 private:
  void answer() {
    const auto target = request_.target();
    const auto found = answers_.find(std::string(target.data(), target.size()));
    if (found == answers_.end()) return;
    bhttp::async_write(socket_, found->second,
                       [self = shared_from_this()](error_code failed, std::size_t) {
                         if (!failed && self->request_.keep_alive()) self->read();
                       });
  }

  tcp::socket socket_;
  beast::flat_buffer buffer_;
  bhttp::request<bhttp::empty_body> request_;
  const std::map<std::string, Answer>& answers_;
};

void accept(tcp::acceptor& acceptor, const std::map<std::string, Answer>& answers) {
  acceptor.async_accept([&](error_code failed, tcp::socket socket) {
    if (!failed) {
      socket.set_option(tcp::no_delay(true));
      std::make_shared<Session>(std::move(socket), answers)->read();
    }
    accept(acceptor, answers);
  });
}

void serve(std::uint16_t port, const std::vector<FixedAnswer>& fixed) {
  std::map<std::string, Answer> answers;
  for (const FixedAnswer& one : fixed) {
    Answer& answer = answers[one.path];
    answer.result(bhttp::status::ok);
    answer.body() = {one.body.data(), one.body.size()};
    for (const auto& [name, value] : one.headers) answer.set(name, value);
    answer.prepare_payload();
  }
  asio::io_context context(1);
  tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), port});
  accept(acceptor, answers);
  context.run();
}

}  // namespace

BeastFloor::BeastFloor(std::vector<FixedAnswer> answers)
    : port_(free_port()), server_([this, &answers] { serve(port_, answers); }) {
  until_open(port_);
}

}  // namespace tallymill::bench
