#include "conformance/runner/verify.h"

#include <chrono>

#include "conformance/runner/session.h"
#include "lib/core/error.h"

namespace flame::conformance {

using records::Record;
using records::Verdict;

namespace {

class CheckWorker : public Worker {
 public:
  CheckWorker(const VerifyOptions& options, const std::vector<PlanItem>& items)
      : options_(options), items_(items), rig_(open_rig(options)) {}
  std::string hello() override { return records::to_json(describe(options_, *rig_)); }
  std::string run(std::size_t item) override {
    const Record record = run_item(options_, items_[item], *rig_, library_);
    failed_ = record.verdict == Verdict::kFail;
    return records::to_line(record);
  }
  bool healthy() override { return !failed_ || device_works(*rig_); }

 private:
  const VerifyOptions& options_;
  const std::vector<PlanItem>& items_;
  std::unique_ptr<Rig> rig_;
  Library library_;
  bool failed_ = false;
};

// The record of an item whose process did not live to write it.
Record death_record(const VerifyOptions& options, const PlanItem& item, const Summary& so_far,
                    const std::string& how) {
  Record r;
  r.op = item.op;
  r.case_name = item.case_name;
  r.dtype = std::string(name(item.dtype));
  r.layout = item.layout;
  r.check = item.check;
  r.verdict = Verdict::kFail;
  r.reason = how;
  r.witness = so_far.manifest.witness;
  r.device_kind = so_far.manifest.device_kind;
  r.seed = options.seed;
  r.reproduce = reproduce_line(options, item);
  return r;
}

}  // namespace

Summary verify(const VerifyOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const std::vector<PlanItem> items = plan(options);
  Summary summary;
  summary.planned = std::int64_t(items.size());
  Progress progress{.planned = summary.planned};
  Fleet fleet;
  fleet.jobs = job_count(options);
  fleet.items = items.size();
  fleet.in_process = options.in_process;
  fleet.start = [&] { return std::make_unique<CheckWorker>(options, items); };
  fleet.on_hello = [&](const std::string& hello) { started(summary, options, hello); };
  fleet.on_result = [&](std::size_t, const std::string& line) {
    const Record record = records::parse_record(line);
    count(summary, record.verdict);
    if (options.on_record) options.on_record(record);
  };
  fleet.on_death = [&](std::size_t item, const std::string& how) {
    return records::to_line(death_record(options, items[item], summary, how));
  };
  fleet.on_finished = [&](std::size_t item) {
    if (!options.on_progress) return;
    ++progress.done;
    progress.passed = summary.passed;
    progress.failed = summary.failed;
    progress.not_run = summary.not_run;
    progress.current = items[item].to_string();
    options.on_progress(progress);
  };
  run_fleet(fleet);
  summary.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  summary.manifest.planned = summary.planned;
  summary.manifest.seconds = summary.seconds;
  return summary;
}

std::vector<CheckInfo> check_list() {
  std::vector<CheckInfo> out;
  for (const Check& check : all_checks()) out.push_back({check.id, check.description});
  return out;
}

}  // namespace flame::conformance
