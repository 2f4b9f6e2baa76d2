// The seam to the device. `cuda.cpp` is its one product implementation; the conformance suite has a
// simulated one and wraps either to plant faults. Everything above speaks only this interface.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/core/dtype.h"

namespace flame::driver {

enum class Kind : unsigned char { kCuda, kSimulated };

struct Info {
  Kind kind = Kind::kCuda;
  int index = 0;
  std::string name;  // "NVIDIA H200"
  std::string arch;  // what kernels are compiled for: "sm_90a"
  int compute_major = 0, compute_minor = 0;
  int multiprocessors = 1;
  std::size_t total_memory = 0;  // bytes
  std::size_t l2_bytes = 0;
  std::size_t max_shared_bytes = 0;  // dynamic shared memory one block can be granted
  int driver_version = 0;            // 13000 for 13.0
  int toolkit_version = 0;           // NVRTC's
};

// Opaque handles; zero means the default stream, no event, no kernel.
using StreamHandle = std::uintptr_t;
using EventHandle = std::uintptr_t;
using KernelHandle = std::uintptr_t;

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;
};

struct Launch {
  Dim3 grid, block;
  unsigned shared_bytes = 0;  // dynamic
  StreamHandle stream = 0;
  // May start while the launch before it in the stream is ending, where the device can: the kernel
  // waits itself before it touches what that one wrote (kernels/ptx.cuh, await_launch_before).
  bool early = false;
};

// One kernel argument: where its value lies on the host, and its size, so that both can be checked.
struct Arg {
  const void* data = nullptr;
  std::size_t size = 0;
};

// A kernel is a file of kernels/ and a C++ name expression in it, exactly as exported there:
// {"unary.cu", "unary_forward<Exp, float>"}.
struct KernelId {
  std::string file;
  std::string expression;
  bool operator==(const KernelId&) const = default;
};

// What compiling a kernel gives: machine code and the entry's name in it.
struct Image {
  std::vector<std::byte> bytes;
  std::string entry;
};

// C (m x n, row-major, ldc) = alpha * op(A) * op(B) + beta * C for each of `batch` matrices.
// A is m x k with row stride lda, or k x m when trans_a; B likewise. Strides are in elements; a
// batch stride of 0 repeats one matrix. Half types do not add to C (beta is 0 where `out` is one):
// a vendor may round the product first.
struct Gemm {
  DType type = DType::kFloat32;  // of A and B
  DType out = DType::kFloat32;   // of C: `type`, or float32 for half types
  std::int64_t m = 0, n = 0, k = 0, batch = 1;
  bool trans_a = false, trans_b = false;
  const void* a = nullptr;
  const void* b = nullptr;
  void* c = nullptr;
  std::int64_t lda = 0, ldb = 0, ldc = 0;
  std::int64_t stride_a = 0, stride_b = 0, stride_c = 0;
  double alpha = 1, beta = 0;
  bool allow_tf32 = false;
  bool tune = false;  // the library may time its algorithms on this product's memory once
};

// Matrix products by a vendor library.
class Blas {
 public:
  virtual ~Blas() = default;
  // The same bits every time, in every process that shares a folder of choices or tunes nothing;
  // blocks while it tunes. Throws DriverError. Returns false, having done nothing, where the
  // library cannot do this product (alignment, layout): the caller then uses its own kernel.
  virtual bool gemm(const Gemm& gemm, StreamHandle stream) = 0;
};

// All calls may be made from any thread. All but the ones said to block are asynchronous.
// Every failure is a typed exception (DriverError, OutOfMemoryError, JitError).
class Driver {
 public:
  virtual ~Driver() = default;
  virtual const Info& info() const = 0;

  // -- memory. `allocate` takes bytes > 0; 256-byte aligned. `label` names it in reports.
  virtual void* allocate(std::size_t bytes, std::string_view label) = 0;
  virtual void deallocate(void* p) noexcept = 0;  // blocks until pending work is done
  virtual std::size_t free_memory() = 0;
  virtual void copy_to_device(void* to, const void* from, std::size_t bytes, StreamHandle) = 0;
  virtual void copy_to_host(void* to, const void* from, std::size_t bytes,
                            StreamHandle) = 0;  // blocks
  virtual void copy_on_device(void* to, const void* from, std::size_t bytes, StreamHandle) = 0;
  virtual void fill(void* to, std::uint8_t byte, std::size_t bytes, StreamHandle) = 0;

  // -- streams and events
  virtual StreamHandle create_stream() = 0;
  virtual void destroy_stream(StreamHandle) noexcept = 0;
  virtual void synchronize(StreamHandle) = 0;  // blocks
  virtual EventHandle create_event() = 0;
  virtual void destroy_event(EventHandle) noexcept = 0;
  virtual void record(EventHandle, StreamHandle) = 0;
  virtual void wait(StreamHandle, EventHandle) = 0;
  virtual double elapsed_ms(EventHandle from, EventHandle to) = 0;  // blocks

  // -- kernels: compile gives an image, load verifies it and finds the entry, launch runs it.
  virtual Image compile(const KernelId&) = 0;
  virtual KernelHandle load(const Image&, const KernelId&) = 0;
  virtual void launch(KernelHandle, const Launch&, std::span<const Arg>) = 0;

  // nullptr when the device has no vendor library: FLAME's own kernels then do all products.
  virtual Blas* blas() { return nullptr; }
};

// The CUDA device `index`. libcuda, NVRTC and cuBLASLt are opened at run time, so a program that
// links FLAME starts without them. Throws NoDeviceError (no driver, no GPU, driver older than the
// toolkit), ValueError (no such index).
std::shared_ptr<Driver> open_cuda(int index = 0);
// How many CUDA devices there are; 0 without a driver.
int cuda_device_count();

}  // namespace flame::driver
