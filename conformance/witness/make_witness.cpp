#include "conformance/witness/cupti_witness.h"
#include "conformance/witness/ledger_witness.h"
#include "lib/tensor/runtime.h"

namespace flame::conformance {
namespace {

class AbsentWitness : public Witness {
 public:
  explicit AbsentWitness(std::string reason) : reason_(std::move(reason)) {}
  void begin() override { throw WitnessError(reason_); }
  std::vector<Event> end() override { throw WitnessError(reason_); }
  std::string_view name() const override { return ""; }

 private:
  std::string reason_;
};

}  // namespace

std::shared_ptr<Witness> absent_witness(std::string reason) {
  return std::make_shared<AbsentWitness>(std::move(reason));
}

std::shared_ptr<Witness> make_witness(driver::Driver& innermost) {
  if (innermost.info().kind == driver::Kind::kCuda)
    return make_cupti_witness(innermost.info().index);
  auto* device = dynamic_cast<sim::SimDriver*>(&innermost);
  check<WitnessError>(device != nullptr,
                      "ledger: this driver is not the simulated device but a wrapper around it");
  return make_ledger_witness(*device);
}

std::shared_ptr<Witness> make_witness(const Device& device) {
  return make_witness(device.runtime().driver());
}

}  // namespace flame::conformance
