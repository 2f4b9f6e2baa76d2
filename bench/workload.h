// An item on a device, ready to run: inputs drawn there, its graph recorded where backward is
// timed.
#pragma once
#include <vector>

#include "bench/measure.h"
#include "bench/plan.h"
#include "lib/tensor/tensor.h"

namespace flame::bench {

// FLOPs and bytes of what is timed.
//
// Forward: OpDef::cost; each logical input read once, each output written once. Backward: every
// gradient of an output read once, every input and output of the op that its backward keeps read
// once (intermediates that it keeps for itself are its own affair and count nothing), every
// gradient written once; one forward's FLOPs per gradient. Forward + backward: the sum of both.
//
// What lies where something given lies already (a gradient passed on), or is spread from something
// smaller (an expanded one), is delivered as a view: only the bytes that it has of its own were
// written, and for a gradient that has none nothing was read or computed either.
struct Traffic {
  double flops = 0;
  double read = 0, written = 0;  // bytes
  // Of those read, the op's own inputs and outputs in backward: whose forward notes what it needs
  // of them (the places of maxima, say) need not read them again.
  double kept = 0;
  bool view = false;  // some result is a view
  int passes = 1;     // 2 with forward and backward: the second may find what the first left
  double bytes() const { return read + written; }
};

class Workload {
 public:
  // Draws the inputs on the device from `seed` (normal, or as the contract's domains say) and runs
  // the item once, so that everything is compiled. Throws what the op throws.
  Workload(const Device& device, const Item& item, std::uint64_t seed = 20261120);

  // One run. Outputs live until the next run, so that freeing is part of no timing but its own.
  void run();
  const Traffic& traffic() const { return traffic_; }
  // The same for somebody else's results: the outputs, or the gradients in the order of the inputs
  // that get one. Who says nothing of its deliveries has written all of them.
  Traffic traffic_of(const std::vector<Delivery>& deliveries) const;
  const Item& item() const { return item_; }
  const std::vector<Tensor>& inputs() const { return inputs_; }
  const std::vector<Tensor>& grad_outputs() const { return grad_outputs_; }
  const std::vector<Tensor>& results() const { return results_; }

 private:
  void record();
  void count_traffic();
  std::vector<Tensor> forward() const;
  std::vector<Tensor> backward(const std::vector<Tensor>& outputs, bool keep) const;
  std::vector<Delivery> deliveries_of(const std::vector<Tensor>& results) const;
  double bytes_of_gradients() const;
  double bytes_kept() const;
  Traffic forward_traffic(const std::vector<Delivery>& deliveries) const;
  Traffic backward_traffic(const std::vector<Delivery>& deliveries) const;

  Device device_;
  Item item_;
  std::vector<Tensor> inputs_;   // leaves that require grad unless only forward is timed
  std::vector<Tensor> wanted_;   // those of them that get a gradient
  std::vector<Tensor> outputs_;  // of the recorded graph
  std::vector<Tensor> grad_outputs_;
  std::vector<Tensor> results_;  // of the last run
  double read_forward_ = 0, read_backward_ = 0, kept_ = 0;
  std::vector<Delivery> forward_deliveries_;
  Traffic traffic_;
};

}  // namespace flame::bench
