#include "lib/blas/tuner.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <span>

#include "lib/blas/algorithms.h"
#include "lib/blas/fastest.h"

namespace flame::blas {
namespace {

constexpr std::size_t kTile = 1, kCluster = 8;  // in an Algorithm
// Of the fastest so far: so many are tried with every tile, then so many in every cluster.
constexpr int kBases = 2, kShapes = 6;
// After so long no variant is added or tried for the first time: each may have code to load.
constexpr std::chrono::milliseconds kPatience{300};

// Two events to time with.
class Stopwatch {
 public:
  explicit Stopwatch(driver::Driver& driver)
      : driver_(driver), from_(driver.create_event()), to_(driver.create_event()) {}
  ~Stopwatch() {
    driver_.destroy_event(from_);
    driver_.destroy_event(to_);
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;
  void start(driver::StreamHandle stream) { driver_.record(from_, stream); }
  double stop(driver::StreamHandle stream) {
    driver_.record(to_, stream);
    return driver_.elapsed_ms(from_, to_);
  }

 private:
  driver::Driver& driver_;
  driver::EventHandle from_, to_;
};

// Displaces what the cache holds by reading something else, so that each timed run finds its
// operands in memory and nothing in the cache that waits to be written: what lies there when a
// product is asked for is not known, and this is the state that the benchmarks time in.
class Displacer {
 public:
  explicit Displacer(const Bench& bench) : bench_(bench), memory_(bench.workspace) {
    const std::size_t wanted = std::max(4 * bench.driver.info().l2_bytes, kWorkspaceBytes);
    try {
      memory_ = own_ = bench.driver.allocate(wanted, "what displaces the cache");
      bytes_ = wanted;
    } catch (const OutOfMemoryError&) {  // the workspace, then
    }
    bench.driver.fill(memory_, 0, bytes_, bench.stream);
  }
  ~Displacer() {
    if (own_) bench_.driver.deallocate(own_);
  }
  Displacer(const Displacer&) = delete;
  Displacer& operator=(const Displacer&) = delete;

  void run() {
    constexpr std::size_t kTail = 256;  // where the kernel would write
    void* const tail = static_cast<char*>(memory_) + (bytes_ - kTail);
    const auto vectors = static_cast<long long>((bytes_ - kTail) / 16);
    const unsigned blocks = unsigned(std::max(1, bench_.driver.info().multiprocessors)) * 8;
    const std::array<driver::Arg, 3> args{driver::Arg{&memory_, sizeof memory_},
                                          driver::Arg{&tail, sizeof tail},
                                          driver::Arg{&vectors, sizeof vectors}};
    bench_.driver.launch(bench_.displace, {{blocks}, {256}, 0, bench_.stream}, args);
  }

 private:
  const Bench& bench_;
  void* memory_;
  void* own_ = nullptr;
  std::size_t bytes_ = kWorkspaceBytes;
};

// What is tried: the proposals, and then more and more of their variants.
class Search {
 public:
  // Half types have hundreds of tiles, each with code of its own: trying them took seconds a
  // product (H200), and a sweep of all found nothing faster by more than 1.5 %.
  Search(const CublasLtApi& api, const Plan& plan, const driver::Gemm& gemm)
      : api_(api), plan_(plan), step_(is_half(gemm.type) ? kClusters : kTiles) {
    for (const Candidate& c : plan.proposals) add(c);
  }

  const Candidate& operator[](int i) const { return tried_[std::size_t(i)]; }
  int size() const { return int(tried_.size()); }

  // Grows by the next step that adds anything.
  void grow(std::span<const int> ranked) {
    for (const std::size_t before = tried_.size(); step_ != kEnd && tried_.size() == before;
         step_ = Step(step_ + 1))
      step_ == kTiles ? add_tiles(ranked) : add_clusters(ranked);
  }
  // Whether it is too late for the first run of one that is not the library's own proposal.
  bool too_late(int i) const { return std::size_t(i) >= plan_.proposals.size() && is_over(); }

 private:
  enum Step { kTiles, kClusters, kEnd };

  bool is_over() const { return std::chrono::steady_clock::now() - begin_ > kPatience; }
  void add(const Candidate& candidate) {
    const bool known = std::any_of(tried_.begin(), tried_.end(), [&](const Candidate& c) {
      return c.algorithm == candidate.algorithm;
    });
    if (!known) tried_.push_back(candidate);
  }
  void add_variant(const Candidate& base, std::uint32_t tile, std::uint32_t cluster) {
    if (is_over()) return;
    if (const auto v = variant(api_, plan_, base, tile, std::uint16_t(cluster))) add(*v);
  }

  void add_tiles(std::span<const int> ranked) {
    int bases = 0;
    for (int i : ranked) {
      const Candidate base = (*this)[i];
      if (!has_cluster(base)) continue;
      for (std::uint32_t tile : tiles_of(api_, base))
        for (std::uint32_t cluster :
             {base.algorithm[kCluster], std::uint32_t(CUBLASLT_CLUSTER_SHAPE_1x1x1),
              std::uint32_t(CUBLASLT_CLUSTER_SHAPE_2x1x1),
              std::uint32_t(CUBLASLT_CLUSTER_SHAPE_1x2x1)})
          add_variant(base, tile, cluster);
      if (++bases == kBases) return;
    }
  }

  void add_clusters(std::span<const int> ranked) {
    std::vector<Algorithm> bases;  // but for the cluster
    for (int i : ranked) {
      const Candidate base = (*this)[i];
      const std::uint32_t tile = base.algorithm[kTile];
      Algorithm rest = base.algorithm;
      rest[kCluster] = 0;
      if (!has_cluster(base) || std::find(bases.begin(), bases.end(), rest) != bases.end())
        continue;
      bases.push_back(rest);
      for (std::uint32_t shape = CUBLASLT_CLUSTER_SHAPE_1x1x1; shape < CUBLASLT_CLUSTER_SHAPE_END;
           ++shape)
        add_variant(base, tile, shape);
      if (bases.size() == kShapes) return;
    }
  }

  const CublasLtApi& api_;
  const Plan& plan_;
  std::vector<Candidate> tried_;
  Step step_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace

std::optional<Candidate> measure(const CublasLtApi& api, const Bench& bench,
                                 const driver::Gemm& gemm, const Plan& plan) {
  Displacer displacer(bench);
  Stopwatch watch(bench.driver);
  Search search(api, plan, gemm);
  int loaded = 0;  // so many have run: the first time of each, which does not count, loads code
  const auto time = [&](int i) {
    const auto runs = [&] {
      return multiply(api, gemm, plan, search[i], bench.workspace, bench.cuda_stream) ==
             CUBLAS_STATUS_SUCCESS;
    };
    if (i == loaded) {
      ++loaded;
      return !search.too_late(i) && runs() ? 1.0 : 0.0;
    }
    displacer.run();
    watch.start(bench.stream);
    return runs() ? watch.stop(bench.stream) : 0.0;
  };
  const int best = fastest(search.size(), time, [&](std::span<const int> ranked) {
    search.grow(ranked);
    return search.size();
  });
  if (best < 0) return std::nullopt;
  return search[best];
}

}  // namespace flame::blas
