#include "bench/floor/disk_sync.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "bench/figures.h"

namespace tallymill::bench {

double synced_write_us(const std::filesystem::path& folder, std::size_t bytes, int times) {
  using Clock = std::chrono::steady_clock;
  const int fd = ::open((folder / "synced").c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
  TM_CHECK(fd >= 0);
  const std::string block(bytes, 'x');
  const auto write_at = [&](int i) {
    const auto offset = static_cast<off_t>(i) * static_cast<off_t>(bytes);
    TM_CHECK(::pwrite(fd, block.data(), bytes, offset) == static_cast<ssize_t>(bytes));
  };
  for (int i = 0; i < times; ++i) write_at(i);
  TM_CHECK(::fsync(fd) == 0);
  std::vector<double> micros;
  for (int i = 0; i < times; ++i) {
    std::this_thread::sleep_for(std::chrono::microseconds(300));
    const auto begin = Clock::now();
    write_at(i);
    TM_CHECK(::fdatasync(fd) == 0);
    micros.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
  }
  ::close(fd);
  return median(micros);
}

}  // namespace tallymill::bench
