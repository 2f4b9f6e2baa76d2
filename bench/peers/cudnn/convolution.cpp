// Convolutions by cuDNN's graph interface: one operation, every engine that its heuristics propose.
#include <array>
#include <cstdint>
#include <vector>

#include "bench/peers/cudnn/library.h"

namespace flame::bench::cudnn {
namespace {

// Names of the three tensors of a graph; any numbers will do.
constexpr std::int64_t kX = 'x', kW = 'w', kY = 'y';
// cuDNN wants to know how data lie; what cudaMalloc gives lies on 256 bytes.
constexpr std::int64_t kAlignment = 16;

class Descriptor {
 public:
  Descriptor(const Context& context, cudnnBackendDescriptorType_t type) : context_(&context) {
    context.check(context.f.cudnnBackendCreateDescriptor(type, &raw_), "cudnnBackendCreate");
  }
  Descriptor(Descriptor&& other) noexcept : context_(other.context_), raw_(other.raw_) {
    other.raw_ = nullptr;
  }
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (raw_) context_->f.cudnnBackendDestroyDescriptor(raw_);
  }

  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                  const T* values, std::int64_t count = 1) {
    context_->check(context_->f.cudnnBackendSetAttribute(raw_, name, type, count, values),
                    "cudnnBackendSetAttribute");
    return *this;
  }
  Descriptor& set(cudnnBackendAttributeName_t name, const Descriptor& value) {
    return set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, &value.raw_);
  }
  // How many of `most` there were.
  template <class T>
  std::int64_t get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, T* values,
                   std::int64_t most = 1) const {
    std::int64_t count = 0;
    context_->check(context_->f.cudnnBackendGetAttribute(raw_, name, type, most, &count, values),
                    "cudnnBackendGetAttribute");
    return count;
  }
  Descriptor& finish() {
    context_->check(context_->f.cudnnBackendFinalize(raw_), "cudnnBackendFinalize");
    return *this;
  }
  cudnnBackendDescriptor_t raw() const { return raw_; }

 private:
  const Context* context_;
  cudnnBackendDescriptor_t raw_ = nullptr;
};

Descriptor tensor_of(const Context& context, const Convolution& c, const long long (&sizes)[4],
                     std::int64_t name) {
  std::array<std::int64_t, 4> shape{}, strides{};
  for (int d = 0; d < 4; ++d) shape[std::size_t(d)] = sizes[d];
  // From the innermost dim outwards.
  const std::array<std::size_t, 4> order = c.channels_last ? std::array<std::size_t, 4>{1, 3, 2, 0}
                                                           : std::array<std::size_t, 4>{3, 2, 1, 0};
  std::int64_t stride = 1;
  for (const std::size_t d : order) {
    strides[d] = stride;
    stride *= shape[d];
  }
  const cudnnDataType_t type = data_type(c.type);
  Descriptor out(context, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  out.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, &name)
      .set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, &type)
      .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, &kAlignment)
      .set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, shape.data(), 4)
      .set(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, strides.data(), 4);
  out.finish();
  return out;
}

Descriptor convolution_of(const Context& context, const Convolution& c) {
  const cudnnDataType_t accumulate = CUDNN_DATA_FLOAT;
  const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
  const std::int64_t spatial = 2;
  const auto pair = [](const long long(&v)[2]) { return std::array<std::int64_t, 2>{v[0], v[1]}; };
  const auto padding = pair(c.padding), stride = pair(c.stride), dilation = pair(c.dilation);
  Descriptor out(context, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  out.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, &accumulate)
      .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, &mode)
      .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, &spatial)
      .set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, padding.data(), 2)
      .set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, padding.data(), 2)
      .set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, stride.data(), 2)
      .set(CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, dilation.data(), 2);
  out.finish();
  return out;
}

// The names of an operation's attributes, which the three of them do not share.
struct Words {
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t convolution, x, w, y, alpha, beta;
};
Words words_of(long long what) {
  switch (what) {
    case kOfInput:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
    case kOfWeight:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};
    default:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
  }
}

Descriptor graph_of(const Context& context, const Convolution& c) {
  const Words words = words_of(c.what);
  const Descriptor x = tensor_of(context, c, c.x, kX), w = tensor_of(context, c, c.w, kW),
                   y = tensor_of(context, c, c.y, kY), convolution = convolution_of(context, c);
  const float one = 1, zero = 0;
  Descriptor operation(context, words.type);
  operation.set(words.convolution, convolution)
      .set(words.x, x)
      .set(words.w, w)
      .set(words.y, y)
      .set(words.alpha, CUDNN_TYPE_FLOAT, &one)
      .set(words.beta, CUDNN_TYPE_FLOAT, &zero)
      .finish();
  Descriptor graph(context, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, &context.handle)
      .set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation)
      .finish();
  return graph;
}

// What the heuristics propose, best first.
std::vector<Descriptor> proposals(const Context& context, const Descriptor& graph,
                                  cudnnBackendHeurMode_t mode) {
  Descriptor heuristics(context, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph)
      .set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, &mode)
      .finish();
  const std::int64_t count = heuristics.get<cudnnBackendDescriptor_t>(
      CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, nullptr, 0);
  std::vector<Descriptor> out;
  std::vector<cudnnBackendDescriptor_t> raw;
  for (std::int64_t i = 0; i < count; ++i) {
    out.emplace_back(context, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    raw.push_back(out.back().raw());
  }
  const std::int64_t filled = heuristics.get(CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                             CUDNN_TYPE_BACKEND_DESCRIPTOR, raw.data(), count);
  while (std::int64_t(out.size()) > filled) out.pop_back();
  return out;
}

struct Plan {
  Descriptor plan;
  std::int64_t engine, workspace;
};

// Whether its arithmetic is what was asked for: real float32 without tensor cores, and no input cut
// to a smaller type than it was given in. How exact the rest is, the judge says.
bool exact_enough(const Descriptor& engine, long long type) {
  std::array<cudnnBackendNumericalNote_t, CUDNN_NUMERICAL_NOTE_TYPE_COUNT> notes{};
  const std::int64_t count = engine.get(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                        notes.data(), notes.size());
  for (std::int64_t i = 0; i < count; ++i) {
    const cudnnBackendNumericalNote_t note = notes[std::size_t(i)];
    if (note == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS) return false;
    if (note == CUDNN_NUMERICAL_NOTE_TENSOR_CORE && type == kFloat32) return false;
  }
  return true;
}

class GraphJob final : public Job {
 public:
  GraphJob(Context& context, const Convolution& c)
      : context_(context), what_(c.what), graph_(graph_of(context, c)) {
    std::string last = "the heuristics propose nothing that this may take";
    // The second list is what works where the first knows little: without tensor cores its knobs
    // have been a quarter faster.
    for (const auto mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
      if (std::ssize(plans_) >= c.most_candidates) break;
      const std::int64_t most = std::ssize(plans_) + c.most_candidates;
      for (const Descriptor& config : proposals(context, graph_, mode)) {
        if (std::ssize(plans_) >= most) break;
        try {
          add(config, c);
        } catch (const Failure& e) {
          last = e.what;  // one that this device or library does not have
        }
      }
    }
    if (plans_.empty()) throw Failure{last};
  }

  int candidates() const override { return int(plans_.size()); }
  long long engine(int i) const override { return plans_[std::size_t(i)].engine; }
  long long workspace(int i) const override { return plans_[std::size_t(i)].workspace; }

  void run(int candidate, const void* const* in, void* out, void* workspace,
           cudaStream_t stream) override {
    const std::array<std::int64_t, 3> names = what_ == kOutput    ? std::array{kX, kW, kY}
                                              : what_ == kOfInput ? std::array{kW, kY, kX}
                                                                  : std::array{kX, kY, kW};
    const std::array<const void*, 3> data{in[0], in[1], out};
    context_.check(context_.f.cudnnSetStream(context_.handle, stream), "cudnnSetStream");
    Descriptor pack(context_, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, names.data(), 3)
        .set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, data.data(), 3)
        .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, &workspace)
        .finish();
    context_.check(context_.f.cudnnBackendExecute(
                       context_.handle, plans_[std::size_t(candidate)].plan.raw(), pack.raw()),
                   "cudnnBackendExecute");
  }

 private:
  void add(const Descriptor& config, const Convolution& c) {
    Descriptor engine(context_, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    cudnnBackendDescriptor_t raw = engine.raw();
    config.get(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, &raw);
    if (!exact_enough(engine, c.type)) return;
    Plan plan{Descriptor(context_, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR), 0, 0};
    engine.get(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, &plan.engine);
    plan.plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, &context_.handle)
        .set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config)
        .finish();
    plan.plan.get(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, &plan.workspace);
    if (plan.workspace <= c.workspace_cap) plans_.push_back(std::move(plan));
  }

  Context& context_;
  long long what_;
  Descriptor graph_;
  std::vector<Plan> plans_;
};

}  // namespace

std::unique_ptr<Job> make_convolution(Context& context, const Convolution& c) {
  return std::make_unique<GraphJob>(context, c);
}

}  // namespace flame::bench::cudnn
