#include "lib/autograd/node.h"

namespace flame::autograd {

Edge edge_to(const Tensor& t) {
  Edge edge;
  if (!t.defined()) return edge;
  if (t.impl()->grad_fn) {
    edge.node = t.impl()->grad_fn;
    edge.output_index = t.impl()->output_index;
  } else if (t.impl()->requires_grad) {
    edge.leaf = t.impl();
  }
  return edge;
}

Node::~Node() {
  std::vector<std::shared_ptr<Node>> dying;
  auto take = [&](Node& node) {
    for (Edge& edge : node.edges)
      if (edge.node) dying.push_back(std::move(edge.node));
  };
  take(*this);
  while (!dying.empty()) {
    const std::shared_ptr<Node> node = std::move(dying.back());
    dying.pop_back();
    if (node.use_count() == 1) take(*node);  // ours is the last handle: it dies here, edgeless
  }
}

}  // namespace flame::autograd
