// Choosing the fastest of several ways to do the same work by timing them.
#pragma once
#include <functional>
#include <span>

namespace flame::blas {

// Milliseconds of one run of `candidate`; 0 or less where it cannot run. Candidates come in order;
// of the first run of each only whether it can is asked.
using TimeCandidate = std::function<double(int candidate)>;

// Given the candidates that ran so far, fastest first: how many there are from here on. As many as
// before: no more.
using MoreCandidates = std::function<int(std::span<const int> ranked)>;

// The candidate that is fastest, or -1 if none runs. Candidates are given best guess first: an
// earlier one gives way only to one whose median is shorter by more than the noise of timing, and
// once a number of milliseconds have gone the later ones are not tried any more. Those that are
// close are timed in turn, so that what the machine does meanwhile it does to all of them.
int fastest(int candidates, const TimeCandidate& time, const MoreCandidates& more = {});

}  // namespace flame::blas
