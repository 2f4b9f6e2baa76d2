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
  // Whether vectors are folded into something briefer than a State: start_brief(),
  // fold_brief(brief, what is folded, which) and of_brief(brief, half), a State. Of half types two
  // elements at once; of others with kWhere only. Then `which` counts steps (of pairs in both
  // halves, and no more than kPairSteps of them), and asks_again(brief) is for what is lost.
  static constexpr bool kBrief = false;
  template <class T>
  using Brief = char;
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
