// Who is let in. Goal: only who holds a token of the file is somebody, a file that is not as it
// should be lets nobody in, and no message repeats what stands in it. Method: tables of lines that
// are wrong; files with other modes in a temporary folder; new tokens against their own lines.
#include "http/tokens.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/limits.h"
#include "base/sha256.h"

namespace tallymill::http {
namespace {

namespace fs = std::filesystem;
using namespace std::string_view_literals;

std::string hash(char digit) { return std::string(64, digit); }

TEST(Tokens, ALineThatIsNoneIsRefusedWithItsNumberAndNotQuoted) {
  for (const std::string& line :
       {std::string("ci"), std::string("ci submit"), "ci submit " + hash('a') + " more",
        "ci none " + hash('a'), "ci root " + hash('a'), "ci Submit " + hash('a'),
        "ci submit " + hash('A'), "ci submit " + hash('g'), "ci submit " + std::string(63, 'a'),
        "ci submit tm_" + std::string(43, 'x'), "c/i submit " + hash('a'),
        std::string("c\0i submit ", 11) + hash('a'), "c\xc3\xb6 submit " + hash('a'),
        "c\x1b[2J submit " + hash('a'), std::string(65, 'n') + " submit " + hash('a')}) {
    const auto read = Tokens::parse("# tokens\n\n" + line + "\n", "door");
    ASSERT_FALSE(read) << line;
    EXPECT_EQ(read.error().code, Errc::bad_params);
    EXPECT_TRUE(read.error().message.starts_with("door:3: ")) << read.error().message;
    EXPECT_EQ(read.error().message.find("aaaa"), std::string::npos);
    EXPECT_EQ(read.error().message.find("tm_"), std::string::npos);
  }
}

TEST(Tokens, ANameOrATokenStandsThereOnce) {
  const std::string one = "ci submit " + hash('a') + "\n";
  EXPECT_FALSE(Tokens::parse(one + "ci read " + hash('b'), "door"));
  EXPECT_FALSE(Tokens::parse(one + "other operate " + hash('a'), "door"));
  EXPECT_TRUE(Tokens::parse(one + "other operate " + hash('b'), "door"));
}

TEST(Tokens, AsManyAsTheLimitAndNotOneMore) {
  std::string text;
  for (std::size_t i = 0; i < limits::http_tokens; ++i)
    text += fmt::format("t{} read {}\n", i, sha256_hex(std::to_string(i)));
  const auto all = Tokens::parse(text, "door");
  ASSERT_TRUE(all);
  EXPECT_EQ(all->find("9999")->name, "t9999");
  const auto more = Tokens::parse(text + "more read " + hash('a'), "door");
  ASSERT_FALSE(more);
  EXPECT_TRUE(more.error().message.starts_with("door:10001: ")) << more.error().message;
}

TEST(Tokens, AFileHasABoundedSize) {
  const auto bytes = static_cast<std::size_t>(limits::http_tokens_bytes.raw());
  EXPECT_TRUE(Tokens::parse(std::string(bytes, '#'), "door"));
  EXPECT_FALSE(Tokens::parse(std::string(bytes + 1, '#'), "door"));
}

TEST(Tokens, OnlyTheTokenItselfIsFound) {
  const auto tokens = Tokens::parse(
      "# name role sha256\r\n  ci\tsubmit " + sha256_hex("secret") + "\r\n\n", "door");
  ASSERT_TRUE(tokens);
  EXPECT_FALSE(tokens->empty());
  const auto caller = tokens->find("secret");
  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->name, "ci");
  EXPECT_EQ(caller->role, Role::submit);
  for (const std::string_view other : {""sv, "secre"sv, "secret "sv, "Secret"sv, "secret\0"sv})
    EXPECT_FALSE(tokens->find(other)) << other;
  EXPECT_FALSE(tokens->find(sha256_hex("secret")));  // who read the file can do nothing with it
  EXPECT_FALSE(Tokens().find(""));
}

TEST(MakeToken, IsFoundByItsLineAndIsNeverTheSame) {
  const auto one = make_token("ci", Role::operate);
  const auto other = make_token("ci", Role::operate);
  ASSERT_TRUE(one && other);
  EXPECT_NE(one->token.reveal(), other->token.reveal());
  EXPECT_EQ(one->token.reveal().size(), 46);
  EXPECT_TRUE(one->token.reveal().starts_with("tm_"));
  const auto bytes = base64url_decoded(one->token.reveal().substr(3));
  ASSERT_TRUE(bytes);
  EXPECT_EQ(bytes->size(), 32);
  const auto tokens = Tokens::parse(one->line, "door");
  ASSERT_TRUE(tokens) << tokens.error().message;
  EXPECT_EQ(tokens->find(one->token.reveal())->role, Role::operate);
  EXPECT_FALSE(tokens->find(other->token.reveal()));
  EXPECT_EQ(one->line.find(one->token.reveal()), std::string::npos);
  EXPECT_TRUE(tokens->has("ci"));
  EXPECT_FALSE(tokens->has("c"));
}

TEST(MakeToken, IsSeenInATextThatHoldsIt) {
  const auto made = make_token("ci", Role::read);
  ASSERT_TRUE(made);
  const std::string token(made->token.reveal());
  for (const auto& text : {token, "tm_ " + token, "/etc/" + token + ".txt"})
    EXPECT_TRUE(holds_token(text)) << "somewhere in it";
  for (const auto& text : {std::string(), std::string("tm_"), token.substr(0, token.size() - 1),
                           token.substr(1), "tm_." + token.substr(3)})
    EXPECT_FALSE(holds_token(text)) << text;
}

TEST(MakeToken, RefusesANameThatWouldBreakItsLine) {
  for (const std::string_view name : {""sv, "a b"sv, "a\nb"sv, "#"sv, "a\0"sv})
    EXPECT_FALSE(make_token(name, Role::read)) << name;
  EXPECT_FALSE(make_token(std::string(65, 'n'), Role::read));
  EXPECT_TRUE(make_token(std::string(64, 'n'), Role::read));
}

class TokenFile : public testing::Test {
 protected:
  TokenFile() : folder_(::mkdtemp(pattern_.data())), path_(folder_ / "tokens") {
    std::ofstream(path_) << "ci submit " << sha256_hex("secret") << "\n";
    ::chmod(path_.c_str(), 0600);
  }
  ~TokenFile() override { fs::remove_all(folder_); }

  std::string pattern_ = (fs::temp_directory_path() / "tokens-XXXXXX").string();
  fs::path folder_;
  fs::path path_;
};

TEST_F(TokenFile, ThatOthersMayWriteLetsNobodyIn) {
  for (const unsigned mode : {0620u, 0602u, 0666u, 0660u}) {
    ASSERT_EQ(::chmod(path_.c_str(), mode), 0);
    const auto read = Tokens::read(path_);
    ASSERT_FALSE(read) << std::oct << mode;
    EXPECT_EQ(read.error().code, Errc::denied);
    EXPECT_NE(read.error().message.find(path_.string()), std::string::npos);
  }
  for (const unsigned mode : {0600u, 0644u, 0400u, 0444u}) {
    ASSERT_EQ(::chmod(path_.c_str(), mode), 0);
    EXPECT_TRUE(Tokens::read(path_)) << std::oct << mode;
  }
}

TEST_F(TokenFile, ALinkIsJudgedByWhatItLeadsTo) {
  const fs::path link = folder_ / "link";
  fs::create_symlink(path_, link);
  EXPECT_TRUE(Tokens::read(link));
  ::chmod(path_.c_str(), 0666);
  EXPECT_EQ(Tokens::read(link).error().code, Errc::denied);
}

TEST_F(TokenFile, WhatIsNoFileIsNotWaitedFor) {
  const fs::path pipe = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const fs::path& path : {pipe, folder_, folder_ / "missing", fs::path("/dev/zero")})
    EXPECT_EQ(Tokens::read(path).error().code, Errc::not_found) << path;
}

TEST_F(TokenFile, AnErrorNamesTheFileAndTheLine) {
  std::ofstream(path_) << "ci submit\n";
  EXPECT_TRUE(Tokens::read(path_).error().message.starts_with(path_.string() + ":1: "));
}

}  // namespace
}  // namespace tallymill::http
