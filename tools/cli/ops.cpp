// flame ops: what the library can do, from its own definitions.
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "lib/core/error.h"
#include "lib/core/glob.h"
#include "lib/core/op_def.h"
#include "tools/cli/command.h"
#include "tools/cli/terminal.h"

namespace flame::cli {
namespace {

using Json = nlohmann::ordered_json;

const char* kind_name(OpKind kind) {
  switch (kind) {
    case OpKind::kCompute:
      return "compute";
    case OpKind::kView:
      return "view";
    case OpKind::kCreation:
      return "creation";
  }
  return "";
}

Json dtypes(const DTypeSet& set) {
  Json list = Json::array();
  for (int i = 0; i < kDTypeCount; ++i)
    if (set.has(DType(i))) list.push_back(name(DType(i)));
  return list;
}

Json describe(const OpDef& op) {
  Json inputs = Json::array(), attrs = Json::array();
  for (const TensorParam& p : op.inputs) {
    inputs.push_back({{"name", p.name},
                      {"dtypes", dtypes(p.dtypes)},
                      {"differentiable", p.differentiable},
                      {"optional", p.optional},
                      {"list", p.list},
                      {"number", p.scalar}});
  }
  for (const AttrParam& p : op.attrs) {
    attrs.push_back({{"name", p.name},
                     {"default", p.default_value ? Json(to_string(*p.default_value)) : Json()}});
  }
  return {{"name", op.name},
          {"kind", kind_name(op.kind)},
          {"differentiable", op.backward != nullptr},
          {"inputs", inputs},
          {"attributes", attrs},
          {"kernels", op.kernels},
          {"backward_kernels", op.backward_kernels}};
}

std::string signature(const OpDef& op) {
  std::string out;
  const auto separate = [&] { out += out.empty() ? "" : ", "; };
  for (const TensorParam& p : op.inputs) {
    separate();
    out += std::string(p.name) + (p.list ? "..." : p.optional ? "?" : p.scalar ? "|number" : "");
  }
  for (const AttrParam& p : op.attrs) {
    // A number in a tensor's place stands there already.
    bool shown = false;
    for (const TensorParam& input : op.inputs) shown |= input.name == p.name;
    if (shown) continue;
    separate();
    out += std::string(p.name);
    if (p.default_value) out += "=" + to_string(*p.default_value);
  }
  return out;
}

std::string floating_dtypes(const OpDef& op) {
  if (op.inputs.empty()) return "any";
  std::string out;
  for (int i = 0; i < kDTypeCount; ++i) {
    if (!op.inputs.front().dtypes.has(DType(i))) continue;
    out += (out.empty() ? "" : " ") + std::string(name(DType(i)));
  }
  return out;
}

}  // namespace

Command add_ops(CLI::App& root) {
  CLI::App* app = root.add_subcommand("ops", "Every op: signature, dtypes, gradient");
  auto json = std::make_shared<bool>(false);
  auto glob = std::make_shared<std::string>("*");
  app->add_option("name", *glob, "Only ops that match this glob");
  app->add_flag("--json", *json, "One JSON list on stdout");
  return {app, [json, glob]() -> int {
            Json list = Json::array();
            Table table({"op", "kind", "gradient", "arguments", "dtypes of the first input"});
            for (const OpDef* op : all_ops()) {
              if (!glob_match(*glob, op->name)) continue;
              list.push_back(describe(*op));
              table.add({std::string(op->name), kind_name(op->kind), op->backward ? "yes" : "no",
                         signature(*op), floating_dtypes(*op)});
            }
            check<UnknownOpError>(!list.empty(), "ops: no op matches '", *glob, "'");
            if (*json) {
              std::cout << list.dump(2) << '\n';
            } else {
              table.print(std::cout);
            }
            return kPass;
          }};
}

}  // namespace flame::cli
