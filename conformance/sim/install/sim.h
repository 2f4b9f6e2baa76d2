// Installed as <flame/sim.h>: the simulated device, for programs that are tested without a GPU.
#pragma once
#include "conformance/sim/sim.h"
