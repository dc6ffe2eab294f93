// Log: what the store has acknowledged and not sealed yet, so that kill -9 loses none of it.
//
// A folder with `series`, the list of all series, which grows until many of them have died and it
// is written anew, and numbered segments with points (*.log). append() returns when the system has
// the bytes, which a killed process does not take with it; a thread syncs them to the disk soon
// after, so that a power cut costs at most that time. A segment ends by rotate(), and goes by
// drop() when its points are sealed elsewhere. No writer waits for a disk that is slow to sync:
// what a new segment costs is done before, by prepare(), and after, by settle().
//
// Opening replays it. A torn tail is cut, damaged records are skipped, both are counted, and
// neither is a reason not to start: points of a series whose definition was lost are replayed too.
//
//   invariant: a series is in the list before a point of it is in a segment
//   invariant: a segment is appended to by the process that made it, never by a later one
//
// Threads: one at a time calls; the thread that syncs is inside. sync(), failed() and list_failed()
// from any; prepare() and settle() beside the others, from the thread that calls rotate().
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/result.h"
#include "collector/records.h"
#include "collector/series.h"

namespace tallymill::collector {

class Log {
 public:
  // What a replay tells, in the order in which it was appended. Of a series that is told twice the
  // first id has died.
  struct Listener {
    std::function<void(SeriesId, const Definition&)> series;
    std::function<void(std::span<const Point>)> points;
  };
  // Of the replay.
  struct Replayed {
    std::uint64_t segments = 0;
    std::uint64_t points = 0;
    std::uint64_t damaged = 0;     // stretches that were skipped
    std::uint64_t torn_bytes = 0;  // that were cut
    std::uint32_t next_id = 0;     // the first that no series has had
    bool lost = false;             // ids below it may be missing in the list
  };

  // What is sealed elsewhere.
  struct Sealed {
    std::uint64_t segment = 0;  // the last one of which all is
    std::uint32_t series = 0;   // ids in it are below this
  };

  // Makes the folder if it is not there; replays; removes segments that are sealed. disk: a file
  // cannot be read, or the first one cannot be made; of a full disk what is there is replayed.
  // REQUIRES: no other process has it open.
  [[nodiscard]] static Result<std::unique_ptr<Log>> open(std::filesystem::path folder,
                                                         const Sealed& sealed,
                                                         const Listener& listener);
  ~Log();  // synced
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // `fresh` are new series, the first of which is `first`. disk: nothing was stored, and the
  // points are not acknowledged. corrupt: an earlier sync failed, see failed(). REQUIRES: the
  // series of all points were given here, in this or an earlier call that succeeded.
  [[nodiscard]] Status append(SeriesId first, std::span<const Definition> fresh,
                              std::span<const Point> points);

  // Writes the list anew: these, and nothing of all others below `next`, which died. Durable when
  // it returns. disk, corrupt: the old one goes on, or the new one, and is as durable as it was.
  // REQUIRES: by id; append() had them all.
  using Listed = std::vector<std::pair<SeriesId, Definition>>;
  [[nodiscard]] Status rewrite_list(const Listed& alive, std::uint32_t next);

  // Makes the file of the next segment; its name is durable when it returns. disk, corrupt: there
  // is none. corrupt also when the list must be written anew, see list_failed().
  [[nodiscard]] Status prepare();
  // Begins it; the number of the one that ended. Waits for no disk. REQUIRES: prepare() succeeded.
  [[nodiscard]] std::uint64_t rotate();
  // Syncs the list and the segment that ended, so that what is sealed can rely on the list.
  // corrupt: it cannot, and the list must be written anew.
  [[nodiscard]] Status settle();
  // Removes segments up to this number.
  void drop(std::uint64_t up_to);

  // Bytes of segments that are there.
  [[nodiscard]] std::uint64_t bytes() const;
  [[nodiscard]] std::uint64_t list_bytes() const { return list_->size(); }
  [[nodiscard]] const Replayed& replayed() const { return replayed_; }
  // A sync failed: what was acknowledged since the one before may not be on disk, and nothing is
  // accepted until rotate(); whoever has it in memory seals it.
  [[nodiscard]] bool failed() const;
  // What failed was a sync of the list, of which the disk may lack anything, and no later sync
  // would say so: nothing can be sealed before it is written anew.
  [[nodiscard]] bool list_failed() const;
  // All that was appended is on the disk. corrupt: it is not.
  [[nodiscard]] Status sync();

 private:
  struct Segment {
    std::uint64_t number;
    std::uint64_t bytes;
  };
  explicit Log(std::filesystem::path folder) : folder_(std::move(folder)) {}
  [[nodiscard]] Status replay(const Sealed& sealed, const Listener& listener);
  [[nodiscard]] Status replay_series(const Listener& listener);
  [[nodiscard]] Status write_list(SeriesId first, std::span<const Definition> series,
                                  RecordFile& list);
  [[nodiscard]] Status replay_segment(std::uint64_t number, const Listener& listener);
  [[nodiscard]] std::filesystem::path path_of(std::uint64_t number) const;
  void run();
  [[nodiscard]] Status sync_now();

  std::filesystem::path folder_;
  Replayed replayed_;
  std::vector<Segment> ended_;
  std::uint64_t number_ = 0;          // of the segment that is written
  std::uint32_t series_ = 0;          // ids below this are in the list, or were lost
  std::shared_ptr<RecordFile> next_;  // of the next segment
  std::string packed_;

  // One syncs at a time: of two that sync one file, the kernel tells only one that it failed.
  std::mutex sync_mutex_;     // taken before mutex_
  mutable std::mutex mutex_;  // guards what is below
  std::condition_variable changed_;
  std::shared_ptr<RecordFile> list_;
  std::shared_ptr<RecordFile> segment_;         // null: the disk had no room for it at the start
  std::shared_ptr<RecordFile> ended_unsynced_;  // the segment before, when it has something to sync
  bool unsynced_ = false;
  bool failed_ = false;
  bool list_failed_ = false;
  bool stopping_ = false;
  std::thread syncs_;
};

}  // namespace tallymill::collector
