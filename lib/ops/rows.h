// How images are cut into pieces of rows for kernels/row_unit.cuh.
#pragma once
#include <cstdint>

#include "kernels/params.h"

namespace flame {

// `lines` lines of `pieces`, `strips` of them to a plane.
flame_params::RowUnits row_units(std::int64_t lines, std::int64_t pieces, std::int64_t strips);
// The warps that take them.
std::int64_t warps_of(const flame_params::RowUnits& units);
// How many lines `warps` warps take; 0: they are too long.
std::int64_t lines_of_warps(std::int64_t pieces, std::int64_t warps);

}  // namespace flame
