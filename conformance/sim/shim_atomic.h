// Atomics, by compare-and-swap on the bits: the blocks of one launch may run on several OS threads.
#pragma once
#include "conformance/sim/shim_core.h"

namespace simcu {

template <std::size_t>
struct BitsOf;
template <>
struct BitsOf<4> {
  using type = unsigned;
};
template <>
struct BitsOf<8> {
  using type = unsigned long long;
};

// Kept from the compiler's instrumentation: the checker is told by atomic_access that this is
// atomic.
#define SIMCU_RMW __attribute__((no_sanitize("thread"))) inline

// Replaces *p by f(*p); gives what was there.
template <class T, class F>
SIMCU_RMW T update(T* p, F f) {
  using Bits = typename BitsOf<sizeof(T)>::type;
  atomic_access(p, sizeof(T));
  auto* bits = reinterpret_cast<Bits*>(p);
  Bits old = __atomic_load_n(bits, __ATOMIC_RELAXED);
  for (;;) {
    const T value = __builtin_bit_cast(T, old);
    const Bits next = __builtin_bit_cast(Bits, static_cast<T>(f(value)));
    if (__atomic_compare_exchange_n(bits, &old, next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
      return value;
  }
}

template <class T>
concept AtomicWord = std::is_arithmetic_v<T> &&(sizeof(T) == 4 || sizeof(T) == 8);
template <class T>
concept AtomicInteger = AtomicWord<T> && std::is_integral_v<T>;

}  // namespace simcu

#define SIMCU_ATOMIC(name, Concept, expr)                 \
  template <simcu::Concept T>                             \
  SIMCU_RMW T name(T* p, std::type_identity_t<T> v) {     \
    return simcu::update(p, [v](T old) { return expr; }); \
  }
SIMCU_ATOMIC(atomicAdd, AtomicWord, T(old + v))
SIMCU_ATOMIC(atomicSub, AtomicInteger, T(old - v))
SIMCU_ATOMIC(atomicExch, AtomicWord, (void(old), v))
SIMCU_ATOMIC(atomicMin, AtomicInteger, old < v ? old : v)
SIMCU_ATOMIC(atomicMax, AtomicInteger, old > v ? old : v)
SIMCU_ATOMIC(atomicAnd, AtomicInteger, T(old& v))
SIMCU_ATOMIC(atomicOr, AtomicInteger, T(old | v))
SIMCU_ATOMIC(atomicXor, AtomicInteger, T(old ^ v))
SIMCU_ATOMIC(atomicInc, AtomicInteger, old >= v ? T(0) : T(old + 1))
SIMCU_ATOMIC(atomicDec, AtomicInteger, old == 0 || old > v ? v : T(old - 1))
#undef SIMCU_ATOMIC
template <simcu::AtomicInteger T>
SIMCU_RMW T atomicCAS(T* p, std::type_identity_t<T> compare, std::type_identity_t<T> v) {
  return simcu::update(p, [compare, v](T old) { return old == compare ? v : old; });
}
