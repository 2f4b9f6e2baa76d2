#include "conformance/sim/workers.h"

#include "conformance/sim/executor.h"

namespace flame::sim {

std::string run_grid(Grid& grid, [[maybe_unused]] int threads) {
  return Executor::current().run(grid);
}

}  // namespace flame::sim
