// Upload: a body that comes in pieces and becomes a blob, or a job with its files.
//
// What a file has beyond limits::inline_bytes goes into the blob store as it comes, so that no body
// is held whole. Whoever is dropped before finish() leaves nothing behind.
//
// Threads: one at a time: the one that may wait for the disk.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "base/units.h"
#include "front/gateway/submission.h"
#include "http/multipart.h"
#include "store/blobs.h"

namespace tallymill::gateway {

// Where uploads rest, and how much room must stay free there.
struct UploadPlace {
  store::Blobs& blobs;
  Bytes disk_floor;
  // disk: it is below the floor.
  [[nodiscard]] Result<std::unique_ptr<store::BlobWriter>> writer() const;
};

// A job: JSON as submission_of() reads it, or a form of which each part with a file name is an
// input, and the others are members: kind, params (JSON), priority, deadline_s, delay_s.
class JobUpload {
 public:
  // bad_frame: a form without a boundary.
  [[nodiscard]] static Result<std::unique_ptr<JobUpload>> of(UploadPlace place,
                                                             std::string_view content_type,
                                                             WallTime now);
  [[nodiscard]] Status feed(std::string_view piece);
  [[nodiscard]] Result<Submission> finish();

 private:
  JobUpload(UploadPlace place, WallTime now) : place_(place), now_(now) {}
  [[nodiscard]] Status begin(const http::PartHead& head);
  [[nodiscard]] Status check_member() const;
  [[nodiscard]] Status data(std::string_view bytes);
  [[nodiscard]] Status end();

  UploadPlace place_;
  WallTime now_;
  std::optional<http::Multipart> form_;
  std::string json_;    // the whole body, of what is no form
  std::string member_;  // the part that is being read: its name, when it is no file
  std::string value_;   // and what it has so far; of a file too, while it is small
  std::optional<Input> file_;
  bool no_file_ = false;  // the part is a file's, and there is none
  std::unique_ptr<store::BlobWriter> writer_;
  std::vector<Input> inputs_;
  std::vector<std::pair<std::string, std::string>> members_;
  std::size_t members_bytes_ = 0;
};

}  // namespace tallymill::gateway
