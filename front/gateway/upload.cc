#include "front/gateway/upload.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/limits.h"
#include "base/text.h"

namespace tallymill::gateway {
namespace {

using nlohmann::json;

bool is_member(std::string_view name) {
  return name == "kind" || name == "params" || name == "priority" || name == "deadline_s" ||
         name == "delay_s";
}

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
  no_file_ = false;
  if (!head.is_file) return check_member();
  if (head.file_name.empty()) {  // what a browser sends where no file was chosen
    no_file_ = true;
    return {};
  }
  if (inputs_.size() >= limits::item_blobs)
    return fail(Errc::too_big, fmt::format("a job has at most {} files", limits::item_blobs));
  file_.emplace();
  file_->name = head.file_name;
  file_->media_type = head.media_type;
  return {};
}

// Before any of it is held.
Status JobUpload::check_member() const {
  if (member_ == "file")
    return fail(Errc::bad_params, "a file has a file name: curl sends one for -F file=@NAME",
                "/file");
  if (!is_member(member_))
    return fail(Errc::bad_params, "no such member: kind, params, priority, deadline_s, delay_s",
                pointer_to(member_));
  if (std::ranges::find(members_, member_, &std::pair<std::string, std::string>::first) !=
      members_.end())
    return fail(Errc::bad_params, "said twice", pointer_to(member_));
  return {};
}

Status JobUpload::data(std::string_view bytes) {
  if (no_file_) return fail(Errc::bad_params, "a file without a name", pointer_to(member_));
  if (writer_) return writer_->write(bytes);
  value_ += bytes;
  if (!file_) {
    members_bytes_ += bytes.size();
    const auto bound = static_cast<std::size_t>(limits::http_body_bytes.raw());
    if (members_bytes_ <= bound) return {};
    return fail(Errc::too_big, fmt::format("what a form says of a job has at most {} bytes", bound),
                pointer_to(member_));
  }
  if (value_.size() <= static_cast<std::size_t>(limits::inline_bytes.raw())) return {};
  auto writer = place_.writer();
  if (!writer) return std::unexpected(std::move(writer).error());
  writer_ = std::move(*writer);
  return writer_->write(std::exchange(value_, {}));
}

Status JobUpload::end() {
  if (no_file_) return {};
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
