#include "collector/statsd_door.h"

#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <system_error>
#include <utility>

#include "base/address.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/thread.h"

namespace tallymill::collector {
namespace {

constexpr std::size_t waiting_batches = 2;
constexpr int last_takes = 1024;

std::int64_t now_ms() { return to_ns(SystemClock().wall()) / 1'000'000; }

// The end of the second, or of what else a flush's period is, that `ms` is in.
std::int64_t next_flush(std::int64_t ms) {
  const std::int64_t period = limits::statsd_flush.count();
  return (ms / period + 1) * period;
}

using Addresses = unique_handle<addrinfo, freeaddrinfo>;

Result<Addresses> addresses_of(const Endpoint& endpoint) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_DGRAM;
  wanted.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int failed =
      ::getaddrinfo(endpoint.host.c_str(), std::to_string(endpoint.port).c_str(), &wanted, &found);
  if (failed != 0)
    return fail(Errc::bad_params, fmt::format("{}: {}", endpoint.host, ::gai_strerror(failed)));
  return Addresses(found);
}

Result<store::File> bound_to(const addrinfo& at, const std::string& address) {
  store::File socket(::socket(at.ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket || ::bind(socket.fd(), at.ai_addr, at.ai_addrlen) != 0)
    return fail(errno == EADDRINUSE ? Errc::busy : Errc::bad_params,
                fmt::format("StatsD at {}: {}", address, std::generic_category().message(errno)));
  const int on = 1;
  ::setsockopt(socket.fd(), SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
  const int room = limits::statsd_socket_bytes;
  // The first asks for more than the system's own limit, which it grants to few.
  if (::setsockopt(socket.fd(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) != 0)
    ::setsockopt(socket.fd(), SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  return socket;
}

std::uint16_t port_of(int socket) {
  sockaddr_storage here{};
  socklen_t size = sizeof here;
  char port[NI_MAXSERV] = "0";
  auto* const address = reinterpret_cast<sockaddr*>(&here);
  if (::getsockname(socket, address, &size) == 0)
    ::getnameinfo(address, size, nullptr, 0, port, sizeof port, NI_NUMERICSERV);
  return static_cast<std::uint16_t>(std::atoi(port));
}

class Values final : public StatsdSink {
 public:
  explicit Values(std::vector<double>& into) : into_(into) {}
  void value(std::uint32_t, double value) override { into_.push_back(value); }

 private:
  std::vector<double>& into_;
};

// The name that a histogram's parts have in common.
std::string_view family_of(const Labels& labels, MetricType type) {
  std::string_view name = labels.metric();
  if (type != MetricType::histogram) return name;
  for (const std::string_view part : {"_bucket", "_sum", "_count"})
    if (name.ends_with(part)) return name.substr(0, name.size() - part.size());
  return name;
}

}  // namespace

StatsdProbe::StatsdProbe(metrics::Registry& registry)
    : datagrams(registry.counter("tallymill_collector_statsd_datagrams_total",
                                 "Datagrams of StatsD that were taken.")),
      dropped(registry.counter("tallymill_collector_statsd_dropped_datagrams_total",
                               "Datagrams that the system dropped, for they were not taken in "
                               "time.")),
      truncated(registry.counter("tallymill_collector_statsd_truncated_datagrams_total",
                                 "Datagrams whose end was lost, for they were too long.")),
      late(registry.counter("tallymill_collector_statsd_late_total",
                            "Sums that were not stored, for those before them still waited.")),
      unstored(registry.counter("tallymill_collector_statsd_unstored_total",
                                "Sums that the store did not take.")),
      lines_(registry.counter("tallymill_collector_statsd_lines_total",
                              "Lines of StatsD that counted.")),
      set_overflow_(registry.counter("tallymill_collector_statsd_set_overflow_total",
                                     "Values that found their set full.")),
      series_(registry.gauge("tallymill_collector_statsd_series", "Series that lines made.")),
      spellings_(registry.gauge("tallymill_collector_statsd_spellings",
                                "Ways in which series are written that are known by sight.")),
      spelling_bytes_(
          registry.gauge("tallymill_collector_statsd_spelling_bytes", "Bytes of these ways.")),
      histograms_(registry.gauge("tallymill_collector_statsd_histograms",
                                 "Series of StatsD that are histograms.")),
      sets_(registry.gauge("tallymill_collector_statsd_sets", "Series of StatsD that are sets.")) {
  for (std::size_t i = 0; i < statsd_faults; ++i)
    faults_.push_back(&registry.counter("tallymill_collector_statsd_faults_total",
                                        "Lines of StatsD that did not count, and why.",
                                        {{"why", std::string(name_of(StatsdFault(i)))}}));
}

void StatsdProbe::tell(const Statsd& statsd) {
  const auto raise = [](metrics::Counter& counter, std::uint64_t to) {
    counter.add(to - counter.value());
  };
  raise(lines_, statsd.lines());
  raise(set_overflow_, statsd.set_overflow());
  for (std::size_t i = 0; i < statsd_faults; ++i) raise(*faults_[i], statsd.faults(StatsdFault(i)));
  series_.set(static_cast<double>(statsd.series()));
  spellings_.set(static_cast<double>(statsd.spellings()));
  spelling_bytes_.set(static_cast<double>(statsd.spelling_bytes()));
  histograms_.set(static_cast<double>(statsd.histograms()));
  sets_.set(static_cast<double>(statsd.sets()));
}

// What one call of the system fills.
struct StatsdDoor::Buffers {
  Buffers() {
    for (std::size_t i = 0; i < limits::statsd_batch; ++i) {
      places[i] = {bytes.get() + i * limits::statsd_datagram_bytes, limits::statsd_datagram_bytes};
      messages[i].msg_hdr.msg_iov = &places[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
  }
  int receive(int socket) {
    for (std::size_t i = 0; i < limits::statsd_batch; ++i) {
      messages[i].msg_hdr.msg_control = controls[i].bytes;
      messages[i].msg_hdr.msg_controllen = sizeof controls[i].bytes;
    }
    return ::recvmmsg(socket, messages.data(), limits::statsd_batch, MSG_DONTWAIT, nullptr);
  }
  // How many were dropped since the socket is open, as a message says.
  static std::optional<std::uint32_t> drops(msghdr& message) {
    for (cmsghdr* said = CMSG_FIRSTHDR(&message); said != nullptr;
         said = CMSG_NXTHDR(&message, said)) {
      if (said->cmsg_level != SOL_SOCKET || said->cmsg_type != SO_RXQ_OVFL) continue;
      std::uint32_t drops = 0;
      std::memcpy(&drops, CMSG_DATA(said), sizeof drops);
      return drops;
    }
    return std::nullopt;
  }

  struct alignas(cmsghdr) Control {
    char bytes[CMSG_SPACE(sizeof(std::uint32_t))];
  };
  // Not cleared: half a MB that is the process's own only from the first busy moment on.
  std::unique_ptr<char[]> bytes =
      std::make_unique_for_overwrite<char[]>(limits::statsd_batch * limits::statsd_datagram_bytes);
  std::array<iovec, limits::statsd_batch> places{};
  std::array<Control, limits::statsd_batch> controls{};
  std::array<mmsghdr, limits::statsd_batch> messages{};
};

Result<std::unique_ptr<StatsdDoor>> StatsdDoor::open(const std::string& address, bool insecure,
                                                     Store& store, MetadataStore& metadata,
                                                     metrics::Registry& registry) {
  // UDP has the addresses that TCP has.
  const std::string as_endpoint = "tcp://" + address;
  auto endpoint = parse_endpoint(as_endpoint);
  if (!endpoint) return fail(Errc::bad_params, fmt::format("StatsD at {}: not host:port", address));
  if (!insecure && !is_loopback(as_endpoint))
    return fail(Errc::denied,
                fmt::format("StatsD at {}: other hosts can reach it, and nobody is asked who he "
                            "is; --insecure allows it",
                            address));
  if (endpoint->host == "*") endpoint->host = "0.0.0.0";
  const auto found = addresses_of(*endpoint);
  if (!found) return std::unexpected(found.error());
  auto socket = bound_to(**found, address);
  if (!socket) return std::unexpected(std::move(socket).error());
  const std::uint16_t port = port_of(socket->fd());
  return std::unique_ptr<StatsdDoor>(
      new StatsdDoor(std::move(*socket), port, store, metadata, registry));
}

StatsdDoor::StatsdDoor(store::File socket, std::uint16_t port, Store& store,
                       MetadataStore& metadata, metrics::Registry& registry)
    : socket_(std::move(socket)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      port_(port),
      store_(store),
      metadata_(metadata),
      probe_(registry),
      batches_(waiting_batches),
      buffers_(std::make_unique<Buffers>()) {}

StatsdDoor::~StatsdDoor() { stop(); }

void StatsdDoor::start() {
  keeps_ = std::thread([this] { keep(); });
  receives_ = std::thread([this] { receive(); });
}

void StatsdDoor::stop() {
  if (!receives_.joinable()) return;
  const std::uint64_t one = 1;
  stopping_.store(true);
  (void)!::write(wake_.fd(), &one, sizeof one);
  receives_.join();
  received_.store(true);
  batches_.nudge();
  keeps_.join();
}

void StatsdDoor::receive() {
  name_thread("statsd");
  std::int64_t next = next_flush(now_ms());
  pollfd waits[2] = {{socket_.fd(), POLLIN, 0}, {wake_.fd(), POLLIN, 0}};
  while (!stopping_.load()) {
    const auto left = std::clamp<std::int64_t>(next - now_ms(), 0, limits::statsd_flush.count());
    ::poll(waits, 2, static_cast<int>(left));
    while (take() && now_ms() < next) continue;
    if (const std::int64_t now = now_ms();
        now >= next || next - now > limits::statsd_flush.count()) {
      flush(now >= next ? next : now);  // else the clock was put back
      next = next_flush(now);
    }
  }
  // What was there when it was stopped, and not what comes for ever.
  for (int i = 0; i < last_takes && take(); ++i) continue;
  flush(now_ms());
}

bool StatsdDoor::take() {
  const int got = buffers_->receive(socket_.fd());
  if (got <= 0) return false;
  for (int i = 0; i < got; ++i) {
    mmsghdr& message = buffers_->messages[static_cast<std::size_t>(i)];
    std::string_view text(static_cast<const char*>(message.msg_hdr.msg_iov->iov_base),
                          message.msg_len);
    if ((message.msg_hdr.msg_flags & MSG_TRUNC) != 0) {
      probe_.truncated.add();
      text = text.substr(0, text.rfind('\n') + 1);  // the last line has no end
    }
    statsd_.take(text);
  }
  probe_.datagrams.add(static_cast<std::uint64_t>(got));
  const auto drops = Buffers::drops(buffers_->messages[static_cast<std::size_t>(got - 1)].msg_hdr);
  if (drops) probe_.dropped.add(*drops - std::exchange(dropped_, *drops));
  return static_cast<std::size_t>(got) == limits::statsd_batch;
}

void StatsdDoor::flush(std::int64_t t_ms) {
  Batch batch{.t_ms = t_ms};
  Values values(batch.values);
  batch.values.reserve(told_);
  statsd_.flush(values);
  for (std::size_t slot = told_; slot < batch.values.size(); ++slot) {
    const auto number = static_cast<std::uint32_t>(slot);
    batch.fresh.push_back({statsd_.labels(number), statsd_.type(number)});
  }
  probe_.tell(statsd_);
  if (batch.values.empty()) return;
  const std::size_t slots = batch.values.size();
  if (batches_.put(std::move(batch)))
    told_ = slots;
  else
    probe_.late.add();
}

void StatsdDoor::keep() {
  name_thread("statsd-store");
  std::vector<Batch> batches;
  for (bool last = false; !last;) {
    (void)batches_.wait(batches);
    for (const Batch& batch : batches) keep(batch);
    last = received_.load();
  }
  // What was handed on before the end, and not taken above.
  (void)batches_.take(batches);
  for (const Batch& batch : batches) keep(batch);
}

void StatsdDoor::keep(const Batch& batch) {
  for (const Batch::Fresh& one : batch.fresh) {
    labels_.push_back(one.labels);
    metadata_.add({.name = family_of(one.labels, one.type), .type = one.type});
  }
  // Read once: it may change between two looks.
  if (const std::uint64_t drops = store_.drops(); drops != std::exchange(drops_, drops))
    ids_.clear();
  while (ids_.size() < labels_.size()) {
    const auto id = store_.series(labels_[ids_.size()]);
    ids_.push_back(id ? std::optional(*id) : std::nullopt);
  }
  points_.clear();
  for (std::size_t slot = 0; slot < batch.values.size(); ++slot)
    if (ids_[slot]) points_.push_back({*ids_[slot], batch.t_ms, batch.values[slot]});
  if (auto stored = store_.append(points_); !stored) {
    probe_.unstored.add();
    trouble_.write(log::Level::warn, "StatsD: not stored: " + stored.error().message,
                   SystemClock().now());
  }
}

}  // namespace tallymill::collector
