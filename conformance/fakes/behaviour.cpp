// Fakes whose results are right, but which came about in a way that is not allowed.
#include <thread>

#include "conformance/fakes/fake.h"
#include "lib/core/error.h"
#include "lib/tensor/runtime.h"
#include "lib/tensor/tensor_impl.h"

namespace flame::conformance {
namespace {

using reference::Case;
using reference::HostTensor;

template <class T>
std::unique_ptr<Implementation> make(Implementation& inner) {
  return std::make_unique<T>(inner);
}

// Reads its inputs to the host, computes there (here: hands over what is known to be right), and
// uploads the result. What the witness of the device sees is a copy each way.
class OnTheHost : public Decorator {
 public:
  using Decorator::Decorator;
  std::vector<Tensor> forward(const Call& call) override {
    for (const Tensor& t : call.inputs)
      if (t.defined()) download(t);
    return edited(Decorator::forward(call), [](HostTensor&, std::uint64_t) {});
  }
};

// Adds 1 to the first byte of its first input, after having computed.
class MutatesInput : public Decorator {
 public:
  using Decorator::Decorator;
  std::vector<Tensor> forward(const Call& call) override {
    auto outputs = Decorator::forward(call);
    for (const Tensor& t : call.inputs) {
      if (!t.defined() || t.numel() == 0) continue;
      auto bytes = storage_bytes(t);
      bytes[0] = std::byte(std::to_integer<int>(bytes[0]) ^ 1);
      write_storage(t, bytes);
      break;
    }
    return outputs;
  }
};

// Changes the gradient that it was given.
class MutatesGradOutput : public Decorator {
 public:
  using Decorator::Decorator;
  std::vector<Tensor> backward(const Tape& tape, const std::vector<Tensor>& grads) override {
    auto gradients = Decorator::backward(tape, grads);
    for (const Tensor& t : grads) {
      if (t.numel() == 0) continue;
      auto bytes = storage_bytes(t);
      bytes[0] = std::byte(std::to_integer<int>(bytes[0]) ^ 1);
      write_storage(t, bytes);
    }
    return gradients;
  }
};

// One byte past the end of its output, on the device.
class WritesPastTheEnd : public Decorator {
 public:
  using Decorator::Decorator;
  std::vector<Tensor> forward(const Call& call) override {
    auto outputs = Decorator::forward(call);
    for (const Tensor& t : outputs) {
      const auto& storage = *t.impl()->storage;
      if (storage.bytes == 0) continue;
      t.device().runtime().driver().fill(static_cast<char*>(storage.data) + storage.bytes, 0x11, 1,
                                         t.device().stream());
    }
    return outputs;
  }
};

class HiddenWait : public Decorator {
 public:
  using Decorator::Decorator;
  std::vector<Tensor> forward(const Call& call) override {
    auto outputs = Decorator::forward(call);
    outputs.at(0).device().runtime().driver().synchronize(outputs[0].device().stream());
    return outputs;
  }
};

class Leaks : public Decorator {
 public:
  using Decorator::Decorator;
  std::vector<Tensor> forward(const Call& call) override {
    auto outputs = Decorator::forward(call);
    kept_.push_back(empty({256}, {outputs.at(0).device(), DType::kUInt8}));
    return outputs;
  }

 private:
  std::vector<Tensor> kept_;
};

class HogsMemory : public Decorator {
 public:
  using Decorator::Decorator;
  std::vector<Tensor> forward(const Call& call) override {
    const Tensor hog = empty({1 << 20}, {call.device, DType::kUInt8});
    return Decorator::forward(call);
  }
};

// Returns success and its first input where an error is due.
class AcceptsAnything : public Decorator {
 public:
  using Decorator::Decorator;
  std::vector<Tensor> forward(const Call& call) override {
    try {
      return Decorator::forward(call);
    } catch (const Error&) {
      return {empty({1}, {call.device, DType::kFloat32})};
    }
  }
};

// Throws what every language throws, instead of an error of its own type.
class UntypedErrors : public Decorator {
 public:
  using Decorator::Decorator;
  std::vector<Tensor> forward(const Call& call) override {
    try {
      return Decorator::forward(call);
    } catch (const Error& e) {
      throw std::runtime_error(e.what());
    }
  }
};

// Right on the thread that it was first called from, zeros on every other.
class OneThreadOnly : public Decorator {
 public:
  using Decorator::Decorator;
  std::vector<Tensor> forward(const Call& call) override {
    auto outputs = Decorator::forward(call);
    if (std::this_thread::get_id() == home_) return outputs;
    return edited(outputs, [](HostTensor& t, std::uint64_t) {
      for (double& v : t.values) v = v == 0 ? 1 : 0;
    });
  }

 private:
  std::thread::id home_ = std::this_thread::get_id();
};

// Right unless another op was called before: state that one op leaves and another finds.
class RemembersOtherOps : public Decorator {
 public:
  using Decorator::Decorator;
  std::vector<Tensor> forward(const Call& call) override {
    auto outputs = Decorator::forward(call);
    if (!first_) first_ = call.op;
    const bool tainted = call.op == first_ && other_;
    other_ |= call.op != first_;
    if (!tainted) return outputs;
    return edited(outputs, [](HostTensor& t, std::uint64_t) {
      for (double& v : t.values) v = v == 0 ? 1 : 0;
    });
  }

 private:
  const OpDef* first_ = nullptr;
  bool other_ = false;
};

std::optional<std::string> needs_output(const OpDef&, const Case& c) {
  for (const auto& spec : c.inputs)
    if (spec.defined && numel(spec.shape) == 0) return "its result is empty";
  return std::nullopt;
}

}  // namespace

std::vector<Fake> behaviour_fakes() {
  const auto how = Shows::kBehaviour;
  return {
      {"on_the_host", "computes on the host: downloads, computes, uploads", "witness", how,
       needs_output, make<OnTheHost>},
      {"hidden_wait", "makes the host wait for the device", "witness", how, needs_output,
       make<HiddenWait>},
      {"mutates_input", "changes its input", "inputs_kept", how, needs_input, make<MutatesInput>},
      {"mutates_grad_output", "changes the gradient that it was given", "inputs_kept", how,
       needs_gradient, make<MutatesGradOutput>},
      {"writes_past_the_end", "writes one byte behind its output", "written", how, needs_output,
       make<WritesPastTheEnd>},
      {"leaks", "keeps 256 bytes of every call", "memory", how, needs_output, make<Leaks>},
      {"hogs_memory", "takes a megabyte that it does not declare", "memory", how, needs_output,
       make<HogsMemory>},
      {"accepts_anything", "returns success where an error is due", "errors", how, fits_all,
       make<AcceptsAnything>},
      {"untyped_errors", "throws errors without their type", "errors", how, fits_all,
       make<UntypedErrors>},
      {"one_thread_only", "wrong on every thread but the first", "isolation", how, needs_output,
       make<OneThreadOnly>},
      {"remembers_other_ops", "wrong once another op has run", "isolation", how, needs_output,
       make<RemembersOtherOps>},
  };
}

}  // namespace flame::conformance
