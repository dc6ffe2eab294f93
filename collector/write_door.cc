#include "collector/write_door.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "base/limits.h"
#include "collector/exposition.h"
#include "collector/labels_check.h"
#include "collector/raw_labels.h"

namespace tallymill::collector {
namespace {

http::Response plain(int status, std::string text) {
  return {.status = status, .type = "text/plain; charset=utf-8", .body = std::move(text)};
}

// Of one way in which labels are known, if there are as many as may be. Most are half of it; with
// fewer that are longer, as much memory is taken.
constexpr std::size_t known_labels_bytes = 512;

std::int64_t now_ms() { return to_ns(SystemClock().wall()) / 1'000'000; }

// 5xx: whoever sent it sends it again.
http::Response not_stored(const Error& error) {
  return plain(info(error.code).http, error.message + "\n");
}

}  // namespace

WriteProbe::WriteProbe(metrics::Registry& registry)
    : samples(registry.counter("tallymill_collector_samples_total", "Samples that were stored.")),
      bad_labels(registry.counter("tallymill_collector_refused_samples_total",
                                  "Samples that were not stored, and why.", {{"why", "labels"}})),
      no_room(registry.counter("tallymill_collector_refused_samples_total",
                               "Samples that were not stored, and why.", {{"why", "series"}})),
      malformed(registry.counter("tallymill_collector_malformed_requests_total",
                                 "Pushes that could not be read.")),
      known_labels(registry.gauge("tallymill_collector_known_labels",
                                  "Ways in which labels are pushed that are known by sight.")),
      known_labels_bytes(
          registry.gauge("tallymill_collector_known_labels_bytes", "Bytes of these ways.")) {}

// Ids of series by the bytes that a sender writes their labels in. A sender says its series in the
// same order again and again, so the one that followed the last one before is tried first: that is
// one comparison instead of a hash and a search.
class WriteDoor::Sink final : public WriteSink {
 public:
  Sink(Store& store, MetadataStore& metadata, ExemplarStore& exemplars, std::size_t most)
      : store_(store), metadata_(metadata), exemplars_(exemplars), most_(most) {}
  [[nodiscard]] std::size_t known() const { return known_.size(); }
  [[nodiscard]] std::size_t known_bytes() const { return known_bytes_; }
  // Before each request: series that were forgotten must be asked for again.
  void begin() {
    if (store_.drops() == drops_) return;
    drops_ = store_.drops();
    forget();
  }

  std::expected<SeriesId, Refused> series(std::string_view raw) override {
    if (last_ != nullptr && last_->second.next != nullptr && last_->second.next->first == raw)
      last_ = last_->second.next;
    else if (const auto known = known_.find(raw); known != known_.end())
      follow(*known);
    else
      return make(raw);
    return last_->second.id;
  }
  void exemplar(SeriesId series, const Exemplar& exemplar) override {
    exemplars_.add(series, exemplar, now_ms());
  }
  void metadata(const Metadata& metadata) override { metadata_.add(metadata); }

 private:
  struct Known;
  using Entry = std::pair<const std::string, Known>;
  struct Known {
    SeriesId id;
    Entry* next = nullptr;  // that came after it the last time
  };
  std::expected<SeriesId, Refused> make(std::string_view raw) {
    labels_.clear();
    if (!read_raw_labels(raw, labels_)) return std::unexpected(Refused::malformed);
    if (settle(labels_) != LabelFault::none) return std::unexpected(Refused::bad_labels);
    const auto id = store_.series(labels_of(labels_));
    if (!id)
      return std::unexpected(id.error().code == Errc::too_big ? Refused::no_room
                                                              : Refused::bad_labels);
    if (known_.size() >= most_ || known_bytes_ + raw.size() > most_ * known_labels_bytes) forget();
    known_bytes_ += raw.size();
    follow(*known_.emplace(std::string(raw), Known{*id}).first);
    return *id;
  }
  void forget() {
    known_.clear();
    known_bytes_ = 0;
    last_ = nullptr;
  }
  void follow(Entry& entry) {
    if (last_ != nullptr) last_->second.next = &entry;
    last_ = &entry;
  }

  Store& store_;
  MetadataStore& metadata_;
  ExemplarStore& exemplars_;
  const std::size_t most_;
  std::uint64_t drops_ = 0;
  std::unordered_map<std::string, Known, SeededHash, std::equal_to<>>
      known_;  // entries do not move
  std::size_t known_bytes_ = 0;
  Entry* last_ = nullptr;
  std::vector<Label> labels_;
};

WriteDoor::WriteDoor(Store& store, MetadataStore& metadata, ExemplarStore& exemplars,
                     metrics::Registry& registry, std::size_t known)
    : store_(store),
      metadata_(metadata),
      exemplars_(exemplars),
      probe_(registry),
      sink_(std::make_unique<Sink>(store, metadata, exemplars, known)) {}
WriteDoor::~WriteDoor() = default;

void WriteDoor::add_routes(http::Router& router) {
  router.add({.method = http::Method::post,
              .path = "/api/v1/write",
              .role = http::Role::submit,
              .handler = {.whole =
                              [this](http::Request&& request, http::Answer answer) {
                                run(std::move(request), std::move(answer),
                                    [this](const std::string& body) { return write(body); });
                              }},
              .operation = {},
              .body_bytes = limits::write_request_bytes,
              .accepts = {.type = "application/x-protobuf", .coding = "snappy"}});
  router.add(
      {.method = http::Method::post,
       .path = "/api/v1/import/prometheus",
       .role = http::Role::submit,
       .handler = {.whole =
                       [this](http::Request&& request, http::Answer answer) {
                         const std::string type(request.headers.get("Content-Type"));
                         run(std::move(request), std::move(answer),
                             [this, type](const std::string& body) { return import(body, type); });
                       }},
       .operation = {},
       .body_bytes = limits::write_request_bytes,
       .accepts = {.type = "text/plain, application/openmetrics-text"}});
}

void WriteDoor::start(http::Server& server) {
  writer_ = std::make_unique<bus::Errands>(server, limits::writes, "writes");
}

void WriteDoor::run(http::Request&& request, http::Answer answer, Work work) {
  const auto held = std::make_shared<http::Answer>(std::move(answer));
  const bool taken = writer_->put([held, work = std::move(work), body = std::move(request.body)]() {
    const auto response = std::make_shared<http::Response>(work(body));
    return [held, response] {
      if (held->pending()) held->send(std::move(*response));
    };
  });
  if (!taken) held->send(plain(503, "as many pushes wait as may wait\n"));
}

http::Response WriteDoor::write(const std::string& body) {
  sink_->begin();
  const auto counts = reader_.read(body, *sink_);
  if (!counts) {
    probe_.malformed.add();
    return plain(400, counts.error().message + "\n");
  }
  if (auto stored = store_.append(reader_.points()); !stored) return not_stored(stored.error());
  probe_.known_labels.set(static_cast<double>(sink_->known()));
  probe_.known_labels_bytes.set(static_cast<double>(sink_->known_bytes()));
  probe_.samples.add(reader_.points().size());
  probe_.bad_labels.add(counts->bad_samples);
  probe_.no_room.add(counts->no_room_samples);
  if (counts->bad_samples + counts->no_room_samples == 0) return plain(204, "");
  return plain(400,
               fmt::format("stored {} samples; refused {} for their labels, {} because there "
                           "is no room for more series\n",
                           reader_.points().size(), counts->bad_samples, counts->no_room_samples));
}

namespace {

// All or nothing of the samples of a text, but for series that there is no room for.
class ImportSink final : public ExpositionSink {
 public:
  ImportSink(Store& store, MetadataStore& metadata, ExemplarStore& exemplars)
      : store_(store), metadata_(metadata), exemplars_(exemplars), now_ms_(now_ms()) {}
  Status metadata(const Metadata& metadata) override {
    metadata_.add(metadata);
    return {};
  }
  Status sample(const ExpositionSample& sample) override {
    if (points.size() >= limits::write_request_samples)
      return fail(Errc::too_big,
                  fmt::format("the text has more than {} samples", limits::write_request_samples));
    const auto id = store_.series(labels_of(sample.labels));
    if (!id) {
      ++no_room;
      return {};
    }
    points.push_back({*id, sample.t_ms.value_or(now_ms_), sample.value});
    if (sample.exemplar) exemplars_.add(*id, *sample.exemplar, points.back().t_ms);
    return {};
  }
  std::vector<Point> points;
  std::size_t no_room = 0;

 private:
  Store& store_;
  MetadataStore& metadata_;
  ExemplarStore& exemplars_;
  std::int64_t now_ms_;
};

}  // namespace

http::Response WriteDoor::import(const std::string& body, const std::string& type) {
  ImportSink sink(store_, metadata_, exemplars_);
  if (const auto read = read_exposition(body, exposition_format(type), sink); !read) {
    probe_.malformed.add();
    return plain(400, read.error().message + "\n");
  }
  if (auto stored = store_.append(sink.points); !stored) return not_stored(stored.error());
  probe_.samples.add(sink.points.size());
  probe_.no_room.add(sink.no_room);
  if (sink.no_room == 0) return plain(204, "");
  return plain(400, fmt::format("stored {} samples; refused {} because there is no room for more "
                                "series\n",
                                sink.points.size(), sink.no_room));
}

}  // namespace tallymill::collector
