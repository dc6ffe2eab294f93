// What the programs' exit codes mean, one table for all of them; those of errors stand with the
// errors (base/result.h).
#pragma once

namespace tallymill {

inline constexpr int exit_ok = 0;
inline constexpr int exit_negative = 1;  // the job failed, the check found something
inline constexpr int exit_usage = 2;
inline constexpr int exit_inconsistent = 7;
inline constexpr int exit_cannot_run = 70;
inline constexpr int exit_interrupted = 130;

}  // namespace tallymill
