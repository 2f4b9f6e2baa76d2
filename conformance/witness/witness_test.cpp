#include "conformance/witness/witness.h"

#include <gtest/gtest.h>

#include "conformance/runner/forwarding_driver.h"
#include "conformance/sim/sim.h"
#include "conformance/witness/cupti_witness.h"
#include "conformance/witness/kernel_names.h"
#include "kernels/params.h"

namespace flame::conformance {
namespace {

// Something that launches: arange<float>(to, start, step, numel).
void arange(driver::Driver& d, void* to, long long n, driver::StreamHandle s = 0) {
  const driver::KernelId id{"fill.cu", "arange<float>"};
  const driver::KernelHandle kernel = d.load(d.compile(id), id);
  const flame_params::Constant start{1, 0, 0}, step{1, 0, 0};
  const driver::Arg args[] = {
      {&to, sizeof to}, {&start, sizeof start}, {&step, sizeof step}, {&n, sizeof n}};
  d.launch(kernel, {{unsigned((n + 255) / 256)}, {256}, 0, s}, args);
}

std::string kinds(const std::vector<Event>& events) {
  std::string out;
  for (const Event& e : events) out += (out.empty() ? "" : " ") + std::string(to_string(e.kind));
  return out;
}

class WitnessTest : public testing::Test {
 protected:
  std::shared_ptr<sim::SimDriver> device_ = sim::open({});
  std::shared_ptr<Witness> witness_ = make_witness(*device_);
  void* memory_ = device_->allocate(4096, "test");
};

TEST_F(WitnessTest, TellsWhatRanInOrder) {
  const driver::StreamHandle s = device_->create_stream();
  char host[64] = {};
  witness_->begin();
  device_->copy_to_device(memory_, host, sizeof host, s);
  arange(*device_, memory_, 1000, s);
  device_->copy_on_device(static_cast<char*>(memory_) + 2048, memory_, 128, s);
  device_->fill(memory_, 1, 256, s);
  device_->copy_to_host(host, memory_, 32, s);
  device_->synchronize(s);
  const std::vector<Event> events = witness_->end();
  ASSERT_EQ(kinds(events), "copy_h2d launch copy_d2d memset copy_d2h sync");
  EXPECT_EQ(witness_->name(), "ledger");
  EXPECT_EQ(events[1].kernel, "arange<float>");
  EXPECT_TRUE(events[1].ours);
  EXPECT_EQ(events[1].grid.x, 4u);
  EXPECT_EQ(events[1].block.x, 256u);
  const std::size_t bytes[] = {64, 0, 128, 256, 32, 0};
  for (std::size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].bytes, bytes[i]) << i;
    EXPECT_EQ(events[i].stream, events[0].stream) << i;
  }
}

TEST_F(WitnessTest, SeesNeitherItselfNorWhatWasBefore) {
  arange(*device_, memory_, 100);
  device_->synchronize(0);
  witness_->begin();
  EXPECT_EQ(kinds(witness_->end()), "");
  witness_->begin();
  device_->fill(memory_, 1, 16, 0);
  witness_->begin();  // anew
  device_->synchronize(0);
  EXPECT_EQ(kinds(witness_->end()), "sync");
  EXPECT_THROW(witness_->end(), ValueError);
}

TEST_F(WitnessTest, MemoryIsNoEvent) {
  witness_->begin();
  device_->deallocate(device_->allocate(100, "more"));
  EXPECT_EQ(kinds(witness_->end()), "");
}

TEST(LedgerWitness, SeesWorkThatWaitsInItsStreams) {
  sim::Options options;
  options.deferred = true;
  const std::shared_ptr<sim::SimDriver> device = sim::open(options);
  const std::shared_ptr<Witness> witness = make_witness(*device);
  void* memory = device->allocate(4096, "test");
  const driver::StreamHandle a = device->create_stream(), b = device->create_stream();
  arange(*device, memory, 10, b);
  witness->begin();
  arange(*device, memory, 1000, a);
  device->fill(static_cast<char*>(memory) + 4000, 0, 96, b);
  EXPECT_EQ(witness->end().size(), 2u);
}

TEST(LedgerWitness, SaysWhatItCannotSee) {
  sim::Options options;
  options.ledger_capacity = 0;
  EXPECT_THROW(make_witness(*sim::open(options)), WitnessError);

  options.ledger_capacity = 8;
  const std::shared_ptr<sim::SimDriver> device = sim::open(options);
  const std::shared_ptr<Witness> witness = make_witness(*device);
  void* memory = device->allocate(64, "test");
  witness->begin();
  for (int i = 0; i < 20; ++i) device->fill(memory, 0, 64, 0);
  EXPECT_THROW(witness->end(), WitnessError);

  ForwardingDriver wrapper(device);
  EXPECT_THROW(make_witness(wrapper), WitnessError);
}

TEST(KernelNames, TellsOursFromOthers) {
  KernelNames names;
  auto resolved = [&](const char* raw) {
    Event e;
    e.kernel = raw;
    names.resolve(e);
    return e;
  };
  for (int round = 0; round < 2; ++round) {  // the second one remembered
    const Event ours =
        resolved("_Z6arangeIfEvPN3dev6StoredIT_E4typeEN12flame_params8ConstantES5_x");
    EXPECT_EQ(ours.kernel, "arange<float>");
    EXPECT_TRUE(ours.ours);
    const Event other = resolved("_Z9elsewhereIfEvPT_");
    EXPECT_EQ(other.kernel, "void elsewhere<float>(float*)");
    EXPECT_FALSE(other.ours);
    const Event vendor = resolved("sm90_xmma_gemm_f32f32");
    EXPECT_EQ(vendor.kernel, "sm90_xmma_gemm_f32f32");
    EXPECT_FALSE(vendor.ours);
  }
}

// On a GPU CUPTI sees the same work as the ledger does; without one it says so.
TEST(CuptiWitness, SeesWhatRanOrSaysThatItCannot) {
  if (driver::cuda_device_count() == 0) {
    EXPECT_THROW(make_cupti_witness(0), Error);
    return;
  }
  const std::shared_ptr<driver::Driver> device = driver::open_cuda(0);
  const std::shared_ptr<Witness> witness = make_witness(*device);
  EXPECT_THROW(make_cupti_witness(0), WitnessError);  // one in a process
  void* memory = device->allocate(4096, "test");
  const driver::StreamHandle s = device->create_stream();
  arange(*device, memory, 100, s);
  char host[64] = {};
  witness->begin();
  device->copy_to_device(memory, host, sizeof host, s);
  arange(*device, memory, 1000, s);
  device->copy_on_device(static_cast<char*>(memory) + 2048, memory, 128, s);
  device->fill(memory, 1, 256, s);
  device->copy_to_host(host, memory, 32, s);
  const std::vector<Event> events = witness->end();
  ASSERT_EQ(kinds(events), "copy_h2d launch copy_d2d memset copy_d2h sync");
  EXPECT_EQ(events[1].kernel, "arange<float>");
  EXPECT_TRUE(events[1].ours);
  EXPECT_EQ(events[1].grid.x, 4u);
  witness->begin();
  EXPECT_EQ(kinds(witness->end()), "");
  device->destroy_stream(s);
  device->deallocate(memory);
}

}  // namespace
}  // namespace flame::conformance
