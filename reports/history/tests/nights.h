// Synthetic nights: a level, noise, and now and then a night that something else slowed down.
#pragma once
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace flame::history {

class Nights {
 public:
  explicit Nights(std::uint64_t seed, double noise = 0.01, double slow = 0.05)
      : engine_(seed), noise_(noise), slow_(slow) {}

  // One night at `level`. A slow night is late by 3 to 30 %.
  double next(double level = 100) {
    const double base = level * std::exp(noise_ * gauss());
    return uniform() < slow_ ? base * (1.03 + 0.27 * uniform()) : base;
  }
  std::vector<double> take(std::size_t n, double level = 100) {
    std::vector<double> out;
    for (std::size_t i = 0; i < n; ++i) out.push_back(next(level));
    return out;
  }

 private:
  // By hand: the standard's distributions differ between libraries, and the nights must not.
  double uniform() { return (double(engine_() >> 11) + 0.5) * 0x1p-53; }
  double gauss() {
    return std::sqrt(-2 * std::log(uniform())) * std::cos(2 * 3.14159265358979323846 * uniform());
  }
  std::mt19937_64 engine_;
  double noise_, slow_;
};

}  // namespace flame::history
