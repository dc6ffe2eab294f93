#include "front/gateway/upload.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/limits.h"
#include "base/text.h"

namespace tallymill::gateway {
namespace {

using nlohmann::json;

// A form's text as the JSON that the same member has in a body of its own.
Result<json> member_json(const std::string& name, const std::string& text) {
  if (name == "kind") return json(text);
  json value = json::parse(text, nullptr, false);
  if (value.is_discarded())
    return fail(Errc::bad_params, "this member of a form is JSON", pointer_to(name));
  return value;
}

}  // namespace

Result<std::unique_ptr<store::BlobWriter>> UploadPlace::writer() const {
  std::error_code unknown;
  const auto space = std::filesystem::space(blobs.folder(), unknown);
  if (!unknown && space.available < static_cast<std::uintmax_t>(disk_floor.raw()))
    return std::unexpected(
        Error{Errc::disk, "free space is below the floor", {}, std::chrono::milliseconds(1000)});
  return blobs.writer();
}

Result<std::unique_ptr<JobUpload>> JobUpload::of(UploadPlace place, std::string_view content_type,
                                                 WallTime now) {
  std::unique_ptr<JobUpload> upload(new JobUpload(place, now));
  if (http::media_type_of(content_type) != "multipart/form-data") return upload;
  auto boundary = http::Multipart::boundary_of(content_type);
  if (!boundary) return std::unexpected(std::move(boundary).error());
  JobUpload* self = upload.get();
  upload->form_.emplace(std::move(*boundary),
                        http::PartCalls{[self](const auto& head) { return self->begin(head); },
                                        [self](std::string_view data) { return self->data(data); },
                                        [self] { return self->end(); }});
  return upload;
}

Status JobUpload::feed(std::string_view piece) {
  if (form_) return form_->feed(piece);
  if (json_.size() + piece.size() > static_cast<std::size_t>(limits::http_body_bytes.raw()))
    return fail(Errc::too_big, fmt::format("a job's JSON has at most {} bytes: put files as blobs",
                                           limits::http_body_bytes.raw()));
  json_ += piece;
  return {};
}

Status JobUpload::begin(const http::PartHead& head) {
  value_.clear();
  writer_.reset();
  file_.reset();
  member_ = head.name;
  if (head.file_name.empty()) return {};
  if (inputs_.size() >= limits::item_blobs)
    return fail(Errc::too_big, fmt::format("a job has at most {} files", limits::item_blobs));
  file_.emplace();
  file_->name = head.file_name;
  file_->media_type = head.media_type;
  return {};
}

Status JobUpload::data(std::string_view bytes) {
  if (writer_) return writer_->write(bytes);
  value_ += bytes;
  const auto bound =
      static_cast<std::size_t>(file_ ? limits::inline_bytes.raw() : limits::http_body_bytes.raw());
  if (value_.size() <= bound) return {};
  if (!file_)
    return fail(Errc::too_big, fmt::format("a member of a form has at most {} bytes", bound),
                pointer_to(member_));
  auto writer = place_.writer();
  if (!writer) return std::unexpected(std::move(writer).error());
  writer_ = std::move(*writer);
  return writer_->write(std::exchange(value_, {}));
}

Status JobUpload::end() {
  if (!file_) {
    members_.emplace_back(std::move(member_), std::move(value_));
    return {};
  }
  if (writer_) {
    auto digest = writer_->finish();
    if (!digest) return std::unexpected(std::move(digest).error());
    file_->digest = std::move(*digest);
    file_->size = writer_->size().raw();
    writer_.reset();
  } else {
    file_->bytes = std::move(value_);
  }
  inputs_.push_back(std::move(*file_));
  file_.reset();
  return {};
}

Result<Submission> JobUpload::finish() {
  if (!form_) return parse_submission(json_, now_);
  if (auto whole = form_->finish(); !whole) return std::unexpected(std::move(whole).error());
  json said = json::object();
  for (const auto& [name, text] : members_) {
    if (said.contains(name)) return fail(Errc::bad_params, "said twice", pointer_to(name));
    auto value = member_json(name, text);
    if (!value) return std::unexpected(std::move(value).error());
    said[name] = std::move(*value);
  }
  auto submission = submission_of(said, now_);
  if (!submission) return submission;
  for (Input& input : inputs_) submission->inputs.push_back(std::move(input));
  return submission;
}

}  // namespace tallymill::gateway
