// The thin layer over SQLite. Goal: codes mean what the ledger takes them for, and values come back
// as they were bound. Method: a database in a temporary file, and the codes by number.
#include "store/sqlite.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

namespace tallymill::store {
namespace {

TEST(Sqlite, CodesSayWhatTheCallerDoesNext) {
  EXPECT_EQ(errc_of_sqlite(SQLITE_FULL), Errc::disk);
  EXPECT_EQ(errc_of_sqlite(SQLITE_IOERR_SHMSIZE), Errc::disk);
  EXPECT_EQ(errc_of_sqlite(SQLITE_IOERR_FSYNC), Errc::corrupt);
  EXPECT_EQ(errc_of_sqlite(SQLITE_IOERR_WRITE), Errc::corrupt);
  EXPECT_EQ(errc_of_sqlite(SQLITE_CORRUPT), Errc::corrupt);
  EXPECT_EQ(errc_of_sqlite(SQLITE_NOTADB), Errc::corrupt);
  EXPECT_EQ(errc_of_sqlite(SQLITE_BUSY_SNAPSHOT), Errc::busy);
  EXPECT_EQ(errc_of_sqlite(SQLITE_INTERRUPT), Errc::deadline);
  EXPECT_EQ(errc_of_sqlite(SQLITE_NOMEM), Errc::memory);
  EXPECT_EQ(errc_of_sqlite(SQLITE_TOOBIG), Errc::too_big);
  EXPECT_EQ(errc_of_sqlite(SQLITE_CANTOPEN), Errc::disk);
  EXPECT_EQ(errc_of_sqlite(SQLITE_READONLY), Errc::disk);
}

class SqliteFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "sqlite-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder = name;
    auto opened = Sqlite::open(folder / "a.db", Sqlite::Mode::create);
    ASSERT_TRUE(opened);
    db = std::move(*opened);
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  std::filesystem::path folder;
  Sqlite db;
};

TEST_F(SqliteFile, ValuesComeBackAsTheyWereBound) {
  ASSERT_TRUE(db.exec("CREATE TABLE t(a, b, c, d, e)"));
  auto insert = db.prepare("INSERT INTO t VALUES(?1, ?2, ?3, ?4, ?5)");
  ASSERT_TRUE(insert);
  const std::string bytes("a\0b", 3);
  insert->bind(1, INT64_MIN);
  insert->bind_text(2, {});
  insert->bind_blob(3, bytes);
  insert->bind_text_or_null(4, {});
  insert->bind_blob_or_null(5, bytes);
  ASSERT_TRUE(insert->run());
  EXPECT_EQ(db.changes(), 1);
  auto select = db.prepare("SELECT * FROM t");
  ASSERT_TRUE(select);
  ASSERT_TRUE(select->step());
  EXPECT_EQ(select->integer(0), INT64_MIN);
  EXPECT_FALSE(select->is_null(1));
  EXPECT_EQ(select->text(1), "");
  EXPECT_EQ(select->blob(2), bytes);
  EXPECT_TRUE(select->is_null(3));
  EXPECT_EQ(select->blob(4), bytes);
  EXPECT_FALSE(select->step());
  EXPECT_TRUE(select->ok());
  EXPECT_EQ(*db.number("SELECT count(*) FROM t"), 1);
  EXPECT_EQ(*db.number("SELECT a FROM t WHERE 0"), 0);
  EXPECT_EQ(*db.word("SELECT 'word'"), "word");
}

TEST_F(SqliteFile, FailuresAreErrorsThatNameTheStatement) {
  EXPECT_FALSE(Sqlite::open(folder / "none" / "a.db", Sqlite::Mode::create));
  EXPECT_FALSE(Sqlite::open(folder / "none.db", Sqlite::Mode::read));
  EXPECT_FALSE(Sqlite::open(folder / "a.db", Sqlite::Mode::read, "no such layer"));
  const auto bad = db.exec("SELECT nothing FROM nowhere");
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().message.find("nowhere"), std::string::npos);
  EXPECT_FALSE(db.prepare("SELEKT"));
  EXPECT_FALSE(db.number("SELEKT"));
  EXPECT_FALSE(db.word("SELEKT"));
  ASSERT_TRUE(db.exec("CREATE TABLE t(a UNIQUE)"));
  auto insert = db.prepare("INSERT INTO t VALUES(1)");
  ASSERT_TRUE(insert && insert->run());
  EXPECT_FALSE(insert->run());
  EXPECT_FALSE(insert->ok());
  EXPECT_FALSE(db.in_transaction());
  EXPECT_EQ(Sqlite().error("x").code, Errc::memory);
}

}  // namespace
}  // namespace tallymill::store
