// 1. A delimiter is CRLF, "--" and the boundary; the body is read as if a CRLF stood before it.
// 2. Until one comes, all but the last bytes, which could be its beginning, are the part's data (or
//    the preamble, and nobody's).
// 3. Behind it, "--" ends the body; else the rest of its line must be blank, and a head follows up
//    to its empty line. That empty line is sought within the bound alone, so that a head is too
//    long or not however it was cut.
#include "http/multipart.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/limits.h"
#include "base/text.h"
#include "base/utf8.h"
#include "http/message.h"
#include "http/parameters.h"

namespace tallymill::http {
namespace {

constexpr std::size_t head_bytes = static_cast<std::size_t>(limits::multipart_header_bytes.raw());
constexpr std::string_view head_end = "\r\n\r\n";

std::unexpected<Error> wrong(std::string_view what) {
  return fail(Errc::bad_frame, fmt::format("the multipart body: {}", what));
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// RFC 8187: charset'language'escaped.
std::optional<std::string> extended_value(std::string_view value) {
  const std::size_t first = value.find('\'');
  if (first == std::string_view::npos || lower_case(value.substr(0, first)) != "utf-8")
    return std::nullopt;
  const std::size_t second = value.find('\'', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  return percent_decoded(value.substr(second + 1));
}

Status read_disposition(std::string_view value, PartHead& head) {
  if (media_type_of(value) != "form-data") return wrong("a part that is no form-data");
  const auto said = parameters_of(value);
  if (!said) return wrong("a Content-Disposition that cannot be read");
  const auto name = find(*said, "name");
  if (!name || name->empty()) return wrong("a part without a name");
  head.name = *name;
  const auto plain = find(*said, "filename");
  std::string file(plain.value_or(""));
  head.is_file = plain || find(*said, "filename*");
  if (const auto extended = find(*said, "filename*")) {
    auto decoded = extended_value(*extended);
    if (!decoded) return wrong("a filename* that cannot be read");
    file = std::move(*decoded);
  }
  if (!is_clean_text(head.name) || !is_clean_text(file))
    return wrong("a name that is not plain text");
  head.file_name = file.substr(file.find_last_of("/\\") + 1);
  const bool none = head.file_name.empty() && !file.empty();
  if (none || head.file_name == "." || head.file_name == "..")
    return wrong("the name of a folder where a file's must be");
  return {};
}

// What was encoded for a mail's way would be taken as it stands.
Status read_encoding(std::string_view value) {
  const std::string encoding = lower_case(value);
  if (encoding == "binary" || encoding == "8bit" || encoding == "7bit") return {};
  return wrong("a Content-Transfer-Encoding other than binary");
}

Result<Headers> fields_of(std::string_view text) {
  Headers fields;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find("\r\n"), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 2, text.size()));
    if (std::ranges::any_of(line, [](char c) { return is_control(c) && c != '\t'; }))
      return wrong("a control character in a part's head");
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return wrong("a line in a part's head that is no field");
    const std::size_t before = fields.all().size();
    fields.add(std::string(line.substr(0, colon)), std::string(trimmed(line.substr(colon + 1))));
    if (fields.all().size() == before) return wrong("a field without a proper name");
  }
  return fields;
}

// `text`: from behind the delimiter to the last field's end.
Result<PartHead> parse_head(std::string_view text) {
  const std::size_t line_end = std::min(text.find("\r\n"), text.size());
  if (!trimmed(text.substr(0, line_end)).empty())
    return wrong("a line that begins as a boundary does, and is none");
  text.remove_prefix(std::min(line_end + 2, text.size()));
  const auto fields = fields_of(text);
  if (!fields) return std::unexpected(fields.error());
  for (const std::string_view name :
       {"Content-Disposition", "Content-Type", "Content-Transfer-Encoding"})
    if (fields->count(name) > 1) return wrong(fmt::format("two {} in one part", name));
  PartHead head;
  if (auto read = read_disposition(fields->get("Content-Disposition"), head); !read)
    return std::unexpected(std::move(read).error());
  if (fields->count("Content-Transfer-Encoding") > 0)
    if (auto read = read_encoding(fields->get("Content-Transfer-Encoding")); !read)
      return std::unexpected(std::move(read).error());
  head.media_type = media_type_of(fields->get("Content-Type"));
  if (!is_clean_text(head.media_type)) return wrong("a Content-Type that is not plain text");
  return head;
}

bool is_boundary(std::string_view text) {
  constexpr std::string_view marks = "'()+_,-./:=? ";
  return !text.empty() && text.size() <= 70 && text.back() != ' ' &&
         std::ranges::all_of(text, [&](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  marks.contains(c);
         });
}

}  // namespace

Result<std::string> Multipart::boundary_of(std::string_view content_type) {
  if (media_type_of(content_type) != "multipart/form-data") return wrong("it is no form-data");
  const auto said = parameters_of(content_type);
  const auto boundary = said ? find(*said, "boundary") : std::nullopt;
  if (!boundary || !is_boundary(*boundary)) return wrong("its Content-Type names no boundary");
  return std::string(*boundary);
}

Multipart::Multipart(std::string boundary, PartCalls calls)
    : delimiter_("\r\n--" + std::move(boundary)), calls_(std::move(calls)), held_("\r\n") {}

Status Multipart::feed(std::string_view piece) {
  if (state_ == State::failed) return wrong("it was refused before");
  if (state_ == State::epilogue) return {};
  held_ += piece;
  for (bool more = true; more;)
    if (auto status = step(more); !status) {
      state_ = State::failed;
      held_.clear();
      return status;
    }
  return {};
}

Status Multipart::finish() {
  if (state_ == State::epilogue) return {};
  state_ = State::failed;
  return wrong("its last boundary did not come");
}

Status Multipart::step(bool& more) {
  switch (state_) {
    case State::preamble:
    case State::data:
      return until_delimiter(more);
    case State::head:
      return head(more);
    case State::epilogue:
      held_.clear();
      [[fallthrough]];
    case State::failed:
      more = false;
  }
  return {};
}

Status Multipart::until_delimiter(bool& more) {
  const std::size_t at = held_.find(delimiter_);
  more = at != std::string::npos;
  const std::size_t ready =
      more ? at : held_.size() - std::min(held_.size(), delimiter_.size() - 1);
  const bool in_part = state_ == State::data;
  if (in_part && ready > 0)
    if (auto taken = calls_.data(std::string_view(held_).substr(0, ready)); !taken) return taken;
  held_.erase(0, more ? at + delimiter_.size() : ready);
  if (!more) return {};
  state_ = State::head;
  return in_part ? calls_.end() : Status();
}

Status Multipart::head(bool& more) {
  if (held_.starts_with("--")) {
    state_ = State::epilogue;
    return {};
  }
  const std::string_view text = std::string_view(held_).substr(0, head_bytes + head_end.size());
  const std::size_t end = text.find(head_end);
  more = end != std::string_view::npos;
  if (!more) {
    if (text.size() < head_bytes + head_end.size()) return {};
    return fail(Errc::too_big, fmt::format("a part's head has more than {} bytes",
                                           limits::multipart_header_bytes.raw()));
  }
  if (parts_ == limits::multipart_parts)
    return fail(Errc::too_big,
                fmt::format("the body has more than {} parts", limits::multipart_parts));
  ++parts_;
  const auto head = parse_head(text.substr(0, end));
  if (!head) return std::unexpected(head.error());
  held_.erase(0, end + head_end.size());
  state_ = State::data;
  return calls_.begin(*head);
}

}  // namespace tallymill::http
