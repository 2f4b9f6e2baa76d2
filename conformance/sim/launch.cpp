// From a launch call to blocks running: checks, then the executor, then what was found.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>

#include "conformance/sim/executor.h"
#include "conformance/sim/image.h"
#include "conformance/sim/kernels.h"
#include "conformance/sim/sim.h"
#include "conformance/sim/text.h"
#include "conformance/sim/workers.h"
#include "lib/core/error.h"
#include "lib/core/glob.h"
#include "lib/core/op_def.h"

namespace flame::sim {
namespace {

constexpr driver::KernelHandle kFirstHandle = 0xF1A4E000;
constexpr unsigned kMaxThreads = 1024;
constexpr std::size_t kMaxDynamic = std::size_t(227) << 10;

uint3 to_uint3(driver::Dim3 d) { return {d.x, d.y, d.z}; }

}  // namespace

// Arguments are copied: a queued launch runs when the caller's are gone.
struct SimDriver::Prepared {
  const Kernel* kernel = nullptr;
  driver::Launch launch;
  std::vector<std::byte> bytes;
  std::vector<std::size_t> offsets;  // of each argument, aligned to 16
};

driver::Image SimDriver::compile(const driver::KernelId& kernel) {
  check_usable();
  return make_image(kernel);
}

driver::KernelHandle SimDriver::load(const driver::Image& image, const driver::KernelId& kernel) {
  check_usable();
  const Kernel& k = verify_image(image, kernel);
  std::lock_guard lock(state_mutex_);
  loaded_.push_back(&k);
  return kFirstHandle + loaded_.size() - 1;
}

SimDriver::Prepared SimDriver::prepare(driver::KernelHandle handle, const driver::Launch& launch,
                                       std::span<const driver::Arg> args) const {
  Prepared p;
  {
    std::lock_guard lock(state_mutex_);
    check<DriverError>(handle >= kFirstHandle && handle - kFirstHandle < loaded_.size(),
                       "launch: ", hex(handle), " is no kernel of this device");
    p.kernel = loaded_[handle - kFirstHandle];
  }
  const std::string& name = p.kernel->expression;
  const auto& sizes = p.kernel->arg_sizes;
  check<DriverError>(args.size() == sizes.size(), "launch of ", name, ": it takes ", sizes.size(),
                     " arguments, got ", args.size());
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    check<DriverError>(args[i].data != nullptr, "launch of ", name, ": argument ", i, " is null");
    check<DriverError>(args[i].size == sizes[i], "launch of ", name, ": argument ", i, " has ",
                       args[i].size, " bytes, the kernel's has ", sizes[i]);
  }
  const driver::Dim3 g = launch.grid, b = launch.block;
  const std::size_t threads = std::size_t(b.x) * b.y * b.z;
  check<DriverError>(threads > 0 && threads <= kMaxThreads && b.z <= 64, "launch of ", name,
                     ": block ", triple(to_uint3(b)), " has ", threads,
                     " threads; 1 to 1024 are possible, at most 64 in z");
  check<DriverError>(
      g.x > 0 && g.y > 0 && g.z > 0 && g.x <= 0x7fffffffu && g.y <= 65535 && g.z <= 65535,
      "launch of ", name, ": grid ", triple(to_uint3(g)),
      " is outside 1 to (2147483647, 65535, 65535)");
  check<DriverError>(launch.shared_bytes <= kMaxDynamic, "launch of ", name, ": ",
                     launch.shared_bytes, " bytes of dynamic shared memory, at most ", kMaxDynamic);
  p.launch = launch;
  std::size_t total = 0;
  for (const std::size_t size : sizes) {
    p.offsets.push_back(total);
    total += (size + 15) / 16 * 16;
  }
  p.bytes.resize(total);
  for (std::size_t i = 0; i < sizes.size(); ++i)
    std::memcpy(p.bytes.data() + p.offsets[i], args[i].data, sizes[i]);
  return p;
}

void SimDriver::launch(driver::KernelHandle kernel, const driver::Launch& launch,
                       std::span<const driver::Arg> args) {
  check_usable();
  Prepared p = prepare(kernel, launch, args);
  if (options_.deferred)
    return submit(launch.stream, "launch", [this, p = std::move(p)] { run(p); });
  submit(launch.stream, "launch", [&] { run(p); });
}

// Words of the arguments that are addresses in this device's memory.
std::vector<std::uintptr_t> SimDriver::pointers_in(const Prepared& p) const {
  std::vector<std::uintptr_t> out;
  for (std::size_t at = 0; at + 8 <= p.bytes.size(); at += 8) {
    std::uintptr_t word;
    std::memcpy(&word, p.bytes.data() + at, 8);
    if (memory_.owns(word) && std::find(out.begin(), out.end(), word) == out.end())
      out.push_back(word);
  }
  return out;
}

// run_mutex_ is held.
void SimDriver::run(const Prepared& p) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<void*> args;
  for (const std::size_t offset : p.offsets)
    args.push_back(const_cast<std::byte*>(p.bytes.data()) + offset);
  Grid grid;
  grid.kernel = p.kernel;
  grid.args = args.data();
  grid.grid = to_uint3(p.launch.grid);
  grid.block = to_uint3(p.launch.block);
  grid.threads = grid.block.x * grid.block.y * grid.block.z;
  grid.dynamic_bytes = p.launch.shared_bytes;
  grid.strict_exit = options_.strict_exit;
  grid.drop_barriers =
      !options_.drop_barriers.empty() && glob_match(options_.drop_barriers, p.kernel->expression);
  grid.memory = &memory_;
  grid.blocks = std::size_t(grid.grid.x) * grid.grid.y * grid.grid.z;
  ++launches_;
  if (options_.seed != 0) {
    grid.seed = options_.seed * 0x9E3779B97F4A7C15u + launches_;
    if (grid.seed == 0) grid.seed = 1;
    grid.offset = grid.seed % grid.blocks;
    grid.multiplier = (grid.seed >> 32) % grid.blocks;
    while (std::gcd(grid.multiplier, grid.blocks) != 1) ++grid.multiplier;
  }
  memory_.begin_launch();
  std::string fault = run_grid(grid, options_.threads);
  const auto passed = memory_.is_protected() ? std::vector<std::uintptr_t>() : pointers_in(p);
  Memory::Touched touched = memory_.end_launch(passed);
  if (ledger_.enabled()) {
    Event e;
    e.kind = EventKind::kLaunch;
    e.file = p.kernel->file;
    e.expression = p.kernel->expression;
    e.grid = p.launch.grid;
    e.block = p.launch.block;
    e.bytes = p.launch.shared_bytes;
    e.stream = p.launch.stream;
    e.reads = std::move(touched.reads);
    e.writes = std::move(touched.writes);
    e.microseconds =
        std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
    ledger_.add(std::move(e));
  }
  if (fault.empty() && !touched.broken.empty())
    fault = "kernel " + p.kernel->expression + " " + touched.broken.front();
  if (!fault.empty()) {
    if (!OpScope::current().empty()) fault += str_cat(" (during op '", OpScope::current(), "')");
    throw DriverError(fault);
  }
}

}  // namespace flame::sim
