// What reductions share: how many loads they have under way, and what an Op may leave as it is. See
// reduce.cuh.
#pragma once
#include "ptx.cuh"

namespace dev {

// Loads that a thread has under way: what fills the memory pipeline. Vectors go through a ring in
// shared memory, which costs no registers; what is no vector stays in registers.
inline constexpr int kInFlight = 4;
inline constexpr int kRing = 8;  // vectors of a thread; lib/ops/reduce_plan.cpp agrees
// Vectors that a lane reads at once of a row that has no more for it: half types have more to do
// with each. lib/ops/reduce_plan.cpp agrees.
template <class T>
__device__ constexpr int at_once() {
  return sizeof(T) == 2 ? 4 : 8;
}

// Which of the two shapes a launch has, where its kernel is not for either. kRowsAtOnce: rows of
// which a lane has all its vectors in registers at a time.
enum class Form { kRows, kRowsAtOnce, kColumns, kEither };
template <Form form>
__device__ __forceinline__ bool by_columns(const flame_params::Reduction& r) {
  return form == Form::kEither ? r.columns != 0 : form == Form::kColumns;
}

// What an Op may leave as it is: its state is one accumulator, which is the result.
struct Plain {
  template <class A>
  using State = A;
  static constexpr int kStreams = 1;
  // The type of the second stream's elements.
  template <class T>
  using Second = T;
  static constexpr bool kOwn = false;
  // Whether there is a result for each term too, each(first, second, own, numbers); in launches of
  // vectors only.
  static constexpr bool kEach = false;
  // Whether fold(state, first, which) is told which step or term it folds, State::where takes it,
  // and finish(state, place, ...) may ask place() where term `where` lies in the first operand.
  static constexpr bool kWhere = false;
  static constexpr int kLoads = kInFlight;
  template <class T, class A>
  static __device__ void finish(A state, double divisor, long long output, T* out, A*) {
    out[output] = store<T>(divisor == 1 ? state : state / A(divisor));
  }
};

// Terms that are summed.
struct Summed : Plain {
  template <class A>
  static __device__ A start() {
    return A(0);
  }
  template <class A>
  static __device__ A combine(A a, A b) {
    return a + b;
  }
};

__device__ __forceinline__ float shuffle(float v, int distance) {
  return __shfl_xor_sync(0xffffffffu, v, distance);
}
__device__ __forceinline__ double shuffle(double v, int distance) {
  return __shfl_xor_sync(0xffffffffu, v, distance);
}

}  // namespace dev
