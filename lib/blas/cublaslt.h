// Matrix products by cuBLASLt, opened at run time.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "lib/blas/choices.h"
#include "lib/driver/driver.h"

struct CUstream_st;

namespace flame::blas {

struct CublasLtApi;  // the entry points
struct Plan;         // descriptors and the algorithm of one kind of product

// float32 is computed in float32 (TF32 only where asked), float64 in float64, half types accumulate
// in float32 all the way: no algorithm that reduces partial sums in the output's type is admitted.
// A product that may be tuned and is large enough is timed with each algorithm that the library
// proposes when it is first asked for, on its own memory, while the host waits. The fastest is kept
// on disk (choices.h), so that it is the one of every process from then on, and this waits once for
// each kind of product. Other products take the library's first proposal. Each stream has a
// workspace of its own, so that one product gives the same bits every time, from process to process
// too, where the folder of choices can be written or nothing is tuned.
class CublasLt final : public driver::Blas {
 public:
  using StreamOf = std::function<CUstream_st*(driver::StreamHandle)>;

  // nullptr when cuBLASLt is not on this machine. The device's context must be current, here and at
  // every gemm(). `driver` must outlive it.
  static std::unique_ptr<CublasLt> open(driver::Driver& driver, StreamOf stream_of);
  // Over a library that is open already (tests: one of their own).
  CublasLt(std::unique_ptr<CublasLtApi> api, driver::Driver& driver, StreamOf stream_of,
           std::unique_ptr<Choices> choices);
  ~CublasLt() override;

  bool gemm(const driver::Gemm& gemm, driver::StreamHandle stream) override;

  // Before the stream is destroyed: waits for it by giving back its workspace.
  void forget_stream(driver::StreamHandle stream) noexcept;

  const Choices& choices() const { return *choices_; }

 private:
  std::shared_ptr<Plan> plan(const driver::Gemm& gemm);
  void* workspace(driver::StreamHandle stream);
  std::string choice_key(const Plan& plan) const;
  void choose(const driver::Gemm& gemm, Plan& plan, void* scratch, driver::StreamHandle stream);

  std::unique_ptr<CublasLtApi> api_;
  driver::Driver& driver_;
  StreamOf stream_of_;
  std::unique_ptr<Choices> choices_;
  std::mutex mutex_;  // guards the two below
  std::unordered_map<std::string, std::shared_ptr<Plan>> plans_;
  std::unordered_map<driver::StreamHandle, void*> workspaces_;
  std::mutex measuring_;  // one at a time; guards the one below
  driver::KernelHandle displace_ = 0;
};

}  // namespace flame::blas
