// Multipart: a multipart/form-data body, read piece by piece: no part is held whole here.
//
//   Multipart reader(boundary, {.begin = ..., .data = ..., .end = ...});
//   reader.feed(piece) ...; reader.finish();
//
// What two readers could read in two ways is refused: a delimiter with more behind it on its line,
// a folded field, a lone CR or LF in a head, a name said twice in one. How the body was cut into
// pieces changes nothing but how `data` is cut.
//
//   invariant: it holds at most a boundary's length and limits::multipart_header_bytes, beside the
//              piece that it was given
//
// Threads: one.
// Source: RFC 7578, RFC 2046 5.1; RFC 8187 for filename*, which some clients send.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tallymill::http {

struct PartHead {
  std::string name;             // of the form's field; several parts may have the same
  bool is_file = false;         // a file name was said, which a form does for no file too: empty
  std::string file_name = {};   // the last step of what was said, never a path
  std::string media_type = {};  // lower case; empty: none was said
};

struct PartCalls {
  // An error of one of them is feed()'s. Text in a head is UTF-8 without control characters.
  std::function<Status(const PartHead&)> begin;
  std::function<Status(std::string_view)> data;
  std::function<Status()> end;
};

class Multipart {
 public:
  // The boundary of "multipart/form-data; boundary=..."; bad_frame when there is none or a bad one.
  [[nodiscard]] static Result<std::string> boundary_of(std::string_view content_type);

  Multipart(std::string boundary, PartCalls calls);
  // bad_frame: not of this form; too_big: over limits::multipart_*. After an error nothing is
  // called and everything is refused.
  [[nodiscard]] Status feed(std::string_view piece);
  // bad_frame: the last boundary did not come.
  [[nodiscard]] Status finish();

 private:
  enum class State : unsigned char { preamble, head, data, epilogue, failed };
  // One step on; false in `more`: what is held is not enough for one.
  [[nodiscard]] Status step(bool& more);
  [[nodiscard]] Status until_delimiter(bool& more);
  [[nodiscard]] Status head(bool& more);

  std::string delimiter_;  // "\r\n--" and the boundary
  PartCalls calls_;
  std::string held_;
  State state_ = State::preamble;
  std::size_t parts_ = 0;
};

}  // namespace tallymill::http
