// Every contract is complete, and its cases say what they mean.
#include <gtest/gtest.h>

#include <set>

#include "lib/core/error.h"
#include "reference/tests/support.h"

namespace flame::reference {
namespace {

using test::label;

TEST(Contracts, OnePerManifestLineUnderItsName) {
  std::vector<std::string_view> names = {
#define FLAME_OP(id, signature) #id,
#include "lib/core/ops.inc"
#undef FLAME_OP
  };
  ASSERT_EQ(all_contracts().size(), names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ(all_contracts()[i]->op, names[i]);
    EXPECT_EQ(&find_contract(names[i]), all_contracts()[i]);
  }
  EXPECT_THROW(find_contract("nothing"), UnknownOpError);
}

TEST(Contracts, AreComplete) {
  const std::set<std::string_view> views = {"reshape", "transpose", "permute", "expand",
                                            "narrow",  "select",    "squeeze", "unsqueeze"};
  for (const Contract* c : all_contracts()) {
    EXPECT_TRUE(c->forward && c->plain_forward && c->cases && c->error_cases && c->bench_cases)
        << c->op;
    EXPECT_EQ(c->backward == nullptr, c->jvp == nullptr) << c->op;
    EXPECT_EQ(c->backward == nullptr, c->plain_backward == nullptr) << c->op;
    EXPECT_GE(c->cases().size(), 8u) << c->op;
    if (c->op != "contiguous") {
      EXPECT_GE(c->error_cases().size(), 2u) << c->op;
    }
    // A view moves nothing; where its gradient does (narrow), that may be timed.
    EXPECT_TRUE(!c->bench_cases().empty() || views.contains(c->op)) << c->op;
  }
}

TEST(Contracts, CaseNamesAreUniqueAndPlain) {
  for (const Contract* c : all_contracts()) {
    std::set<std::string> names;
    for (const Case& k : c->cases()) EXPECT_TRUE(names.insert(k.name).second) << label(*c, k);
    for (const ErrorCase& k : c->error_cases())
      EXPECT_TRUE(names.insert("error_" + k.name).second) << c->op << " " << k.name;
  }
}

// Attributes survive being written into a record and read back.
TEST(Contracts, AttributesRoundTrip) {
  for (const Contract* c : all_contracts())
    for (const Case& k : c->cases()) {
      const std::string text = to_string(k.attrs);
      EXPECT_EQ(to_string(parse_attrs(text)), text) << label(*c, k);
    }
}

// Quick cases are small: the simulator runs every one of them many times.
TEST(Contracts, QuickCasesAreSmall) {
  for (const Contract* c : all_contracts())
    for (const Case& k : c->cases()) {
      std::int64_t elements = 0;
      for (const InputSpec& spec : k.inputs) elements += numel(spec.shape);
      if (k.quick) {
        EXPECT_LE(elements, 13000) << label(*c, k);
      }
    }
}

// The formula evaluates on every case and dtype, bounds are never NaN, and a stored result that is
// promised exact has no error but the rounding of the storage itself.
TEST(Contracts, EveryCaseEvaluates) {
  for (const Contract* c : all_contracts())
    for (const Case& k : c->cases())
      for (DType t : {DType::kFloat32, DType::kFloat64, DType::kFloat16, DType::kBFloat16}) {
        if (!k.quick || !k.dtypes.has(t)) continue;
        const auto inputs = draw_inputs(k.inputs, t, 1);
        for (const BoundTensor& out : c->forward(inputs, k.attrs)) {
          EXPECT_EQ(static_cast<std::int64_t>(out.values.size()), numel(out.shape)) << label(*c, k);
          for (const Bound& b : out.values) {
            EXPECT_TRUE(b.error >= 0 && std::isfinite(b.error)) << label(*c, k);
            if (k.exact) {
              EXPECT_EQ(b.error, 0) << label(*c, k) << " in " << name(t);
            }
          }
        }
      }
}

}  // namespace
}  // namespace flame::reference
