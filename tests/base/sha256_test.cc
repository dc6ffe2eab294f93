// The name of a blob. Goal: it is SHA-256 as the standard has it, from any thread, and nothing else
// passes for one. Method: the standard's own vectors, and names that a peer might send.
#include "base/sha256.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace tallymill {
namespace {

// FIPS 180-2, and a million times "a".
constexpr const char* of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(Sha256, IsTheStandards) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), of_abc);
  EXPECT_EQ(sha256_hex(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, OfPiecesIsThatOfTheWhole) {
  EXPECT_EQ(Sha256().hex(), sha256_hex(""));
  Sha256 pieces;
  for (const char* piece : {"a", "", "b", "c"}) pieces.add(piece);
  EXPECT_EQ(pieces.hex(), of_abc);
}

TEST(Sha256, EveryThreadHasItsOwnContext) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([] {
      for (int i = 0; i < 1000; ++i) EXPECT_EQ(sha256_hex("abc"), of_abc);
    });
  for (std::thread& thread : threads) thread.join();
}

TEST(Sha256, OnlySixtyFourLowerCaseDigitsPassForOne) {
  EXPECT_TRUE(is_sha256_hex(of_abc));
  for (const std::string& other :
       {std::string(), std::string(63, 'a'), std::string(65, 'a'), std::string(64, 'A'),
        std::string(64, 'g'), std::string(62, 'a') + "/.", std::string(63, 'a') + '\0'})
    EXPECT_FALSE(is_sha256_hex(other)) << other;
}

TEST(Sha256, HexHasTwoDigitsForEachByte) {
  const unsigned char bytes[] = {0, 9, 10, 0x5f, 0xff};
  EXPECT_EQ(hex_of(bytes), "00090a5fff");
  EXPECT_EQ(hex_of({}), "");
}

}  // namespace
}  // namespace tallymill
