// Each check against faults planted for it alone, on the simulated device. The op is whichever of
// the manifest comes first: a check knows none by name. (The fakes put every check to the test on
// every op: see fakes/tests.)
#include <gtest/gtest.h>

#include <set>

#include "conformance/checks/support.h"
#include "conformance/fakes/fake.h"
#include "conformance/runner/device_factory.h"
#include "conformance/runner/session.h"
#include "lib/core/error.h"
#include "lib/tensor/runtime.h"
#include "lib/tensor/tensor_impl.h"

namespace flame::conformance {
namespace {

using records::Record;
using records::Verdict;

class ChecksTest : public ::testing::Test {
 protected:
  static Rig& rig() {
    static const BaseDevice base = open_device("sim");
    static Rig rig(base.driver, base.witness);
    return rig;
  }

  // The first plan item of this check that the library passes, of an op with a backward and a
  // kernel.
  static PlanItem item_for(const std::string& check) {
    VerifyOptions options;
    options.check = check;
    Library library;
    for (const PlanItem& item : plan(options)) {
      const OpDef& op = find_op(item.op);
      if (!op.backward || op.kernels.empty()) continue;
      if (run_item(options, item, rig(), library).verdict == Verdict::kPass) return item;
    }
    ADD_FAILURE() << "no op passes " << check;
    return {};
  }

  static Record run(const std::string& check, Implementation& implementation) {
    return run_item({}, item_for(check), rig(), implementation);
  }
};

TEST_F(ChecksTest, ThereAreFourteenAndEachHasAFakeToCatch) {
  std::set<std::string> ids, caught;
  for (const Check& check : all_checks()) ids.insert(check.id);
  for (const Fake& fake : all_fakes()) caught.insert(fake.check);
  EXPECT_EQ(ids.size(), 14u);
  EXPECT_EQ(ids, caught);
}

TEST_F(ChecksTest, EveryCheckComparesSomethingOnTheLibrary) {
  Library library;
  for (const Check& check : all_checks()) {
    const Record r = run(check.id, library);
    EXPECT_EQ(r.verdict, Verdict::kPass) << check.id << ": " << r.reason;
    EXPECT_GT(r.compared, 0) << check.id;
  }
}

TEST_F(ChecksTest, AnExceptionIsAFailureWithItsMessage) {
  struct Throws : Decorator {
    using Decorator::Decorator;
    std::vector<Tensor> forward(const Call&) override { throw DriverError("planted"); }
    Tape record(const Call&) override { throw DriverError("planted"); }
  };
  Library library;
  Throws broken(library);
  for (const Check& check : all_checks()) {
    const Record r = run(check.id, broken);
    EXPECT_EQ(r.verdict, Verdict::kFail) << check.id;
    EXPECT_NE(r.reason.find("planted"), std::string::npos) << check.id << ": " << r.reason;
  }
}

TEST_F(ChecksTest, WrongNumberOfOutputsFails) {
  struct Nothing : Decorator {
    using Decorator::Decorator;
    std::vector<Tensor> forward(const Call&) override { return {}; }
    std::vector<Tensor> backward(const Tape&, const std::vector<Tensor>&) override { return {}; }
  };
  Library library;
  Nothing nothing(library);
  for (const char* check : {"forward", "backward", "layouts", "gradient_support", "no_memo"})
    EXPECT_EQ(run(check, nothing).verdict, Verdict::kFail) << check;
}

TEST_F(ChecksTest, WitnessCatchesAKernelThatIsNotDeclared) {
  struct Extra : Decorator {
    using Decorator::Decorator;
    std::vector<Tensor> forward(const Call& call) override {
      zeros({4}, {call.device, DType::kInt64});
      return Decorator::forward(call);
    }
  };
  Library library;
  Extra extra(library);
  const Record r = run("witness", extra);
  EXPECT_EQ(r.verdict, Verdict::kFail);
  EXPECT_NE(r.reason.find("does not declare"), std::string::npos) << r.reason;
}

TEST_F(ChecksTest, WitnessCatchesABackwardOnTheHost) {
  struct Host : Decorator {
    using Decorator::Decorator;
    std::vector<Tensor> backward(const Tape& tape, const std::vector<Tensor>& grads) override {
      return edited(Decorator::backward(tape, grads), [](reference::HostTensor&, std::uint64_t) {});
    }
  };
  Library library;
  Host host(library);
  const Record r = run("witness", host);
  EXPECT_EQ(r.verdict, Verdict::kFail);
  EXPECT_NE(r.reason.find("backward copied"), std::string::npos) << r.reason;
}

TEST_F(ChecksTest, WrittenCatchesAWriteBeforeTheStart) {
  struct Before : Decorator {
    using Decorator::Decorator;
    std::vector<Tensor> forward(const Call& call) override {
      auto outputs = Decorator::forward(call);
      auto& driver = call.device.runtime().driver();
      driver.fill(static_cast<char*>(outputs.at(0).impl()->storage->data) - 2, 0x22, 2,
                  call.device.stream());
      return outputs;
    }
  };
  Library library;
  Before before(library);
  const Record r = run("written", before);
  EXPECT_EQ(r.verdict, Verdict::kFail);
  EXPECT_NE(r.reason.find("2 bytes written before"), std::string::npos) << r.reason;
}

TEST_F(ChecksTest, ErrorsCatchesALaunchBeforeTheError) {
  struct LaunchesFirst : Decorator {
    using Decorator::Decorator;
    std::vector<Tensor> forward(const Call& call) override {
      zeros({4}, {call.device, DType::kFloat32});
      return Decorator::forward(call);
    }
  };
  Library library;
  LaunchesFirst launches(library);
  const Record r = run("errors", launches);
  EXPECT_EQ(r.verdict, Verdict::kFail);
  EXPECT_NE(r.reason.find("launched before the error"), std::string::npos) << r.reason;
}

TEST_F(ChecksTest, ErrorsCatchesWhatAFailedCallKeeps) {
  struct Keeps : Decorator {
    using Decorator::Decorator;
    std::vector<Tensor> forward(const Call& call) override {
      kept.push_back(empty({100}, {call.device, DType::kFloat32}));
      return Decorator::forward(call);
    }
    std::vector<Tensor> kept;
  };
  Library library;
  Keeps keeps(library);
  const Record r = run("errors", keeps);
  EXPECT_EQ(r.verdict, Verdict::kFail);
  EXPECT_NE(r.reason.find("leaked"), std::string::npos) << r.reason;
}

TEST_F(ChecksTest, FiniteDifferenceCatchesAConsistentlyWrongGradient) {
  // Two percent off in every gradient: what an eye on a plot never sees.
  struct TwoPercent : Decorator {
    using Decorator::Decorator;
    std::vector<Tensor> backward(const Tape& tape, const std::vector<Tensor>& grads) override {
      return edited(Decorator::backward(tape, grads), [](reference::HostTensor& t, std::uint64_t) {
        for (double& v : t.values) v *= 1.02;
      });
    }
  };
  Library library;
  TwoPercent wrong(library);
  EXPECT_EQ(run("finite_difference", wrong).verdict, Verdict::kFail);
}

TEST_F(ChecksTest, InfluenceCatchesAnOutputThatDependsOnTooMuch) {
  // Every output also depends, a little, on the first element of the first input.
  struct Leaking : Decorator {
    using Decorator::Decorator;
    std::vector<Tensor> forward(const Call& call) override {
      auto outputs = Decorator::forward(call);
      const double first = download(call.inputs.at(0)).values.at(0);
      for (Tensor& t : outputs) {
        auto host = download(t);
        for (double& v : host.values) v += first;
        t = upload(t.device(), host);
      }
      return outputs;
    }
  };
  Library library;
  Leaking leaking(library);
  const Record r = run("influence", leaking);
  EXPECT_EQ(r.verdict, Verdict::kFail);
  EXPECT_NE(r.reason.find("in truth it does not"), std::string::npos) << r.reason;
}

TEST_F(ChecksTest, UnknownChecksAreNamed) { EXPECT_THROW(find_check("forwards"), ValueError); }

}  // namespace
}  // namespace flame::conformance
