// Fakes at the seam: the library is right, the device under it is not.
#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>

#include "conformance/fakes/fake.h"
#include "conformance/runner/forwarding_driver.h"
#include "conformance/sim/sim.h"
#include "lib/jit/embedded.h"

namespace flame::conformance {
namespace {

template <class T>
std::shared_ptr<driver::Driver> make(std::shared_ptr<driver::Driver> base) {
  return std::make_shared<T>(std::move(base));
}

// "Compiled": the image is the kernel's source text.
class SourceForImage : public ForwardingDriver {
 public:
  using ForwardingDriver::ForwardingDriver;
  driver::Image compile(const driver::KernelId& id) override {
    driver::Image image = base().compile(id);
    for (const auto& file : jit::embedded_files())
      if (file.name == id.file) {
        image.bytes.resize(file.text.size());
        std::memcpy(image.bytes.data(), file.text.data(), file.text.size());
      }
    return image;
  }
};

// Hands out a handle for everything and loads nothing; what is launched on it does nothing.
class LoadsNothing : public ForwardingDriver {
 public:
  using ForwardingDriver::ForwardingDriver;
  driver::KernelHandle load(const driver::Image&, const driver::KernelId&) override {
    return 0x10ad;
  }
  void launch(driver::KernelHandle, const driver::Launch&, std::span<const driver::Arg>) override {}
  driver::Blas* blas() override { return nullptr; }
};

// Says yes to every launch and drops it.
class DropsLaunches : public ForwardingDriver {
 public:
  using ForwardingDriver::ForwardingDriver;
  void launch(driver::KernelHandle, const driver::Launch&, std::span<const driver::Arg>) override {}
  driver::Blas* blas() override { return nullptr; }
};

// The last block of every grid is missing.
class OneBlockFewer : public ForwardingDriver {
 public:
  using ForwardingDriver::ForwardingDriver;
  void launch(driver::KernelHandle kernel, const driver::Launch& how,
              std::span<const driver::Arg> args) override {
    driver::Launch less = how;
    for (unsigned* size : {&less.grid.z, &less.grid.y, &less.grid.x})
      if (*size > 1) {
        --*size;
        ForwardingDriver::launch(kernel, less, args);
        return;
      }
    // A grid of one block: then nothing runs.
  }
  driver::Blas* blas() override { return nullptr; }
};

// Every kernel is compiled for its neighbour's type: the image of another export of the same file.
class WrongKernel : public ForwardingDriver {
 public:
  using ForwardingDriver::ForwardingDriver;
  driver::Image compile(const driver::KernelId& id) override {
    return ForwardingDriver::compile(other(id));
  }
  driver::KernelHandle load(const driver::Image& image, const driver::KernelId& id) override {
    return ForwardingDriver::load(image, other(id));
  }

 private:
  // The next export with the same template but other arguments.
  static driver::KernelId other(const driver::KernelId& id) {
    const std::string wanted(normalize_expression(id.expression));
    const std::string name = wanted.substr(0, wanted.find('<'));
    for (const auto& e : jit::embedded_exports()) {
      const std::string text = normalize_expression(e.expression);
      if (e.file == id.file && text != wanted && text.substr(0, text.find('<')) == name)
        return {id.file, std::string(e.expression)};
    }
    return id;
  }
};

// __syncthreads() does nothing in any kernel.
class NoBarriers : public ForwardingDriver {
 public:
  explicit NoBarriers(std::shared_ptr<driver::Driver> base)
      : ForwardingDriver(base), sim_(std::dynamic_pointer_cast<sim::SimDriver>(base)) {}
  void launch(driver::KernelHandle kernel, const driver::Launch& how,
              std::span<const driver::Arg> args) override {
    const std::lock_guard lock(mutex_);
    struct Dropped {
      explicit Dropped(sim::SimDriver& s) : sim(s) { sim.set_drop_barriers("*"); }
      ~Dropped() { sim.set_drop_barriers(""); }
      sim::SimDriver& sim;
    } dropped(*sim_);
    ForwardingDriver::launch(kernel, how, args);
  }

 private:
  std::shared_ptr<sim::SimDriver> sim_;
  std::mutex mutex_;
};

}  // namespace

std::vector<Fake> driver_fakes() {
  const auto out = Shows::kOutput;
  const auto contiguous = Layout::kContiguous;
  return {
      {"source_for_image", "compiles to the kernel's source text", "forward", out, needs_kernel,
       nullptr, make<SourceForImage>},
      {"loads_nothing", "a kernel loader that does nothing", "witness", out, needs_kernel, nullptr,
       make<LoadsNothing>},
      {"drops_launches", "launches that silently fail", "written", out, needs_kernel, nullptr,
       make<DropsLaunches>},
      {"one_block_fewer", "the last block of every grid is missing", "written", out, needs_kernel,
       nullptr, make<OneBlockFewer>},
      {"wrong_kernel", "loads another instance of the kernel than was asked for", "forward", out,
       needs_kernel, nullptr, make<WrongKernel>},
      {"no_barriers", "kernels without their barriers", "forward", out, needs_kernel, nullptr,
       make<NoBarriers>, contiguous, DType::kFloat32, true},
  };
}

}  // namespace flame::conformance
