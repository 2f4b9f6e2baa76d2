// The algorithms that cuBLASLt has for a product: those that it proposes, and what becomes of them
// with other tiles and clusters. Private to lib/blas.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "lib/blas/plan.h"

namespace flame::blas {

Candidate candidate_of(const CublasLtApi& api, const cublasLtMatmulAlgo_t& raw);

// Those that run as clusters of blocks; for the others tile and cluster say nothing new.
bool has_cluster(const Candidate& candidate);
std::vector<std::uint32_t> tiles_of(const CublasLtApi& api, const Candidate& candidate);

// `base` with another tile and shape of cluster, where cuBLASLt accepts that for the product.
std::optional<Candidate> variant(const CublasLtApi& api, const Plan& plan, const Candidate& base,
                                 std::uint32_t tile, std::uint16_t cluster);

// The candidate of that name: a proposal, or a variant of one that cuBLASLt accepts now.
std::optional<Candidate> accepted(const CublasLtApi& api, const Plan& plan,
                                  const Algorithm& algorithm);

}  // namespace flame::blas
