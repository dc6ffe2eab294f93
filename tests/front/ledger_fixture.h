// What the ledger's tests share: a folder that goes away, entries with a number, and a seed that is
// printed.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "bus/envelope.h"
#include "front/body.h"
#include "front/ledger.h"
#include "front/ledger_sqlite.h"
#include "front/timeline.h"
#include "tests/temp_folder.h"

namespace tallymill::front {

// The header of a message, as the front keeps it.
template <class Message>
std::string header_of(const Message& message) {
  bus::Packer packer;
  packer.add(message);
  const auto envelope = bus::Envelope::decode(packer.take());
  EXPECT_TRUE(envelope);
  return std::string(envelope->items().front().header);
}

inline std::vector<bus::FileRef> files_of(const std::vector<std::string>& digests) {
  std::vector<bus::FileRef> files;
  for (const std::string& digest : digests) files.push_back({.name = "file", .digest = digest});
  return files;
}

// As a front would store it: tests fill it with any params.
inline std::string body_of(std::string_view params, const std::vector<std::string>& digests = {}) {
  bus::Submit submit;
  submit.kind = "synthetic";
  submit.inputs = files_of(digests);
  return pack_body(header_of(submit), params);
}

inline NewJob job_with(std::int64_t id, std::string_view params = "params") {
  NewJob job;
  job.id = JobId(id);
  job.client = "client-" + std::to_string(id % 3);
  job.kind = "synthetic";
  job.submitted = wall_from_ns(1'700'000'000'000'000'000 + id);
  job.intake = instant_from_ns(1000 + id);
  job.queued = instant_from_ns(2000 + id);
  job.body = body_of(params);
  return job;
}

inline JobEnd end_of_job(std::int64_t seq, std::int64_t job, EndState state = EndState::done) {
  JobEnd end;
  end.seq = seq;
  end.job = JobId(job);
  end.state = state;
  end.attempts = 1;
  end.at = wall_from_ns(1'700'000'000'000'000'000 + seq);
  const bool told = state == EndState::done || state == EndState::failed;
  if (told) end.result = pack_body({}, "result of " + std::to_string(job));
  if (state != EndState::done)
    end.code = info(state == EndState::failed      ? Errc::stage_failed
                    : state == EndState::cancelled ? Errc::cancelled
                                                   : Errc::deadline)
                   .name;
  end.timeline = pack_attempt({}, {job, 1, 1},
                              state == EndState::done ? "ok"
                              : told                  ? "error"
                                                      : "",
                              {});
  return end;
}

inline Note note_for(std::int64_t seq, std::int64_t job, Note::What what) {
  Note note;
  note.seq = seq;
  note.job = JobId(job);
  note.what = what;
  return note;
}

// A WAL small enough to be restarted within a test.
inline LedgerOptions options_in(const std::filesystem::path& folder) {
  LedgerOptions options;
  options.folder = folder;
  options.wal = {Bytes(1 << 20), Bytes(1 << 19), Bytes(1 << 16), Bytes(900 << 10)};
  options.reserve = Bytes(1 << 20);
  return options;
}

inline OpenLedger open_ledger(const LedgerOptions& options) {
  auto opened = open_sqlite_ledger(options);
  EXPECT_TRUE(opened) << opened.error().message;
  return opened ? std::move(*opened) : OpenLedger{};
}

inline std::vector<Outcome> commit(Ledger& ledger, const std::vector<Entry>& entries,
                                   const std::vector<Whole>& wholes = {}) {
  auto outcomes = ledger.commit(entries, wholes);
  EXPECT_TRUE(outcomes) << outcomes.error().message;
  return outcomes ? std::move(*outcomes) : std::vector<Outcome>();
}

inline std::vector<LiveJob> replay(Ledger& ledger) {
  std::vector<LiveJob> all;
  auto replayed = ledger.replay([&](std::vector<LiveJob>&& chunk) {
    for (LiveJob& job : chunk) all.push_back(std::move(job));
  });
  EXPECT_TRUE(replayed) << replayed.error().message;
  return all;
}

}  // namespace tallymill::front
