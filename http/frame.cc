#include "http/frame.h"

namespace tallymill::http {

void append_frame(std::string& out, bool binary, std::string_view message) {
  const std::size_t size = message.size();
  const int length_bytes = size < 126 ? 0 : size <= 0xffff ? 2 : 8;
  out += static_cast<char>(0x80 | (binary ? 2 : 1));
  out += static_cast<char>(length_bytes == 0 ? size : length_bytes == 2 ? 126 : 127);
  for (int byte = length_bytes - 1; byte >= 0; --byte)
    out += static_cast<char>(size >> (8 * byte) & 0xff);
  out += message;
}

}  // namespace tallymill::http
