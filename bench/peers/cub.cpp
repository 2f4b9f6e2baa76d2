#include "bench/peers/cub.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "bench/judging.h"
#include "conformance/runner/device_io.h"
#include "lib/core/error.h"
#include "lib/ops/ops.h"
#include "lib/tensor/runtime.h"

namespace flame::bench {
namespace {

// peers/cub_reduce.cu
using Reduce = int (*)(int what, int bfloat16, const void* in, void* out, long long rows,
                       long long columns, void* workspace, std::size_t* bytes, void* stream);

// One reduction with its output and workspace.
class CubRun {
 public:
  CubRun(Reduce reduce, const CubReduction& how, const Tensor& in, const TensorDesc& out)
      : reduce_(reduce), how_(how), in_(in), out_(empty(out.shape, {in.device(), out.dtype})) {
    call(nullptr);
    workspace_ =
        empty({std::int64_t(std::max<std::size_t>(bytes_, 1))}, {in.device(), DType::kUInt8});
  }
  void operator()() { call(workspace_.data()); }
  const Tensor& out() const { return out_; }

 private:
  void call(void* workspace) {
    const int status =
        reduce_(how_.what, in_.dtype() == DType::kBFloat16, in_.data(), out_.data(), how_.rows,
                how_.columns, workspace, &bytes_, reinterpret_cast<void*>(in_.device().stream()));
    check<Error>(status == 0, "cub: the CUDA runtime's error ", status);
  }

  Reduce reduce_;
  CubReduction how_;
  Tensor in_, out_, workspace_;
  std::size_t bytes_ = 0;
};

// The same call on a case that the oracle can do.
Judged judge_cub(Reduce reduce, const Device& device, const Item& item) {
  const auto c = judged_case(item);
  const auto how = c ? cub_reduction_of(c->item) : std::nullopt;
  if (!how) return {.r = -1, .where = "", .reason = "not CUB's at a smaller size", .inputs = ""};
  CubRun run(reduce, *how, conformance::upload(device, c->inputs[0]), c->item.outputs[0]);
  run();
  return judge_results(*c, {conformance::download(run.out())});
}

class CubPeers final : public PeerSource {
 public:
  CubPeers(Reduce reduce, const Device& device) : reduce_(reduce), device_(device) {}

  std::vector<std::unique_ptr<Contender>> peers(const Workload& w, Timer& timer) override {
    std::vector<std::unique_ptr<Contender>> out;
    const auto how = cub_reduction_of(w.item());
    if (!how || !w.inputs()[0].is_contiguous()) return out;
    auto run = std::make_shared<CubRun>(reduce_, *how, w.inputs()[0], w.item().outputs[0]);
    out.push_back(std::make_unique<LocalContender>(
        "cub", timer, [run] { (*run)(); },
        [this, item = w.item()] { return judge_cub(reduce_, device_, item); }));
    return out;
  }

 private:
  Reduce reduce_;
  Device device_;
};

}  // namespace

std::optional<CubReduction> cub_reduction_of(const Item& item) {
  static const std::array<const OpDef*, 3> kReductions{&sum_def(), &mean_def(), &amax_def()};
  const auto found = std::find(kReductions.begin(), kReductions.end(), item.op);
  if (found == kReductions.end() || item.direction != Direction::kForward) return std::nullopt;
  const TensorDesc &in = item.inputs[0], &out = item.outputs[0];
  if (out.dtype != in.dtype || (in.dtype != DType::kFloat32 && in.dtype != DType::kBFloat16))
    return std::nullopt;
  const auto rank = std::int64_t(in.shape.size());
  IntList dims = item.attrs.get_ints("dim");
  for (std::int64_t& d : dims) d += d < 0 ? rank : 0;
  std::sort(dims.begin(), dims.end());
  CubReduction how{.what = int(found - kReductions.begin())};
  if (!dims.empty() && dims.back() - dims.front() + 1 != std::int64_t(dims.size()))
    return std::nullopt;
  if (!dims.empty() && dims.back() != rank - 1) return std::nullopt;
  const std::int64_t first = dims.empty() ? 0 : dims.front();
  for (std::int64_t d = 0; d < rank; ++d)
    (d < first ? how.rows : how.columns) *= in.shape[std::size_t(d)];
  return how;
}

std::unique_ptr<PeerSource> open_cub(const Device& device) {
  if (device.info().kind != driver::Kind::kCuda) return nullptr;
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  void* library = dlopen((self / "libflame_peer_cub.so").c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) return nullptr;
  const auto reduce = reinterpret_cast<Reduce>(dlsym(library, "flame_cub_reduce"));
  if (!reduce) return nullptr;
  return std::make_unique<CubPeers>(reduce, device);
}

}  // namespace flame::bench
