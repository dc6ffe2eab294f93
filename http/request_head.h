// request_head: the head of a request as the client writes it, up to its empty line.
//
// Threads: plain function.
#pragma once

#include <string>

#include "base/secret.h"
#include "http/client.h"
#include "http/url.h"

namespace tallymill::http {

// Fields of `asked` that say how long the message is, or that belong to the connection, are left
// out. The token stands in what is returned.
[[nodiscard]] std::string request_head(const ClientRequest& asked, const Url& url,
                                       const Secret& token);

}  // namespace tallymill::http
