// The device side of the simulated CUDA device: what makes an ordinary kernel file compile with
// g++. Included before every kernel; NVRTC sees nothing of it.
#pragma once
#include "conformance/sim/shim_core.h"
// In this order: the parts use each other.
#include "conformance/sim/shim_atomic.h"
#include "conformance/sim/shim_math.h"
#include "conformance/sim/shim_sync.h"
