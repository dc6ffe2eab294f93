// Conditional: what becomes of a handler's response before it is written: If-None-Match and
// If-Match, Range and If-Range, gzip.
//
//   response = compressed(request, conditional(request, std::move(response)));
//
// In this order, so that nothing is compressed for a 304. A HEAD gets the fields that a GET would,
// and the body too: whoever writes the response leaves it out.
//
// Threads: pure functions.
// Source: RFC 9110, 8.8 (validators), 13 (conditional requests) and 14 (ranges).
#pragma once

#include "http/message.h"

namespace tallymill::http {

// 304 when the client has it, 412 when it has another one, 206 with the part that was asked for,
// 416 with the size when there is no such part. Several parts at once, or a unit that is not bytes,
// are answered whole. For GET and HEAD of a 200 with an etag; anything else comes back as it is.
[[nodiscard]] Response conditional(const Request& request, Response response);

// gzip for a text of limits::http_gzip_bytes and more, if the client takes it. Not where it would
// not be smaller, and not of a part or of what has `ranges`: those count the bytes as they are. An
// etag becomes a weak one, for it named other bytes; conditional() still knows it.
[[nodiscard]] Response compressed(const Request& request, Response response);

// What is asked of a request when its answer is written, so that the rest can go to its handler:
// what the two above look at, and who asked what, for the log.
[[nodiscard]] Request kept_for_answer(const Request& request);

// Tells caches that another client may get it in another coding. Twice is once.
void vary_by_encoding(Response& response);

}  // namespace tallymill::http
