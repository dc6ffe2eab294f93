// StatsdDoor: StatsD over UDP into the store.
//
// One thread takes datagrams, as many as there are in one call of the system, and adds up what they
// say (statsd.h); each second it hands the sums to another one that stores them, so that no disk
// holds up the socket. A sum that cannot be stored now is in the next one.
//
// UDP loses what nobody takes in time: the system counts it (SO_RXQ_OVFL), and that is shown.
//
//   invariant: on an address that other hosts can reach only if it was told to: nobody who sends is
//              asked who he is
//   invariant: at most two seconds' sums wait to be stored
//
// Threads: open(), start(), stop() by its maker; inside, the two above. The probe's is the first,
// but of what was not stored.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"
#include "base/metrics.h"
#include "base/result.h"
#include "bus/mailbox.h"
#include "collector/metadata.h"
#include "collector/statsd.h"
#include "collector/store.h"
#include "store/durable.h"

namespace tallymill::collector {

class StatsdProbe {
 public:
  explicit StatsdProbe(metrics::Registry& registry);
  // Brings the counts to what they are by now.
  void tell(const Statsd& statsd);
  metrics::Counter& datagrams;
  metrics::Counter& dropped;
  metrics::Counter& truncated;
  metrics::Counter& late;
  metrics::Counter& unstored;

 private:
  metrics::Counter& lines_;
  metrics::Counter& set_overflow_;
  std::vector<metrics::Counter*> faults_;
  metrics::Gauge& series_;
  metrics::Gauge& spellings_;
  metrics::Gauge& spelling_bytes_;
  metrics::Gauge& histograms_;
  metrics::Gauge& sets_;
};

class StatsdDoor {
 public:
  // `address`: "127.0.0.1:8125". denied: others can reach it, without `insecure`; busy: the port is
  // taken; bad_params: no such address. REQUIRES: the others outlive it.
  [[nodiscard]] static Result<std::unique_ptr<StatsdDoor>> open(const std::string& address,
                                                                bool insecure, Store& store,
                                                                MetadataStore& metadata,
                                                                metrics::Registry& registry);
  ~StatsdDoor();
  StatsdDoor(const StatsdDoor&) = delete;
  StatsdDoor& operator=(const StatsdDoor&) = delete;

  void start();
  // What came is stored first.
  void stop();
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  struct Batch {
    std::int64_t t_ms = 0;
    std::vector<double> values;  // by slot
    struct Fresh {
      Labels labels;
      MetricType type;
    };
    std::vector<Fresh> fresh;  // of the last slots
  };
  struct Buffers;
  StatsdDoor(store::File socket, std::uint16_t port, Store& store, MetadataStore& metadata,
             metrics::Registry& registry);
  void receive();
  // Whether there may be more.
  bool take();
  void flush(std::int64_t t_ms);
  void keep();
  void keep(const Batch& batch);

  store::File socket_;
  store::File wake_;  // an eventfd that ends the thread's wait
  const std::uint16_t port_;
  Store& store_;
  MetadataStore& metadata_;
  StatsdProbe probe_;
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> received_ = false;  // nothing more comes
  std::thread receives_;
  std::thread keeps_;
  bus::Mailbox<Batch> batches_;
  // The thread that receives:
  Statsd statsd_;
  std::unique_ptr<Buffers> buffers_;
  std::uint32_t dropped_ = 0;  // as the system counts, which begins anew at 2^32
  std::size_t told_ = 0;       // slots whose labels were handed on
  // The thread that keeps:
  std::vector<Labels> labels_;                // by slot
  std::vector<std::optional<SeriesId>> ids_;  // by slot; nothing: there was no room
  std::uint64_t drops_ = 0;                   // of the store, when they were asked for
  std::vector<Point> points_;
  log::Limited trouble_;
};

}  // namespace tallymill::collector
