// Choosing the fastest of several ways to do the same work by timing them.
#pragma once
#include <functional>

namespace flame::blas {

// Milliseconds of the fastest of `runs` runs of `candidate`, after one that does not count; 0 or
// less where it cannot run.
using TimeCandidate = std::function<double(int candidate, int runs)>;

// The candidate that is fastest, or -1 if none runs. Candidates are given best guess first: an
// earlier one gives way only to one that is faster by more than the noise of timing, and once a
// number of milliseconds have gone the later ones are not tried any more.
int fastest(int candidates, const TimeCandidate& time);

}  // namespace flame::blas
