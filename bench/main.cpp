// flame_bench: what `flame bench` runs. Every item of the plan is one Google Benchmark with manual
// time; its one iteration is a whole interleaved measurement, whose median is reported.
#include <benchmark/benchmark.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <iostream>
#include <string_view>
#include <vector>

#include "bench/output.h"
#include "bench/run.h"
#include "lib/core/error.h"

namespace {

using flame::bench::Runner;
using flame::bench::RunOptions;

enum ExitCode : int { kPass = 0, kFailure = 1, kUsage = 2, kEnvironment = 3, kInternal = 70 };

void add_options(CLI::App& app, RunOptions& o) {
  app.add_option("--device", o.device, "cuda, cuda:N or sim");
  app.add_option("--op", o.plan.op, "Ops that match this glob: sum, '@(sum|amax)', *");
  app.add_option("--case", o.plan.case_name, "Cases that match this glob");
  app.add_option("--dtype", o.plan.mode, "float32, tf32, bfloat16; a glob");
  app.add_option("--direction", o.plan.direction, "forward, backward, forward_backward; a glob");
  app.add_option("--temperature", o.temperature, "cold, hot or both");
  app.add_option("--scale", o.plan.scale, "Divides sizes above 16; the simulated device needs 64");
  app.add_option("--time-budget", o.seconds, "Seconds that the run may take, about; 0: no limit");
  app.add_option("--least-samples", o.rule.least, "Of every figure")->check(CLI::Range(1, 100000));
  app.add_option("--spread", o.rule.spread, "How well a median must be known to stop early");
  app.add_option("--peer", o.peers, "Another program beside us: pytorch, or a command line");
  app.add_option("--ways", o.ways, "Of the peers, globs: pytorch_eager,pytorch_compile");
  app.add_option("--peer-timeout", o.peer_timeout, "Seconds a peer may take to answer");
  app.add_flag("!--no-library-peers", o.in_process_peers, "Leave out cuBLASLt tuned by hand");
  app.add_option("--plant-slowness", o.planted_slowness,
                 "A canary: FLAME slowed down by this share of its time");
  app.add_option("--out", o.out, "Folder for bench.jsonl and run.json");
  app.add_flag("--list", o.list, "Only say what would be timed");
  app.add_flag("--json", o.json, "With --list: for other programs");
}

// Prints nothing: the runner has its own table.
class Quiet final : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>&) override {}
};

void register_items(Runner& runner) {
  for (std::size_t i = 0; i < runner.items().size(); ++i)
    benchmark::RegisterBenchmark(runner.items()[i].name().c_str(),
                                 [&runner, i](benchmark::State& state) {
                                   for (auto _ : state)
                                     state.SetIterationTime(runner.run(i) * 1e-3);
                                   if (!runner.problem().empty())
                                     state.SkipWithError(runner.problem().c_str());
                                 })
        ->Iterations(1)
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
}

// Google Benchmark takes its own arguments out of ours, and no others: --help would be its help.
void take_benchmark_arguments(int& argc, char** argv) {
  std::vector<char*> its{argv[0]}, ours{argv[0]};
  for (int i = 1; i < argc; ++i)
    (std::string_view(argv[i]).starts_with("--benchmark_") ? its : ours).push_back(argv[i]);
  int count = int(its.size());
  its.push_back(nullptr);
  benchmark::Initialize(&count, its.data());
  argc = int(ours.size());
  std::copy(ours.begin(), ours.end(), argv);
  argv[argc] = nullptr;
}

int run(int argc, char** argv) {
  std::string command = "flame bench";
  for (int i = 1; i < argc; ++i) command += std::string(" ") + argv[i];
  take_benchmark_arguments(argc, argv);
  CLI::App app("How fast every op is, against the card's limit and against peers.", "flame bench");
  RunOptions options;
  add_options(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? kPass : kUsage;
  }
  options.command = command;
  if (options.list) {
    flame::bench::list(options, std::cout);
    return kPass;
  }
  Runner runner(options, std::cout);
  runner.begin();
  register_items(runner);
  Quiet quiet;
  benchmark::RunSpecifiedBenchmarks(&quiet);
  return runner.finish() ? kPass : kFailure;
}

int failed(int code, const char* why) {
  std::cerr << "flame bench: " << why << '\n';
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const flame::NoDeviceError& e) {
    return failed(kEnvironment, e.what());
  } catch (const flame::DriverError& e) {
    return failed(kEnvironment, e.what());
  } catch (const flame::OutOfMemoryError& e) {
    return failed(kEnvironment, e.what());
  } catch (const flame::FileError& e) {
    return failed(kUsage, e.what());
  } catch (const flame::UnknownOpError& e) {
    return failed(kUsage, e.what());
  } catch (const flame::ValueError& e) {
    return failed(kUsage, e.what());
  } catch (const std::exception& e) {
    return failed(kInternal, e.what());
  }
}
