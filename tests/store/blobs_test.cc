// Blobs by content. Goal: a file under a digest's name has that content, whole, whatever order
// pieces, crashes and collections come in; no name from the wire leaves the folder. Method: real
// files in a temporary folder.
#include "store/blobs.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/limits.h"
#include "base/sha256.h"
#include "store/durable.h"
#include "tests/fakes/failing_sync.h"

// Entries of folders that can still be read; -1: all. Then each read fails with EIO.
static int reads_of_folders = -1;

extern "C" dirent* readdir(DIR* folder) {
  static const auto next = reinterpret_cast<dirent* (*)(DIR*)>(::dlsym(RTLD_NEXT, "readdir"));
  if (reads_of_folders < 0) return next(folder);
  if (reads_of_folders > 0) {
    --reads_of_folders;
    return next(folder);
  }
  errno = EIO;
  return nullptr;
}

namespace tallymill::store {
namespace {

namespace fs = std::filesystem;
using fakes::FailingSync;

// SHA-256 of "" and "abc", from FIPS 180-2.
constexpr const char* digest_of_nothing =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr const char* digest_of_abc =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

class BlobsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "blobs-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder = name;
    open();
  }
  void TearDown() override { fs::remove_all(folder); }
  void open() {
    auto opened = Blobs::open(folder / "deep" / "blobs", true);
    ASSERT_TRUE(opened) << opened.error().message;
    blobs = std::move(*opened);
  }
  [[nodiscard]] fs::path file_of(const std::string& digest) const {
    return blobs->folder() / digest.substr(0, 2) / digest;
  }
  [[nodiscard]] int collect(Duration age, std::vector<std::string> keep = {}) {
    const WallTime now = SystemClock().wall();
    auto removed = blobs->collect(age, now, 1000, [&](std::span<const std::string> digests) {
      std::vector<std::string> garbage;
      for (const std::string& digest : digests)
        if (std::find(keep.begin(), keep.end(), digest) == keep.end()) garbage.push_back(digest);
      return Result<std::vector<std::string>>(garbage);
    });
    EXPECT_TRUE(removed);
    return removed ? *removed : -1;
  }
  static void make_old(const fs::path& file) {
    timespec times[2] = {{1'000'000'000, 0}, {1'000'000'000, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
  }

  fs::path folder;
  std::unique_ptr<Blobs> blobs;
};

TEST_F(BlobsTest, ComeBackAsTheyWerePut) {
  EXPECT_EQ(sha256_hex(""), digest_of_nothing);
  EXPECT_EQ(*blobs->put("abc"), digest_of_abc);
  EXPECT_EQ(*blobs->put(""), digest_of_nothing);
  const std::string large(3'000'000, 'x');
  const auto digest = blobs->put(large);
  ASSERT_TRUE(digest);
  EXPECT_EQ(blobs->map(*digest)->bytes(), large);
  EXPECT_EQ(blobs->map(digest_of_abc)->bytes(), "abc");
  EXPECT_EQ(blobs->map(digest_of_nothing)->bytes(), "");
  EXPECT_TRUE(blobs->verify(*digest));
  open();
  EXPECT_TRUE(blobs->has(digest_of_abc));
  EXPECT_FALSE(blobs->has(sha256_hex("other")));
  EXPECT_EQ(blobs->map(sha256_hex("other")).error().code, Errc::not_found);
}

TEST_F(BlobsTest, AMappingOutlivesItsFile) {
  const auto digest = blobs->put("abc");
  Mapped mapped = blobs->map(*digest).value();
  fs::remove(file_of(*digest));
  const Mapped copy = mapped;
  mapped = {};
  EXPECT_EQ(copy.bytes(), "abc");
}

TEST_F(BlobsTest, ANameThatIsNoDigestIsRefusedAndNeverAPath) {
  const std::vector<std::string> names = {
      "",
      "abc",
      "../../../../etc/passwd",
      "/etc/passwd",
      std::string(64, 'g'),
      std::string(64, 'A'),
      std::string(63, 'a'),
      std::string(65, 'a'),
      std::string(62, 'a') + "/.",
      "../" + std::string(61, 'a'),
      std::string(63, 'a') + '\0',
      std::string(62, 'a') + "..",
  };
  for (const std::string& name : names) {
    EXPECT_FALSE(check_digest(name)) << name;
    EXPECT_FALSE(blobs->has(name)) << name;
    EXPECT_EQ(blobs->map(name).error().code, Errc::bad_params) << name;
    EXPECT_EQ(blobs->put_piece(name, Bytes(1), Bytes(0), "x").error().code, Errc::bad_params);
    EXPECT_FALSE(blobs->verify(name));
  }
  EXPECT_EQ(check_digest("x").error().field, "/digest");
}

TEST_F(BlobsTest, PiecesBecomeABlobWhenTheLastOneFits) {
  const std::string whole = "one two three";
  const std::string digest = sha256_hex(whole);
  const Bytes size(std::ssize(whole));
  EXPECT_FALSE(*blobs->put_piece(digest, size, Bytes(0), "one "));
  EXPECT_FALSE(blobs->has(digest));
  const auto gap = blobs->put_piece(digest, size, Bytes(8), "three");
  EXPECT_EQ(gap.error().code, Errc::wrong_state);
  EXPECT_NE(gap.error().message.find("offset 4"), std::string::npos);
  open();  // pieces live through a restart
  EXPECT_FALSE(*blobs->put_piece(digest, size, Bytes(4), "two "));
  EXPECT_TRUE(*blobs->put_piece(digest, size, Bytes(8), "three"));
  EXPECT_EQ(blobs->map(digest)->bytes(), whole);
  // Known: no pieces needed.
  EXPECT_TRUE(*blobs->put_piece(digest, size, Bytes(4), "two "));
  EXPECT_TRUE(*blobs->put_piece(digest_of_nothing, Bytes(0), Bytes(0), ""));
}

TEST_F(BlobsTest, PiecesStartAgainAtZeroAndAreRefusedWithAnotherDigest) {
  EXPECT_FALSE(*blobs->put_piece(digest_of_abc, Bytes(3), Bytes(0), "xy"));
  const auto wrong = blobs->put_piece(digest_of_abc, Bytes(3), Bytes(2), "z");
  EXPECT_EQ(wrong.error().code, Errc::bad_params);
  EXPECT_FALSE(blobs->has(digest_of_abc));
  EXPECT_FALSE(*blobs->put_piece(digest_of_abc, Bytes(3), Bytes(0), "x"));
  EXPECT_FALSE(*blobs->put_piece(digest_of_abc, Bytes(3), Bytes(0), "ab"));
  EXPECT_TRUE(*blobs->put_piece(digest_of_abc, Bytes(3), Bytes(2), "c"));
}

TEST_F(BlobsTest, TwoWhoSendTheSamePiecesBothEnd) {
  const std::string whole = "one two three";
  const std::string digest = sha256_hex(whole);
  const auto piece = [&](std::size_t offset, std::size_t size) {
    return blobs->put_piece(digest, Bytes(std::ssize(whole)), Bytes(std::int64_t(offset)),
                            std::string_view(whole).substr(offset, size));
  };
  EXPECT_FALSE(*piece(0, 4));
  EXPECT_FALSE(*piece(4, 4));
  EXPECT_FALSE(*piece(0, 4));  // the second begins, in the same pieces or in others
  EXPECT_FALSE(*piece(4, 2));
  EXPECT_TRUE(*piece(8, 5));  // the first goes on
  EXPECT_TRUE(*piece(6, 2));
  EXPECT_EQ(blobs->map(digest)->bytes(), whole);
}

TEST_F(BlobsTest, APieceThatIsNotWhatIsThereTakesItsPlace) {
  // Half a piece, as a power cut leaves it, and then other bytes.
  std::ofstream(blobs->folder() / "tmp" / (std::string(digest_of_abc) + ".part")) << "aX";
  EXPECT_FALSE(*blobs->put_piece(digest_of_abc, Bytes(3), Bytes(0), "a"));
  EXPECT_TRUE(*blobs->put_piece(digest_of_abc, Bytes(3), Bytes(1), "bc"));
  EXPECT_EQ(blobs->map(digest_of_abc)->bytes(), "abc");
}

TEST_F(BlobsTest, ProcessesThatSendTheSamePiecesAtOnceAllEnd) {
  for (int round = 0; round < 30; ++round) {
    std::string whole(100'000, 'a');
    whole += std::to_string(round);
    const std::string digest = sha256_hex(whole);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        const auto store = Blobs::open(folder / "deep" / "blobs", false).value();
        bool stored = false;
        for (std::size_t offset = 0; !stored;) {
          const auto piece = std::string_view(whole).substr(offset, 30'000);
          const auto taken = store->put_piece(digest, Bytes(std::ssize(whole)),
                                              Bytes(static_cast<std::int64_t>(offset)), piece);
          // As the client library does.
          if (!taken && taken.error().code == Errc::wrong_state) {
            offset = 0;
            continue;
          }
          ASSERT_TRUE(taken) << taken.error().message;
          stored = *taken;
          offset += piece.size();
          ASSERT_LE(offset, whole.size());
          ASSERT_TRUE(stored || offset < whole.size());
        }
        EXPECT_TRUE(store->verify(digest));
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_TRUE(blobs->verify(digest));
  }
}

TEST_F(BlobsTest, APieceBeyondTheWholeOrBeforeItsStartIsRefused) {
  for (const auto& [whole, offset] : std::vector<std::pair<std::int64_t, std::int64_t>>{
           {3, 1}, {3, -1}, {-1, 0}, {3, 4}, {2, 0}, {3, INT64_MAX}}) {
    const auto refused = blobs->put_piece(digest_of_abc, Bytes(whole), Bytes(offset), "abc");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::bad_params);
  }
}

TEST_F(BlobsTest, AFileCutShortIsNotBelieved) {
  const auto digest = blobs->put("some content");
  ASSERT_EQ(::truncate(file_of(*digest).c_str(), 4), 0);
  const auto mapped = blobs->map(*digest);
  ASSERT_FALSE(mapped);
  EXPECT_EQ(mapped.error().code, Errc::corrupt);
  // The same length and other bytes: only reading it all tells.
  const auto other = blobs->put("other content");
  {
    std::ofstream(file_of(*other)) << "OTHER CONTENT";
  }
  EXPECT_TRUE(blobs->map(*other));
  EXPECT_EQ(blobs->verify(*other).error().code, Errc::corrupt);
}

TEST_F(BlobsTest, TheOwnerRemovesWhatACrashLeftHalfWritten) {
  const fs::path tmp = blobs->folder() / "tmp";
  const auto leave_some = [&] {
    std::ofstream(tmp / "4711-1") << "half";
    std::ofstream(tmp / "old.part") << "abandoned";
    std::ofstream(tmp / "new.part") << "in the making";
    make_old(tmp / "old.part");
  };
  leave_some();
  auto worker = Blobs::open(blobs->folder(), false);
  ASSERT_TRUE(worker);
  EXPECT_TRUE(fs::exists(tmp / "4711-1"));
  // When it starts, and with each collection.
  for (const auto& clean : {std::function([&] { open(); }), std::function([&] {
                              EXPECT_EQ(collect(std::chrono::hours(24)), 0);
                            })}) {
    leave_some();
    clean();
    EXPECT_FALSE(fs::exists(tmp / "4711-1"));
    EXPECT_FALSE(fs::exists(tmp / "old.part"));
    EXPECT_TRUE(fs::exists(tmp / "new.part"));
  }
}

TEST_F(BlobsTest, APutThatWasGivenUpIsForgottenAndWhoGoesOnIsToldWhere) {
  const fs::path part = blobs->folder() / "tmp" / (std::string(digest_of_abc) + ".part");
  const auto piece = [&](std::int64_t offset, std::string_view bytes) {
    return blobs->put_piece(digest_of_abc, Bytes(3), Bytes(offset), bytes);
  };
  const auto last_was_before = [&](Duration age) {
    const std::int64_t at = to_ns(SystemClock().wall() - age);
    const timespec time{at / 1'000'000'000, at % 1'000'000'000};
    const timespec times[2] = {time, time};
    ASSERT_EQ(::utimensat(AT_FDCWD, part.c_str(), times, 0), 0);
  };
  EXPECT_FALSE(*piece(0, "ab"));
  last_was_before(limits::unfinished_put - std::chrono::minutes(1));
  (void)collect(std::chrono::hours(24));
  EXPECT_TRUE(fs::exists(part));
  // A piece that was there is a sign of life as a new one is.
  EXPECT_FALSE(*piece(0, "a"));
  last_was_before(limits::unfinished_put + std::chrono::seconds(1));
  EXPECT_FALSE(*piece(0, "a"));
  (void)collect(std::chrono::hours(24));
  EXPECT_TRUE(fs::exists(part));
  last_was_before(limits::unfinished_put + std::chrono::seconds(1));
  (void)collect(std::chrono::hours(24));
  EXPECT_FALSE(fs::exists(part));
  const auto late = piece(2, "c");
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Errc::wrong_state);
  EXPECT_NE(late.error().message.find("offset 0"), std::string::npos);
  EXPECT_FALSE(fs::exists(part));
  EXPECT_FALSE(*piece(0, "ab"));
  EXPECT_TRUE(*piece(2, "c"));
}

TEST_F(BlobsTest, TheOwnerLeavesWhatALivingProcessWrites) {
  const fs::path aside = blobs->folder() / "tmp" / "being-written";
  const int fd = ::open(aside.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
  ASSERT_EQ(::flock(fd, LOCK_EX), 0);  // as put() does
  open();
  EXPECT_TRUE(fs::exists(aside));
  ::close(fd);  // its process ends
  open();
  EXPECT_FALSE(fs::exists(aside));
}

TEST_F(BlobsTest, FrontsThatStartDisturbNoPut) {
  // The folder as several processes have it: locks are of an open file, not of a process.
  std::atomic<int> writing = 3;
  std::atomic<int> opened = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      const std::shared_ptr<void> leaving(nullptr, [&](void*) { --writing; });
      const auto store = Blobs::open(folder / "deep" / "blobs", false).value();
      for (int i = 0; i < 40 || opened <= 10; ++i) {
        // Of two the same content, of the third its own.
        const std::string content = std::to_string(t / 2) + " writes " + std::to_string(i);
        const auto stored = store->put(content);
        ASSERT_TRUE(stored) << stored.error().message;
        EXPECT_EQ(store->map(*stored)->bytes(), content);
      }
    });
  }
  for (; writing > 0; ++opened) EXPECT_TRUE(Blobs::open(folder / "deep" / "blobs", true));
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(opened, 10);
  EXPECT_TRUE(fs::is_empty(blobs->folder() / "tmp"));
}

TEST_F(BlobsTest, FrontsThatMakeAStoreAtOnceGiveItOneId) {
  for (int i = 0; i < 20; ++i) {
    const fs::path fresh = folder / std::to_string(i);
    std::string ids[4];
    std::vector<std::thread> threads;
    for (std::string& id : ids)
      threads.emplace_back([&] { id = Blobs::open(fresh, true).value()->id(); });
    for (std::thread& thread : threads) thread.join();
    for (const std::string& id : ids) EXPECT_EQ(id, Blobs::id_of(fresh));
  }
}

TEST_F(BlobsTest, ItsIdStaysAndACopyHasAnother) {
  const std::string id = blobs->id();
  EXPECT_GT(id.size(), 33U);
  open();
  EXPECT_EQ(blobs->id(), id);
  EXPECT_EQ(Blobs::id_of(folder / "deep" / "." / "blobs"), id);
  fs::copy(folder / "deep" / "blobs", folder / "copy", fs::copy_options::recursive);
  EXPECT_NE(Blobs::id_of(folder / "copy"), id);
  EXPECT_NE(Blobs::id_of(folder / "copy"), "");
  EXPECT_EQ(Blobs::id_of(folder / "none"), "");
}

TEST_F(BlobsTest, CollectsOnlyWhatIsOldAndUnreferenced) {
  const std::string young = *blobs->put("young");
  const std::string used = *blobs->put("used");
  const std::string garbage = *blobs->put("garbage");
  const std::string again = *blobs->put("put again");
  for (const std::string& old : {used, garbage, again}) make_old(file_of(old));
  ASSERT_TRUE(blobs->put("put again"));  // touches it
  EXPECT_EQ(collect(std::chrono::hours(24), {used}), 1);
  EXPECT_FALSE(blobs->has(garbage));
  for (const std::string& kept : {young, used, again}) EXPECT_TRUE(blobs->has(kept));
}

TEST_F(BlobsTest, ACollectionLooksAtSoManyFilesAndGoesOnThereNextTime) {
  std::vector<std::string> digests;
  for (int i = 0; i < 40; ++i) {
    digests.push_back(*blobs->put("blob " + std::to_string(i)));
    make_old(file_of(digests.back()));
  }
  int removed = 0;
  for (int calls = 0; removed < 40 && calls < 80; ++calls) {
    const auto piece = blobs->collect(
        std::chrono::hours(24), SystemClock().wall(), 1, [](std::span<const std::string> all) {
          return Result<std::vector<std::string>>({all.begin(), all.end()});
        });
    ASSERT_TRUE(piece);
    EXPECT_LE(*piece, 4);
    removed += *piece;
  }
  EXPECT_EQ(removed, 40);
}

TEST_F(BlobsTest, ABlobPutBetweenTheQuestionAndTheAnswerIsKept) {
  const std::string digest = *blobs->put("just in time");
  make_old(file_of(digest));
  const auto removed = blobs->collect(
      std::chrono::hours(24), SystemClock().wall(), 100, [&](std::span<const std::string> all) {
        EXPECT_TRUE(blobs->put("just in time"));
        return Result<std::vector<std::string>>({all.begin(), all.end()});
      });
  EXPECT_EQ(*removed, 0);
  EXPECT_TRUE(blobs->has(digest));
  make_old(file_of(digest));
  const auto failed = blobs->collect(
      std::chrono::hours(24), SystemClock().wall(), 1000, [](std::span<const std::string>) {
        return Result<std::vector<std::string>>(fail(Errc::corrupt, "no ledger"));
      });
  EXPECT_FALSE(failed);
  EXPECT_TRUE(blobs->has(digest));
}

TEST_F(BlobsTest, ManyThreadsPuttingTheSameContentLeaveOneFile) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10; ++i)
        EXPECT_EQ(*blobs->put("content " + std::to_string(i)),
                  sha256_hex("content " + std::to_string(i)));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(fs::is_empty(blobs->folder() / "tmp"));
  for (int i = 0; i < 10; ++i)
    EXPECT_TRUE(blobs->verify(sha256_hex("content " + std::to_string(i))));
}

// ---- a failed sync ----

// What the page cache shows after it may never reach the disk, and the next sync says all is well:
// so nothing of the blob may be there for the next put to find.

TEST_F(BlobsTest, ABlobWhoseSyncFailedIsNotThereAndIsWrittenAnewByTheNextPut) {
  const fs::path tmp = blobs->folder() / "tmp";
  // Of the file aside, and of the folder that holds its name.
  for (const fs::path& failing : {tmp / "", file_of(digest_of_abc).parent_path()}) {
    {
      const FailingSync disk(failing.string());
      const auto refused = blobs->put("abc");
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().code, Errc::corrupt) << refused.error().message;
      EXPECT_EQ(FailingSync::failed(), 1);
    }
    EXPECT_FALSE(blobs->has(digest_of_abc));
    EXPECT_TRUE(fs::is_empty(tmp));
  }
  EXPECT_EQ(*blobs->put("abc"), digest_of_abc);
  EXPECT_EQ(blobs->map(digest_of_abc)->bytes(), "abc");
}

TEST_F(BlobsTest, TheSameOfABlobThatComesInPieces) {
  const fs::path tmp = blobs->folder() / "tmp";
  const auto piece = [&](std::int64_t offset, std::string_view bytes) {
    return blobs->put_piece(digest_of_abc, Bytes(3), Bytes(offset), bytes);
  };
  for (const fs::path& failing : {tmp / "", file_of(digest_of_abc).parent_path()}) {
    EXPECT_FALSE(*piece(0, "ab"));
    {
      const FailingSync disk(failing.string());
      const auto refused = piece(2, "c");
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().code, Errc::corrupt) << refused.error().message;
    }
    EXPECT_FALSE(blobs->has(digest_of_abc));
    EXPECT_TRUE(fs::is_empty(tmp));
    // Not believed: the sender begins again.
    EXPECT_EQ(piece(2, "c").error().code, Errc::wrong_state);
  }
  EXPECT_FALSE(*piece(0, "ab"));
  EXPECT_TRUE(*piece(2, "c"));
  EXPECT_EQ(blobs->map(digest_of_abc)->bytes(), "abc");
}

TEST_F(BlobsTest, AFolderOfBlobsWhoseNameIsNotOnDiskIsMadeAnew) {
  {
    // Of the store's own folder: the name of the new folder stands in it.
    const FailingSync disk(blobs->folder());
    EXPECT_EQ(blobs->put("abc").error().code, Errc::corrupt);
  }
  EXPECT_FALSE(fs::exists(file_of(digest_of_abc).parent_path()));
  EXPECT_TRUE(blobs->put("abc"));
  // Whoever comes later cannot know whether the one that made it lived to sync it.
  open();
  {
    const FailingSync disk(blobs->folder());
    EXPECT_EQ(blobs->put("abc").error().code, Errc::corrupt);
  }
  EXPECT_TRUE(blobs->has(digest_of_abc));
}

TEST_F(BlobsTest, AKnownBlobThatCannotBeSyncedIsNotSaidToBeStored) {
  ASSERT_TRUE(blobs->put("abc"));
  const fs::path home = file_of(digest_of_abc);
  for (const fs::path& failing : {home, home.parent_path()}) {
    const FailingSync disk(failing.string());
    EXPECT_EQ(blobs->put("abc").error().code, Errc::corrupt);
    const auto piece = blobs->put_piece(digest_of_abc, Bytes(3), Bytes(0), "abc");
    EXPECT_EQ(piece.error().code, Errc::corrupt);
  }
  // Others refer to it, and it had been synced.
  EXPECT_EQ(blobs->map(digest_of_abc)->bytes(), "abc");
}

// ---- names that go while others rely on them ----

// Until somebody waits for the lock of `folder`, in this process or in another.
void wait_for_a_waiter(const fs::path& folder) {
  struct stat info{};
  ASSERT_EQ(::stat(folder.c_str(), &info), 0);
  const std::string inode = ":" + std::to_string(info.st_ino) + " ";
  for (;;) {
    std::ifstream locks("/proc/locks");
    for (std::string line; std::getline(locks, line);)
      if (line.find("-> FLOCK") != std::string::npos && line.find(inode) != std::string::npos)
        return;
    std::this_thread::yield();
  }
}

TEST_F(BlobsTest, ABlobThatItsWriterTakesAwayAgainIsNotSaidToBeStored) {
  ASSERT_TRUE(blobs->put("abc"));
  const fs::path home = file_of(digest_of_abc);
  const auto put = [&] { return blobs->put("abc").has_value(); };
  const auto piece = [&] {
    return blobs->put_piece(digest_of_abc, Bytes(3), Bytes(0), "abc").value_or(false);
  };
  for (const std::function<bool()>& store : {std::function<bool()>(put), std::function(piece)}) {
    // As the writer whose sync is under way, and then fails.
    std::optional<File> writer(::open(home.parent_path().c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_EQ(::flock(writer->fd(), LOCK_EX), 0);
    bool stored = false;
    std::thread other([&] { stored = store(); });
    wait_for_a_waiter(home.parent_path());
    fs::remove(home);
    writer.reset();
    other.join();
    EXPECT_TRUE(stored);
    EXPECT_TRUE(blobs->has(digest_of_abc));
  }
}

TEST_F(BlobsTest, ABlobThatIsPutWhileItIsCollectedStays) {
  const fs::path home = file_of(*blobs->put("abc"));
  make_old(home);
  std::optional<File> reader(::open(home.parent_path().c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::flock(reader->fd(), LOCK_SH), 0);
  std::thread collector([&] { EXPECT_EQ(collect(std::chrono::hours(24)), 0); });
  wait_for_a_waiter(home.parent_path());
  EXPECT_TRUE(blobs->put("abc"));
  reader.reset();
  collector.join();
  EXPECT_TRUE(blobs->has(digest_of_abc));
}

TEST_F(BlobsTest, ASizeIsThatOfTheFile) {
  EXPECT_EQ(blobs->size(*blobs->put("abc")), Bytes(3));
  EXPECT_EQ(blobs->size(*blobs->put("")), Bytes(0));
  EXPECT_EQ(blobs->size(sha256_hex("other")), std::nullopt);
  EXPECT_EQ(blobs->size("../id"), std::nullopt);
}

// ---- a folder that cannot be read ----

TEST_F(BlobsTest, AFolderThatCannotBeReadIsAnErrorAndTheOthersAreCollected) {
  std::vector<std::string> garbage;
  for (int i = 0; i < 30; ++i) {
    garbage.push_back(*blobs->put("blob " + std::to_string(i)));
    make_old(file_of(garbage.back()));
  }
  fs::path spoilt;
  for (int i = 0; i < 256 && spoilt.empty(); ++i) {
    constexpr char digits[] = "0123456789abcdef";
    const fs::path free = blobs->folder() / std::string{digits[i / 16], digits[i % 16]};
    if (!fs::exists(free)) spoilt = free;
  }
  std::ofstream(spoilt) << "not a folder";
  const auto removed = blobs->collect(
      std::chrono::hours(24), SystemClock().wall(), 1000, [](std::span<const std::string> all) {
        return Result<std::vector<std::string>>({all.begin(), all.end()});
      });
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().code, Errc::disk);
  EXPECT_NE(removed.error().message.find(spoilt.string()), std::string::npos);
  for (const std::string& digest : garbage) EXPECT_FALSE(blobs->has(digest));
}

TEST_F(BlobsTest, AFolderWhoseReadingFailsMidwayEndsNothing) {
  ASSERT_TRUE(blobs->put("abc"));
  std::ofstream(blobs->folder() / "tmp" / "left") << "half";
  reads_of_folders = 1;
  const auto removed = blobs->collect(
      std::chrono::hours(24), SystemClock().wall(), 1000, [](std::span<const std::string> all) {
        return Result<std::vector<std::string>>({all.begin(), all.end()});
      });
  reads_of_folders = 1;
  const auto opened = Blobs::open(blobs->folder(), true);
  reads_of_folders = -1;
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().code, Errc::disk);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::disk);
  open();
}

TEST_F(BlobsTest, AFolderThatCannotBeWrittenIsADiskError) {
  std::ofstream(folder / "file") << "x";
  EXPECT_EQ(Blobs::open(folder / "file" / "blobs", true).error().code, Errc::disk);
  fs::remove_all(blobs->folder() / "tmp");
  EXPECT_EQ(blobs->put("abc").error().code, Errc::disk);
  EXPECT_EQ(blobs->put_piece(digest_of_abc, Bytes(3), Bytes(0), "a").error().code, Errc::disk);
}

}  // namespace
}  // namespace tallymill::store
