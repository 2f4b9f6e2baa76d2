// One worker's device with what runs items on it, shared by verify, the kill matrix and the search
// for false alarms.
#pragma once
#include <memory>
#include <string>

#include "conformance/runner/plan.h"
#include "conformance/runner/workers.h"

namespace flame::conformance {

// Runs one plan item with any implementation on any rig: one record.
records::Record run_item(const VerifyOptions& options, const PlanItem& item, Rig& rig,
                         Implementation& implementation);
// The seed that an item's inputs come from: the same for every layout of it.
std::uint64_t item_seed(const VerifyOptions& options, const PlanItem& item);
// One command line that reruns it.
std::string reproduce_line(const VerifyOptions& options, const PlanItem& item);

// What every page says of the device and the plan.
records::RunManifest describe(const VerifyOptions& options, Rig& rig);

int job_count(const VerifyOptions& options);
std::unique_ptr<Rig> open_rig(const VerifyOptions& options);
// A CUDA context that is lost fails every later call: its process is better replaced.
bool device_works(Rig& rig);

void count(Summary& summary, records::Verdict verdict);
// A worker said its hello; the first one's is the run's manifest, which `on_start` is given.
void started(Summary& summary, const VerifyOptions& options, const std::string& hello);

}  // namespace flame::conformance
