// What a floor says of a row that misses it.
#include "reports/history/thresholds.h"

#include <gtest/gtest.h>

#include "reports/history/tests/bench_runs.h"

namespace flame::history {
namespace {

TEST(ThresholdsTest, AMissSaysWhatACopyOfAsManyBytesReaches) {
  const Floor floor{.op = "exp", .min_share_copy = 0.97, .because = "x"};
  records::BenchRow row = bench_row("exp", 210);
  EXPECT_EQ(floor.missed_by(row, -1), "share of copy is 0.95, floor 0.97") << "an old record";
  row.share_same_size = 0.99;
  row.written = row.bytes / 2;
  EXPECT_EQ(floor.missed_by(row, -1),
            "share of copy is 0.95, floor 0.97; 0.99 of a copy of as many bytes");
  row.written = 0;
  EXPECT_EQ(floor.missed_by(row, -1),
            "share of copy is 0.95, floor 0.97; 0.99 of a read of as many bytes");
  row.share_copy = 0.98;
  EXPECT_EQ(floor.missed_by(row, -1), "");
}

}  // namespace
}  // namespace flame::history
