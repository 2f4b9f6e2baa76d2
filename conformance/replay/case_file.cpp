#include "conformance/replay/case_file.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "lib/core/error.h"
#include "lib/io/json.h"

namespace flame::conformance {
namespace {

using io::SafetensorsFile;
using reference::HostTensor;

constexpr std::string_view kSchema = "flame-case/1";

const std::string& require_metadata(const SafetensorsFile& file, std::string_view key) {
  const std::string* value = file.find_metadata(key);
  check<FileError>(value != nullptr, file.path(), ": metadata \"", key, "\" is missing");
  return *value;
}

AttrValue attr_from_json(const std::string& name, const io::Json& json) {
  if (json.get<std::monostate>()) return std::monostate{};
  if (const auto* v = json.get<bool>()) return *v;
  if (const auto* v = json.get<std::int64_t>()) return *v;
  if (const auto* v = json.get<double>()) return *v;
  if (const auto* v = json.get<std::string>()) return *v;
  if (const auto* items = json.get<io::JsonArray>()) {
    IntList list;
    for (const io::Json& item : *items) {
      const auto* v = item.get<std::int64_t>();
      check<FileError>(v != nullptr, "attrs: \"", name, "\" holds something else than integers");
      list.push_back(*v);
    }
    return list;
  }
  throw FileError(str_cat("attrs: \"", name, "\" is an object"));
}

// Takes tensors out of the file by name, and says which nobody asked for.
class Taker {
 public:
  explicit Taker(const SafetensorsFile& file) : file_(file) {}

  // Undefined when there is none.
  HostTensor take(const std::string& name) {
    const io::TensorEntry* entry = file_.find(name);
    if (!entry) return {.defined = false};
    taken_.insert(name);
    return reference::decode(entry->dtype, entry->shape, entry->bytes);
  }
  // "<prefix>.<name>" or "<prefix>.<alias>".
  HostTensor take(const std::string& prefix, const TensorParam& p) {
    HostTensor out = take(prefix + "." + std::string(p.name));
    if (!out.defined && !p.alias.empty()) out = take(prefix + "." + std::string(p.alias));
    return out;
  }
  // prefix.0, prefix.1, ... up to the first that is missing.
  std::vector<HostTensor> take_list(const std::string& prefix) {
    std::vector<HostTensor> out;
    for (HostTensor t = take(prefix + ".0"); t.defined; t = take(str_cat(prefix, ".", out.size())))
      out.push_back(std::move(t));
    return out;
  }
  void finish(std::string_view op) const {
    for (const io::TensorEntry& entry : file_.tensors())
      check<FileError>(taken_.contains(entry.name), file_.path(), ": tensor \"", entry.name,
                       "\" belongs to nothing that ", op, " takes or gives");
  }

 private:
  const SafetensorsFile& file_;
  std::set<std::string> taken_;
};

void take_inputs(const SafetensorsFile& file, Taker& taker, CaseFile& out) {
  for (const TensorParam& p : out.op->inputs) {
    if (p.list) {
      const std::string name(p.name);
      for (HostTensor& t : taker.take_list("input." + name)) {
        out.input_names.push_back(str_cat(name, ".", out.inputs.size()));
        out.inputs.push_back(std::move(t));
      }
      continue;
    }
    HostTensor t = taker.take("input", p);
    const bool number = p.scalar && out.attrs.has(p.name);
    check<FileError>(t.defined || p.optional || number, file.path(), ": \"input.", p.name,
                     "\" is missing");
    out.inputs.push_back(std::move(t));
    out.input_names.emplace_back(p.name);
  }
}

void take_gradients(const SafetensorsFile& file, Taker& taker, CaseFile& out) {
  bool any = false;
  for (std::size_t i = 0; i < out.inputs.size(); ++i) {
    const TensorParam& p = out.op->inputs[std::min(i, out.op->inputs.size() - 1)];
    HostTensor grad = p.list ? taker.take("grad." + out.input_names[i]) : taker.take("grad", p);
    check<FileError>(!grad.defined || out.inputs[i].defined, file.path(), ": \"grad.",
                     out.input_names[i], "\" without its input");
    check<FileError>(!grad.defined || grad.shape == out.inputs[i].shape, file.path(), ": \"grad.",
                     out.input_names[i], "\" is ", flame::to_string(grad.shape), ", its input ",
                     flame::to_string(out.inputs[i].shape));
    any |= grad.defined;
    out.grads.push_back(std::move(grad));
  }
  const bool has_grad_outputs = !out.grad_outputs.empty();
  check<FileError>(any == has_grad_outputs, file.path(),
                   any ? ": gradients without grad_output" : ": grad_output without gradients");
}

}  // namespace

Attrs attrs_from_json(std::string_view json) {
  Attrs out;
  const io::Json value = io::parse_json(json);
  const auto* object = value.get<io::JsonObject>();
  check<FileError>(object != nullptr, "attrs: not a JSON object");
  for (const auto& [name, item] : *object) out.set(name, attr_from_json(name, item));
  return out;
}

std::string case_op(const SafetensorsFile& file) {
  const std::string& schema = require_metadata(file, "schema");
  check<FileError>(schema == kSchema, file.path(), ": schema \"", schema, "\", expected \"",
                   kSchema, "\"");
  return require_metadata(file, "op");
}

CaseFile read_case(const SafetensorsFile& file) {
  CaseFile out;
  out.path = file.path();
  out.name = std::filesystem::path(file.path()).stem().string();
  out.op = &find_op(case_op(file));
  const std::string& dtype = require_metadata(file, "dtype");
  const auto parsed = parse_dtype(dtype);
  check<FileError>(parsed && is_floating(*parsed), file.path(), ": dtype \"", dtype,
                   "\" is not a floating one");
  out.dtype = *parsed;
  try {
    out.attrs = complete_attrs(*out.op, attrs_from_json(require_metadata(file, "attrs")));
  } catch (const FileError& e) {
    throw FileError(str_cat(file.path(), ": ", e.what()));
  }
  Taker taker(file);
  take_inputs(file, taker, out);
  out.outputs = taker.take_list("output");
  check<FileError>(!out.outputs.empty(), file.path(), ": \"output.0\" is missing");
  out.grad_outputs = taker.take_list("grad_output");
  check<FileError>(out.grad_outputs.empty() || out.grad_outputs.size() == out.outputs.size(),
                   file.path(), ": ", out.outputs.size(), " outputs, ", out.grad_outputs.size(),
                   " grad_outputs");
  take_gradients(file, taker, out);
  taker.finish(out.op->name);
  return out;
}

}  // namespace flame::conformance
