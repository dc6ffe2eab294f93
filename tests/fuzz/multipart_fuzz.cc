// links: tm_http
// A form with files from anybody. Goal: no body makes Multipart crash or call out of order, the
// calls are the same however it was cut, and what a head says is clean: UTF-8 without control
// characters, no path. Input: a line with the Content-Type, a byte that says how to cut, the body.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "http/multipart.h"

namespace tallymill::http {
namespace {

bool is_clean(std::string_view text) {
  return is_utf8(text) && std::ranges::none_of(text, [](char c) {
           return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
         });
}

void check(const PartHead& head) {
  TM_CHECK(!head.name.empty() && is_clean(head.name));
  TM_CHECK(is_clean(head.file_name) && is_clean(head.media_type));
  TM_CHECK(head.file_name.find_first_of("/\\") == std::string::npos);
  TM_CHECK(head.file_name != "." && head.file_name != "..");
}

// All that was called, as text; the data in one however it came.
std::string calls_of(std::string_view body, const std::string& boundary, std::size_t piece_bytes) {
  std::string told;
  std::size_t parts = 0;
  bool open = false;
  Multipart reader(boundary, {.begin = [&](const PartHead& head) -> Status {
                                check(head);
                                TM_CHECK(!open && ++parts <= limits::multipart_parts);
                                open = true;
                                told += "[" + head.name + "|" + head.file_name + "|" +
                                        head.media_type + "|";
                                return {};
                              },
                              .data = [&](std::string_view data) -> Status {
                                TM_CHECK(open && !data.empty());
                                told += data;
                                return {};
                              },
                              .end = [&]() -> Status {
                                TM_CHECK(open);
                                open = false;
                                told += "]";
                                return {};
                              }});
  Status status;
  while (status && !body.empty()) {
    const std::string_view piece = body.substr(0, piece_bytes);
    status = reader.feed(piece);
    body.remove_prefix(piece.size());
  }
  if (status) status = reader.finish();
  TM_CHECK(!status || !open);
  return told + (status ? "" : status.error().message);
}

}  // namespace
}  // namespace tallymill::http

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tallymill::http;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t line = input.find('\n');
  if (line == std::string_view::npos || line + 1 == input.size()) return 0;
  const auto boundary = Multipart::boundary_of(input.substr(0, line));
  if (!boundary) return 0;
  const std::size_t piece = 1 + static_cast<unsigned char>(input[line + 1]) % 64;
  const std::string_view body = input.substr(line + 2);
  TM_CHECK(calls_of(body, *boundary, std::string_view::npos) == calls_of(body, *boundary, piece));
  return 0;
}
