#include "lib/blas/algorithms.h"

#include <array>
#include <utility>

namespace flame::blas {
namespace {

// In the order of an Algorithm; each with its size.
constexpr std::array<std::pair<cublasLtMatmulAlgoConfigAttributes_t, std::size_t>, 9> kAttributes{
    {{CUBLASLT_ALGO_CONFIG_ID, 4},
     {CUBLASLT_ALGO_CONFIG_TILE_ID, 4},
     {CUBLASLT_ALGO_CONFIG_SPLITK_NUM, 4},
     {CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, 4},
     {CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING, 4},
     {CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION, 4},
     {CUBLASLT_ALGO_CONFIG_STAGES_ID, 4},
     {CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID, 2},
     {CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, 2}}};
constexpr std::size_t kTile = 1, kCluster = 8;

template <class T>
bool set(const CublasLtApi& api, cublasLtMatmulAlgo_t& raw,
         cublasLtMatmulAlgoConfigAttributes_t which, T value) {
  return api.cublasLtMatmulAlgoConfigSetAttribute(&raw, which, &value, sizeof value) ==
         CUBLAS_STATUS_SUCCESS;
}

}  // namespace

Candidate candidate_of(const CublasLtApi& api, const cublasLtMatmulAlgo_t& raw) {
  Candidate out{raw, {}};
  for (std::size_t i = 0; i < kAttributes.size(); ++i) {
    const auto [which, bytes] = kAttributes[i];
    std::uint32_t wide = 0;
    std::uint16_t narrow = 0;
    std::size_t written = 0;
    void* const to = bytes == 2 ? static_cast<void*>(&narrow) : &wide;
    if (api.cublasLtMatmulAlgoConfigGetAttribute(&raw, which, to, bytes, &written) ==
        CUBLAS_STATUS_SUCCESS)  // 0 for one that the library does not tell
      out.algorithm[i] = bytes == 2 ? narrow : wide;
  }
  return out;
}

bool has_cluster(const Candidate& candidate) {
  return candidate.algorithm[kCluster] != CUBLASLT_CLUSTER_SHAPE_AUTO;
}

std::vector<std::uint32_t> tiles_of(const CublasLtApi& api, const Candidate& candidate) {
  std::size_t bytes = 0;
  if (api.cublasLtMatmulAlgoCapGetAttribute(&candidate.raw, CUBLASLT_ALGO_CAP_TILE_IDS, nullptr, 0,
                                            &bytes) != CUBLAS_STATUS_SUCCESS)
    return {};
  std::vector<std::uint32_t> tiles(bytes / sizeof(std::uint32_t));
  if (tiles.empty() ||
      api.cublasLtMatmulAlgoCapGetAttribute(&candidate.raw, CUBLASLT_ALGO_CAP_TILE_IDS,
                                            tiles.data(), bytes, &bytes) != CUBLAS_STATUS_SUCCESS)
    return {};
  return tiles;
}

std::optional<Candidate> variant(const CublasLtApi& api, const Plan& plan, const Candidate& base,
                                 std::uint32_t tile, std::uint16_t cluster) {
  cublasLtMatmulAlgo_t raw = base.raw;
  cublasLtMatmulHeuristicResult_t result{};
  if (!set(api, raw, CUBLASLT_ALGO_CONFIG_TILE_ID, tile) ||
      !set(api, raw, CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, cluster) ||
      api.cublasLtMatmulAlgoCheck(api.handle, plan.operation.get(), plan.first.get(),
                                  plan.second.get(), plan.result.get(), plan.result.get(), &raw,
                                  &result) != CUBLAS_STATUS_SUCCESS ||
      result.state != CUBLAS_STATUS_SUCCESS || result.workspaceSize > kWorkspaceBytes)
    return std::nullopt;
  return candidate_of(api, raw);
}

std::optional<Candidate> accepted(const CublasLtApi& api, const Plan& plan,
                                  const Algorithm& algorithm) {
  for (const Candidate& c : plan.proposals)
    if (c.algorithm == algorithm) return c;
  for (const Candidate& c : plan.proposals) {
    Algorithm same = c.algorithm;
    same[kTile] = algorithm[kTile], same[kCluster] = algorithm[kCluster];
    if (same != algorithm || !has_cluster(c)) continue;
    const auto v = variant(api, plan, c, algorithm[kTile], std::uint16_t(algorithm[kCluster]));
    if (v && v->algorithm == algorithm) return v;
  }
  return std::nullopt;
}

}  // namespace flame::blas
