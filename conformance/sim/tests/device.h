// What every test of the simulated device needs: a device, its memory, and typed launches.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "conformance/sim/sim.h"
#include "lib/core/error.h"

namespace flame::sim {

inline Options with_seed(std::uint64_t seed) {
  Options o;
  o.seed = seed;
  return o;
}

class TestDevice {
 public:
  explicit TestDevice(const Options& options = {}) : driver(open(options)) {}

  // Launches `expression` of `file`, compiled and loaded each time.
  template <class... A>
  void launch(const std::string& file, const std::string& expression, driver::Dim3 grid,
              driver::Dim3 block, unsigned shared, const A&... args) {
    const driver::KernelId id{file, expression};
    const auto kernel = driver->load(driver->compile(id), id);
    const std::array<driver::Arg, sizeof...(A)> list{driver::Arg{&args, sizeof(args)}...};
    driver->launch(kernel, {grid, block, shared, stream}, list);
  }
  template <class... A>
  std::string fault_of(const std::string& file, const std::string& expression, driver::Dim3 grid,
                       driver::Dim3 block, unsigned shared, const A&... args) {
    try {
      launch(file, expression, grid, block, shared, args...);
      driver->synchronize(stream);
    } catch (const DriverError& e) {
      return e.what();
    }
    return "";
  }

  std::shared_ptr<SimDriver> driver;
  driver::StreamHandle stream = 0;
};

// Elements of device memory.
template <class T>
class Array {
 public:
  Array(TestDevice& device, std::size_t n, const std::string& label)
      : device_(device),
        n_(n),
        data_(static_cast<T*>(device.driver->allocate(n * sizeof(T), label))) {}
  Array(TestDevice& device, const std::vector<T>& values, const std::string& label)
      : Array(device, values.size(), label) {
    device_.driver->copy_to_device(data_, values.data(), n_ * sizeof(T), device_.stream);
  }
  ~Array() { device_.driver->deallocate(data_); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;

  T* data() const { return data_; }
  std::size_t bytes() const { return n_ * sizeof(T); }
  std::vector<T> read() const {
    std::vector<T> out(n_);
    device_.driver->copy_to_host(out.data(), data_, bytes(), device_.stream);
    return out;
  }

 private:
  TestDevice& device_;
  std::size_t n_;
  T* data_;
};

inline std::vector<float> random_floats(std::size_t n, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out(n);
  for (float& v : out) v = normal(random);
  return out;
}

}  // namespace flame::sim
