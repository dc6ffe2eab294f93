// The page to try the API: three files in the program itself, which need no token.
#include <array>
#include <string_view>

#include "front/gateway/gateway.h"
#include "http/assets.h"

// Of page_files.S.
extern "C" {
extern const char tallymill_page_html[];
extern const char tallymill_page_html_end[];
extern const char tallymill_page_css[];
extern const char tallymill_page_css_end[];
extern const char tallymill_page_js[];
extern const char tallymill_page_js_end[];
}

namespace tallymill::gateway {
namespace {

const http::Asset* find_file(std::string_view path) {
  static const std::array files{
      http::make_asset("/index.html", {tallymill_page_html, tallymill_page_html_end}),
      http::make_asset("/try.css", {tallymill_page_css, tallymill_page_css_end}),
      http::make_asset("/try.js", {tallymill_page_js, tallymill_page_js_end})};
  if (path == "/") path = "/index.html";
  for (const http::Asset& file : files)
    if (file.path == path) return &file;
  return nullptr;
}

}  // namespace

void Gateway::get_page(Request&& request, Answer answer) {
  const http::Asset* file = find_file(request.path);
  if (file == nullptr) return answer.fail({Errc::not_found, "there is no such file"});
  answer.send(http::asset_response(request, *file));
}

}  // namespace tallymill::gateway
