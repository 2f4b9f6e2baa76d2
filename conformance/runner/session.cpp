#include "conformance/runner/session.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <thread>

#include "conformance/checks/support.h"
#include "conformance/runner/device_factory.h"
#include "lib/core/error.h"
#include "lib/jit/embedded.h"

namespace flame::conformance {

using records::Record;
using records::Verdict;

std::uint64_t item_seed(const VerifyOptions& options, const PlanItem& item) {
  return mix(options.seed, hash_text(str_cat(item.op, "|", item.case_name, "|", name(item.dtype),
                                             "|", item.check)));
}

std::string reproduce_line(const VerifyOptions& options, const PlanItem& item) {
  return str_cat("flame verify --device ", options.device, " --op ", item.op, " --case ",
                 item.case_name, " --dtype ", name(item.dtype), " --check ", item.check,
                 " --layout ", item.layout, " --level ", to_string(options.level), " --seed ",
                 options.seed);
}

Record run_item(const VerifyOptions& options, const PlanItem& item, Rig& rig,
                Implementation& implementation) {
  const auto start = std::chrono::steady_clock::now();
  const OpDef& op = find_op(item.op);
  const reference::Contract& contract = reference::find_contract(item.op);
  const Check& check = find_check(item.check);
  const FoundCase found = find_case(contract, item);
  Outcome outcome;
  if (found.c || found.error) {
    const reference::Case error_as_case = found.error
                                              ? reference::Case{.name = found.error->name,
                                                                .inputs = found.error->inputs,
                                                                .attrs = found.error->attrs}
                                              : reference::Case{};
    const CheckContext context{rig,
                               implementation,
                               op,
                               contract,
                               found.c ? *found.c : error_as_case,
                               found.error ? &*found.error : nullptr,
                               item.dtype,
                               parse_layout(item.layout).value_or(Layout::kContiguous),
                               item_seed(options, item),
                               options.level};
    outcome = run_check(check, context);
  } else {
    outcome = not_run(out_of_scope(check, op).value_or("the contract has no case for this check"));
  }
  Record record;
  record.op = item.op;
  record.case_name = item.case_name;
  record.dtype = std::string(name(item.dtype));
  record.layout = item.layout;
  record.check = item.check;
  record.verdict = outcome.verdict;
  record.reason = outcome.reason;
  record.r = outcome.r;
  record.where = outcome.where;
  record.compared = outcome.compared;
  record.kernels = outcome.kernels;
  record.witness = rig.witness ? std::string(rig.witness->name()) : "";
  record.device_kind = rig.kind();
  record.seed = options.seed;
  record.ms =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  record.reproduce = reproduce_line(options, item);
  return record;
}

records::RunManifest describe(const VerifyOptions& options, Rig& rig) {
  const driver::Info& info = rig.device.info();
  const auto version = [](int v) { return str_cat(v / 1000, ".", v % 1000 / 10); };
  records::RunManifest m;
  m.device_kind = rig.kind();
  m.device_name = info.name;
  m.arch = info.arch;
  if (!rig.simulated()) {
    m.driver_version = version(info.driver_version);
    m.cuda_version = version(info.toolkit_version);
  }
  m.witness = rig.witness ? std::string(rig.witness->name()) : "";
  m.compiler = "gcc " __VERSION__;
#ifdef __clang__
  m.compiler = __VERSION__;
#endif
#ifdef FLAME_BUILD_TYPE
  m.build_type = FLAME_BUILD_TYPE;
#endif
#ifdef FLAME_VERSION
  m.flame_version = FLAME_VERSION;
#endif
  m.level = to_string(options.level);
  m.seed = options.seed;
  const std::time_t now = std::time(nullptr);
  char text[32];
  std::tm utc{};
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
  m.started_utc = text;
  for (const OpDef* op : all_ops()) {
    records::OpInfo o;
    o.name = op->name;
    o.kind = op->kind == OpKind::kCompute ? "compute"
             : op->kind == OpKind::kView  ? "view"
                                          : "creation";
    o.differentiable = op->backward != nullptr;
    for (int t = 0; t < kDTypeCount; ++t)
      if (op->inputs.empty() || op->inputs[0].dtypes.has(DType(t)))
        o.dtypes.emplace_back(name(DType(t)));
    for (const auto* list : {&op->kernels, &op->backward_kernels})
      for (std::string_view glob : *list)
        if (std::find(o.kernels.begin(), o.kernels.end(), glob) == o.kernels.end())
          o.kernels.emplace_back(glob);
    m.ops.push_back(std::move(o));
  }
  for (const Check& check : all_checks()) m.checks.push_back(check.id);
  for (const auto& e : jit::embedded_exports())
    m.exported_kernels.emplace_back(normalize_expression(e.expression));
  for (char** e = environ; *e; ++e) {
    const std::string_view entry(*e);
    const std::size_t equals = entry.find('=');
    if (entry.starts_with("FLAME_") && equals != entry.npos)
      m.environment.emplace_back(entry.substr(0, equals), entry.substr(equals + 1));
  }
  std::sort(m.environment.begin(), m.environment.end());
  return m;
}

int job_count(const VerifyOptions& options) {
  if (options.jobs > 0) return options.jobs;
  const int cores = std::max(1, int(std::thread::hardware_concurrency()));
  // On a GPU the oracle is what takes the time: a few contexts share the device.
  return options.device == "sim" ? cores : std::min(4, cores);
}

std::unique_ptr<Rig> open_rig(const VerifyOptions& options) {
  BaseDevice base = open_device(options.device, job_count(options) > 1 ? 1 : 0);
  return std::make_unique<Rig>(std::move(base.driver), std::move(base.witness));
}

bool device_works(Rig& rig) {
  if (rig.simulated()) return true;
  try {
    rig.device.synchronize();
    return upload(rig.device, {DType::kFloat32, {1}, {1.0}}).defined();
  } catch (const std::exception&) {
    return false;
  }
}

void count(Summary& summary, Verdict verdict) {
  ++(verdict == Verdict::kPass   ? summary.passed
     : verdict == Verdict::kFail ? summary.failed
                                 : summary.not_run);
}

void started(Summary& summary, const VerifyOptions& options, const std::string& hello) {
  if (!summary.manifest.device_kind.empty()) return;
  summary.manifest = records::parse_manifest(hello);
  summary.manifest.planned = summary.planned;
  if (options.on_start) options.on_start(summary.manifest);
}

const char* to_string(Level level) { return level == Level::kQuick ? "quick" : "full"; }

int Summary::exit_code() const { return failed > 0 ? 1 : passed > 0 ? 0 : 4; }

}  // namespace flame::conformance
