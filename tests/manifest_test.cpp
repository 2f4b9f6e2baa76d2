// The manifest: every op once, both halves, and what they say of each other.
#include <gtest/gtest.h>

#include <set>

#include "lib/core/error.h"
#include "lib/core/op_def.h"
#include "lib/tensor/tensor.h"
#include "reference/contract.h"
#include "tests/support/expect_error.h"

namespace flame {
namespace {

TEST(ManifestTest, BothHalvesAreListedInTheSameOrder) {
  std::vector<std::string_view> manifest;
#define FLAME_OP(id, signature) manifest.push_back(#id);
#include "lib/core/ops.inc"
#undef FLAME_OP
  std::vector<std::string_view> defined, proven;
  for (const OpDef* op : all_ops()) defined.push_back(op->name);
  for (const reference::Contract* c : reference::all_contracts()) proven.push_back(c->op);
  EXPECT_EQ(defined, manifest);
  EXPECT_EQ(proven, manifest);
  EXPECT_EQ(std::set(manifest.begin(), manifest.end()).size(), manifest.size());
}

TEST(ManifestTest, OpsAreFoundByNameAndNearMissesAreSuggested) {
  for (const OpDef* op : all_ops()) {
    EXPECT_EQ(&find_op(op->name), op);
    EXPECT_EQ(reference::find_contract(op->name).op, op->name);
  }
  test::expect_error<UnknownOpError>([] { find_op("layernorm"); }, {"layernorm", "layer_norm"});
  test::expect_error<UnknownOpError>([] { find_op(""); });
  test::expect_error<UnknownOpError>([] { reference::find_contract("nope"); }, {"nope"});
}

TEST(ManifestTest, DefinitionsAreComplete) {
  for (const OpDef* op : all_ops()) {
    SCOPED_TRACE(op->name);
    EXPECT_NE(op->infer, nullptr);
    EXPECT_NE(op->forward, nullptr);
    EXPECT_NE(op->cost, nullptr);
    EXPECT_EQ(op->inputs.empty(), op->kind == OpKind::kCreation);
    EXPECT_EQ(op->kernels.empty(), op->kind == OpKind::kView) << "a compute op launches something";
    for (std::size_t i = 0; i < op->inputs.size(); ++i)
      EXPECT_TRUE(!op->inputs[i].list || i + 1 == op->inputs.size()) << "a list must be last";
    std::set<std::string_view> names;
    for (const TensorParam& p : op->inputs) EXPECT_TRUE(names.insert(p.name).second) << p.name;
    for (const AttrParam& p : op->attrs) EXPECT_TRUE(names.insert(p.name).second) << p.name;
  }
}

TEST(ManifestTest, ContractsProveWhatDefinitionsPromise) {
  for (const OpDef* op : all_ops()) {
    SCOPED_TRACE(op->name);
    const reference::Contract& c = reference::find_contract(op->name);
    ASSERT_NE(c.forward, nullptr);
    ASSERT_NE(c.cases, nullptr);
    EXPECT_NE(c.error_cases, nullptr);
    EXPECT_EQ(op->backward != nullptr, c.backward != nullptr);
    EXPECT_EQ(op->backward != nullptr, c.jvp != nullptr);
    EXPECT_FALSE(c.cases().empty());
    std::set<std::string> names;
    for (const reference::Case& k : c.cases()) EXPECT_TRUE(names.insert(k.name).second) << k.name;
    names.clear();
    if (!c.error_cases) continue;
    for (const auto& k : c.error_cases()) EXPECT_TRUE(names.insert(k.name).second) << k.name;
  }
}

// Cases are calls that the op takes: their shapes and dtypes are inferred without an error.
TEST(ManifestTest, CasesAreCallsThatTheOpTakes) {
  for (const OpDef* op : all_ops()) {
    for (const reference::Case& k : reference::find_contract(op->name).cases()) {
      SCOPED_TRACE(std::string(op->name) + " " + k.name);
      std::vector<TensorDesc> inputs;
      DType dtype = DType::kFloat32;
      for (int t = 0; t < kDTypeCount; ++t)
        if (k.dtypes.has(DType(t))) dtype = DType(t);
      for (const auto& s : k.inputs)
        inputs.push_back({s.dtype.value_or(dtype), s.shape, s.defined});
      const bool list = !op->inputs.empty() && op->inputs.back().list;
      EXPECT_TRUE(list ? inputs.size() >= op->inputs.size() : inputs.size() == op->inputs.size());
      EXPECT_NO_THROW({
        const auto outputs = op->infer(inputs, complete_attrs(*op, k.attrs));
        EXPECT_FALSE(outputs.empty());
      });
    }
  }
}

TEST(ManifestTest, CostsAreWorkThatIsThere) {
  for (const OpDef* op : all_ops()) {
    for (const reference::Case& k : reference::find_contract(op->name).cases()) {
      std::vector<TensorDesc> inputs;
      for (const auto& s : k.inputs)
        inputs.push_back({s.dtype.value_or(DType::kFloat32), s.shape, s.defined});
      const Cost cost = op->cost(inputs, complete_attrs(*op, k.attrs));
      EXPECT_GE(cost.flops, 0) << op->name << " " << k.name;
      EXPECT_GE(cost.bytes, 0) << op->name << " " << k.name;
    }
  }
}

}  // namespace
}  // namespace flame
