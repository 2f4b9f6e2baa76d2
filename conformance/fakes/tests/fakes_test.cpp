// The kill matrix, one fake a test: caught on every op that can wear it. And the other judges, each
// with the hole that makes ours necessary.
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "conformance/fakes/fake.h"
#include "conformance/fakes/other_judges.h"
#include "conformance/judge/judge.h"
#include "conformance/runner/verify.h"

namespace flame::conformance {
namespace {

using records::Kill;
using records::Verdict;
using reference::BoundTensor;
using reference::HostTensor;

class KillMatrixTest : public ::testing::TestWithParam<std::string> {};

TEST_P(KillMatrixTest, IsCaughtOnEveryOpThatCanWearIt) {
  VerifyOptions options;
  options.check = GetParam();
  int worn = 0;
  options.on_kill = [&](const Kill& kill) {
    EXPECT_NE(kill.verdict, Verdict::kFail)
        << kill.fake << " on " << kill.op << ": " << kill.reason;
    EXPECT_FALSE(kill.reason.empty());
    worn += kill.verdict == Verdict::kPass;
  };
  kill_matrix(options);
  EXPECT_GT(worn, 0) << "no op can wear it: it tests nothing";
}

std::vector<std::string> fake_ids() {
  std::vector<std::string> ids;
  for (const Fake& fake : all_fakes()) ids.push_back(fake.id);
  return ids;
}
INSTANTIATE_TEST_SUITE_P(Fakes, KillMatrixTest, ::testing::ValuesIn(fake_ids()),
                         [](const auto& param) { return param.param; });

TEST(Fakes, ThereAreManyAndTheirNamesDiffer) {
  const auto ids = fake_ids();
  EXPECT_GE(ids.size(), 24u);
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), ids.size());
}

struct Pair {
  HostTensor got;
  BoundTensor want;
};

Pair pair_of(const std::vector<double>& got, const std::vector<double>& want) {
  Pair p{{DType::kFloat32, {std::int64_t(got.size())}, got}, {{std::int64_t(want.size())}, {}}};
  for (double v : want) p.want.values.push_back({v, 2 * std::fabs(v)});
  return p;
}

TEST(OtherJudges, AllPassTheTruth) {
  const Pair p = pair_of({1, -2, 3}, {1, -2, 3});
  EXPECT_TRUE(allclose(p.got, p.want));
  EXPECT_TRUE(ggml_nmse(p.got, p.want));
  EXPECT_TRUE(ggml_asymmetry(p.got, p.want));
  EXPECT_TRUE(jax_scaled(p.got, p.want));
}

TEST(OtherJudges, AllCatchAPlainError) {
  const Pair p = pair_of({1, -2, 4}, {1, -2, 3});
  EXPECT_FALSE(allclose(p.got, p.want));
  EXPECT_FALSE(ggml_nmse(p.got, p.want));
  EXPECT_FALSE(ggml_asymmetry(p.got, p.want));
  EXPECT_FALSE(jax_scaled(p.got, p.want));
}

TEST(OtherJudges, AllcloseMissesZerosBelowItsFloor) {
  const std::vector<double> small(100'000, 1e-5 * 0.9);
  const Pair p = pair_of(std::vector<double>(small.size(), 0.0), small);
  EXPECT_TRUE(allclose(p.got, p.want));
  EXPECT_FALSE(judge("output", p.got, p.want).pass);
}

TEST(OtherJudges, MeanSquaresHideOneElementInAMillion) {
  std::vector<double> want(1'000'000, 1.0), got = want;
  got[5] = 1.3;
  const Pair p = pair_of(got, want);
  EXPECT_TRUE(ggml_nmse(p.got, p.want));
  EXPECT_FALSE(judge("output", p.got, p.want).pass);
}

TEST(OtherJudges, OnePairOfZerosBlindsTheAsymmetry) {
  const Pair p = pair_of({0, 0, 0}, {0, 5, -7});
  EXPECT_TRUE(ggml_asymmetry(p.got, p.want));
  EXPECT_FALSE(judge("grad.input", p.got, p.want).pass);
}

TEST(OtherJudges, ASizeScaledToleranceMissesZeroGradients) {
  const std::vector<double> want(600, 0.8);
  const Pair p = pair_of(std::vector<double>(600, 0.0), want);
  EXPECT_TRUE(jax_scaled(p.got, p.want));
  EXPECT_FALSE(judge("grad.input", p.got, p.want).pass);
}

TEST(OtherJudges, VerdictsStandSideBySide) {
  Evidence e;
  EXPECT_EQ(ask_other_judges(e).allclose, "n/a");
  const Pair p = pair_of({1, 2, 3}, {1, 2, 4});
  e.outputs = {p.got};
  e.output_truth = {p.want};
  const OtherVerdicts v = ask_other_judges(e);
  EXPECT_EQ(v.allclose, "caught");
  EXPECT_EQ(v.sum_loss, "n/a");
  e.threw = true;
  EXPECT_EQ(ask_other_judges(e).sum_loss, "caught");
}

}  // namespace
}  // namespace flame::conformance
