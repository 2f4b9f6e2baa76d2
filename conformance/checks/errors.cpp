// A wrong call throws the right type, names the op and the values, launches nothing and leaks
// nothing; the device works on.
#include <algorithm>

#include "conformance/checks/support.h"
#include "lib/core/error.h"

namespace flame::conformance {
namespace {

struct Thrown {
  bool any = false, typed = false;
  std::string what, type;
};

// Whether the dynamic type is the class of this name; derived classes count.
bool is_a(const std::exception& e, std::string_view name) {
#define FLAME_IS(Name) \
  if (name == #Name) return dynamic_cast<const Name*>(&e) != nullptr
  FLAME_IS(ShapeError);
  FLAME_IS(DTypeError);
  FLAME_IS(DeviceError);
  FLAME_IS(IndexError);
  FLAME_IS(ValueError);
  FLAME_IS(AutogradError);
  FLAME_IS(OutOfMemoryError);
#undef FLAME_IS
  throw ValueError(str_cat("the contract names an error class that no call throws: ", name));
}

template <class F>
Thrown catch_from(std::string_view expected, F&& f) {
  try {
    f();
  } catch (const std::exception& e) {
    return {true, is_a(e, expected), e.what(),
            dynamic_cast<const Error*>(&e) ? "an Error" : "not a flame::Error"};
  }
  return {};
}

bool mentions(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// Whether the device still computes: the first plain case that the op has, judged.
std::string still_works(const CheckContext& x) {
  for (const reference::Case& c : x.contract.cases()) {
    if (!c.quick || !c.dtypes.has(DType::kFloat32)) continue;
    const CheckContext plain{x.rig,           x.implementation,    x.op,   x.contract, c, nullptr,
                             DType::kFloat32, Layout::kContiguous, x.seed, x.level};
    const Outcome out = check_forward(plain);
    return out.verdict == records::Verdict::kFail ? "afterwards a right call fails: " + out.reason
                                                  : "";
  }
  return {};
}

}  // namespace

Outcome check_errors(const CheckContext& x) {
  const reference::ErrorCase& error = *x.error_case;
  const Device& device = x.rig.device;
  device.synchronize();
  const MemoryStats before = device.memory_stats();
  Thrown thrown;
  std::int64_t launches = 0;
  {
    const auto inputs = reference::draw_inputs(error.inputs, error.dtype, x.seed);
    const Call call{&x.op, upload_all(device, inputs), error.attrs, device};
    device.synchronize();
    x.rig.witness->begin();
    std::vector<Tensor> outputs;
    thrown = catch_from(error.error, [&] { outputs = x.implementation.forward(call); });
    launches = count_launches(x.rig.witness->end());
    if (!thrown.any && error.deferred)
      thrown = catch_from(error.error, [&] { device.synchronize(); });
  }
  device.synchronize();
  const MemoryStats after = device.memory_stats();
  if (!thrown.any) return failed("the call was accepted, " + error.error + " is due");
  if (!thrown.typed)
    return failed(str_cat("threw ", thrown.type, " that is no ", error.error, ": ", thrown.what));
  if (!mentions(thrown.what, x.op.name))
    return failed("the message does not name the op: " + thrown.what);
  for (const std::string& part : error.mentions)
    if (!mentions(thrown.what, part))
      return failed(str_cat("the message does not mention '", part, "': ", thrown.what));
  if (!error.deferred && launches > 0)
    return failed(str_cat(launches, " kernels were launched before the error"));
  if (after.allocated != before.allocated || after.live_blocks != before.live_blocks)
    return failed(str_cat(after.allocated - before.allocated, " bytes leaked"));
  if (const std::string broken = still_works(x); !broken.empty()) return failed(broken);
  return passed(std::int64_t{1});
}

}  // namespace flame::conformance
