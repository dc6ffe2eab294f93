#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "bus/client_state.h"

// A request number of a submit is odd and says where its slot is: order | slot | 1. Numbers rise
// with the order of the submits, and a late answer to a slot's earlier owner finds another number.

namespace tallymill::bus {
namespace {

constexpr int slot_bits = 20;
static_assert(limits::client_jobs <= (1u << slot_bits));

std::string_view kind_of(const SubmitSlot& s) {
  return std::string_view(s.text).substr(0, s.kind_end);
}
std::string_view key_of(const SubmitSlot& s) {
  return std::string_view(s.text).substr(s.kind_end, s.key_end - s.kind_end);
}
std::string_view trace_of(const SubmitSlot& s) {
  return std::string_view(s.text).substr(s.key_end, s.trace_end - s.key_end);
}
std::string_view params_of(const SubmitSlot& s) {
  return std::string_view(s.text).substr(s.trace_end);
}

// "prefix-00000001": rises, so that the front's table of keys grows at its end.
std::string_view key_text(std::string_view prefix, std::uint64_t number, char (&text)[40]) {
  char* at = std::ranges::copy(prefix, text).out;
  *at++ = '-';
  for (int shift = 36; shift >= 0; shift -= 4) *at++ = "0123456789abcdef"[(number >> shift) & 15];
  return {text, static_cast<std::size_t>(at - text)};
}

}  // namespace

// One call of submit_batch(): what of it is answered, under way, and to be tried again later.
class Client::State::BatchSubmit {
 public:
  BatchSubmit(State& s, std::span<const JobRequest> requests, Instant until)
      : s_(s), requests_(requests), until_(until), answers_(requests.size()) {
    for (std::size_t i = 0; i < requests.size(); ++i) due_.push_back({s.clock.now(), i});
  }

  std::vector<Result<JobId>> run() {
    while (answered_ < requests_.size() && !s_.fatal && s_.clock.now() < until_) {
      const Instant next = hand_over_due();
      s_.pump([&] { return answered_ == requests_.size() || again_; },
              std::min(next, until_) - s_.clock.now());
      again_ = false;
    }
    // What has no answer is given up: it must not speak of this call when the call is over.
    std::vector<Result<JobId>> results;
    results.reserve(requests_.size());
    for (Answer& a : answers_) {
      if (SubmitSlot* slot = s_.slot_of(a.request); slot != nullptr && !a.result)
        s_.free_slot(*slot), slot->done = nullptr;
      if (!a.result)
        a.result = a.last_error ? std::unexpected(*a.last_error)
                                : Result<JobId>(std::unexpected(s_.no_answer()));
      results.push_back(std::move(*a.result));
    }
    return results;
  }

 private:
  struct Answer {
    std::int64_t request = 0;
    std::optional<Result<JobId>> result;
    std::optional<Error> last_error;   // of a try that is repeated
    std::optional<JobRequest> stored;  // its large inputs are in the blob store
    bool stored_again = false;
  };
  struct Due {
    Instant at;
    std::size_t index;
  };

  // Submits what is due; when the next is.
  Instant hand_over_due() {
    Instant next = Instant::max();
    std::vector<Due> later;
    const Instant now = s_.clock.now();
    for (const Due& due : std::exchange(due_, {})) {
      if (due.at > now || !hand_over(due.index)) {
        // Without room the next answer of any submit makes some.
        next = std::min(next, std::max(due.at, now + std::chrono::milliseconds(1)));
        later.push_back(due);
      }
    }
    due_.insert(due_.end(), later.begin(), later.end());
    return next;
  }

  // False when there is no room now.
  bool hand_over(std::size_t i) {
    Answer& a = answers_[i];
    const bool large = std::ranges::any_of(requests_[i].inputs, [](const InputFile& file) {
      return !file.path.empty() ||
             Bytes(static_cast<std::int64_t>(file.bytes.size())) > limits::inline_bytes;
    });
    if (large && !a.stored) {
      const Instant before = s_.clock.now();
      auto stored = s_.with_blobs(requests_[i], s_.options.timeout);
      until_ += s_.clock.now() - before;  // the call's time is for answers, not for the transfer
      if (!stored) {
        settle(i, std::unexpected(std::move(stored).error()));
        return true;
      }
      a.stored = std::move(*stored);
    }
    auto taken = s_.submit_async(a.stored ? *a.stored : requests_[i],
                                 [this, i](const Submitted& done) { on_answer(i, done); });
    if (!taken) {
      if (taken.error().code == Errc::busy) return false;
      settle(i, std::unexpected(std::move(taken).error()));
      return true;
    }
    a.request = *taken;
    return true;
  }

  void on_answer(std::size_t i, const Submitted& done) {
    Answer& a = answers_[i];
    if (done.error == nullptr) return settle(i, done.job);
    a.last_error = *done.error;
    if (info(done.error->code).retry && done.error->code != Errc::away) {
      due_.push_back({s_.clock.now() + std::max(done.error->retry_after, least_pause), i});
      again_ = true;
      return;
    }
    // A blob that was put may have been collected before the reference to it was committed.
    if (done.error->code == Errc::not_found && a.stored && !std::exchange(a.stored_again, true)) {
      a.stored.reset();
      due_.push_back({s_.clock.now(), i});
      again_ = true;
      return;
    }
    settle(i, std::unexpected(*done.error));
  }

  void settle(std::size_t i, Result<JobId> result) {
    answers_[i].result = std::move(result);
    ++answered_;
  }

  static constexpr std::chrono::milliseconds least_pause{5};

  State& s_;
  std::span<const JobRequest> requests_;
  Instant until_;
  std::vector<Answer> answers_;
  std::vector<Due> due_;
  std::size_t answered_ = 0;
  bool again_ = false;
};

SubmitSlot* Client::State::new_slot() {
  if (pending_bytes >= limits::client_jobs_bytes.raw()) return nullptr;
  std::uint32_t index = 0;
  if (!free_slots.empty()) {
    index = free_slots.back();
    free_slots.pop_back();
  } else if (slots.size() < limits::client_jobs) {
    index = static_cast<std::uint32_t>(slots.size());
    slots.emplace_back();
  } else {
    return nullptr;
  }
  last_request += 2;
  SubmitSlot& slot = slots[index];
  slot.request = (last_request << (slot_bits + 1)) | (std::int64_t{index} << 1) | 1;
  slot.sent = false;
  return &slot;
}

SubmitSlot* Client::State::slot_of(std::int64_t request) {
  if ((request & 1) == 0) return nullptr;
  const auto index = static_cast<std::size_t>((request >> 1) & ((1 << slot_bits) - 1));
  if (index >= slots.size() || slots[index].request != request) return nullptr;
  return &slots[index];
}

void Client::State::fill(SubmitSlot& slot, const RawJob& job) {
  char automatic[40];
  std::string_view key = job.key;
  if (key.empty() && options.automatic_keys) key = key_text(instance, ++keys_made, automatic);
  slot.tag = job.tag;
  slot.text.clear();
  slot.text.append(job.kind);
  slot.kind_end = slot.text.size();
  slot.text.append(key);
  slot.key_end = slot.text.size();
  slot.text.append(job.trace);
  slot.trace_end = slot.text.size();
  slot.text.append(job.params);
  slot.safe = !key.empty();
  slot.priority = job.priority;
  slot.deadline_unix_ns = job.deadline_unix_ns;
  slot.not_before_unix_ns = job.not_before_unix_ns;
  slot.parent = 0;
  slot.files.clear();
  slot.bytes = static_cast<std::int64_t>(slot.text.size());
  pending_bytes += slot.bytes;
}

bool Client::State::in_window(const SubmitSlot& slot) const {
  // One larger than the window goes alone.
  return sent_jobs < window_jobs && (sent_jobs == 0 || sent_bytes + slot.bytes <= window_bytes);
}

void Client::State::enqueue(SubmitSlot& slot) {
  if (phase == Phase::ready && waiting.empty() && stuck.empty() && in_window(slot))
    send_slot(slot);
  else
    waiting.push_back(slot.request);
}

void Client::State::send_slot(SubmitSlot& slot) {
  if (out.full()) send_out();
  Submit& m = submit_message;
  m.request = slot.request;
  m.kind = kind_of(slot);
  m.key = key_of(slot);
  m.trace = trace_of(slot);
  m.priority = slot.priority;
  m.deadline_unix_ns = slot.deadline_unix_ns;
  m.not_before_unix_ns = slot.not_before_unix_ns;
  m.parent = slot.parent;
  m.inputs.clear();
  std::int32_t blobs = 0;
  for (const SubmitSlot::File& file : slot.files)
    m.inputs.push_back({.name = file.name,
                        .media_type = file.media_type,
                        .digest = file.digest,
                        .bytes = file.bytes,
                        .blob = file.digest.empty() ? blobs++ : -1});
  if (auto added = out.try_add(m, params_of(slot)); !added)
    return answer(slot, {.tag = slot.tag, .job = JobId(0), .error = &added.error()});
  for (SubmitSlot::File& file : slot.files) {
    if (!file.digest.empty()) continue;
    zmq::message_t same;
    same.copy(file.blob);
    out.add_blob(std::move(same));
  }
  slot.sent_tick = ticks;
  if (std::exchange(slot.sent, true)) return;
  ++sent_jobs;
  sent_bytes += slot.bytes;
}

void Client::State::send_waiting() {
  while (!waiting.empty() && phase == Phase::ready && stuck.empty()) {
    SubmitSlot* slot = slot_of(waiting.front());
    if (slot != nullptr && !in_window(*slot)) return;
    waiting.pop_front();
    if (slot != nullptr) send_slot(*slot);
  }
}

void Client::State::free_slot(SubmitSlot& slot) {
  if (std::exchange(slot.sent, false)) {
    --sent_jobs;
    sent_bytes -= slot.bytes;
  }
  pending_bytes -= slot.bytes;
  free_slots.push_back(static_cast<std::uint32_t>((slot.request >> 1) & ((1 << slot_bits) - 1)));
  slot.request = 0;
  if (!slot.files.empty()) slot.files.clear();
}

void Client::State::answer(SubmitSlot& slot, Submitted submitted) {
  free_slot(slot);
  // The callback may submit again, into this very slot.
  if (!slot.done) {
    if (submitted_sink) submitted_sink(submitted);
    return;
  }
  const OnSubmitted done = std::exchange(slot.done, nullptr);
  if (submitted.error == nullptr && !submitted.known && options.watch &&
      fresh.size() < limits::client_ends)
    fresh.insert(submitted.job.raw());
  done(submitted);
}

void Client::State::take_accepted(const Item& item) {
  Accepted& m = accepted_message;
  if (!read_into(item, m)) return;
  if (SubmitSlot* slot = slot_of(m.request))
    return answer(*slot, {.tag = slot->tag, .job = JobId(m.job), .known = m.known});
  // A retry is answered as the submit that it is.
  if (asks.contains(m.request)) answer_ask(m.request, Answer{.job = JobId(m.job)});
}

void Client::State::resubmit_overdue() {
  if (sent_jobs == 0) return;
  for (SubmitSlot& slot : slots)
    if (slot.request != 0 && slot.sent && slot.safe &&
        slot.sent_tick + limits::client_overdue_pings < ticks)
      send_slot(slot);
}

void Client::State::resubmit_all() {
  std::vector<std::int64_t> unsafe;
  waiting.clear();
  for (SubmitSlot& slot : slots) {
    if (slot.request == 0) continue;
    if (slot.sent && !slot.safe) {
      unsafe.push_back(slot.request);
      continue;
    }
    slot.sent = false;
    waiting.push_back(slot.request);
  }
  sent_jobs = unsafe.size();
  if (unsafe.empty()) sent_bytes = 0;
  std::ranges::sort(waiting);
  const Error error{Errc::away,
                    "the connection broke before the answer came: whether the front "
                    "has this job is not known"};
  for (const std::int64_t request : unsafe)
    if (SubmitSlot* slot = slot_of(request))
      answer(*slot, {.tag = slot->tag, .job = JobId(0), .error = &error});
  sent_jobs = 0;
  sent_bytes = 0;
}

Result<std::int64_t> Client::State::submit_async(const JobRequest& request, OnSubmitted done) {
  if (request.key.size() > limits::key_bytes)
    return fail(Errc::bad_params,
                fmt::format("an idempotency key has at most {} bytes", limits::key_bytes), "/key");
  if (request.inputs.size() > limits::item_blobs)
    return fail(Errc::too_big, fmt::format("{} files for one job, more than {}",
                                           request.inputs.size(), limits::item_blobs));
  for (const InputFile& file : request.inputs)
    if (!file.path.empty() ||
        Bytes(static_cast<std::int64_t>(file.bytes.size())) > limits::frame_bytes)
      return fail(Errc::too_big, fmt::format("input '{}': put() it first", file.name));
  SubmitSlot* slot = new_slot();
  if (slot == nullptr)
    return fail(Errc::busy,
                fmt::format("{} submits are pending", slots.size() - free_slots.size()));
  const std::int64_t number = slot->request;
  const auto unix_ns = [](const std::optional<WallTime>& at) { return at ? to_ns(*at) : 0; };
  fill(*slot, {.kind = request.kind,
               .params = request.params,
               .priority = request.priority,
               .key = request.key,
               .deadline_unix_ns = unix_ns(request.deadline),
               .not_before_unix_ns = unix_ns(request.not_before),
               .trace = request.trace});
  slot->parent = request.parent.raw();
  for (const InputFile& file : request.inputs) {
    SubmitSlot::File& to = slot->files.emplace_back();
    to.name = file.name;
    to.media_type = file.media_type;
    to.digest = file.digest;
    to.bytes = file.digest.empty() ? static_cast<std::int64_t>(file.bytes.size()) : file.size.raw();
    if (!file.digest.empty()) continue;
    to.blob = zmq::message_t(file.bytes.data(), file.bytes.size());
    slot->bytes += to.bytes;
    pending_bytes += to.bytes;
  }
  slot->done = std::move(done);
  enqueue(*slot);
  return number;
}

Status Client::submit_async(const JobRequest& request, OnSubmitted done) {
  auto taken = state_->submit_async(request, std::move(done));
  if (!taken) return std::unexpected(std::move(taken).error());
  return {};
}

Result<JobId> Client::submit(const JobRequest& request, std::optional<Duration> timeout) {
  return std::move(submit_batch({&request, 1}, timeout).front());
}

std::vector<Result<JobId>> Client::submit_batch(std::span<const JobRequest> requests,
                                                std::optional<Duration> timeout) {
  State& s = *state_;
  const Instant until = s.clock.now() + timeout.value_or(s.options.timeout);
  return State::BatchSubmit(s, requests, until).run();
}

void Client::on_submitted(OnSubmitted done) { state_->submitted_sink = std::move(done); }

std::size_t Client::submit_now(std::span<const RawJob> jobs) {
  State& s = *state_;
  std::size_t taken = 0;
  for (const RawJob& job : jobs) {
    SubmitSlot* slot = s.new_slot();
    if (slot == nullptr) break;
    s.fill(*slot, job);
    s.enqueue(*slot);
    ++taken;
  }
  return taken;
}

std::size_t Client::submit_many(std::span<const RawJob> jobs, std::optional<Duration> timeout) {
  State& s = *state_;
  std::size_t taken = 0;
  s.pump(
      [&] {
        taken += submit_now(jobs.subspan(taken));
        s.on_turn_end();
        return taken == jobs.size() && s.waiting.empty();
      },
      timeout.value_or(s.options.timeout));
  return taken;
}

std::size_t Client::pending() const { return state_->slots.size() - state_->free_slots.size(); }

}  // namespace tallymill::bus
