#include "http/assets.h"

#include <algorithm>
#include <utility>

#include "base/sha256.h"
#include "http/conditional.h"

namespace tallymill::http {
namespace {

constexpr std::pair<std::string_view, std::string_view> types[] = {
    {"html", "text/html; charset=utf-8"},
    {"css", "text/css; charset=utf-8"},
    {"js", "text/javascript; charset=utf-8"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"json", "application/json"},
    {"map", "application/json"},
    {"webmanifest", "application/manifest+json"},
    {"txt", "text/plain; charset=utf-8"},
    {"md", "text/markdown; charset=utf-8"},
    {"csv", "text/csv; charset=utf-8"},
    {"gcode", "text/plain; charset=utf-8"},
    {"nc", "text/plain; charset=utf-8"},
    {"xml", "application/xml"},
    {"yml", "application/yaml"},
    {"yaml", "application/yaml"},
    {"svg", "image/svg+xml"},
    {"png", "image/png"},
    {"jpg", "image/jpeg"},
    {"jpeg", "image/jpeg"},
    {"webp", "image/webp"},
    {"ico", "image/x-icon"},
    {"woff2", "font/woff2"},
    {"wasm", "application/wasm"},
    {"pdf", "application/pdf"},
    {"zip", "application/zip"},
};

struct Variant {
  std::string_view bytes;
  std::string_view coding;  // empty: as it is
};

Variant variant_for(const Request& request, const Asset& asset) {
  const std::string accepted = request.headers.list("Accept-Encoding");
  if (!asset.br.empty() && accepts(accepted, "br")) return {asset.br, "br"};
  if (!asset.gzip.empty() && accepts(accepted, "gzip")) return {asset.gzip, "gzip"};
  return {asset.bytes, {}};
}

// "\"4f3a\"" -> "\"4f3a-br\"": a strong etag names bytes, and these are others.
std::string etag_of(const Asset& asset, std::string_view coding) {
  std::string etag = asset.etag;
  if (!coding.empty()) etag.insert(etag.size() - 1, "-" + std::string(coding));
  return etag;
}

}  // namespace

Asset make_asset(std::string path, std::string_view bytes) {
  // Half of the digest: nobody forges the etag of his own page.
  return {
      .path = std::move(path), .bytes = bytes, .etag = '"' + sha256_hex(bytes).substr(0, 32) + '"'};
}

std::string_view type_of_file(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return "application/octet-stream";
  const std::string ending = lower_case(name.substr(dot + 1));
  const auto* found =
      std::ranges::find(types, ending, &std::pair<std::string_view, std::string_view>::first);
  return found == std::end(types) ? "application/octet-stream" : found->second;
}

Response asset_response(const Request& request, const Asset& asset) {
  const Variant variant = variant_for(request, asset);
  Response response = {.type = std::string(type_of_file(asset.path)),
                       .body = Body(variant.bytes, nullptr),
                       .etag = etag_of(asset, variant.coding),
                       .ranges = true};
  // no-cache: kept, and asked about each time, so that a new version is seen at once.
  response.headers.add("Cache-Control",
                       asset.immutable ? "public, max-age=31536000, immutable" : "no-cache");
  if (!variant.coding.empty())
    response.headers.add("Content-Encoding", std::string(variant.coding));
  if (!asset.br.empty() || !asset.gzip.empty()) vary_by_encoding(response);
  return response;
}

}  // namespace tallymill::http
