// Runs case files on a device and judges what comes out by the file's truth.
//
// Three records a file: `replay_oracle` (the oracle, in float64, against the file: two independent
// evaluations of one formula), `replay_forward` and `replay_backward` (the device against the
// file). The truth is the file's; how exactly it must be met is the oracle's error bound at the
// same inputs. Nobody types a tolerance here either.
#pragma once
#include <string>
#include <vector>

#include "conformance/replay/case_file.h"
#include "conformance/runner/rig.h"
#include "reference/contract.h"
#include "reports/record.h"

namespace flame::conformance {

inline constexpr const char* kReplayChecks[] = {"replay_oracle", "replay_forward",
                                                "replay_backward"};

// `device`: as the user named it, for the reproducer line. What goes wrong is in the records, never
// an exception.
std::vector<records::Record> replay(const CaseFile& file, Rig& rig, const std::string& device);

// The file's values with the oracle's bounds, widened by what the file's own float64 evaluation may
// be off by: it is one more honest evaluation, in another precision.
// Throws FileError when the two disagree about the shape.
reference::BoundTensor bounded_truth(const std::string& name, const reference::HostTensor& truth,
                                     const reference::BoundTensor& oracle, DType run_dtype);

}  // namespace flame::conformance
