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
#include "ptx.cuh"

namespace dev {

struct Words {
  unsigned w[4];
};

// Halves by name: as one product of 64-bit numbers each high half is given a zero to add. Counters
// of a block mostly share their high word, and then the second round's first product.
__device__ __forceinline__ Words philox(unsigned long long seed, unsigned low, unsigned high) {
  unsigned c0 = low, c1 = high, c2 = 0, c3 = 0;
  unsigned k0 = unsigned(seed), k1 = unsigned(seed >> 32);
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const unsigned high0 = __umulhi(0xD2511F53u, c0), low0 = 0xD2511F53u * c0;
    const unsigned high1 = __umulhi(0xCD9E8D57u, c2), low1 = 0xCD9E8D57u * c2;
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

__device__ __forceinline__ unsigned long long join(unsigned high, unsigned low) {
  return (unsigned long long)high << 32 | low;
}

// -2 ln(x 2^-32) for x in [1, 2^32]: with the power of two that leaves m in [2/3, 4/3) and f = m -
// 1, f times -2 + f times a polynomial of degree 7, with a relative error of 2.6e-8.
__device__ __forceinline__ float radius_squared(float x) {
  constexpr int kThirds = 0x3f2aaaab, kScale = 32 << 23;  // 2/3; the exponent of 2^32
  const int bits = __float_as_int(x);
  const int power = (bits - (kThirds + kScale)) & int(0xff800000u);
  const float f = __int_as_float(bits - kScale - power) - 1.0f;
  float p = -2.805271447e-01f;
  p = fmaf(p, f, 3.077707887e-01f);
  p = fmaf(p, f, -2.799161375e-01f);
  p = fmaf(p, f, 3.283192217e-01f);
  p = fmaf(p, f, -4.002233744e-01f);
  p = fmaf(p, f, 5.001564026e-01f);
  p = fmaf(p, f, -6.666639447e-01f);
  p = fmaf(p, f, 9.999987483e-01f);
  return fmaf(float(power), -2 * 0x1p-23f * 0.69314718055994530942f, f * fmaf(p, f, -2.0f));
}

// r cos(2 pi u2) and r sin(2 pi u2). With the quarter turns n and what is left of the angle, t
// quarters in [-1/2, 1/2]: polynomials of t^2 with relative errors of 3.3e-9 (sin) and 3.2e-8
// (cos), exchanged for odd n, negated in the second half.
__device__ __forceinline__ void box_muller(unsigned a, unsigned b, float* out) {
  const float r = fast_sqrt(radius_squared(float(min(a, ~1u) + 1)));
  constexpr float kWhole = 0x1.8p23f;  // a float above has no fraction: its last bits are n
  const float turned = fmaf(float(b), 0x1p-30f, kWhole);
  const float t = fmaf(float(b), 0x1p-30f, kWhole - turned), q = t * t;
  float s = fmaf(q, -4.601657856e-03f, 7.968003303e-02f);
  s = fmaf(s, q, -6.459634900e-01f);
  s = t * fmaf(s, q, 1.570796371e+00f);
  float c = fmaf(q, -2.042625099e-02f, 2.536063492e-01f);
  c = fmaf(c, q, -1.233698010e+00f);
  c = fmaf(c, q, 1.0f);
  const unsigned n = __float_as_uint(turned);
  const float signed_r = __uint_as_float((n << 30 & 0x80000000u) ^ __float_as_uint(r));
  const bool odd = (n & 1) != 0;
  out[0] = signed_r * (odd ? -s : c);
  out[1] = signed_r * (odd ? c : s);
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
// The first k bits of a word, k <= 11, as a fraction, exactly: one shift puts them into the last
// bits of 2^23, which costs less than a conversion of integers.
template <int k>
__device__ __forceinline__ float fraction(unsigned word) {
  constexpr float kUnit = 1.0f / float(1 << k);
  const unsigned bits = __funnelshift_r(word, 0x4b000000u >> k, 32 - k);
  return fmaf(__uint_as_float(bits), kUnit, -0x1p23f * kUnit);
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
        out[j] = dev::kSame<T, __half>          ? dev::fraction<11>(x.w[j])
                 : dev::kSame<T, __nv_bfloat16> ? dev::fraction<8>(x.w[j])
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

namespace dev {
// Calls make(i, low, high) for a thread's vectors of V elements, kPer to a counter: element i and
// its counter's words. Where all of a block is there and no counter carries into its high word,
// that word is the block's and nothing stands between one vector and the next.
template <int V, int kPer, int kTogether, class Make>
__device__ __forceinline__ void for_counters(const flame_params::Philox& start, long long numel,
                                             Make make) {
  constexpr int kThreads = 256, kCounters = V / kPer;
  const long long begin = (long long)blockIdx.x * (kThreads * kRandomUnroll * V);
  const unsigned long long counter = start.offset + (unsigned long long)(begin / kPer);
  const unsigned low = unsigned(counter), high = unsigned(counter >> 32);
  constexpr unsigned kOfBlock = kThreads * kRandomUnroll * kCounters;
  if (begin + kThreads * kRandomUnroll * V <= numel && low <= ~0u - kOfBlock) {
#pragma unroll kTogether
    for (int u = 0; u < kRandomUnroll; ++u) {
      const unsigned at = threadIdx.x + u * kThreads;
      make(
          begin + at * V, low + at * kCounters, [&](unsigned) { return high; }, (long long)V);
    }
  } else {
#pragma unroll 1
    for (int u = 0; u < kRandomUnroll; ++u) {
      const unsigned at = threadIdx.x + u * kThreads;
      const long long i = begin + at * V;
      if (i >= numel) return;
      const unsigned first = low + at * kCounters;
      make(
          i, first, [&](unsigned c) { return high + (c < low ? 1u : 0u); }, numel - i);
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
  dev::for_counters<V, kPer, 2>(
      start, numel, [&](long long i, unsigned counter, auto high, long long count) {
        dev::Acc<T> values[V];
#pragma unroll
        for (int j = 0; j < V; j += kPer) {
          const unsigned low = counter + j / kPer;
          D::template values<T>(dev::philox(start.seed, low, high(low)), values + j);
        }
        dev::Packet<T, V> packet;
        packet.assign(values);
        dev::write<T, V>(out + i, packet, count);
      });
}

namespace dev {
// z mod range.
struct AnyRange {
  unsigned long long range, reciprocal;  // floor((2^64 - 1) / range)
  // z / range is above the estimate of the quotient by less than 2, so that at most one more range
  // fits.
  __device__ __forceinline__ unsigned long long operator()(unsigned high, unsigned low) const {
    const unsigned long long z = join(high, low);
    const unsigned long long rest = z - __umul64hi(z, reciprocal) * range;
    return rest >= range ? rest - range : rest;
  }
};
// The same for a range up to 2^16. With fold = 2^32 mod range, high * fold + low has the same rest
// and at most 48 bits; once more, and at most 33; once more, and it fits a word. Then as above.
struct SmallRange {
  unsigned range, reciprocal, fold;  // floor((2^32 - 1) / range), 2^32 mod range
  __device__ __forceinline__ explicit SmallRange(const AnyRange& any)
      : range(unsigned(any.range)), reciprocal(unsigned(any.reciprocal >> 32)) {
    fold = ~0u - reciprocal * range + 1;
    fold = fold == range ? 0 : fold;
  }
  __device__ __forceinline__ unsigned long long operator()(unsigned high, unsigned low) const {
    const unsigned long long once = (unsigned long long)high * fold + low;
    const unsigned long long twice = (once >> 32) * fold + unsigned(once);
    const unsigned word = unsigned(twice >> 32) * fold + unsigned(twice);
    const unsigned rest = word - __umulhi(word, reciprocal) * range;
    return min(rest, rest - range);
  }
};

template <class T, class Range>
__device__ __forceinline__ void integers(typename Stored<T>::type* out,
                                         const flame_params::Philox& start, long long low,
                                         const Range& range, long long numel) {
  using S = typename Stored<T>::type;
  constexpr int V = kVec<S>;
  for_counters<V, 2, (V > 2 ? 1 : 2)>(
      start, numel, [&](long long i, unsigned counter, auto high, long long count) {
        Packet<S, V> packet;
        packet.clear();
#pragma unroll
        for (int j = 0; j < V; j += 2) {
          const unsigned c = counter + j / 2;
          const Words x = philox(start.seed, c, high(c));
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

// range: high - low, above 0; reciprocal: floor((2^64 - 1) / range). Memory traffic: numel *
// sizeof(T).
template <class T>
__global__ void __launch_bounds__(256)
    random_integers(typename dev::Stored<T>::type* out,
                    const __grid_constant__ flame_params::Philox start, const long long low,
                    const unsigned long long range, const unsigned long long reciprocal,
                    const long long numel) {
  const dev::AnyRange any = {range, reciprocal};
  if (range <= 0x10000)
    dev::integers<T>(out, start, low, dev::SmallRange(any), numel);
  else
    dev::integers<T>(out, start, low, any, numel);
}

EXPORT_FLOATING(random, Uniform)
EXPORT_FLOATING(random, Normal)
EXPORT_FLOATING(random_integers)
DEV_EXPORT(random_integers<long long>)
DEV_EXPORT(random_integers<int>)
DEV_EXPORT(random_integers<unsigned char>)
DEV_EXPORT(random_integers<bool>)
