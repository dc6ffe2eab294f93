// 1. One thread runs one io_context; each connection is one coroutine on it (connection.cc).
// 2. A connection has one deadline, a plain value: a sweep that runs four times a second cuts those
//    that are past theirs. That costs nothing per read, where a timer each would.
// 3. Connections that are in no request stand in a list, longest first: a new one beyond the bound
//    takes the place of the first.
#include <utility>  // Boost.Asio 1.74 uses std::exchange in awaitable.hpp and does not include it
// in this order
#include "http/server.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <map>
#include <thread>
#include <vector>

#include "base/address.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/thread.h"
#include "http/connection.h"
#include "http/response_head.h"

namespace tallymill::http {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::use_awaitable;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::chrono::milliseconds sweep_period{250};

Duration or_else(Duration said, Duration fallback) { return said == Duration{} ? fallback : said; }

}  // namespace

Shared::Shared(Router&& routes, ServerOptions&& said, metrics::Registry* registry)
    : options(std::move(said)),
      probe(registry),
      header_time(or_else(options.header_time, limits::http_header_time)),
      idle(or_else(options.idle, limits::http_idle)),
      grace(or_else(options.transfer_grace, limits::http_transfer_grace)),
      ping(or_else(options.ping, limits::http_ping)),
      bodies(std::make_shared<HeldBodies>(
          options.bodies_bytes == 0 ? static_cast<std::size_t>(limits::http_bodies_bytes.raw())
                                    : options.bodies_bytes)) {
  routers.push_back(std::move(routes));
}

std::string_view Shared::date() {
  const std::int64_t second = std::chrono::duration_cast<std::chrono::seconds>(
                                  std::chrono::system_clock::now().time_since_epoch())
                                  .count();
  if (second != date_second_) {
    date_second_ = second;
    date_ = http_date(second);
  }
  return date_;
}

std::string Shared::random_id() {
  std::string id(16, '0');
  std::uint64_t number = random_();
  for (char& digit : id) {
    digit = "0123456789abcdef"[number & 15];
    number >>= 4;
  }
  return id;
}

void log_end(const std::exception_ptr& thrown) {
  if (!thrown) return;
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& error) {
    log::error(fmt::format("a connection ended in an exception: {}", error.what()));
  }
}

struct Server::State : Shared {
  State(Router&& routes, ServerOptions&& said, metrics::Registry* registry)
      : Shared(std::move(routes), std::move(said), registry),
        connection_bound(options.connections == 0 ? limits::http_connections
                                                  : options.connections) {
    left = [this] { leave_if_empty(); };
  }

  [[nodiscard]] Status open();
  [[nodiscard]] Status load_certificate();
  awaitable<void> accept();
  void take(int socket);
  void refuse(int socket);
  void sweep();
  void start_sweeping();
  void leave(Duration patience);
  void leave_if_empty();
  void run();
  awaitable<void> watch_descriptor(int fd, std::shared_ptr<asio::posix::stream_descriptor> watched,
                                   std::function<void()> ready);

  const std::size_t connection_bound;
  std::uint16_t port = 0;
  bool ipv6 = false;
  bool leaving = false;
  bool ended = false;
  std::function<void()> left_all;  // whoever drained is told

  // Its end drops the coroutines, and with them the connections that Shared lists.
  asio::io_context context{1};
  // Behind it: they are closed while it is still there.
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work;
  std::optional<asio::ssl::context> tls;
  std::optional<tcp::acceptor> acceptor;
  asio::steady_timer sweep_timer{context};
  asio::steady_timer leave_timer{context};
  std::map<Server::TimerId, std::unique_ptr<asio::steady_timer>> timers;
  Server::TimerId next_timer = 1;
  std::map<int, std::shared_ptr<asio::posix::stream_descriptor>> watched;
  std::thread thread;
};

Status Server::State::load_certificate() {
  if (options.certificate.empty() && options.key.empty()) return {};
  tls.emplace(asio::ssl::context::tls_server);
  error_code failed;
  (void)tls->set_options(asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1, failed);
  (void)tls->use_certificate_chain_file(options.certificate, failed);
  if (failed)
    return fail(Errc::bad_params, fmt::format("cannot read the certificate {}: {}",
                                              options.certificate, failed.message()));
  (void)tls->use_private_key_file(options.key, asio::ssl::context::pem, failed);
  if (failed)
    return fail(Errc::bad_params,
                fmt::format("cannot read the key {}: {}", options.key, failed.message()));
  return {};
}

Status Server::State::open() {
  // A client that goes away while it is written to is an error of that write, not our end.
  ::signal(SIGPIPE, SIG_IGN);
  const auto endpoint = parse_endpoint("tcp://" + options.listen);
  if (!endpoint) return std::unexpected(endpoint.error());
  if (!is_loopback("tcp://" + options.listen) && options.guard.tokens.empty() &&
      !options.guard.insecure)
    return fail(Errc::denied,
                fmt::format("{} can be reached from other hosts: say --token-file, or --insecure",
                            options.listen));
  if (auto checked = Guard::check(options.guard); !checked) return checked;
  if (auto loaded = load_certificate(); !loaded) return loaded;
  error_code failed;
  const auto address =
      asio::ip::make_address(endpoint->host == "localhost" ? "127.0.0.1" : endpoint->host, failed);
  if (failed)
    return fail(Errc::bad_params, fmt::format("{} is no address to listen on", options.listen));
  tcp::acceptor made(context);
  const tcp::endpoint at(address, endpoint->port);
  ipv6 = address.is_v6();
  (void)made.open(at.protocol(), failed);
  if (!failed) (void)made.set_option(tcp::acceptor::reuse_address(true), failed);
  if (!failed) (void)made.bind(at, failed);
  if (!failed) (void)made.listen(1024, failed);
  if (failed)
    return fail(failed == asio::error::address_in_use ? Errc::busy : Errc::away,
                fmt::format("cannot listen on {}: {}", options.listen, failed.message()));
  port = made.local_endpoint(failed).port();
  acceptor.emplace(std::move(made));
  const std::string host = endpoint->host.find(':') == std::string::npos
                               ? endpoint->host
                               : fmt::format("[{}]", endpoint->host);
  guard.emplace(std::move(options.guard), fmt::format("{}:{}", host, port), tls.has_value());
  work.emplace(context.get_executor());
  return {};
}

// Asked only for a connection that waits: without a descriptor left, accept() fails also when none
// does, and an idle one would be displaced for nobody.
awaitable<void> Server::State::accept() {
  error_code failed;
  (void)acceptor->non_blocking(true, failed);
  while (!leaving) {
    co_await acceptor->async_wait(tcp::acceptor::wait_read,
                                  asio::redirect_error(use_awaitable, failed));
    if (leaving || failed == asio::error::operation_aborted) co_return;
    const int socket =
        ::accept4(acceptor->native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (socket >= 0) {
      take(socket);
      continue;
    }
    if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM) continue;
    // No descriptor left: the one that was idle longest gives its own, and we wait, or this would
    // spin on the connection that waits.
    probe.accept_failed();
    if (!resting.empty()) resting.front()->cut("displaced");
    asio::steady_timer pause(context, limits::http_accept_again);
    co_await pause.async_wait(asio::redirect_error(use_awaitable, failed));
  }
}

void Server::State::take(int socket) {
  if (connections.size() >= connection_bound) {
    if (resting.empty()) return refuse(socket);
    AnyConnection* longest = resting.front();
    resting.pop_front();
    longest->resting.reset();
    longest->cut("displaced");
    // Many come faster than the cut ones end.
    if (connections.size() >= 2 * connection_bound) return refuse(socket);
  }
  const int on = 1;
  (void)::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  // A client whose host has gone says no goodbye: what it does not acknowledge is its end.
  const auto silence = static_cast<unsigned>(
      std::chrono::duration_cast<std::chrono::milliseconds>(2 * ping).count());
  (void)::setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence, sizeof(silence));
  begin_connection(*this, context, tls ? &*tls : nullptr, socket, ipv6);
}

// All are in requests: said without waiting, for there is nobody to wait.
void Server::State::refuse(int socket) {
  probe.cut("refused");
  if (!tls) {
    const Response response = problem({Errc::busy,
                                       "this server has as many connections as it may",
                                       {},
                                       std::chrono::milliseconds(1000)});
    std::string text;
    append_head(text, response, {date(), {}, response.body.size(), false, false});
    text += response.body.bytes();
    (void)::send(socket, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  ::close(socket);
}

void Server::State::sweep() {
  const SteadyTime at = std::chrono::steady_clock::now();
  for (AnyConnection* connection : connections) connection->look(at);
  // Here, and not with each of them: the last holder of one may be on another thread.
  probe.body_bytes().set(static_cast<double>(bodies->bytes()));
}

void Server::State::start_sweeping() {
  sweep_timer.expires_after(sweep_period);
  sweep_timer.async_wait([this](error_code failed) {
    if (failed) return;
    sweep();
    start_sweeping();
  });
}

void Server::State::leave(Duration patience) {
  if (std::exchange(leaving, true)) return;
  error_code ignored;
  (void)acceptor->close(ignored);
  for (AnyConnection* connection : std::vector(connections.begin(), connections.end()))
    connection->leave();
  leave_timer.expires_after(patience);
  leave_timer.async_wait([this](error_code failed) {
    if (!failed) context.stop();
  });
  leave_if_empty();
}

void Server::State::leave_if_empty() {
  if (leaving && !ended && connections.empty()) context.stop();
}

// What was still going on ends here, on this thread: handlers are told, coroutines go their way
// out.
void Server::State::run() {
  context.run();
  leaving = true;
  ended = true;
  error_code ignored;
  (void)acceptor->close(ignored);
  sweep_timer.cancel();
  timers.clear();
  // Descriptors belong to whoever gave them.
  for (auto& [fd, descriptor] : std::exchange(watched, {})) (void)descriptor->release();
  for (AnyConnection* connection : std::vector(connections.begin(), connections.end()))
    connection->abandon();
  context.restart();
  context.poll();
}

awaitable<void> Server::State::watch_descriptor(
    int fd, std::shared_ptr<asio::posix::stream_descriptor> descriptor,
    std::function<void()> ready) {
  for (;;) {
    error_code failed;
    co_await descriptor->async_wait(asio::posix::stream_descriptor::wait_read,
                                    asio::redirect_error(use_awaitable, failed));
    const auto found = watched.find(fd);
    if (failed || found == watched.end() || found->second != descriptor) co_return;
    ready();
  }
}

Server::Server(Router router, ServerOptions options, metrics::Registry* registry)
    : state_(std::make_unique<State>(std::move(router), std::move(options), registry)) {}

Server::~Server() { stop(); }

Status Server::open() { return state_->open(); }

std::uint16_t Server::port() const { return state_->port; }

void Server::start() {
  TM_CHECK(state_->acceptor.has_value());
  asio::co_spawn(state_->context, [state = state_.get()] { return state->accept(); }, log_end);
  state_->start_sweeping();
  state_->thread = std::thread([state = state_.get()] {
    name_thread(state->options.thread.c_str());
    state->run();
    if (state->left_all) state->left_all();
  });
}

void Server::drain(Duration patience, std::function<void()> done) {
  post([state = state_.get(), patience, done = std::move(done)]() mutable {
    if (done) state->left_all = std::move(done);
    state->leave(patience);
  });
}

void Server::stop() {
  TM_CHECK(state_->thread.get_id() != std::this_thread::get_id());
  state_->context.stop();
  if (state_->thread.joinable()) state_->thread.join();
  for (auto& [fd, descriptor] : std::exchange(state_->watched, {})) (void)descriptor->release();
}

void Server::change(Router router) { state_->routers.push_back(std::move(router)); }

asio::io_context& Server::context() { return state_->context; }

void Server::post(std::function<void()> work) { asio::post(state_->context, std::move(work)); }

void Server::watch(int fd, std::function<void()> ready) {
  auto descriptor = std::make_shared<asio::posix::stream_descriptor>(state_->context, fd);
  state_->watched[fd] = descriptor;
  asio::co_spawn(
      state_->context,
      [state = state_.get(), fd, descriptor, ready = std::move(ready)]() mutable {
        return state->watch_descriptor(fd, descriptor, std::move(ready));
      },
      log_end);
}

void Server::unwatch(int fd) {
  const auto found = state_->watched.find(fd);
  if (found == state_->watched.end()) return;
  (void)found->second->release();
  state_->watched.erase(found);
}

Server::TimerId Server::once(Duration delay, std::function<void()> fire) {
  const TimerId id = state_->next_timer++;
  auto& timer = state_->timers[id] = std::make_unique<asio::steady_timer>(state_->context, delay);
  timer->async_wait([state = state_.get(), id, fire = std::move(fire)](error_code failed) {
    // One that was cancelled when it was due already is not there.
    if (failed || state->timers.erase(id) == 0) return;
    fire();
  });
  return id;
}

void Server::cancel(TimerId timer) { state_->timers.erase(timer); }

}  // namespace tallymill::http
