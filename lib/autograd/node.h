// The tape: nodes owned by the tensors they made, each pointing at what its inputs came from.
#pragma once
#include <memory>
#include <mutex>
#include <vector>

#include "lib/autograd/op_context.h"
#include "lib/tensor/tensor_impl.h"

namespace flame::autograd {

struct Node;

// Where the gradient of one input goes: to the node that made it, or into a leaf.
struct Edge {
  std::shared_ptr<Node> node;
  int output_index = 0;
  std::shared_ptr<TensorImpl> leaf;
};

// The edge that leads to `t`'s gradient; empty when it needs none.
Edge edge_to(const Tensor& t);

struct Node {
  Node(const OpDef& op_def, const Device& dev) : op(op_def), device(dev) {}
  // Iterative: a chain of 100,000 ops must not recurse through destructors.
  ~Node();

  const OpDef& op;
  Attrs attrs;
  Device device;
  TensorDescs inputs, outputs;
  Flags needs_grad;
  InlineVector<Edge, 2> edges;  // one per input
  std::int64_t depth = 0;       // longest way from a leaf: a topological order

  std::mutex mutex;  // guards what is below: two threads may run backward through one node
  SavedTensors saved;
  bool freed = false;
};

}  // namespace flame::autograd
