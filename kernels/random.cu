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
#include "copy.cuh"
#include "math.cuh"
#include "packed.cuh"

namespace dev {

struct Words {
  unsigned w[4];
};

__device__ __forceinline__ Words philox(unsigned long long seed, unsigned long long counter) {
  unsigned c0 = unsigned(counter), c1 = unsigned(counter >> 32), c2 = 0, c3 = 0;
  unsigned k0 = unsigned(seed), k1 = unsigned(seed >> 32);
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const unsigned long long p0 = 0xD2511F53ull * c0, p1 = 0xCD9E8D57ull * c2;
    c0 = unsigned(p1 >> 32) ^ c1 ^ k0;
    c1 = unsigned(p1);
    c2 = unsigned(p0 >> 32) ^ c3 ^ k1;
    c3 = unsigned(p0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

__device__ __forceinline__ unsigned long long join(unsigned high, unsigned low) {
  return (unsigned long long)high << 32 | low;
}

// r cos(2 pi u2) and r sin(2 pi u2).
__device__ __forceinline__ void box_muller(unsigned a, unsigned b, float* out) {
  const float u1 = (a == ~0u ? 0x1p32f : float(a + 1)) * 0x1p-32f, u2 = float(b) * 0x1p-32f;
  const float r = sqrt(-2.0f * log(u1));
  float s, c;
  sincospif(2 * u2, &s, &c);
  out[0] = r * c;
  out[1] = r * s;
}
__device__ __forceinline__ void box_muller(unsigned long long a, unsigned long long b,
                                           double* out) {
  const double u1 = double((a >> 11) + 1) * 0x1p-53, u2 = double(b >> 11) * 0x1p-53;
  const double r = sqrt(-2.0 * log(u1));
  double s, c;
  sincospi(2 * u2, &s, &c);
  out[0] = r * c;
  out[1] = r * s;
}

}  // namespace dev

namespace dev {
inline constexpr int kRandomUnroll = 4;  // 16-byte vectors of a thread; lib/ops/creation.cpp agrees
// n * 2^-k for n < 2^k, k <= 11, exactly: n is put into the last bits of 2^23, which costs less
// than a conversion of integers.
template <int k>
__device__ __forceinline__ float fraction(unsigned n) {
  constexpr float kUnit = 1.0f / float(1 << k);
  return fmaf(__uint_as_float(0x4b000000u | n), kUnit, -0x1p23f * kUnit);
}
}  // namespace dev

// Each distribution states kPerCounter<T> and values<T>(words, out[kPerCounter<T>]), not yet
// rounded to T.
struct Uniform {
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
        out[j] = dev::kSame<T, __half>          ? dev::fraction<11>(x.w[j] >> 21)
                 : dev::kSame<T, __nv_bfloat16> ? dev::fraction<8>(x.w[j] >> 24)
                                                : float(x.w[j] >> 8) * 0x1p-24f;
    }
  }
};

struct Normal {
  template <class T>
  static constexpr int kPerCounter = sizeof(T) == 8 ? 2 : 4;
  template <class T>
  static __device__ void values(const dev::Words& x, dev::Acc<T>* out) {
    if constexpr (dev::kSame<T, double>) {
      dev::box_muller(dev::join(x.w[0], x.w[1]), dev::join(x.w[2], x.w[3]), out);
    } else {
      dev::box_muller(x.w[0], x.w[1], out);
      dev::box_muller(x.w[2], x.w[3], out + 2);
    }
  }
};

// A thread makes vectors of 16 bytes from as many counters as they take. Memory traffic: numel *
// sizeof(T).
template <class D, class T>
__global__ void __launch_bounds__(256)
    random(T* out, const __grid_constant__ flame_params::Philox start, const long long numel) {
  constexpr int kPer = D::template kPerCounter<T>, V = dev::kVec<T>;
  const long long first = (long long)blockIdx.x * (blockDim.x * dev::kRandomUnroll) + threadIdx.x;
#pragma unroll
  for (int u = 0; u < dev::kRandomUnroll; ++u) {
    const long long i = (first + u * (int)blockDim.x) * V;
    if (i >= numel) return;
    const unsigned long long counter = start.offset + (unsigned long long)(i / kPer);
    dev::Acc<T> values[V];
#pragma unroll
    for (int j = 0; j < V; j += kPer)
      D::template values<T>(dev::philox(start.seed, counter + j / kPer), values + j);
    dev::Packet<T, V> packet;
    packet.assign(values);
    dev::write<T, V>(out + i, packet, numel - i);
  }
}

namespace dev {
// z mod range, with reciprocal = floor((2^64 - 1) / range): z / range is above the estimate of the
// quotient by less than 2, so that at most one more range fits.
__device__ __forceinline__ unsigned long long modulo(unsigned long long z, unsigned long long range,
                                                     unsigned long long reciprocal) {
  const unsigned long long rest = z - __umul64hi(z, reciprocal) * range;
  return rest >= range ? rest - range : rest;
}
}  // namespace dev

// range: high - low, above 0; reciprocal: floor((2^64 - 1) / range). Memory traffic: numel *
// sizeof(T).
template <class T>
__global__ void __launch_bounds__(256)
    random_integers(typename dev::Stored<T>::type* out,
                    const __grid_constant__ flame_params::Philox start, const long long low,
                    const unsigned long long range, const unsigned long long reciprocal,
                    const long long numel) {
  using S = typename dev::Stored<T>::type;
  constexpr int V = dev::kVec<S>;
  const long long first = (long long)blockIdx.x * (blockDim.x * dev::kRandomUnroll) + threadIdx.x;
#pragma unroll 1
  for (int u = 0; u < dev::kRandomUnroll; ++u) {
    const long long i = (first + u * (int)blockDim.x) * V;
    if (i >= numel) return;
    dev::Packet<S, V> packet;
    packet.clear();
#pragma unroll
    for (int j = 0; j < V; j += 2) {
      const dev::Words x = dev::philox(start.seed, start.offset + (unsigned long long)(i + j) / 2);
#pragma unroll
      for (int k = 0; k < 2; ++k) {
        const unsigned long long z =
            dev::modulo(dev::join(x.w[2 * k], x.w[2 * k + 1]), range, reciprocal);
        packet.set(j + k, dev::convert<long long, T>((long long)((unsigned long long)low + z)));
      }
    }
    dev::write<S, V>(out + i, packet, numel - i);
  }
}

EXPORT_FLOATING(random, Uniform)
EXPORT_FLOATING(random, Normal)
EXPORT_FLOATING(random_integers)
DEV_EXPORT(random_integers<long long>)
DEV_EXPORT(random_integers<int>)
DEV_EXPORT(random_integers<unsigned char>)
DEV_EXPORT(random_integers<bool>)
