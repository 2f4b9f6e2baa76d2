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
  const float u1 = float((unsigned long long)a + 1) * 0x1p-32f, u2 = float(b) * 0x1p-32f;
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

// Each distribution states kPerCounter<T> and values(words, out[kPerCounter<T>]).
struct Uniform {
  template <class T>
  static constexpr int kPerCounter = sizeof(T) == 8 ? 2 : 4;
  static __device__ void values(const dev::Words& x, float* out) {
    for (int j = 0; j < 4; ++j) out[j] = float(x.w[j] >> 8) * 0x1p-24f;
  }
  static __device__ void values(const dev::Words& x, __half* out) {
    for (int j = 0; j < 4; ++j) out[j] = __float2half_rn(float(x.w[j] >> 21) * 0x1p-11f);
  }
  static __device__ void values(const dev::Words& x, __nv_bfloat16* out) {
    for (int j = 0; j < 4; ++j) out[j] = __float2bfloat16_rn(float(x.w[j] >> 24) * 0x1p-8f);
  }
  static __device__ void values(const dev::Words& x, double* out) {
    for (int j = 0; j < 2; ++j)
      out[j] = double(dev::join(x.w[2 * j], x.w[2 * j + 1]) >> 11) * 0x1p-53;
  }
};

struct Normal {
  template <class T>
  static constexpr int kPerCounter = sizeof(T) == 8 ? 2 : 4;
  template <class T>
  static __device__ void values(const dev::Words& x, T* out) {
    float z[4];
    dev::box_muller(x.w[0], x.w[1], z);
    dev::box_muller(x.w[2], x.w[3], z + 2);
    for (int j = 0; j < 4; ++j) out[j] = dev::store<T>(z[j]);
  }
  static __device__ void values(const dev::Words& x, double* out) {
    dev::box_muller(dev::join(x.w[0], x.w[1]), dev::join(x.w[2], x.w[3]), out);
  }
};

// One counter a thread. Memory traffic: numel * sizeof(T).
template <class D, class T>
__global__ void __launch_bounds__(256)
    random(T* out, const __grid_constant__ flame_params::Philox start, const long long numel) {
  constexpr int kPer = D::template kPerCounter<T>;
  const long long c = dev::global_thread();
  const long long left = numel - c * kPer;
  if (left <= 0) return;
  const dev::Words words = dev::philox(start.seed, start.offset + (unsigned long long)c);
  dev::Vec<T, kPer> v;
  D::values(words, v.v);
  if (left >= kPer) {
    *reinterpret_cast<dev::Vec<T, kPer>*>(out + c * kPer) = v;
  } else {
#pragma unroll
    for (int j = 0; j < kPer; ++j)
      if (j < left) out[c * kPer + j] = v.v[j];
  }
}

// range: high - low, above 0. One counter a thread. Memory traffic: numel * sizeof(T).
template <class T>
__global__ void __launch_bounds__(256)
    random_integers(typename dev::Stored<T>::type* out,
                    const __grid_constant__ flame_params::Philox start, const long long low,
                    const unsigned long long range, const long long numel) {
  const long long c = dev::global_thread();
  if (c * 2 >= numel) return;
  const dev::Words x = dev::philox(start.seed, start.offset + (unsigned long long)c);
  for (int j = 0; j < 2 && c * 2 + j < numel; ++j) {
    const unsigned long long z = dev::join(x.w[2 * j], x.w[2 * j + 1]) % range;
    out[c * 2 + j] = dev::convert<long long, T>((long long)((unsigned long long)low + z));
  }
}

EXPORT_FLOATING(random, Uniform)
EXPORT_FLOATING(random, Normal)
EXPORT_FLOATING(random_integers)
DEV_EXPORT(random_integers<long long>)
DEV_EXPORT(random_integers<int>)
DEV_EXPORT(random_integers<unsigned char>)
DEV_EXPORT(random_integers<bool>)
