// Link: a client's connection: its bytes, in TLS or not, and how it is made.
//
// Inside of client.cc: nobody else includes this.
//
// Threads: its context's.
#pragma once

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "http/url.h"

namespace tallymill::http {

class Link {
 public:
  using tcp = boost::asio::ip::tcp;
  using TlsStream = boost::asio::ssl::stream<tcp::socket>;
  using error_code = boost::system::error_code;
  template <class T>
  using awaitable = boost::asio::awaitable<T>;

  explicit Link(boost::asio::io_context& context) : context_(context), plain_(context) {}

  // Connects. `tls`: nullptr for plain text. After close() it ends soon, but for a resolver that
  // does not answer.
  awaitable<void> open(const Url& url, boost::asio::ssl::context* tls, error_code& failed) {
    closed_ = false;
    std::vector<tcp::endpoint> ends;
    const auto address = boost::asio::ip::make_address(url.host, failed);
    if (failed)
      co_await resolve(url, ends, failed);
    else
      ends.emplace_back(address, url.port);
    for (std::size_t i = 0; i < ends.size() && !closed_; ++i) {
      plain_ = tcp::socket(context_);
      co_await plain_.async_connect(
          ends[i], boost::asio::redirect_error(boost::asio::use_awaitable, failed));
      if (!failed) break;
    }
    if (closed_) failed = boost::asio::error::operation_aborted;
    if (failed) co_return;
    error_code ignored;
    (void)plain_.set_option(tcp::no_delay(true), ignored);
    if (tls != nullptr) co_await shake_hands(url, *tls, failed);
  }

  awaitable<std::size_t> read(boost::asio::mutable_buffer into, error_code& failed) {
    std::size_t got = 0;
    if (tls_)
      got = co_await tls_->async_read_some(
          into, boost::asio::redirect_error(boost::asio::use_awaitable, failed));
    else
      got = co_await plain_.async_read_some(
          into, boost::asio::redirect_error(boost::asio::use_awaitable, failed));
    co_return got;
  }
  awaitable<std::size_t> write(std::array<boost::asio::const_buffer, 2> all, error_code& failed) {
    std::size_t sent = 0;
    if (tls_)
      sent = co_await boost::asio::async_write(
          *tls_, all, boost::asio::redirect_error(boost::asio::use_awaitable, failed));
    else
      sent = co_await boost::asio::async_write(
          plain_, all, boost::asio::redirect_error(boost::asio::use_awaitable, failed));
    co_return sent;
  }

  // Nothing has come since the last answer, not even an end.
  [[nodiscard]] bool is_quiet() {
    if (!socket().is_open()) return false;
    char byte = 0;
    const auto got = ::recv(socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  }
  // What an open() that failed is to who asked.
  Error why_not(error_code failed, const Url& url) {
    std::string why = failed.message();
    SSL* const session = tls_ ? tls_->native_handle() : nullptr;
    if (session != nullptr && SSL_get_verify_mode(session) != SSL_VERIFY_NONE &&
        SSL_get_verify_result(session) != X509_V_OK)
      why = X509_verify_cert_error_string(SSL_get_verify_result(session));
    return {Errc::away, fmt::format("cannot connect to {}: {}", url.authority(), why)};
  }
  // Whatever waits on it ends.
  void close() {
    closed_ = true;
    error_code ignored;
    (void)socket().close(ignored);
  }
  // Nothing may wait on it.
  void reset() {
    tls_.reset();
    plain_ = tcp::socket(context_);
  }
  tcp::socket& socket() { return tls_ ? tls_->next_layer() : plain_; }
  TlsStream* tls() { return tls_ ? &*tls_ : nullptr; }

 private:
  awaitable<void> resolve(const Url& url, std::vector<tcp::endpoint>& ends, error_code& failed) {
    tcp::resolver resolver(context_);
    const std::string port = std::to_string(url.port);
    const auto found = co_await resolver.async_resolve(
        url.host, port, boost::asio::redirect_error(boost::asio::use_awaitable, failed));
    for (const auto& entry : found) ends.push_back(entry.endpoint());
  }

  awaitable<void> shake_hands(const Url& url, boost::asio::ssl::context& tls, error_code& failed) {
    tls_.emplace(std::move(plain_), tls);
    SSL* session = tls_->native_handle();
    error_code not_address;
    (void)boost::asio::ip::make_address(url.host, not_address);
    // The certificate must be of the name that was asked for, not only of somebody.
    bool named = false;
    if (!not_address) {
      named = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), url.host.c_str()) == 1;
    } else {
      SSL_set_hostflags(session, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
      named = SSL_set1_host(session, url.host.c_str()) == 1 &&
              SSL_set_tlsext_host_name(session, url.host.c_str()) == 1;
    }
    if (!named) {
      failed = boost::asio::error::invalid_argument;
      co_return;
    }
    co_await tls_->async_handshake(boost::asio::ssl::stream_base::client,
                                   boost::asio::redirect_error(boost::asio::use_awaitable, failed));
  }

  boost::asio::io_context& context_;
  tcp::socket plain_;
  std::optional<TlsStream> tls_;
  bool closed_ = false;
};

}  // namespace tallymill::http
