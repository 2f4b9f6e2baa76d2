#include "property_tests/program.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "property_tests/device_run.h"

namespace flame::property {
namespace {

using reference::BoundTensor;
using reference::HostTensor;

// Moves each element by up to one part in 2^24 of the tensor's largest, and, where the contract's
// values are given, by what their derived error bounds would be in single precision: an op that
// cancels exactly in the oracle leaves roundings in an honest kernel.
void disturb(HostTensor& t, const Noise& noise, std::uint64_t salt,
             const BoundTensor* contract = nullptr) {
  if (!noise.on || !t.defined || !is_floating(t.dtype)) return;
  const double coarser = unit_roundoff(DType::kFloat32) / unit_roundoff(t.dtype);
  double largest = 0;
  for (double v : t.values) largest = std::max(largest, std::fabs(v));
  rc::Random random(noise.seed * 1000003 + salt);
  for (std::size_t i = 0; i < t.values.size(); ++i) {
    const double unit = static_cast<double>(random.next() >> 11) * 0x1p-52 - 1;
    const double derived = contract ? coarser * contract->values[i].error : 0;
    t.values[i] += unit * (unit_roundoff(DType::kFloat32) * largest + derived);
  }
}

std::vector<HostTensor> gather_inputs(const Entry& e, const std::vector<HostTensor>& values) {
  std::vector<HostTensor> out;
  for (int i : e.inputs) {
    HostTensor none;
    none.defined = false;
    out.push_back(i < 0 ? none : values[static_cast<std::size_t>(i)]);
  }
  return out;
}

std::vector<TensorDesc> descs(const std::vector<HostTensor>& tensors) {
  std::vector<TensorDesc> out;
  for (const HostTensor& t : tensors) out.push_back(t.desc());
  return out;
}

HostTensor rounded(const BoundTensor& t, DType dtype) {
  HostTensor out{dtype, t.shape, {}};
  for (const reference::Bound& b : t.values)
    out.values.push_back(reference::round_to(dtype, static_cast<double>(b.value)));
  return out;
}

void print_values(const HostTensor& t, std::ostream& out) {
  out << "{";
  for (std::size_t i = 0; i < t.values.size(); ++i) out << (i ? ", " : "") << t.values[i];
  out << "}, {";
  for (std::size_t i = 0; i < t.shape.size(); ++i) out << (i ? ", " : "") << t.shape[i];
  out << "}, \"" << name(t.dtype) << '"';
}

}  // namespace

std::size_t Program::op_count() const {
  return static_cast<std::size_t>(
      std::count_if(entries.begin(), entries.end(), [](const Entry& e) { return e.op; }));
}

std::vector<int> Program::results() const {
  std::vector<bool> used(entries.size());
  for (const Entry& e : entries)
    for (int i : e.inputs)
      if (i >= 0) used[static_cast<std::size_t>(i)] = true;
  std::vector<int> out;
  for (std::size_t i = 0; i < entries.size(); ++i)
    if (!used[i] && entries[i].op) out.push_back(static_cast<int>(i));
  return out;
}

std::string to_cpp(const Program& program) {
  std::ostringstream out;
  out.precision(17);
  out << "const auto leaf = [&](std::vector<double> v, const Shape& s, const char* dtype) {\n"
         "  const DType t = *parse_dtype(dtype);\n"
         "  Tensor x = tensor<double>(v, s, {device, DType::kFloat64}).to(t);\n"
         "  return is_floating(t) ? x.set_requires_grad() : x;\n};\n";
  for (std::size_t i = 0; i < program.entries.size(); ++i) {
    const Entry& e = program.entries[i];
    out << "const Tensor t" << i << " = ";
    if (!e.op) {
      out << "leaf(";
      print_values(e.value, out);
      out << ");";
      if (e.layout != conformance::Layout::kContiguous)
        out << "  // laid out " << conformance::to_string(e.layout);
      out << '\n';
      continue;
    }
    out << "apply_one(find_op(\"" << e.op->name << "\"), {";
    for (std::size_t k = 0; k < e.inputs.size(); ++k) {
      out << (k ? ", " : "");
      e.inputs[k] < 0 ? out << "Tensor()" : out << 't' << e.inputs[k];
    }
    out << "}, parse_attrs(R\"(" << flame::to_string(e.attrs) << ")\"));  // "
        << flame::to_string(e.value.shape) << '\n';
  }
  const std::vector<HostTensor> gradients = result_gradients(program);
  const std::vector<int> results = program.results();
  for (std::size_t k = 0; k < results.size(); ++k) {
    out << "t" << results[k] << ".backward(leaf(";
    print_values(gradients[k], out);
    out << ").detach(), true);\n";
  }
  return out.str();
}

void showValue(const Program& program, std::ostream& out) { out << '\n' << to_cpp(program); }

HostTensor evaluate(const Program& program, std::size_t i, const std::vector<HostTensor>& values) {
  const Entry& e = program.entries[i];
  const std::vector<HostTensor> inputs = gather_inputs(e, values);
  const DType dtype = e.op->infer(descs(inputs), e.attrs)[0].dtype;
  return rounded(reference::find_contract(e.op->name).forward(inputs, e.attrs)[0], dtype);
}

std::vector<HostTensor> evaluate(const Program& program, const Noise& noise) {
  std::vector<HostTensor> values;
  for (std::size_t i = 0; i < program.entries.size(); ++i) {
    values.push_back(program.entries[i].op ? evaluate(program, i, values)
                                           : program.entries[i].value);
    if (program.entries[i].op) disturb(values.back(), noise, i);
  }
  return values;
}

std::vector<HostTensor> differentiate(const Program& program, const std::vector<HostTensor>& values,
                                      const std::vector<HostTensor>& result_gradients,
                                      const Noise& noise) {
  std::vector<HostTensor> gradients(program.entries.size());
  for (HostTensor& g : gradients) g.defined = false;
  const std::vector<int> results = program.results();
  for (std::size_t k = 0; k < results.size(); ++k)
    gradients[static_cast<std::size_t>(results[k])] = result_gradients[k];
  for (std::size_t i = program.entries.size(); i-- > 0;) {
    const Entry& e = program.entries[i];
    if (!gradients[i].defined || !is_floating(values[i].dtype)) gradients[i].defined = false;
    if (!gradients[i].defined || !e.op) continue;
    disturb(gradients[i], noise, 500 + i);
    const reference::Contract& contract = reference::find_contract(e.op->name);
    if (!contract.backward) continue;
    const auto parts =
        contract.backward(gather_inputs(e, values), e.attrs, std::vector<HostTensor>{gradients[i]});
    for (std::size_t k = 0; k < e.inputs.size(); ++k) {
      if (e.inputs[k] < 0 || !parts[k].defined) continue;
      const auto to = static_cast<std::size_t>(e.inputs[k]);
      HostTensor part = rounded(parts[k], values[to].dtype);
      disturb(part, noise, 1000 + 10 * i + k, &parts[k]);
      if (!gradients[to].defined) {
        gradients[to] = part;
        continue;
      }
      for (std::size_t j = 0; j < part.values.size(); ++j)
        gradients[to].values[j] += part.values[j];
    }
  }
  return gradients;
}

std::vector<HostTensor> result_gradients(const Program& program) {
  std::vector<HostTensor> out;
  for (int i : program.results())
    out.push_back(signed_values(program.entries[static_cast<std::size_t>(i)].value.desc(),
                                static_cast<std::uint64_t>(i)));
  return out;
}

bool is_tame(const HostTensor& t) {
  constexpr double kLargest = 256;
  return !t.defined || std::all_of(t.values.begin(), t.values.end(),
                                   [](double v) { return std::fabs(v) <= kLargest; });
}

}  // namespace flame::property
