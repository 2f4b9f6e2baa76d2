// Case files: what is read, what is refused, and that a wrong answer is seen.
#include "conformance/replay/replay.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>

#include "conformance/runner/device_factory.h"
#include "lib/core/error.h"

namespace flame::conformance {
namespace {

using records::Record;
using records::Verdict;
using reference::HostTensor;

// A case in the making: change a piece, then read it.
struct Draft {
  std::map<std::string, std::string> metadata{
      {"schema", "flame-case/1"}, {"op", "mul"}, {"attrs", "{}"}, {"dtype", "float32"}};
  std::vector<std::pair<std::string, HostTensor>> tensors;

  io::SafetensorsFile file() const {
    std::vector<std::vector<std::byte>> bytes;
    std::vector<io::TensorEntry> entries;
    bytes.reserve(tensors.size());
    for (const auto& [name, t] : tensors) {
      bytes.push_back(reference::encode(t));
      entries.push_back({name, t.dtype, t.shape, bytes.back()});
    }
    return io::SafetensorsFile::parse(
        io::to_safetensors(entries, io::Metadata(metadata.begin(), metadata.end())),
        "folder/draft.safetensors");
  }
  HostTensor& at(const std::string& name) {
    for (auto& [n, t] : tensors)
      if (n == name) return t;
    throw std::out_of_range(name);
  }
  void erase(const std::string& name) {
    std::erase_if(tensors, [&](const auto& t) { return t.first == name; });
  }
};

HostTensor f32(Shape shape, std::vector<double> values) {
  return {DType::kFloat32, std::move(shape), std::move(values)};
}
HostTensor f64(Shape shape, std::vector<double> values) {
  return {DType::kFloat64, std::move(shape), std::move(values)};
}

Draft product() {
  Draft d;
  d.tensors = {{"input.input", f32({3}, {1, 2, 3})}, {"input.other", f32({3}, {4, 5, 6})},
               {"output.0", f64({3}, {4, 10, 18})},  {"grad_output.0", f32({3}, {1, 1, 2})},
               {"grad.input", f64({3}, {4, 5, 12})}, {"grad.other", f64({3}, {1, 2, 6})}};
  return d;
}

std::string refusal(const Draft& draft) {
  try {
    read_case(draft.file());
  } catch (const FileError& e) {
    return e.what();
  }
  return "";
}

TEST(CaseFile, BindsTensorsToParameters) {
  const CaseFile c = read_case(product().file());
  EXPECT_EQ(c.name, "draft");
  EXPECT_EQ(c.op->name, "mul");
  ASSERT_EQ(c.inputs.size(), 2u);
  EXPECT_EQ(c.inputs[1].values[2], 6);
  EXPECT_EQ(c.grads[0].values[2], 12);
  EXPECT_EQ(c.grad_outputs.size(), 1u);
}

TEST(CaseFile, TakesAliasesListsAndNumbers) {
  Draft d;
  d.metadata["op"] = "pow";
  d.tensors = {
      {"input.input", f32({1}, {2})}, {"input.other", f32({1}, {3})}, {"output.0", f64({1}, {8})}};
  EXPECT_EQ(read_case(d.file()).inputs[1].values[0], 3);
  d.erase("input.other");
  EXPECT_NE(refusal(d).find("is missing"), std::string::npos);
  d.metadata["attrs"] = R"({"exponent": 3})";
  EXPECT_FALSE(read_case(d.file()).inputs[1].defined);

  d = Draft();
  d.metadata["op"] = "cat";
  d.metadata["attrs"] = R"({"dim": 0})";
  d.tensors = {{"input.tensors.0", f32({1}, {2})},
               {"input.tensors.1", f32({2}, {3, 4})},
               {"output.0", f64({3}, {2, 3, 4})}};
  EXPECT_EQ(read_case(d.file()).inputs.size(), 2u);
}

TEST(CaseFile, RefusesWhatDoesNotFit) {
  for (const char* key : {"schema", "op", "attrs", "dtype"}) {
    Draft d = product();
    d.metadata.erase(key);
    EXPECT_NE(refusal(d).find(key), std::string::npos);
  }
  const auto with = [](const char* key, const char* value) {
    Draft d = product();
    d.metadata[key] = value;
    return refusal(d);
  };
  EXPECT_NE(with("schema", "flame-case/2"), "");
  EXPECT_NE(with("dtype", "int64"), "");
  EXPECT_NE(with("dtype", "floaty"), "");
  for (const char* attrs : {"", "[]", "{", "{\"a\":{}}", "{\"a\":[1.5]}", "{\"a\":[[1]]}"})
    EXPECT_NE(with("attrs", attrs), "") << attrs;
  const auto without = [](const char* name) {
    Draft d = product();
    d.erase(name);
    return refusal(d);
  };
  EXPECT_NE(without("input.input"), "");
  EXPECT_NE(without("output.0"), "");
  EXPECT_NE(without("grad_output.0").find("gradients without"), std::string::npos);
  Draft d = product();
  d.tensors.emplace_back("input.extra", f32({1}, {1}));
  EXPECT_NE(refusal(d).find("input.extra"), std::string::npos);
  d = product();
  d.at("grad.input") = f64({1}, {1});
  EXPECT_NE(refusal(d).find("grad.input"), std::string::npos);
}

TEST(CaseFile, UnknownNamesAreTheirOwnErrors) {
  Draft d = product();
  d.metadata["op"] = "frobnicate";
  EXPECT_THROW(read_case(d.file()), UnknownOpError);
  d = product();
  d.metadata["attrs"] = R"({"frobnicate": 1})";
  EXPECT_THROW(read_case(d.file()), ValueError);
}

TEST(CaseFile, ArgumentsKeepTheirKinds) {
  const Attrs a =
      attrs_from_json(R"({"n": null, "b": true, "i": -3, "d": 1e-5, "s": "none", "l": [1, -2]})");
  EXPECT_TRUE(std::holds_alternative<std::monostate>(*a.find("n")));
  EXPECT_TRUE(a.get_bool("b"));
  EXPECT_EQ(a.get_int("i"), -3);
  EXPECT_EQ(a.get_double("d"), 1e-5);
  EXPECT_EQ(a.get_string("s"), "none");
  EXPECT_EQ(a.get_ints("l"), (IntList{1, -2}));
}

TEST(BoundedTruth, WidensByOneFloat64Evaluation) {
  reference::BoundTensor oracle;
  oracle.shape = {1};
  oracle.values = {{2, 3}};
  // In float64 the truth is an evaluation like any other: E doubles, and the truth's own rounding
  // comes on top.
  EXPECT_DOUBLE_EQ(bounded_truth("x", f64({1}, {2}), oracle, DType::kFloat64).values[0].error,
                   3 + 3 + 2);
  EXPECT_NEAR(bounded_truth("x", f64({1}, {2}), oracle, DType::kFloat32).values[0].error, 3, 1e-7);
  EXPECT_THROW(bounded_truth("x", f64({2}, {2, 2}), oracle, DType::kFloat32), FileError);
}

class OnSimulator : public ::testing::Test {
 protected:
  std::vector<Record> run(const Draft& draft) {
    if (!rig_) {
      BaseDevice base = open_device("sim");
      rig_ = std::make_unique<Rig>(std::move(base.driver), std::move(base.witness));
    }
    return replay(read_case(draft.file()), *rig_, "sim");
  }
  std::unique_ptr<Rig> rig_;
};

TEST_F(OnSimulator, ARightFilePasses) {
  const std::vector<Record> records = run(product());
  ASSERT_EQ(records.size(), 3u);
  for (const Record& r : records) {
    EXPECT_EQ(r.verdict, Verdict::kPass) << r.check << ": " << r.reason;
    EXPECT_GT(r.compared, 0);
    EXPECT_EQ(r.device_kind, "simulated");
  }
  EXPECT_FALSE(records[1].kernels.empty());
  EXPECT_FALSE(records[2].kernels.empty());
  EXPECT_EQ(records[1].reproduce, "flame replay --device sim folder/draft.safetensors");
}

TEST_F(OnSimulator, ForwardOnlyFilesHaveNoBackward) {
  Draft d = product();
  for (const char* name : {"grad_output.0", "grad.input", "grad.other"}) d.erase(name);
  EXPECT_EQ(run(d).size(), 2u);
}

TEST_F(OnSimulator, AWrongOutputFailsForwardOnly) {
  Draft d = product();
  d.at("output.0").values[1] *= 1 + 1e-5;
  const std::vector<Record> records = run(d);
  EXPECT_EQ(records[0].verdict, Verdict::kFail);  // the oracle does not believe it either
  EXPECT_EQ(records[1].verdict, Verdict::kFail);
  EXPECT_EQ(records[1].where, "output.0[1]");
  EXPECT_GT(records[1].r, 1);
  EXPECT_EQ(records[2].verdict, Verdict::kPass);
}

TEST_F(OnSimulator, AWrongGradientFailsBackwardOnly) {
  Draft d = product();
  d.at("grad.other").values[2] = 0;
  const std::vector<Record> records = run(d);
  EXPECT_EQ(records[1].verdict, Verdict::kPass);
  EXPECT_EQ(records[2].verdict, Verdict::kFail);
  EXPECT_EQ(records[2].where, "grad.other[2]");
}

TEST_F(OnSimulator, AShapeThatTheOpDoesNotGiveFails) {
  Draft d = product();
  d.at("output.0") = f64({1, 3}, {4, 10, 18});
  d.at("grad_output.0") = f32({1, 3}, {1, 1, 2});
  for (const Record& r : run(d)) {
    EXPECT_EQ(r.verdict, Verdict::kFail);
    EXPECT_FALSE(r.reason.empty());
  }
}

TEST_F(OnSimulator, AnErrorOfTheOpIsAFailureWithItsWords) {
  Draft d = product();
  d.at("input.other") = f32({2}, {4, 5});
  d.at("grad.other") = f64({2}, {1, 2});
  const std::vector<Record> records = run(d);
  EXPECT_EQ(records[1].verdict, Verdict::kFail);
  EXPECT_NE(records[1].reason.find("(2)"), std::string::npos) << records[1].reason;
}

}  // namespace
}  // namespace flame::conformance
