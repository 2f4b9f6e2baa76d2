#include "lib/ops/rows.h"

#include "lib/ops/iteration.h"
#include "lib/tensor/launch.h"

namespace flame {
namespace {

constexpr std::int64_t kLanes = 32;

std::int64_t segments_of(std::int64_t pieces) {
  return ceil_div(pieces, std::int64_t{flame_params::kSegment});
}

}  // namespace

flame_params::RowUnits row_units(std::int64_t lines, std::int64_t pieces, std::int64_t strips) {
  const std::int64_t segments = segments_of(pieces);
  const Divisor by_pieces = divisor_of(pieces), by_strips = divisor_of(strips),
                by_segments = divisor_of(segments);
  return {.lines = static_cast<unsigned>(lines),
          .pieces = static_cast<unsigned>(pieces),
          .strips = static_cast<unsigned>(strips),
          .together = static_cast<unsigned>(kLanes / pieces),
          .segments = static_cast<unsigned>(segments),
          .pieces_factor = by_pieces.factor,
          .strips_factor = by_strips.factor,
          .segments_factor = by_segments.factor,
          .pieces_shift = by_pieces.shift,
          .strips_shift = by_strips.shift,
          .segments_shift = by_segments.shift};
}

std::int64_t warps_of(const flame_params::RowUnits& units) {
  const std::int64_t lines = units.lines;
  return units.together > 0 ? ceil_div(lines, std::int64_t{units.together})
                            : lines * units.segments;
}

std::int64_t lines_of_warps(std::int64_t pieces, std::int64_t warps) {
  return pieces <= kLanes ? warps * (kLanes / pieces) : warps / segments_of(pieces);
}

}  // namespace flame
