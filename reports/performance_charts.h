// The charts of the performance page. Every point and bar is a row of the run; pointing at one
// shows the row's figures.
#pragma once
#include <string>

#include "reports/bench_items.h"
#include "reports/svg.h"

namespace flame::reports {

// Op by op: on the left, every case as a share of the roof it comes nearest to; on the right, how
// many times faster than the fastest peer (geometric mean over the cases, and their range). Also
// the README's figure.
Svg overview_chart(const BenchItems& items, const std::string& device);

// Log-log: operations per byte against operations per second under the run's own roofs. Backward
// is hollow; forward and backward together are left out, being the sum of the two.
Svg roofline_chart(const BenchItems& items);
// Rows that the roofline leaves out because nothing is computed in them.
int rows_without_flops(const BenchItems& items);

// Every case of one op: a bar a peer, its best way, against FLAME at 1. Empty without any peer.
std::string peer_bars(const BenchItems& items, const std::string& op);

// A figure over the run's rows in the order they were taken. Empty without a value.
enum class Monitor : unsigned char { kClock, kPower };
std::string monitor_strip(const BenchRun& run, Monitor what);

// "fwd", "bwd", "fwd+bwd".
const char* short_direction(const std::string& direction);
// "softmax 8192x8192 forward float32".
std::string title_of(const BenchRow& row);
// Everything that the record says of its figures, a line each.
std::string hover_of(const BenchItems& items, const BenchRow& row);

// A number with `digits` behind the point; "-" for one that does not apply (-1).
std::string fixed(double value, int digits);
// "97 %"; "-" for -1.
std::string percent_text(double share, int digits = 0);
// "1.05x"; "-" for -1.
std::string ratio_text(double ratio);

}  // namespace flame::reports
