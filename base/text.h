// clean_text: text from a handler, a library or a file system, made fit for a message.
//
// Threads: plain function.
#pragma once

#include <string>

namespace tallymill {

// At most `bytes` long, and UTF-8: what is not becomes '?'.
void clean_text(std::string& text, std::size_t bytes);

}  // namespace tallymill
