// Assets: files of a page, in memory for as long as the program lives: with their type, a strong
// etag and the variants that were compressed when it was built.
//
// Threads: const after it was made.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/message.h"

namespace tallymill::http {

struct Asset {
  std::string path;          // "/app/index-4f3a.js"
  std::string_view bytes;    // for ever
  std::string etag;          // quoted, of `bytes`; those of the variants are made from it
  std::string_view br = {};  // the same, compressed; empty: not
  std::string_view gzip = {};
  bool immutable = false;  // its name has its hash: a year
};

// Without variants, which may be set afterwards. Costs a SHA-256 of `bytes`.
[[nodiscard]] Asset make_asset(std::string path, std::string_view bytes);

// The type of a file by its ending; application/octet-stream for one that it does not know.
[[nodiscard]] std::string_view type_of_file(std::string_view path);

// The asset as this client takes it, to be passed on to conditional().
[[nodiscard]] Response asset_response(const Request& request, const Asset& asset);

}  // namespace tallymill::http
