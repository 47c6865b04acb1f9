/// What instructions start from, and what came out differently.
#pragma once

#include <string>

#include "differential/arm64/executor.h"
#include "unit/translator_fp/values.h"

namespace solder::test {

/// Registers biased to extremes and special floating-point values, FPCR in any mode, random data.
Machine random_machine(fp::test::Values& values);

/// A line per difference; empty when equal.
std::string difference(const Machine& ours, const Machine& oracle);

}  // namespace solder::test
