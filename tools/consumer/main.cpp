// A user's program: trains a two-layer network on handwritten digits and says how often it is right
// on digits it never saw. Exit code 0 when that is at least 90 %.
//
//   digits [DATA]              on the GPU
//   digits_sim [DATA]          the same program linked with the simulated device
#include <flame/flame.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#ifdef DIGITS_ON_SIMULATOR
#include <flame/sim.h>
#endif

namespace {

constexpr std::int64_t kPixels = 64, kClasses = 10, kHidden = 32, kTrain = 1500;
constexpr int kSteps = 100;
constexpr double kWanted = 0.90;

struct Digits {
  std::vector<float> pixels;  // 8 x 8 each, 0 to 1
  std::vector<int> labels;
};

// A line a digit: its label, a space, 64 pixels from 0 to g (16).
Digits read_digits(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  Digits digits;
  std::string line;
  while (std::getline(file, line)) {
    if (line.size() != 2 + kPixels) throw std::runtime_error(path + ": a line is not a digit");
    digits.labels.push_back(line[0] - '0');
    for (char c : line.substr(2))
      digits.pixels.push_back(static_cast<float>(c <= '9' ? c - '0' : c - 'a' + 10) / 16);
  }
  return digits;
}

// Weights, biases, and the velocity of momentum beside each.
struct Network {
  std::array<flame::Tensor, 4> parameters, velocities;

  explicit Network(const flame::Device& device) {
    const flame::TensorOptions options(device);
    const double first = std::sqrt(2.0 / kPixels), second = std::sqrt(1.0 / kHidden);
    parameters = {flame::randn({kPixels, kHidden}, options) * first,
                  flame::zeros({kHidden}, options),
                  flame::randn({kHidden, kClasses}, options) * second,
                  flame::zeros({kClasses}, options)};
    for (std::size_t i = 0; i < 4; ++i) {
      parameters[i].set_requires_grad();
      velocities[i] = flame::zeros(parameters[i].shape(), options);
    }
  }

  flame::Tensor logits(const flame::Tensor& x) const {
    const auto& [w1, b1, w2, b2] = parameters;
    return flame::matmul(flame::relu(flame::matmul(x, w1) + b1), w2) + b2;
  }

  void step(double rate, double momentum) {
    const flame::NoGradGuard no_grad;
    for (std::size_t i = 0; i < 4; ++i) {
      velocities[i] = velocities[i] * momentum + parameters[i].grad();
      parameters[i].add_(velocities[i], -rate);
      parameters[i].zero_grad();
    }
  }
};

double accuracy(const flame::Tensor& logits, const int* labels) {
  const std::vector<float> z = logits.to_vector<float>();
  const std::size_t n = z.size() / kClasses;
  std::size_t right = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const float* row = z.data() + i * kClasses;
    right += std::max_element(row, row + kClasses) - row == labels[i];
  }
  return double(right) / double(n);
}

int run(const flame::Device& device, const std::string& path) {
  const Digits digits = read_digits(path);
  const auto n = static_cast<std::int64_t>(digits.labels.size());
  std::vector<float> one_hot(static_cast<std::size_t>(n * kClasses));
  for (std::int64_t i = 0; i < n; ++i) one_hot[std::size_t(i * kClasses + digits.labels[std::size_t(i)])] = 1;
  const flame::Tensor x = flame::tensor<float>(digits.pixels, {n, kPixels}, device);
  const flame::Tensor y = flame::tensor<float>(one_hot, {n, kClasses}, device);
  const flame::Tensor train_x = x.narrow(0, 0, kTrain), train_y = y.narrow(0, 0, kTrain);

  device.manual_seed(1);
  Network network(device);
  for (int step = 1; step <= kSteps; ++step) {
    const flame::Tensor error = flame::softmax(network.logits(train_x), 1) - train_y;
    const flame::Tensor loss = flame::sum(error * error) / double(kTrain);
    loss.backward();
    network.step(0.4, 0.9);
    if (step % 25 == 0) std::printf("step %3d   loss %.4f\n", step, loss.item());
  }
  const flame::NoGradGuard no_grad;
  const double got =
      accuracy(network.logits(x.narrow(0, kTrain, n - kTrain)), digits.labels.data() + kTrain);
  std::printf("%s: %.1f %% of %lld unseen digits right (%.0f %% wanted)\n",
              device.to_string().c_str(), 100 * got, static_cast<long long>(n - kTrain),
              100 * kWanted);
  return got >= kWanted ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string path = argc > 1 ? argv[1] : DIGITS_DATA;
#ifdef DIGITS_ON_SIMULATOR
    return run(flame::Device(flame::sim::open()), path);
#else
    return run(flame::Device::cuda(), path);
#endif
  } catch (const flame::NoDeviceError& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 3;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
