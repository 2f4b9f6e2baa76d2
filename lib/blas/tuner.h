// The fastest algorithm for a product, found by timing. Private to lib/blas.
#pragma once
#include <optional>

#include "lib/blas/plan.h"

namespace flame::blas {

// Where the timing is done.
struct Bench {
  driver::Driver& driver;
  driver::KernelHandle displace;  // gemm_displace
  driver::StreamHandle stream;
  cudaStream_t cuda_stream;
  void* workspace;
};

// Of the plan's proposals, of the best of them with other tiles, and of the best of those in other
// shapes of cluster: cuBLASLt proposes eight at most, and a product that divides badly among the
// multiprocessors is up to a quarter faster by one that is not among them. Runs the product on its
// own memory and waits. Nothing where none runs.
std::optional<Candidate> measure(const CublasLtApi& api, const Bench& bench,
                                 const driver::Gemm& gemm, const Plan& plan);

}  // namespace flame::blas
