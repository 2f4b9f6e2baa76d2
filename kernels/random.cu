// rand, randn and randint: counter-based, so that an element depends on nothing but the seed, the
// offset and its index, and every device gives the same numbers.
//
// Philox4x32-10 (Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011):
// ten rounds; key = (low, high 32 bits of the seed); counter = (low, high 32 bits of offset + c, 0,
// 0); gives the words w0, w1, w2, w3 for counter number c. D(a, b) = (a * 2^32 + b) is 64 bits of
// them.
//
// What element i becomes, rounded once to its dtype where the last line gives more digits than it
// has:
//   rand, float32    c = i / 4, w = w[i % 4]:  (w >> 8) * 2^-24
//   rand, float16    c = i / 4, w = w[i % 4]:  (w >> 21) * 2^-11
//   rand, bfloat16   c = i / 4, w = w[i % 4]:  (w >> 24) * 2^-8
//   rand, float64    c = i / 2, z = D(w[2 (i % 2)], w[2 (i % 2) + 1]):  (z >> 11) * 2^-53
//   randn, float32, float16, bfloat16 (Box & Muller 1958, all in float32)
//                    c = i / 4, (a, b) = (w0, w1) for i % 4 = 0, 1 and (w2, w3) for i % 4 = 2, 3;
//                    u1 = float(a + 1) * 2^-32 with a + 1 in 64 bits, u2 = float(b) * 2^-32,
//                    r = sqrt(-2 ln u1):  r cos(2 pi u2) for even i, r sin(2 pi u2) for odd i
//   randn, float64   c = i / 2, a = D(w0, w1) >> 11, b = D(w2, w3) >> 11, u1 = (a + 1) * 2^-53,
//                    u2 = b * 2^-53, r = sqrt(-2 ln u1), in float64:  cos for even i, sin for odd i
//   randint          c = i / 2, z = D(w[2 (i % 2)], w[2 (i % 2) + 1]):  low + z mod (high - low),
//                    then converted to the dtype (the bias of mod is below (high - low) / 2^64)
// A call of n elements uses ceil(n / 4) or ceil(n / 2) counters; the next call starts behind them.
#include "box_muller.cuh"
#include "copy.cuh"
#include "packed.cuh"
#include "remainder.cuh"

namespace dev {

struct Words {
  unsigned w[4];
};

constexpr unsigned kMultiplier0 = 0xD2511F53u, kMultiplier1 = 0xCD9E8D57u;

// The words of the counter (low, high, 0, 0), of which `product` is low * kMultiplier0, the first
// round's. Halves by name: as one product of 64-bit numbers each high half is given a zero to add.
// Counters of a block mostly share their high word, and then the second round's first product.
__device__ __forceinline__ Words philox(unsigned long long seed, unsigned long long product,
                                        unsigned high) {
  unsigned k0 = unsigned(seed), k1 = unsigned(seed >> 32);
  unsigned c0 = high ^ k0, c1 = 0, c2 = unsigned(product >> 32) ^ k1, c3 = unsigned(product);
#pragma unroll
  for (int round = 1; round < 10; ++round) {
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
    const unsigned high0 = __umulhi(kMultiplier0, c0), low0 = kMultiplier0 * c0;
    const unsigned high1 = __umulhi(kMultiplier1, c2), low1 = kMultiplier1 * c2;
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
  }
  return {{c0, c1, c2, c3}};
}

}  // namespace dev

namespace dev {
// 16-byte vectors of a thread; lib/ops/creation.cpp agrees. The way to the first one is shared by
// all, which matters where numbers take longer to make than to write.
inline constexpr int kFewVectors = 4, kManyVectors = 8;
// The first k bits of a word, k <= 11, as a fraction, exactly: one shift puts them into the last
// bits of 2^23, which costs less than a conversion of integers.
template <int k>
__device__ __forceinline__ float fraction(unsigned word) {
  constexpr float kUnit = 1.0f / float(1 << k);
  const unsigned bits = __funnelshift_r(word, 0x4b000000u >> k, 32 - k);
  return fmaf(__uint_as_float(bits), kUnit, -0x1p23f * kUnit);
}
}  // namespace dev

// Each distribution states kPerCounter<T>, kVectors<T>, and values<T>(words, out[kPerCounter<T>]),
// not yet rounded to T.
struct Uniform {
  template <class T>
  static constexpr int kVectors = sizeof(T) == 2 ? dev::kManyVectors : dev::kFewVectors;
  template <class T>
  static constexpr int kPerCounter = sizeof(T) == 8 ? 2 : 4;
  template <class T>
  static __device__ void values(const dev::Words& x, dev::Acc<T>* out) {
    if constexpr (dev::kSame<T, double>) {
      for (int j = 0; j < 2; ++j)
        out[j] = double(dev::join(x.w[2 * j], x.w[2 * j + 1]) >> 11) * 0x1p-53;
    } else {
#pragma unroll
      for (int j = 0; j < 4; ++j)
        out[j] = dev::kSame<T, __half>          ? dev::fraction<11>(x.w[j])
                 : dev::kSame<T, __nv_bfloat16> ? dev::fraction<8>(x.w[j])
                                                : float(x.w[j] >> 8) * 0x1p-24f;
    }
  }
};

struct Normal {
  template <class T>
  static constexpr int kVectors = dev::kManyVectors;
  template <class T>
  static constexpr int kPerCounter = sizeof(T) == 8 ? 2 : 4;
  template <class T>
  static __device__ void values(const dev::Words& x, dev::Acc<T>* out) {
    if constexpr (dev::kSame<T, double>) {
      dev::box_muller(dev::join(x.w[0], x.w[1]), dev::join(x.w[2], x.w[3]), out);
    } else {
      dev::box_muller<dev::kCoarse<T>>(x.w[0], x.w[1], out);
      dev::box_muller<dev::kCoarse<T>>(x.w[2], x.w[3], out + 2);
    }
  }
};

namespace dev {
// Calls make(i, count, words) for a thread's vectors of V elements, kPer to a counter: element i,
// how many of them are there, and words(j) of the vector's j-th counter. Where all of a block is
// there and no counter carries into its high word, that word is the block's, a thread's first
// products are as far apart as its counters, and nothing stands between one vector and the next.
template <int V, int kPer, int kVectors, int kTogether, class Make>
__device__ __forceinline__ void for_counters(const flame_params::Philox& start, long long numel,
                                             Make make) {
  constexpr int kThreads = 256, kCounters = V / kPer;
  const long long begin = (long long)blockIdx.x * (kThreads * kVectors * V);
  const unsigned long long counter = start.offset + (unsigned long long)(begin / kPer);
  const unsigned low = unsigned(counter), high = unsigned(counter >> 32);
  constexpr unsigned kOfBlock = kThreads * kVectors * kCounters;
  if (begin + kThreads * kVectors * V <= numel && low <= ~0u - kOfBlock) {
    const unsigned long long first =
        (low + threadIdx.x * kCounters) * (unsigned long long)kMultiplier0;
#pragma unroll kTogether
    for (int u = 0; u < kVectors; ++u) {
      const unsigned at = threadIdx.x + u * kThreads;
      make(begin + at * V, (long long)V, [&](int j) {
        return philox(start.seed,
                      first + (u * kThreads * kCounters + j) * (unsigned long long)kMultiplier0,
                      high);
      });
    }
  } else {
#pragma unroll 1
    for (int u = 0; u < kVectors; ++u) {
      const unsigned at = threadIdx.x + u * kThreads;
      const long long i = begin + at * V;
      if (i >= numel) return;
      make(i, numel - i, [&](int j) {
        const unsigned c = low + at * kCounters + j;
        return philox(start.seed, c * (unsigned long long)kMultiplier0, high + (c < low ? 1u : 0u));
      });
    }
  }
}
}  // namespace dev

// A thread makes vectors of 16 bytes from as many counters as they take. Memory traffic: numel *
// sizeof(T).
template <class D, class T>
__global__ void __launch_bounds__(256)
    random(T* out, const __grid_constant__ flame_params::Philox start, const long long numel) {
  constexpr int kPer = D::template kPerCounter<T>, V = dev::kVec<T>;
  constexpr int kVectors = D::template kVectors<T>, kTogether = sizeof(T) == 8 ? 2 : kVectors;
  dev::for_counters<V, kPer, kVectors, kTogether>(
      start, numel, [&](long long i, long long count, auto words) {
        dev::Acc<T> values[V];
#pragma unroll
        for (int j = 0; j < V / kPer; ++j) D::template values<T>(words(j), values + j * kPer);
        dev::Packet<T, V> packet;
        packet.assign(values);
        dev::write<T, V>(out + i, packet, count);
      });
}

namespace dev {
template <class T, class Range>
__device__ __forceinline__ void integers(typename Stored<T>::type* out,
                                         const flame_params::Philox& start, long long low,
                                         const Range& range, long long numel) {
  using S = typename Stored<T>::type;
  constexpr int V = kVec<S>;
  for_counters<V, 2, kManyVectors, (V > 2 ? 1 : kManyVectors)>(
      start, numel, [&](long long i, long long count, auto words) {
        Packet<S, V> packet;
        packet.clear();
#pragma unroll
        for (int j = 0; j < V; j += 2) {
          const Words x = words(j / 2);
#pragma unroll
          for (int k = 0; k < 2; ++k) {
            const unsigned long long z = range(x.w[2 * k], x.w[2 * k + 1]);
            packet.set(j + k, convert<long long, T>((long long)((unsigned long long)low + z)));
          }
        }
        write<S, V>(out + i, packet, count);
      });
}
}  // namespace dev

// low + z mod range. Memory traffic: numel * sizeof(T).
template <class T>
__global__ void __launch_bounds__(256)
    random_integers(typename dev::Stored<T>::type* out,
                    const __grid_constant__ flame_params::Philox start, const long long low,
                    const __grid_constant__ flame_params::Range range, const long long numel) {
  if (range.size <= 0x10000)
    dev::integers<T>(out, start, low, dev::ShortRange(range), numel);
  else
    dev::integers<T>(out, start, low, dev::AnyRange(range), numel);
}

EXPORT_FLOATING(random, Uniform)
EXPORT_FLOATING(random, Normal)
EXPORT_FLOATING(random_integers)
DEV_EXPORT(random_integers<long long>)
DEV_EXPORT(random_integers<int>)
DEV_EXPORT(random_integers<unsigned char>)
DEV_EXPORT(random_integers<bool>)
