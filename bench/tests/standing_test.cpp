#include "bench/standing.h"

#include <gtest/gtest.h>

#include <sstream>

namespace flame::bench {
namespace {

Row row(const char* by, double ratio, bool view = false, const char* temperature = "cold") {
  Row r{.op = "exp", .case_name = "large", .compute_mode = "float32", .direction = "forward"};
  r.implementation = by;
  r.temperature = temperature;
  r.traffic.view = view;
  if (ratio > 0) r.ratio = Ratio{.rounds = 5, .median = ratio, .min = ratio, .max = ratio};
  return r;
}

std::string standing_of(const std::vector<std::vector<Row>>& items) {
  Standing standing;
  for (const auto& rows : items) standing.take(rows);
  std::ostringstream out;
  standing.print(out);
  return out.str();
}

TEST(StandingTest, TheFasterOfAPeersWaysIsComparedWith) {
  const std::string said = standing_of(
      {{row("flame", -1), row("pytorch_eager", 4), row("pytorch_compile", 2),
        row("pytorch_compile", 0.1, false, "hot")},
       {row("flame", -1), row("pytorch_eager", 0.5), row("pytorch_compile", -1), row("cub", 1.5)}});
  // sqrt(2 * 0.5) = 1
  EXPECT_NE(said.find("against pytorch (the faster of its ways, cold): 2 items, its time over "
                      "FLAME's 1.00 in the geometric mean; FLAME slower in 1: "
                      "exp/large/float32/forward 0.50"),
            std::string::npos)
      << said;
  EXPECT_NE(said.find("against cub"), std::string::npos) << said;
  EXPECT_EQ(said.find("cub (the faster of its ways, cold): 1 items, its time over FLAME's 1.50 in "
                      "the geometric mean;"),
            std::string::npos);
}

TEST(StandingTest, AViewIsComparedWithAViewAlone) {
  EXPECT_NE(standing_of({{row("flame", -1), row("pytorch_eager", 0.02, true)}})
                .find("0 items; 1 where one of the two delivers a view"),
            std::string::npos);
  EXPECT_NE(standing_of({{row("flame", -1, true), row("pytorch_eager", 1, true)}}).find("1 items"),
            std::string::npos);
}

TEST(StandingTest, AProbeThatIsBeatenIsSaidToBeNoRoof) {
  Row fast = row("flame", -1), faster = row("pytorch_eager", 1);
  fast.beaten = Beaten{"read", 0.05};
  faster.beaten = Beaten{"read", 0.098};
  Row untrue = row("cub", 1);
  untrue.beaten = Beaten{"copy", 3};
  untrue.impossible = "above the datasheet";
  const std::string said = standing_of({{fast, faster, untrue}, {row("flame", -1)}});
  EXPECT_NE(
      said.find("the probe read is no roof: 2 rows are faster than it allows, at most 9.80 %: "
                "exp/large/float32/forward by pytorch_eager"),
      std::string::npos)
      << said;
  EXPECT_EQ(said.find("the probe copy"), std::string::npos)
      << "what is untrue fails the run itself";
}

}  // namespace
}  // namespace flame::bench
