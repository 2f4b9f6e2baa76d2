#include "conformance/witness/ledger_witness.h"

#include <optional>

#include "conformance/witness/kernel_names.h"

namespace flame::conformance {
namespace {

std::optional<EventKind> kind_of(sim::EventKind kind) {
  switch (kind) {
    case sim::EventKind::kLaunch:
      return EventKind::kLaunch;
    case sim::EventKind::kCopyToDevice:
      return EventKind::kCopyH2D;
    case sim::EventKind::kCopyToHost:
      return EventKind::kCopyD2H;
    case sim::EventKind::kCopyOnDevice:
      return EventKind::kCopyD2D;
    case sim::EventKind::kFill:
      return EventKind::kMemset;
    case sim::EventKind::kSynchronize:
      return EventKind::kSync;
    case sim::EventKind::kAllocate:
    case sim::EventKind::kFree:
      return std::nullopt;  // nothing that runs
  }
  return std::nullopt;
}

class LedgerWitness final : public Witness {
 public:
  explicit LedgerWitness(sim::SimDriver& device) : device_(device) {
    flame::check<WitnessError>(device.options().ledger_capacity > 0,
                               "ledger: this simulated device keeps no ledger");
  }

  void begin() override {
    wait();
    device_.clear_events();
    watching_ = true;
  }

  std::vector<Event> end() override {
    flame::check<ValueError>(watching_, "ledger: end() of a witness that was not watching");
    watching_ = false;
    wait();
    std::vector<sim::Event> events = device_.events();
    flame::check<WitnessError>(device_.dropped_events() == 0, "ledger: ", device_.dropped_events(),
                               " events were dropped: what ran on the device is not known");
    std::vector<Event> out;
    for (const sim::Event& e : events) {
      const std::optional<EventKind> kind = kind_of(e.kind);
      if (!kind) continue;
      Event event{*kind, e.expression, false, e.grid, e.block, 0, e.stream};
      if (*kind == EventKind::kLaunch)
        names_.resolve(event);
      else
        event.bytes = e.bytes;
      out.push_back(std::move(event));
    }
    return out;
  }

  std::string_view name() const override { return "ledger"; }

 private:
  // Giving memory back waits for all streams, and is no event that a witness tells.
  void wait() { device_.deallocate(device_.allocate(1, "the witness waits")); }

  sim::SimDriver& device_;
  KernelNames names_;
  bool watching_ = false;
};

}  // namespace

std::shared_ptr<Witness> make_ledger_witness(sim::SimDriver& device) {
  return std::make_shared<LedgerWitness>(device);
}

}  // namespace flame::conformance
