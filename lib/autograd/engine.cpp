#include "lib/autograd/engine.h"

#include <algorithm>
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
  Work(std::shared_ptr<Node> of, std::size_t order)
      : node(std::move(of)), found(order), outputs(node->outputs.size()) {}
  const void* key() const { return node.get(); }

  std::shared_ptr<Node> node;
  std::size_t found = 0;    // discovery order: breaks ties, so that the order is always the same
  std::size_t waiting = 0;  // edges into this node that have not delivered yet
  InlineVector<Accumulator, 1> outputs;
};

struct Leaf {
  const void* key() const { return tensor.get(); }

  std::shared_ptr<TensorImpl> tensor;
  Accumulator gradient;
};

// Entries in the order in which they came, found by their key.
template <class Entry>
class Roll {
 public:
  // Nullptr where there is none.
  Entry* find(const void* key) {
    if (list_.size() > kFew) {
      const auto it = index_.find(key);
      return it == index_.end() ? nullptr : &list_[it->second];
    }
    const auto it = std::find_if(list_.begin(), list_.end(),
                                 [&](const Entry& entry) { return entry.key() == key; });
    return it == list_.end() ? nullptr : it;
  }
  // Moves those that are there.
  Entry& add(Entry entry) {
    list_.push_back(std::move(entry));
    if (list_.size() > kFew)
      for (std::size_t i = index_.size(); i < list_.size(); ++i) index_[list_[i].key()] = i;
    return list_.back();
  }
  std::size_t size() const { return list_.size(); }
  auto begin() { return list_.begin(); }
  auto end() { return list_.end(); }

 private:
  static constexpr std::size_t kFew = 4;  // compared faster than hashed, and without the heap
  InlineVector<Entry, kFew> list_;
  std::unordered_map<const void*, std::size_t> index_;  // of all, where there are more
};

class Engine {
 public:
  Engine(std::optional<std::span<const Tensor>> wanted, bool retain_graph)
      : wanted_(wanted), retain_graph_(retain_graph) {
    if (wanted_) captured_.resize(wanted_->size());
  }

  Tensors run(std::span<const Root> roots) {
    const NoGradGuard no_grad;
    discover(roots);
    for (const Root& root : roots) deliver(edge_to(root.output), root.gradient);
    for (Work& work : work_)
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
    InlineVector<const Node*, 4> stack;  // kept alive by their work
    auto visit = [&](const std::shared_ptr<Node>& node) {
      if (work_.find(node.get())) return;
      work_.add(Work(node, work_.size()));
      stack.push_back(node.get());
    };
    for (const Root& root : roots)
      if (Edge e = edge_to(root.output); e.node) visit(e.node);
    while (!stack.empty()) {
      const Node* const node = stack.back();
      stack.pop_back();
      for (const Edge& edge : node->edges) {
        if (!edge.node) continue;
        visit(edge.node);
        ++work_.find(edge.node.get())->waiting;
      }
    }
  }

  // Hands a gradient to where an edge leads; captures it on the way when it was asked for.
  void deliver(const Edge& edge, const Tensor& gradient) {
    if (wanted_) capture(edge, gradient);
    if (edge.node) {
      const auto i = static_cast<std::size_t>(edge.output_index);
      work_.find(edge.node.get())->outputs[i].add(gradient);
    } else if (edge.leaf && !wanted_) {
      Leaf* leaf = leaves_.find(edge.leaf.get());
      if (!leaf) leaf = &leaves_.add({edge.leaf, {}});
      leaf->gradient.add(gradient);
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
    Tensors gradients;
    if (reached) gradients = call_backward(node, work);
    for (std::size_t i = 0; i < node.edges.size(); ++i) {
      const Edge& edge = node.edges[i];
      if (reached && gradients[i].defined() && node.needs_grad[i]) deliver(edge, gradients[i]);
      if (!edge.node) continue;
      Work& next = *work_.find(edge.node.get());
      if (--next.waiting == 0) ready_.push(&next);
    }
    work.outputs.clear();  // the gradients above are no longer needed: memory peaks stay flat
  }

  Tensors call_backward(Node& node, Work& work) {
    Tensors grad_outputs;
    grad_outputs.reserve(work.outputs.size());
    for (const Accumulator& a : work.outputs) grad_outputs.push_back(a.sum());
    SavedTensors saved;
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
    Flags may_alias;  // empty where every gradient ends in a leaf
    for (std::size_t i = 0; i < node.edges.size(); ++i) {
      if (!flows_on(node.edges[i])) continue;
      may_alias.resize(node.edges.size());
      may_alias[i] = true;
    }
    BackwardContext context(node.op, node.device, node.inputs, node.outputs, saved, node.needs_grad,
                            &may_alias);
    Tensors gradients = node.op.backward(context, grad_outputs, node.attrs);
    check_gradients(node, gradients);
    return gradients;
  }

  // A backward that returns the wrong number, shape or dtype is a bug of the op, caught here.
  static void check_gradients(const Node& node, const Tensors& gradients) {
    check<AutogradError>(gradients.size() == node.inputs.size(), node.op.name,
                         ": backward returned ", gradients.size(), " gradients for ",
                         node.inputs.size(), " inputs");
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      if (!gradients[i].defined()) continue;
      const TensorDesc& input = node.inputs[i];
      check<AutogradError>(input.defined && gradients[i].shape() == input.shape &&
                               gradients[i].dtype() == input.dtype,
                           node.op.name, ": backward returned a gradient of shape ",
                           gradients[i].shape(), " and dtype ", gradients[i].dtype(), " for input ",
                           i, " of shape ", input.shape, " and dtype ", input.dtype);
    }
  }

  Tensors finish() {
    Tensors out;
    for (Accumulator& a : captured_) out.push_back(a.sum().defined() ? a.take() : Tensor());
    for (Leaf& leaf : leaves_) {
      std::lock_guard lock(leaf.tensor->grad_mutex);
      if (leaf.tensor->grad.defined())
        leaf.tensor->grad.add_(leaf.gradient.sum());
      else
        leaf.tensor->grad = leaf.gradient.take();
    }
    return out;
  }

  std::optional<std::span<const Tensor>> wanted_;
  bool retain_graph_;
  Roll<Work> work_;
  std::priority_queue<Work*, InlineVector<Work*, 4>, Later> ready_;
  InlineVector<Accumulator, 1> captured_;
  Roll<Leaf> leaves_;
};

}  // namespace

Tensors run_backward(std::span<const Root> roots, std::optional<std::span<const Tensor>> wanted,
                     bool retain_graph) {
  return Engine(wanted, retain_graph).run(roots);
}

}  // namespace flame::autograd
