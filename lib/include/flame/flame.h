// FLAME: GPU tensors and autograd. One header for programs.
#pragma once
#include "lib/autograd/apply.h"
#include "lib/autograd/grad_mode.h"
#include "lib/core/dtype.h"
#include "lib/core/error.h"
#include "lib/core/op_def.h"
#include "lib/core/shape.h"
#include "lib/ops/ops.h"
#include "lib/tensor/device.h"
#include "lib/tensor/tensor.h"
