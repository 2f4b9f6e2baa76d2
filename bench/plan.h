// What is timed: every op's bench cases, from its contract, in both directions. Nothing is listed
// here a second time.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/timer.h"
#include "reference/contract.h"

namespace flame::bench {

enum class Direction : unsigned char { kForward, kBackward, kForwardBackward };
const char* to_string(Direction d);  // "forward", "backward", "forward_backward"

// One thing to time.
struct Item {
  const reference::Contract* contract = nullptr;
  const OpDef* op = nullptr;
  reference::BenchCase bench_case;  // scaled
  DType dtype = DType::kFloat32;
  bool tf32 = false;  // float32 products by TF32, as a user may ask for
  Direction direction = Direction::kForward;
  Attrs attrs;                     // completed
  std::vector<TensorDesc> inputs;  // one per op input; a list parameter takes the rest
  std::vector<TensorDesc> outputs;

  // Many operations on every byte: a library's product decides, and tensor cores are for it.
  bool is_product() const;
  std::string name() const;          // "softmax/8192x8192/float32/forward"
  std::string sizes() const;         // "(8192, 8192)", inputs separated by "; "
  std::string compute_mode() const;  // "float32", "tf32", "bfloat16": what products are made in
};

struct PlanOptions {
  std::string op = "*", case_name = "*", direction = "*";  // globs
  std::string mode = "*";                                  // of compute_mode()
  // Sizes above 16 are divided by this, for the simulated device and for judging peers.
  std::int64_t scale = 1;
};

// In manifest order: case, dtype (float32, TF32 for products, bfloat16), direction. What an op does
// not have (a backward, a dtype) is left out; a case that only returns its input is too.
// Throws UnknownOpError when no op matches, ValueError when nothing is left.
std::vector<Item> plan(const PlanOptions& options);

// One size under a scale: a size of at most 16 stays (kernels, strides, groups of few), others are
// divided, but not below 16. Equal sizes stay equal.
std::int64_t scaled(std::int64_t size, std::int64_t scale);
reference::BenchCase scaled(reference::BenchCase bench_case, std::int64_t scale);

// The same item with another case of its op.
Item with_case(const Item& item, const reference::BenchCase& bench_case);

// Whether input i takes part in backward: defined, floating and declared differentiable.
bool wants_grad(const OpDef& op, std::size_t i, const TensorDesc& desc);

}  // namespace flame::bench
