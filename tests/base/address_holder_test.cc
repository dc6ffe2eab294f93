// Who has an address. Goal: the error of a bind names the process, over tcp and ipc, and a socket
// file that nobody listens at is not taken for one. Method: sockets of this process.
#include "base/address_holder.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>

namespace tallymill {
namespace {

const std::string here = "base_test (process " + std::to_string(::getpid()) + ")";

TEST(AddressHolder, ATcpPortIsNamedWithTheProcessWhileItIsListenedAt) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(socket, 1), 0);
  ASSERT_EQ(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::string endpoint = "tcp://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  const auto free = check_port_free(endpoint);
  ASSERT_FALSE(free);
  EXPECT_EQ(free.error().code, Errc::busy);
  EXPECT_EQ(free.error().message, endpoint + " is in use by " + here);
  ::close(socket);
  EXPECT_TRUE(check_port_free(endpoint));
}

TEST(AddressHolder, AnIpcPathIsNamedWithTheProcessAndAFileLeftBehindDoesNotAnswer) {
  const std::string path =
      (std::filesystem::temp_directory_path() / "holder-").string() + std::to_string(::getpid());
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  ASSERT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(socket, 1), 0);
  EXPECT_TRUE(ipc_answers("ipc://" + path));
  EXPECT_EQ(address_in_use("ipc://" + path), "ipc://" + path + " is in use by " + here);
  ::close(socket);
  EXPECT_FALSE(ipc_answers("ipc://" + path)) << "the file alone";
  std::filesystem::remove(path);
  EXPECT_FALSE(ipc_answers("ipc://" + path));
  EXPECT_EQ(address_in_use("ipc://" + path),
            "ipc://" + path + " is in use by a process that cannot be seen");
}

TEST(AddressHolder, WhatIsNoAddressOfThisHostIsABadParameter) {
  EXPECT_EQ(check_port_free("tcp://192.0.2.1:7750").error().code, Errc::bad_params);
  EXPECT_EQ(check_port_free("tcp://").error().code, Errc::bad_params);
  EXPECT_TRUE(check_port_free("tcp://127.0.0.1:*"));
  EXPECT_TRUE(check_port_free("ipc:///run/any.sock"));
}

}  // namespace
}  // namespace tallymill
