// Reports: what a worker tells the front, made from what it holds.
//
// Threads: plain functions; the loop's.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bus/envelope.h"
#include "stages/desk.h"
#include "stages/shared.h"

namespace tallymill::stages {

// {"held": [[job, epoch, attempt, phase] ...]} as msgpack.
[[nodiscard]] std::string held_params(std::span<const Desk::Listed> held);
// The same with "kinds".
[[nodiscard]] std::string hello_params(std::span<const Desk::Listed> held,
                                       std::span<const StageKind> kinds);

// Adds a kept result to `packer` as it was sent. False when it does not fit there.
[[nodiscard]] bool repack_result(const Desk::Again& again, bus::Packer& packer);

// The end of a job that was stopped while it waited.
[[nodiscard]] std::shared_ptr<const Sent> stopped_result(const Shared& shared, const HeldJob& job,
                                                         Stop why);

void add_preview(Notice& notice, bus::Packer& packer);

}  // namespace tallymill::stages
