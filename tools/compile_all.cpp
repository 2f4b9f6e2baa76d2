// Compiles every exported kernel for every architecture that FLAME runs on, without a GPU, and
// shows what each needs. A spill, a missing entry, or a name that the witness could not recognise
// fails.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <map>
#include <thread>

#include "lib/core/error.h"
#include "lib/core/glob.h"
#include "lib/core/op_def.h"
#include "lib/jit/compiler.h"
#include "lib/jit/names.h"

namespace {

using flame::jit::Compiled;
using flame::jit::CompiledEntry;

struct Options {
  std::vector<std::string> archs{"sm_80", "sm_90", "sm_90a", "sm_100", "sm_120"};
  std::string file = "*";
  bool all = false, json = false;
};

// Kernels of one file that are compiled together: enough to share the reading of the headers, few
// enough that all cores have work to the end.
constexpr std::size_t kTogether = 24;

// Some kernels of one file for one architecture: what the compiler is asked at a time.
struct Task {
  std::string file, arch;
  std::vector<std::string> expressions;
  Compiled compiled;
  std::vector<std::string> problems;
};

std::vector<Task> plan(const Options& options) {
  std::vector<Task> tasks;
  for (const flame::jit::EmbeddedExport& e : flame::jit::embedded_exports()) {
    if (!flame::glob_match(options.file, e.file)) continue;
    if (tasks.empty() || tasks.back().file != e.file)
      tasks.push_back({std::string(e.file), {}, {}, {}, {}});
    tasks.back().expressions.emplace_back(e.expression);
  }
  std::vector<Task> out;
  for (const Task& task : tasks)
    for (const std::string& arch : options.archs) {
      out.push_back(task);
      out.back().arch = arch;
    }
  return out;
}

void inspect(Task& task) {
  for (const CompiledEntry& e : task.compiled.entries) {
    if (e.resources.spill_bytes > 0)
      task.problems.push_back(
          flame::str_cat(e.expression, " spills ", e.resources.spill_bytes, " bytes per thread"));
    const std::string seen = flame::jit::expression_of(e.lowered);
    if (seen != flame::normalize_expression(e.expression))
      task.problems.push_back(flame::str_cat(e.expression, " is called ", seen,
                                             " in machine code: export it under that name, so that "
                                             "a launch can be recognised"));
  }
  if (task.compiled.entries.size() != task.expressions.size())
    task.problems.push_back(flame::str_cat(task.compiled.entries.size(), " kernels of ",
                                           task.expressions.size(), " were compiled"));
}

void run(std::vector<Task>& tasks, flame::jit::Compiler& compiler) {
  const bool watched = isatty(STDERR_FILENO);
  // The longest first, so that no core is left with one of them at the end.
  std::vector<Task*> order;
  for (Task& task : tasks) order.push_back(&task);
  std::stable_sort(order.begin(), order.end(), [](const Task* a, const Task* b) {
    return a->expressions.size() > b->expressions.size();
  });
  std::atomic<std::size_t> next{0}, done{0};
  auto work = [&] {
    for (std::size_t i; (i = next++) < order.size();) {
      Task& task = *order[i];
      try {
        task.compiled = compiler.compile({task.file, task.expressions, task.arch});
        inspect(task);
      } catch (const flame::Error& e) {
        task.problems.emplace_back(e.what());
      }
      const std::size_t now = ++done;
      if (watched) std::fprintf(stderr, "\r%zu of %zu compiled ", now, order.size());
    }
  };
  const unsigned threads = std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::jthread> pool;
  for (unsigned i = 0; i < threads; ++i) pool.emplace_back(work);
  pool.clear();  // waits
  if (watched) std::fprintf(stderr, "\r%40s\r", "");
}

// The first column is flush left, numbers flush right.
class Table {
 public:
  explicit Table(std::vector<std::string> head) { rows_.push_back(std::move(head)); }
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  void print() const {
    std::vector<std::size_t> width(rows_[0].size());
    for (const auto& row : rows_)
      for (std::size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], row[i].size());
    for (const auto& row : rows_) {
      std::string line;
      for (std::size_t i = 0; i < row.size(); ++i) {
        const std::string pad(width[i] - row[i].size(), ' ');
        const bool number = !rows_.back()[i].empty() && std::isdigit(rows_.back()[i][0]);
        line += (i ? "  " : "") + (number ? pad + row[i] : row[i] + pad);
      }
      line.erase(line.find_last_not_of(' ') + 1);
      std::cout << line << "\n";
    }
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

void print_all(const std::vector<Task>& tasks) {
  Table table({"file", "arch", "registers", "shared", "spills", "code", "kernel"});
  for (const Task& task : tasks)
    for (const CompiledEntry& e : task.compiled.entries) {
      const flame::jit::Resources& r = e.resources;
      table.add({task.file, task.arch, std::to_string(r.registers), std::to_string(r.static_shared),
                 std::to_string(r.spill_bytes), std::to_string(r.code_bytes), e.expression});
    }
  table.print();
}

void print_json(const std::vector<Task>& tasks) {
  for (const Task& task : tasks)
    for (const CompiledEntry& e : task.compiled.entries) {
      const flame::jit::Resources& r = e.resources;
      // No expression holds a quote or a backslash: it is a C++ name.
      std::cout << "{\"file\":\"" << task.file << "\",\"kernel\":\"" << e.expression
                << "\",\"arch\":\"" << task.arch << "\",\"registers\":" << r.registers
                << ",\"static_shared_bytes\":" << r.static_shared
                << ",\"stack_bytes\":" << r.stack_bytes << ",\"spill_bytes\":" << r.spill_bytes
                << ",\"code_bytes\":" << r.code_bytes << ",\"max_threads\":" << r.max_threads
                << "}\n";
    }
}

// One line a file and architecture: how many kernels, the most of each resource, and the kernel
// that takes the most registers.
void print_summary(const std::vector<Task>& tasks) {
  struct Row {
    std::size_t kernels = 0;
    flame::jit::Resources most;  // but code_bytes, which is the sum
    std::string worst;
  };
  std::map<std::pair<std::string, std::size_t>, Row> rows;  // by file, then the order of archs
  std::vector<std::string> archs;
  for (const Task& task : tasks) {
    const auto at = std::find(archs.begin(), archs.end(), task.arch);
    const std::size_t index = std::size_t(at - archs.begin());
    if (at == archs.end()) archs.push_back(task.arch);
    Row& row = rows[{task.file, index}];
    for (const CompiledEntry& e : task.compiled.entries) {
      const flame::jit::Resources& r = e.resources;
      if (r.registers > row.most.registers) row.worst = e.expression;
      row.most.registers = std::max(row.most.registers, r.registers);
      row.most.static_shared = std::max(row.most.static_shared, r.static_shared);
      row.most.spill_bytes = std::max(row.most.spill_bytes, r.spill_bytes);
      row.most.code_bytes += r.code_bytes;
      ++row.kernels;
    }
  }
  Table table(
      {"file", "arch", "kernels", "registers", "shared", "spills", "code", "most registers"});
  for (const auto& [key, row] : rows)
    table.add({key.first, archs[key.second], std::to_string(row.kernels),
               std::to_string(row.most.registers), std::to_string(row.most.static_shared),
               std::to_string(row.most.spill_bytes), std::to_string(row.most.code_bytes),
               row.worst});
  table.print();
}

int report(const std::vector<Task>& tasks, const Options& options, flame::jit::Compiler& compiler,
           double seconds) {
  if (options.json)
    print_json(tasks);
  else if (options.all)
    print_all(tasks);
  else
    print_summary(tasks);
  std::size_t kernels = 0, problems = 0;
  for (const Task& task : tasks) {
    kernels += task.compiled.entries.size();
    problems += task.problems.size();
    for (const std::string& problem : task.problems)
      std::cerr << task.file << " " << task.arch << ": " << problem << "\n";
  }
  const flame::jit::CacheStats stats = compiler.cache().stats();
  std::fprintf(stderr,
               "%zu kernels compiled and verified in %.1f s (%llu of %zu images from the "
               "cache), %zu problems\n",
               kernels, seconds, static_cast<unsigned long long>(stats.hits), tasks.size(),
               problems);
  return problems ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Compiles every exported kernel, without a GPU, and shows what each needs."};
  app.add_option("--arch", options.archs, "Architectures: sm_80, sm_90a, ...")
      ->capture_default_str();
  app.add_option("--file", options.file, "Glob over kernel files")->capture_default_str();
  app.add_flag("--all", options.all, "One row per kernel");
  app.add_flag("--json", options.json, "One JSON line per kernel");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  std::vector<Task> tasks = plan(options);
  if (tasks.empty()) {
    std::cerr << "compile_all: no kernel file matches " << options.file << "\n";
    return 2;
  }
  if (flame::jit::nvrtc_version() == 0) {
    std::cerr << "compile_all: NVRTC was not found; install the CUDA toolkit or set CUDA_HOME\n";
    return 3;
  }
  const auto start = std::chrono::steady_clock::now();
  flame::jit::Compiler compiler;
  run(tasks, compiler);
  return report(tasks, options, compiler,
                std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}
