// Goal: a gzip is taken out whole, within the bound, or refused. Method: gzips of libdeflate, cut
// and changed, and one that says nothing true about its size.
#include "collector/gunzip.h"

#include <gtest/gtest.h>
#include <libdeflate.h>

namespace tallymill::collector {
namespace {

std::string gzip(std::string_view text) {
  libdeflate_compressor* const made = libdeflate_alloc_compressor(6);
  std::string packed(libdeflate_gzip_compress_bound(made, text.size()), '\0');
  packed.resize(
      libdeflate_gzip_compress(made, text.data(), text.size(), packed.data(), packed.size()));
  libdeflate_free_compressor(made);
  return packed;
}

TEST(Gunzip, TakesOutWhatWasPutIn) {
  for (const std::string& text :
       {std::string(), std::string("a"), std::string(1'000'000, 'x'), std::string(9'999, '\n')})
    EXPECT_EQ(gunzip(gzip(text), Bytes(1'000'000)), text);
}

TEST(Gunzip, TakesOutAsMuchAsItMayAndNotAByteMore) {
  const std::string bomb = gzip(std::string(100'001, 'x'));
  EXPECT_TRUE(gunzip(bomb, Bytes(100'001)));
  const auto more = gunzip(bomb, Bytes(100'000));
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::too_big);
}

TEST(Gunzip, WhatIsCutOrChangedIsRefused) {
  const std::string whole = gzip("some text, and some more text");
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(gunzip(whole.substr(0, size), Bytes(1'000))) << size;
  std::string wrong = whole;
  wrong[wrong.size() - 6] ^= 1;  // its checksum
  EXPECT_FALSE(gunzip(wrong, Bytes(1'000)));
  EXPECT_FALSE(gunzip(whole + "x", Bytes(1'000)));
}

}  // namespace
}  // namespace tallymill::collector
