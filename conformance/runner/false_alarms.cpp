// Forward and backward of every op under many seeds: an honest library must never raise an alarm.
#include <chrono>
#include <map>

#include "conformance/checks/support.h"
#include "conformance/runner/session.h"
#include "lib/core/error.h"
#include "lib/core/glob.h"

namespace flame::conformance {

using records::Record;
using records::Verdict;
using reference::Case;

namespace {

constexpr std::int64_t kChunk = 25;          // seeds an item takes: progress, and balance
constexpr std::int64_t kMaxElements = 4096;  // of inputs: many draws rather than large ones

struct Chunk {
  const OpDef* op;
  std::int64_t first, last;  // seeds, counted from options.seed
};

class SeedWorker : public Worker {
 public:
  SeedWorker(const VerifyOptions& options, const std::vector<Chunk>& chunks)
      : options_(options), chunks_(chunks), rig_(open_rig(options)) {}
  std::string hello() override { return records::to_json(describe(options_, *rig_)); }
  bool healthy() override { return !failed_ || device_works(*rig_); }

  std::string run(std::size_t item) override {
    const Chunk& chunk = chunks_[item];
    const std::vector<PlanItem> items = rotation(*chunk.op);
    Record total;
    total.op = std::string(chunk.op->name);
    total.check = "false_alarms";
    total.device_kind = rig_->kind();
    total.witness = std::string(rig_->witness->name());
    total.seed = options_.seed;
    total.reason = "no small case";
    for (std::int64_t s = chunk.first; s < chunk.last && !items.empty(); ++s) {
      PlanItem one = items[std::size_t(s) % items.size()];
      VerifyOptions seeded = options_;
      seeded.seed = options_.seed + std::uint64_t(s);
      for (const char* check : {"forward", "backward"}) {
        one.check = check;
        const Record r = run_item(seeded, one, *rig_, library_);
        total.ms += r.ms;
        total.compared += r.compared;
        if (r.verdict == Verdict::kNotRun) continue;
        if (!(r.r <= total.r)) {
          total.r = r.r;
          total.where = r.where;
          total.case_name = r.case_name;
          total.dtype = r.dtype;
          total.layout = r.layout;
        }
        if (total.verdict == Verdict::kFail) continue;
        total.verdict = r.verdict;
        total.reason = r.reason;
        total.reproduce = r.reproduce;
        if (r.verdict == Verdict::kFail) total.seed = seeded.seed;
      }
    }
    failed_ = total.verdict == Verdict::kFail;
    return records::to_line(total);
  }

 private:
  // Every small quick case in every dtype, in turn.
  std::vector<PlanItem> rotation(const OpDef& op) const {
    std::vector<PlanItem> out;
    for (const Case& c : reference::find_contract(op.name).cases()) {
      std::int64_t elements = 0;
      for (const auto& spec : c.inputs) elements += spec.defined ? numel(spec.shape) : 0;
      if (!c.quick || elements > kMaxElements) continue;
      for (DType t : case_dtypes(op, c))
        out.push_back({std::string(op.name), c.name, "forward", to_string(Layout::kContiguous), t});
    }
    return out;
  }

  const VerifyOptions& options_;
  const std::vector<Chunk>& chunks_;
  std::unique_ptr<Rig> rig_;
  Library library_;
  bool failed_ = false;
};

// Two records of one op: the first alarm stays, the worse r, all that was compared.
void join(Record& all, const Record& more) {
  all.compared += more.compared;
  all.ms += more.ms;
  const bool alarm = all.verdict != Verdict::kFail && more.verdict == Verdict::kFail;
  if (alarm || (all.verdict == Verdict::kNotRun && more.verdict == Verdict::kPass)) {
    all.verdict = more.verdict;
    all.reason = more.reason;
    all.reproduce = more.reproduce;
    all.seed = more.seed;
  }
  if (!(more.r <= all.r)) {
    all.r = more.r;
    all.where = more.where;
    all.case_name = more.case_name;
    all.dtype = more.dtype;
    all.layout = more.layout;
  }
}

}  // namespace

Summary false_alarms(const VerifyOptions& options, std::int64_t n_seeds) {
  check<ValueError>(n_seeds > 0, "false alarms: ", n_seeds, " seeds are none");
  const auto start = std::chrono::steady_clock::now();
  std::vector<Chunk> chunks;
  std::vector<const OpDef*> ops;
  for (const OpDef* op : all_ops()) {
    if (!glob_match(options.op, op->name)) continue;
    ops.push_back(op);
    for (std::int64_t s = 0; s < n_seeds; s += kChunk)
      chunks.push_back({op, s, std::min(n_seeds, s + kChunk)});
  }
  check<UnknownOpError>(!ops.empty(), "false alarms: no op matches '", options.op, "'");
  Summary summary;
  summary.planned = std::int64_t(ops.size());
  Progress progress{.planned = std::int64_t(chunks.size())};
  std::map<std::string, Record> by_op;
  Fleet fleet;
  fleet.jobs = job_count(options);
  fleet.items = chunks.size();
  fleet.in_process = options.in_process;
  fleet.start = [&] { return std::make_unique<SeedWorker>(options, chunks); };
  fleet.on_hello = [&](const std::string& hello) { started(summary, options, hello); };
  fleet.on_result = [&](std::size_t, const std::string& line) {
    const Record record = records::parse_record(line);
    auto [it, is_new] = by_op.try_emplace(record.op, record);
    if (!is_new) join(it->second, record);
  };
  fleet.on_death = [&](std::size_t item, const std::string& how) {
    Record r;
    r.op = std::string(chunks[item].op->name);
    r.check = "false_alarms";
    r.verdict = Verdict::kFail;
    r.reason = how;
    r.seed = options.seed + std::uint64_t(chunks[item].first);
    return records::to_line(r);
  };
  fleet.on_finished = [&](std::size_t item) {
    if (!options.on_progress) return;
    ++progress.done;
    progress.current = std::string(chunks[item].op->name);
    options.on_progress(progress);
  };
  run_fleet(fleet);
  for (const OpDef* op : ops) {
    const Record& record = by_op.at(std::string(op->name));
    count(summary, record.verdict);
    if (options.on_record) options.on_record(record);
  }
  summary.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  summary.manifest.planned = summary.planned;
  summary.manifest.seconds = summary.seconds;
  return summary;
}

}  // namespace flame::conformance
