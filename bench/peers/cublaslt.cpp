#include "bench/peers/cublaslt.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "bench/judging.h"
#include "conformance/judge/judge.h"
#include "conformance/runner/device_io.h"
#include "lib/autograd/grad_mode.h"
#include "lib/blas/cublaslt_api.h"
#include "lib/core/error.h"
#include "lib/ops/ops.h"
#include "lib/tensor/runtime.h"

namespace flame::bench {
namespace {

using blas::CublasLtApi;
using blas::Owned;

constexpr std::size_t kWorkspaceBytes = std::size_t(64) << 20;
constexpr int kCandidates = 32;
constexpr int kRunsPerCandidate = 3;

// out = left * right, each (..., rows, columns) with equal leading dims.
struct Product {
  Tensor left, right, out;
};

// How cuBLASLt sees one row-major or transposed matrix: columns of `leading` elements.
struct Operand {
  bool transposed = false;
  std::int64_t rows = 0, cols = 0, leading = 0, batch = 1, batch_stride = 0;
};

std::optional<Operand> operand_of(const Tensor& t) {
  const std::size_t rank = t.shape().size();
  if (rank < 2) return std::nullopt;
  Operand o{.rows = t.shape()[rank - 2], .cols = t.shape()[rank - 1]};
  const std::int64_t row_stride = t.strides()[rank - 2], col_stride = t.strides()[rank - 1];
  o.transposed = col_stride != 1;
  if (o.transposed && row_stride != 1) return std::nullopt;
  o.leading = o.transposed ? col_stride : row_stride;
  for (std::size_t d = 0; d + 2 < rank; ++d) o.batch *= t.shape()[d];
  if (rank > 2) o.batch_stride = t.strides()[rank - 3];
  // Leading dims must be one walk through memory.
  for (std::size_t d = 0; d + 3 < rank; ++d)
    if (t.strides()[d] != t.strides()[d + 1] * t.shape()[d + 1]) return std::nullopt;
  return o;
}

cudaDataType_t type_of(DType t) { return t == DType::kBFloat16 ? CUDA_R_16BF : CUDA_R_32F; }

struct Library {
  CublasLtApi api;
  void* workspace = nullptr;
  driver::Driver* driver = nullptr;
  ~Library() {
    if (workspace) driver->deallocate(workspace);
  }
};

// One product with the algorithm that was fastest when it was made. cuBLASLt is column-major, and
// reads a row-major matrix as its transpose: out^T = right^T left^T.
class TunedProduct {
 public:
  TunedProduct(std::shared_ptr<Library> library, const Product& p, bool tf32, Timer& timer,
               driver::StreamHandle stream)
      : library_(std::move(library)), product_(p), stream_(stream) {
    const auto left = operand_of(p.left), right = operand_of(p.right), out = operand_of(p.out);
    check<Error>(left && right && out && !out->transposed, "cublaslt: no words for this layout");
    const CublasLtApi& api = library_->api;
    const auto compute = tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    cublasLtMatmulDesc_t operation = nullptr;
    api.check(api.cublasLtMatmulDescCreate(&operation, compute, CUDA_R_32F), "cublasLtMatmulDesc");
    operation_ = {operation, api.cublasLtMatmulDescDestroy};
    set_transposed(CUBLASLT_MATMUL_DESC_TRANSA, right->transposed);
    set_transposed(CUBLASLT_MATMUL_DESC_TRANSB, left->transposed);
    first_ = layout(*right, p.right.dtype());
    second_ = layout(*left, p.left.dtype());
    result_ = layout(*out, p.out.dtype());
    tune(timer);
  }

  void run() { run(algorithm_); }
  const Product& product() const { return product_; }

 private:
  void set_transposed(cublasLtMatmulDescAttributes_t which, bool transposed) {
    const std::int32_t value = transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    const CublasLtApi& api = library_->api;
    api.check(api.cublasLtMatmulDescSetAttribute(operation_.get(), which, &value, sizeof value),
              "cublasLtMatmulDescSetAttribute");
  }

  Owned<cublasLtMatrixLayout_t> layout(const Operand& o, DType dtype) const {
    const CublasLtApi& api = library_->api;
    cublasLtMatrixLayout_t raw = nullptr;
    const auto rows = std::uint64_t(o.transposed ? o.rows : o.cols);
    const auto cols = std::uint64_t(o.transposed ? o.cols : o.rows);
    api.check(api.cublasLtMatrixLayoutCreate(&raw, type_of(dtype), rows, cols, o.leading),
              "cublasLtMatrixLayoutCreate");
    Owned<cublasLtMatrixLayout_t> out(raw, api.cublasLtMatrixLayoutDestroy);
    if (o.batch == 1) return out;
    const auto count = std::int32_t(o.batch);
    api.check(api.cublasLtMatrixLayoutSetAttribute(raw, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count,
                                                   sizeof count),
              "cublasLtMatrixLayoutSetAttribute");
    api.check(api.cublasLtMatrixLayoutSetAttribute(raw, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                                   &o.batch_stride, sizeof o.batch_stride),
              "cublasLtMatrixLayoutSetAttribute");
    return out;
  }

  void run(const cublasLtMatmulAlgo_t& algorithm) {
    const CublasLtApi& api = library_->api;
    const float one = 1, zero = 0;
    api.check(api.cublasLtMatmul(api.handle, operation_.get(), &one, product_.right.data(),
                                 first_.get(), product_.left.data(), second_.get(), &zero,
                                 product_.out.data(), result_.get(), product_.out.data(),
                                 result_.get(), &algorithm, library_->workspace, kWorkspaceBytes,
                                 reinterpret_cast<cudaStream_t>(stream_)),
              "cublasLtMatmul");
  }

  void tune(Timer& timer) {
    const CublasLtApi& api = library_->api;
    cublasLtMatmulPreference_t raw = nullptr;
    api.check(api.cublasLtMatmulPreferenceCreate(&raw), "cublasLtMatmulPreferenceCreate");
    const Owned<cublasLtMatmulPreference_t> preference(raw, api.cublasLtMatmulPreferenceDestroy);
    const std::uint64_t bytes = kWorkspaceBytes;
    api.check(api.cublasLtMatmulPreferenceSetAttribute(
                  raw, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes, sizeof bytes),
              "cublasLtMatmulPreferenceSetAttribute");
    std::array<cublasLtMatmulHeuristicResult_t, kCandidates> found{};
    int count = 0;
    api.check(api.cublasLtMatmulAlgoGetHeuristic(api.handle, operation_.get(), first_.get(),
                                                 second_.get(), result_.get(), result_.get(), raw,
                                                 kCandidates, found.data(), &count),
              "cublasLtMatmulAlgoGetHeuristic");
    double best = 0;
    for (int i = 0; i < count; ++i) {
      if (found[std::size_t(i)].state != CUBLAS_STATUS_SUCCESS) continue;
      const cublasLtMatmulAlgo_t& algorithm = found[std::size_t(i)].algo;
      const double ms = time_of(timer, algorithm);
      if (ms > 0 && (best == 0 || ms < best)) {
        best = ms;
        algorithm_ = algorithm;
      }
    }
    check<Error>(best > 0, "cublaslt: none of ", count, " candidates ran");
  }

  // The fastest of a few runs; 0 where the candidate does not run.
  double time_of(Timer& timer, const cublasLtMatmulAlgo_t& algorithm) {
    double least = 0;
    try {
      for (int k = 0; k < kRunsPerCandidate; ++k) {
        const double ms = timer.time([&] { run(algorithm); }, Temperature::kCold);
        least = least == 0 ? ms : std::min(least, ms);
      }
    } catch (const DriverError&) {
      return 0;
    }
    return least;
  }

  std::shared_ptr<Library> library_;
  Product product_;
  driver::StreamHandle stream_;
  Owned<cublasLtMatmulDesc_t> operation_;
  Owned<cublasLtMatrixLayout_t> first_, second_, result_;
  cublasLtMatmulAlgo_t algorithm_{};
};

// A few rows and columns of one product, from its middle, against the oracle.
Judged judge_product(const reference::Contract& contract, const Product& p, bool tf32) {
  const NoGradGuard no_grad;
  const auto middle = [](const Tensor& t, std::int64_t dim, std::int64_t most) {
    const std::int64_t size = t.size(dim), length = std::min(size, most);
    return narrow(t, dim, (size - length) / 2, length);
  };
  Tensor left = p.left, right = p.right, out = p.out;
  while (left.dim() > 2) {
    left = select(left, 0, 0);
    right = select(right, 0, 0);
    out = select(out, 0, 0);
  }
  constexpr std::int64_t kRows = 4, kColumns = 64;
  const std::vector<reference::HostTensor> inputs{
      conformance::download(middle(left, 0, kRows).contiguous()),
      conformance::download(middle(right, 1, kColumns).contiguous())};
  const auto truth = due(contract, inputs, {}, {}, tf32);
  const auto got = conformance::download(middle(middle(out, 0, kRows), 1, kColumns).contiguous());
  const conformance::Judgement j = conformance::judge("output", got, truth[0]);
  return {j.r, j.where, j.reason, "4 rows and 64 columns of the timed product"};
}

class Tuned final : public Contender {
 public:
  Tuned(std::vector<std::unique_ptr<TunedProduct>> products, const Item& item, Timer& timer)
      : products_(std::move(products)),
        contract_(*item.contract),
        tf32_(item.tf32),
        timer_(timer) {}
  std::string name() const override { return "cublaslt_tuned"; }
  std::vector<double> time(Temperature temperature, int count) override {
    std::vector<double> out;
    for (int i = 0; i < count; ++i)
      out.push_back(timer_.time(
          [&] {
            for (auto& p : products_) p->run();
          },
          temperature));
    return out;
  }
  Judged judge() override {
    Judged worst;
    for (const auto& p : products_) {
      p->run();
      const Judged j = judge_product(contract_, p->product(), tf32_);
      if (j.r > worst.r) worst = j;
    }
    return worst;
  }

 private:
  std::vector<std::unique_ptr<TunedProduct>> products_;
  const reference::Contract& contract_;
  bool tf32_;
  Timer& timer_;
};

std::vector<Product> products_of(const Workload& w) {
  const NoGradGuard no_grad;
  const Tensor a = w.inputs()[0].detach(), b = w.inputs()[1].detach();
  if (a.dim() != b.dim() || a.dim() < 2) return {};
  const auto like = [](const Tensor& t) { return empty(t.shape(), {t.device(), t.dtype()}); };
  const TensorDesc& out = w.item().outputs[0];
  std::vector<Product> products;
  if (w.item().direction != Direction::kBackward)
    products.push_back({a, b, empty(out.shape, {a.device(), out.dtype})});
  if (w.item().direction == Direction::kForward) return products;
  const Tensor g = w.grad_outputs()[0];
  products.push_back({transpose(a, -2, -1), g, like(b)});
  products.push_back({g, transpose(b, -2, -1), like(a)});
  // The larger one last, as FLAME does: what is written last still lies in the cache.
  if (a.numel() < b.numel()) std::swap(products.back(), products[products.size() - 2]);
  return products;
}

class CublasLtPeers final : public PeerSource {
 public:
  explicit CublasLtPeers(std::shared_ptr<Library> library) : library_(std::move(library)) {}

  std::vector<std::unique_ptr<Contender>> peers(const Workload& w, Timer& timer) override {
    std::vector<std::unique_ptr<Contender>> out;
    if (w.item().op != &matmul_def()) return out;
    std::vector<std::unique_ptr<TunedProduct>> tuned;
    for (const Product& p : products_of(w))
      tuned.push_back(std::make_unique<TunedProduct>(library_, p, w.item().tf32, timer,
                                                     w.inputs()[0].device().stream()));
    if (!tuned.empty()) out.push_back(std::make_unique<Tuned>(std::move(tuned), w.item(), timer));
    return out;
  }

 private:
  std::shared_ptr<Library> library_;
};

}  // namespace

std::unique_ptr<PeerSource> open_cublaslt(const Device& device) {
  if (device.info().kind != driver::Kind::kCuda) return nullptr;
  static constexpr std::array<std::string_view, 3> kNames{"libcublasLt.so.13", "libcublasLt.so.12",
                                                          "libcublasLt.so"};
  auto library = std::make_shared<Library>();
  CublasLtApi& api = library->api;
  api.library = driver::SharedLibrary::open(kNames);
  if (!api.library) return nullptr;
#define FLAME_RESOLVE(f)                                             \
  api.f = reinterpret_cast<decltype(api.f)>(api.library.symbol(#f)); \
  if (!api.f) return nullptr;
  FLAME_CUBLASLT_CALLS(FLAME_RESOLVE)
#undef FLAME_RESOLVE
  library->driver = &device.runtime().driver();
  library->workspace = library->driver->allocate(kWorkspaceBytes, "workspace of a tuned cuBLASLt");
  api.check(api.cublasLtCreate(&api.handle), "cublasLtCreate");
  return std::make_unique<CublasLtPeers>(std::move(library));
}

}  // namespace flame::bench
