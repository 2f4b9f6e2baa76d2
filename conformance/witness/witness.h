// What really ran on the device between two moments, seen from outside the library: by CUPTI on a
// GPU, by the ledger on the simulated device.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lib/core/error.h"
#include "lib/driver/driver.h"
#include "lib/tensor/device.h"

namespace flame::conformance {

enum class EventKind : std::uint8_t { kLaunch, kCopyH2D, kCopyD2H, kCopyD2D, kMemset, kSync };
const char* to_string(EventKind kind);  // "launch", "copy_h2d", ..., "sync"

struct Event {
  EventKind kind = EventKind::kLaunch;
  // Launches. One of FLAME's exported kernels: its expression without spaces, as
  // normalize_expression() gives it ("unary_forward<Exp,float>"); else the demangled name.
  std::string kernel;
  bool ours = false;  // `kernel` is one of FLAME's exported kernels
  driver::Dim3 grid, block;
  std::size_t bytes = 0;     // of copies and memsets
  std::uint64_t stream = 0;  // equal numbers, equal streams; no meaning beyond that
};

// This device has no witness, and why ("cupti: libcupti was not found ...").
class WitnessError : public Error {
 public:
  using Error::Error;
};

class Witness {
 public:
  virtual ~Witness() = default;
  // Starts watching: waits for the device, so that nothing from before is seen. begin() while
  // watching starts anew.
  virtual void begin() = 0;
  // Waits for the device and stops watching. All that was put on the device since begin(), in the
  // order in which it started, on all streams and from all threads; the witness's own waiting is
  // not among it. kSync: the host waited for a stream, an event or the device. Throws WitnessError
  // when not everything could be seen (records dropped), ValueError without begin().
  virtual std::vector<Event> end() = 0;
  virtual std::string_view name() const = 0;  // "cupti" or "ledger"
};

// The witness of this device: the innermost one, so of a simulated device the SimDriver itself,
// never a wrapper around it (what a wrapper swallows must be missed). Throws WitnessError where
// there is none: it never pretends. Only one CUPTI witness can be alive in a process; on the
// simulated device the driver must outlive the witness.
std::shared_ptr<Witness> make_witness(driver::Driver& innermost);
std::shared_ptr<Witness> make_witness(const Device& device);

// Stands where there is no witness: begin() and end() throw WitnessError with the reason, so that
// what needs one is not run, and says why. Its name is empty.
std::shared_ptr<Witness> absent_witness(std::string reason);

}  // namespace flame::conformance
