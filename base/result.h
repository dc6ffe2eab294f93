// How this project says "it did not work": Result<T>, Error and the one table of error codes.
//
// A Result<T> holds a T or an Error. Every function that can fail for a reason outside the program
// (disk, network, bad input, a full queue) returns one; a broken invariant is a bug, and stops the
// process (see TM_CHECK in check.h). Third-party exceptions are turned into an Error in the one
// file that wraps that library, and go no further. The wire, HTTP, the command line's exit code and
// the documentation all read the table below; nobody writes a code by hand.
//
// Threads: plain values; share nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace tallymill {

// X(code, wire name, HTTP status, exit code, worth a retry, what it means to the caller)
#define TM_ERROR_TABLE(X)                                                                       \
  X(bad_frame, "E_FRAME", 400, 2, false, "the message is not of this protocol")                 \
  X(unauthenticated, "E_AUTH", 401, 6, false, "no token, or not one this door knows")           \
  X(denied, "E_DENIED", 403, 6, false, "this client may not do that")                           \
  X(not_found, "E_NOT_FOUND", 404, 5, false, "no such job, blob or resource")                   \
  X(no_route, "E_NO_ROUTE", 404, 5, false, "no stage serves this kind of job")                  \
  X(duplicate, "E_DUP", 409, 1, false, "idempotency key already used for another job")          \
  X(wrong_state, "E_STATE", 409, 1, false, "the job is in a state that does not allow this")    \
  X(too_big, "E_TOO_BIG", 413, 2, false, "over a documented limit")                             \
  X(bad_params, "E_PARAMS", 422, 2, false, "a parameter is wrong; the pointer names it")        \
  X(rate_limited, "E_RATE", 429, 1, true, "this client is over its rate; wait retry_after_ms")  \
  X(cancelled, "E_CANCELLED", 499, 1, false, "the job was cancelled")                           \
  X(stage_failed, "E_STAGE", 500, 1, false, "the stage gave up on this input")                  \
  X(corrupt, "E_CORRUPT", 500, 7, false, "stored bytes fail their checksum; tell an operator")  \
  X(busy, "E_BUSY", 503, 1, true, "a bound is reached and nothing is broken; wait, then retry") \
  X(away, "E_AWAY", 503, 3, true, "a peer that this needs cannot be reached")                   \
  X(deadline, "E_DEADLINE", 504, 4, false, "the answer would come too late to be of use")       \
  X(version, "E_VERSION", 505, 2, false, "the peer speaks a version this one does not")         \
  X(memory, "E_MEM", 507, 1, false, "the job needs more memory than it may have")               \
  X(disk, "E_DISK", 507, 70, true, "the disk is full or failing; what was accepted is kept")

enum class Errc : std::uint8_t {
#define TM_ENUMERATOR(code, name, http, exit, retry, meaning) code,
  TM_ERROR_TABLE(TM_ENUMERATOR)
#undef TM_ENUMERATOR
};

struct ErrorInfo {
  std::string_view name;  // as on the wire
  int http;
  int exit;  // of the command line
  bool retry;
  std::string_view meaning;
};

[[nodiscard]] constexpr ErrorInfo info(Errc code) {
  switch (code) {
#define TM_CASE(code, name, http, exit, retry, meaning) \
  case Errc::code:                                      \
    return {name, http, exit, retry, meaning};
    TM_ERROR_TABLE(TM_CASE)
#undef TM_CASE
  }
  std::unreachable();
}

struct Error {
  Errc code;
  std::string message;  // one sentence for a person: what was tried, on what, what came back
  std::string field{};  // JSON pointer to what is wrong, as "/width_mm"; empty when nothing is
  std::chrono::milliseconds retry_after{0};  // when info(code).retry: the least to wait

  // Adds where we were, outermost first: "front: settle job 42: disk full".
  [[nodiscard]] Error in(std::string_view where) && {
    message.insert(0, std::string(where) + ": ");
    return std::move(*this);
  }
};

template <class T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

[[nodiscard]] inline std::unexpected<Error> fail(Errc code, std::string message,
                                                 std::string field = {}) {
  return std::unexpected<Error>(Error{code, std::move(message), std::move(field)});
}

// The code that has this wire name; nothing for a name of no code (a newer peer's).
[[nodiscard]] constexpr std::optional<Errc> errc_named(std::string_view name) {
#define TM_MATCH(code, wire, http, exit, retry, meaning) \
  if (name == (wire)) return Errc::code;
  TM_ERROR_TABLE(TM_MATCH)
#undef TM_MATCH
  return std::nullopt;
}

}  // namespace tallymill
