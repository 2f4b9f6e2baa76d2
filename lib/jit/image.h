// What a compiled kernel image must be before it is given to a driver, and what it says of itself.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace flame::jit {

// What one kernel needs to run.
struct Resources {
  int registers = 0;              // per thread
  int max_threads = 0;            // per block, by its launch bounds; 0: none stated
  std::size_t static_shared = 0;  // bytes per block
  std::size_t stack_bytes = 0;    // per thread, local arrays included
  std::size_t spill_bytes = 0;    // stored and loaded per thread because registers ran out
  std::size_t code_bytes = 0;
  std::size_t parameters = 0;     // how many the kernel takes
  bool operator==(const Resources&) const = default;
};

// Throws JitError, in one sentence, unless `image` is machine code for exactly `arch` ("sm_90a")
// with the kernel `entry` in it and code in that: ELF64, machine 190 (EM_CUDA), the compute
// capability of e_flags, the section ".text.<entry>". `what` names the kernel in the message.
void verify_image(std::span<const std::byte> image, std::string_view arch, std::string_view entry,
                  std::string_view what = "image");

// Of an image that verify_image() accepts. `log` is ptxas's verbose output, the only place that
// tells spills; without it spill_bytes is 0.
Resources read_resources(std::span<const std::byte> image, std::string_view entry,
                         std::string_view log = {});

}  // namespace flame::jit
