// BlobDoor: the front's blob store as one handler thread reaches it.
//
// On the front's host a blob is mapped and a result written into the folder. On another host both
// go over the bus in pieces, as any client's do: a fetched blob has been checked against its
// digest, and is kept for the next job (fetched.h). While that takes, the job gives signs of life,
// and a cancel or its deadline ends the waiting.
//
// Threads: its handler thread's.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "stages/run_context.h"
#include "stages/shared.h"

namespace tallymill::bus {
class Client;
}

namespace tallymill::stages {

class BlobDoor {
 public:
  BlobDoor(Shared& shared, HandlerProbe& probe);
  ~BlobDoor();
  BlobDoor(const BlobDoor&) = delete;
  BlobDoor& operator=(const BlobDoor&) = delete;

  struct Blob {
    std::string_view bytes;
    std::shared_ptr<const void> memory;  // what they lie in
  };
  // not_found: there is no such blob; corrupt: it has not its digest; cancelled: the job was, or is
  // late; away: no answer within limits::blob_answer, or nowhere to ask.
  [[nodiscard]] Result<Blob> get(std::string_view digest, RunContext& context);

  // Durable at the front when it returns; the digest. Errors as of get(), and disk, busy, too_big.
  [[nodiscard]] Result<std::string> put(std::string_view bytes, RunContext& context);

 private:
  [[nodiscard]] Result<BlobsAt> place(RunContext& context) const;
  // The connection to the front's jobs door, made when it is first needed.
  [[nodiscard]] Result<bus::Client*> client(const std::string& jobs_door);
  [[nodiscard]] Result<Blob> fetch(std::string_view digest, const std::string& jobs_door,
                                   RunContext& context);
  [[nodiscard]] Result<Fetch> download(const std::string& name, const std::string& jobs_door,
                                       RunContext& context);

  Shared& shared_;
  HandlerProbe& probe_;
  std::unique_ptr<bus::Client> client_;
};

}  // namespace tallymill::stages
