// Random graphs of the manifest's ops, built, run and differentiated on the device, against the
// same graph in the oracle.
#include <algorithm>
#include <cmath>
#include <set>

#include "property_tests/program.h"

namespace flame::property {
namespace {

RC_GTEST_PROP(RandomPrograms, EveryNodeIsWhatItsContractSays, ()) {
  expect_nodes_agree(*any_program({DType::kFloat64, DType::kFloat32}));
}

RC_GTEST_PROP(RandomPrograms, HalfTypesToo, ()) {
  expect_nodes_agree(*any_program({DType::kFloat16, DType::kBFloat16}));
}

RC_GTEST_PROP(RandomPrograms, TheWholeChainsGradientIsTheOracles, ()) {
  expect_chain_agrees(*any_program({DType::kFloat64}));
}

// layer_norm over one element: the gradient is 0 in exact arithmetic, an honest kernel that
// contracts a product and a difference leaves roundings (seen on an H200).
TEST(RandomPrograms, NoiseReachesWhatCancelsExactly) {
  const auto leaf = [](const Shape& shape, std::vector<double> values) {
    Entry e;
    e.value = {DType::kFloat64, shape, std::move(values)};
    return e;
  };
  Program program{DType::kFloat64,
                  {leaf({4, 1}, {-0.8788, 0.4869, -0.1059, -0.5372}), leaf({1}, {0.0502})}};
  Entry op;
  op.op = &find_op("layer_norm");
  op.attrs = parse_attrs("normalized_shape=[1] eps=1e-05");
  op.inputs = {0, 1, -1};
  op.value = {DType::kFloat64, {4, 1}, {0, 0, 0, 0}};
  program.entries.push_back(op);
  const auto gradient = [&](const Noise& noise) {
    return differentiate(program, evaluate(program, {}), result_gradients(program), noise)[0];
  };
  for (double v : gradient({}).values) EXPECT_EQ(v, 0);
  for (double v : gradient({true, 1}).values) EXPECT_NE(v, 0);
  expect_chain_agrees(program);
}

// Whether the judge of programs raises an alarm over what `tamper` did.
bool caught(const Program& program, const Tamper& tamper) {
  try {
    expect_nodes_agree(program, tamper);
  } catch (const rc::detail::CaseResult& result) {
    return result.type == rc::detail::CaseResult::Type::Failure;
  }
  return false;
}

// The largest element of one tensor, moved by a thousandth, or by what a coarser dtype can show.
bool nudge(reference::HostTensor& t) {
  if (!t.defined || !is_floating(t.dtype)) return false;
  const auto largest = std::max_element(t.values.begin(), t.values.end(), [](double a, double b) {
    return std::fabs(a) < std::fabs(b);
  });
  if (largest == t.values.end() || std::fabs(*largest) < 0x1p-10) return false;
  *largest *= 1 + std::max(0.001, 16 * unit_roundoff(t.dtype));
  return true;
}

// A judge that passes everything would pass a wrong library: every op's value and every gradient,
// made wrong one at a time, is caught.
TEST(RandomPrograms, OneWrongElementIsCaught) {
  using Tensors = std::vector<reference::HostTensor>;
  const auto gen = any_program({DType::kFloat64, DType::kFloat32});
  rc::Random random(5);
  int tried = 0;
  for (int n = 0; n < 60; ++n) {
    const Program program = gen(random.split()).value();
    for (std::size_t i = 0; i < program.entries.size(); ++i) {
      bool changed = false;
      if (program.entries[i].op) {
        const bool value = caught(program, [&](Tensors& v, Tensors&) { changed = nudge(v[i]); });
        EXPECT_TRUE(value || !changed) << "value of t" << i << to_cpp(program);
        tried += changed;
      }
      changed = false;
      const bool gradient = caught(program, [&](Tensors&, Tensors& g) { changed = nudge(g[i]); });
      EXPECT_TRUE(gradient || !changed) << "gradient of t" << i << to_cpp(program);
      tried += changed;
      changed = false;
      const bool missing = caught(program, [&](Tensors&, Tensors& g) {
        changed = g[i].defined;
        g[i].defined = false;
      });
      EXPECT_TRUE(missing || !changed) << "missing gradient of t" << i << to_cpp(program);
    }
  }
  EXPECT_GT(tried, 300);
}

// Every op that takes tensors appears, programs are deep, and tensors are used more than once: else
// the properties above would say little.
TEST(RandomPrograms, TheyReachEveryOp) {
  const auto gen = any_program({DType::kFloat64, DType::kFloat32});
  std::set<std::string_view> missing;
  for (const OpDef* op : all_ops())
    if (op->kind != OpKind::kCreation) missing.insert(op->name);
  std::size_t deepest = 0, shared = 0, operand_twice = 0;
  rc::Random random(7);
  for (int n = 0; n < 2000; ++n) {
    const Program program = gen(random.split()).value();
    std::vector<std::size_t> depth(program.entries.size()), uses(program.entries.size());
    for (std::size_t i = 0; i < program.entries.size(); ++i) {
      const Entry& e = program.entries[i];
      if (!e.op) continue;
      missing.erase(e.op->name);
      for (std::size_t a = 0; a < e.inputs.size(); ++a) {
        if (e.inputs[a] < 0) continue;
        const auto from = static_cast<std::size_t>(e.inputs[a]);
        depth[i] = std::max(depth[i], depth[from] + 1);
        shared += ++uses[from] == 2;
        for (std::size_t b = 0; b < a; ++b) operand_twice += e.inputs[a] == e.inputs[b];
      }
      deepest = std::max(deepest, depth[i]);
    }
  }
  for (std::string_view op : missing) ADD_FAILURE() << "no program uses " << op;
  EXPECT_GE(deepest, 5u);
  EXPECT_GE(shared, 100u);
  EXPECT_GE(operand_twice, 20u);
}

// A fault in one op must end as a program of that op alone, on plain leaves.
TEST(RandomPrograms, TheyShrinkToOneOp) {
  const auto gen = any_program({DType::kFloat64});
  const auto has = [](const Program& p) {
    for (const Entry& e : p.entries)
      if (e.op && e.op->kind == OpKind::kCompute && e.inputs.size() == 2) return true;
    return false;
  };
  rc::Random random(11);
  int shrunk = 0;
  while (shrunk < 5) {
    auto s = gen(random.split());
    if (!has(s.value()) || s.value().op_count() < 4) continue;
    for (bool moved = true; moved;) {
      moved = false;
      auto shrinks = s.shrinks();
      while (auto next = shrinks.next()) {
        if (!has(next->value())) continue;
        s = *next;
        moved = true;
        break;
      }
    }
    EXPECT_EQ(s.value().op_count(), 1u) << to_cpp(s.value());
    ++shrunk;
  }
}

}  // namespace
}  // namespace flame::property
