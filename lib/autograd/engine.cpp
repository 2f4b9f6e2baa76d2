#include "lib/autograd/engine.h"

#include <algorithm>
#include <map>
#include <queue>
#include <unordered_map>

#include "lib/autograd/grad_mode.h"
#include "lib/autograd/node.h"
#include "lib/autograd/stream_order.h"
#include "lib/core/error.h"
#include "lib/ops/binary.h"
#include "lib/ops/copy.h"

namespace flame::autograd {
namespace {

// A sum of gradients. The first term is kept as it came (it may alias anything); the second makes
// a buffer of our own, and further ones are added into that.
class Accumulator {
 public:
  void add(const Tensor& term) {
    if (!sum_.defined()) {
      sum_ = term;
      return;
    }
    const Tensor both[] = {sum_, term};
    const StreamOrder order(sum_.device(), both);
    if (!owned_) own();
    add_into(sum_, term, 1);
  }
  const Tensor& sum() const { return sum_; }
  // A contiguous tensor that nothing else can see change.
  Tensor take() {
    const bool sole = sum_.impl().use_count() == 1 && sum_.impl()->storage.use_count() == 1;
    if (sum_.defined() && !owned_ && !(sole && sum_.is_contiguous())) own();
    return std::move(sum_);
  }

 private:
  void own() {
    Tensor copy = make_tensor(sum_.device(), sum_.shape(), sum_.dtype(), "gradient");
    if (copy.numel() > 0) copy_into(copy, sum_);
    sum_ = std::move(copy);
    owned_ = true;
  }

  Tensor sum_;
  bool owned_ = false;
};

struct Work {
  std::shared_ptr<Node> node;
  std::size_t found = 0;    // discovery order: breaks ties, so that the order is always the same
  std::size_t waiting = 0;  // edges into this node that have not delivered yet
  std::vector<Accumulator> outputs;
};

class Engine {
 public:
  Engine(std::optional<std::span<const Tensor>> wanted, bool retain_graph)
      : wanted_(wanted), retain_graph_(retain_graph) {
    if (wanted_) captured_.resize(wanted_->size());
  }

  std::vector<Tensor> run(std::span<const Root> roots) {
    const NoGradGuard no_grad;
    discover(roots);
    for (const Root& root : roots) deliver(edge_to(root.output), root.gradient);
    for (auto& [node, work] : work_)
      if (work.waiting == 0) ready_.push(&work);
    while (!ready_.empty()) {
      Work& work = *ready_.top();
      ready_.pop();
      process(work);
    }
    return finish();
  }

 private:
  struct Later {  // deepest first, then in discovery order
    bool operator()(const Work* a, const Work* b) const {
      return a->node->depth != b->node->depth ? a->node->depth < b->node->depth
                                              : a->found > b->found;
    }
  };

  void discover(std::span<const Root> roots) {
    std::vector<std::shared_ptr<Node>> stack;
    auto visit = [&](const std::shared_ptr<Node>& node) {
      auto [it, is_new] = work_.try_emplace(node.get());
      if (!is_new) return;
      it->second.node = node;
      it->second.found = work_.size();
      it->second.outputs.resize(node->outputs.size());
      stack.push_back(node);
    };
    for (const Root& root : roots)
      if (Edge e = edge_to(root.output); e.node) visit(e.node);
    while (!stack.empty()) {
      const std::shared_ptr<Node> node = std::move(stack.back());
      stack.pop_back();
      for (const Edge& edge : node->edges) {
        if (!edge.node) continue;
        visit(edge.node);
        ++work_.at(edge.node.get()).waiting;
      }
    }
  }

  // Hands a gradient to where an edge leads; captures it on the way when it was asked for.
  void deliver(const Edge& edge, const Tensor& gradient) {
    if (wanted_) capture(edge, gradient);
    if (edge.node) {
      work_.at(edge.node.get()).outputs[static_cast<std::size_t>(edge.output_index)].add(gradient);
    } else if (edge.leaf && !wanted_) {
      auto [it, is_new] = leaf_slot_.try_emplace(edge.leaf.get(), leaves_.size());
      if (is_new) leaves_.push_back({edge.leaf, {}});
      leaves_[it->second].second.add(gradient);
    }
  }

  static bool leads_to(const Edge& edge, const Tensor& tensor) {
    const std::shared_ptr<TensorImpl>& impl = tensor.impl();
    return edge.node ? impl->grad_fn == edge.node && impl->output_index == edge.output_index
                     : impl == edge.leaf;
  }

  void capture(const Edge& edge, const Tensor& gradient) {
    for (std::size_t i = 0; i < wanted_->size(); ++i)
      if (leads_to(edge, (*wanted_)[i])) captured_[i].add(gradient);
  }

  // Whether what is delivered to an edge only flows on: leaves and callers get memory of their own.
  bool flows_on(const Edge& edge) const {
    return edge.node &&
           !(wanted_ && std::any_of(wanted_->begin(), wanted_->end(),
                                    [&](const Tensor& t) { return leads_to(edge, t); }));
  }

  void process(Work& work) {
    Node& node = *work.node;
    const bool reached = std::any_of(work.outputs.begin(), work.outputs.end(),
                                     [](const Accumulator& a) { return a.sum().defined(); });
    std::vector<Tensor> gradients;
    if (reached) gradients = call_backward(node, work);
    for (std::size_t i = 0; i < node.edges.size(); ++i) {
      const Edge& edge = node.edges[i];
      if (reached && gradients[i].defined() && node.needs_grad[i]) deliver(edge, gradients[i]);
      if (!edge.node) continue;
      Work& next = work_.at(edge.node.get());
      if (--next.waiting == 0) ready_.push(&next);
    }
    work.outputs.clear();  // the gradients above are no longer needed: memory peaks stay flat
  }

  std::vector<Tensor> call_backward(Node& node, Work& work) {
    std::vector<Tensor> grad_outputs;
    grad_outputs.reserve(work.outputs.size());
    for (const Accumulator& a : work.outputs) grad_outputs.push_back(a.sum());
    std::vector<SavedTensor> saved;
    {
      std::lock_guard lock(node.mutex);
      check<AutogradError>(!node.freed, node.op.name,
                           ": backward through a graph that was already freed; pass "
                           "retain_graph = true to the first backward");
      if (retain_graph_) {
        saved = node.saved;
      } else {
        saved.swap(node.saved);
        node.freed = !saved.empty();
      }
    }
    StreamOrder order(node.device, grad_outputs);
    for (const SavedTensor& s : saved) order.after(s.tensor);
    std::vector<bool> may_alias;  // empty where every gradient ends in a leaf
    for (std::size_t i = 0; i < node.edges.size(); ++i) {
      if (!flows_on(node.edges[i])) continue;
      may_alias.resize(node.edges.size());
      may_alias[i] = true;
    }
    BackwardContext context(node.op, node.device, node.inputs, node.outputs, saved, node.needs_grad,
                            &may_alias);
    std::vector<Tensor> gradients = node.op.backward(context, grad_outputs, node.attrs);
    check_gradients(node, gradients);
    return gradients;
  }

  // A backward that returns the wrong number, shape or dtype is a bug of the op, caught here.
  static void check_gradients(const Node& node, const std::vector<Tensor>& gradients) {
    check<AutogradError>(gradients.size() == node.inputs.size(), node.op.name,
                         ": backward returned ", gradients.size(), " gradients for ",
                         node.inputs.size(), " inputs");
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      if (!gradients[i].defined()) continue;
      const TensorDesc& input = node.inputs[i];
      check<AutogradError>(input.defined && gradients[i].shape() == input.shape &&
                               gradients[i].dtype() == input.dtype,
                           node.op.name, ": backward returned a gradient of shape ",
                           gradients[i].shape(), " and dtype ", name(gradients[i].dtype()),
                           " for input ", i, " of shape ", node.inputs[i].shape, " and dtype ",
                           name(node.inputs[i].dtype));
    }
  }

  std::vector<Tensor> finish() {
    std::vector<Tensor> out;
    for (Accumulator& a : captured_) out.push_back(a.sum().defined() ? a.take() : Tensor());
    for (auto& [leaf, accumulator] : leaves_) {
      std::lock_guard lock(leaf->grad_mutex);
      if (leaf->grad.defined())
        leaf->grad.add_(accumulator.sum());
      else
        leaf->grad = accumulator.take();
    }
    return out;
  }

  std::optional<std::span<const Tensor>> wanted_;
  bool retain_graph_;
  std::unordered_map<Node*, Work> work_;
  std::priority_queue<Work*, std::vector<Work*>, Later> ready_;
  std::vector<Accumulator> captured_;
  std::unordered_map<TensorImpl*, std::size_t> leaf_slot_;
  std::vector<std::pair<std::shared_ptr<TensorImpl>, Accumulator>> leaves_;
};

}  // namespace

std::vector<Tensor> run_backward(std::span<const Root> roots,
                                 std::optional<std::span<const Tensor>> wanted, bool retain_graph) {
  return Engine(wanted, retain_graph).run(roots);
}

}  // namespace flame::autograd
