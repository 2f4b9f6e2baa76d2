// Spreading the blocks of a launch over OS threads.
#pragma once
#include <string>

namespace flame::sim {

struct Grid;

// Runs every block. `threads`: see Options::threads. Gives the report of a fault, or an empty
// string.
std::string run_grid(Grid& grid, int threads);

}  // namespace flame::sim
