// The rows of one run that a floor or target holds, and what each of them shows.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "reports/history/store.h"
#include "reports/history/thresholds.h"

namespace flame::history {

// One run's rows of every implementation but FLAME's, by measurement: keys name no implementation.
using Peers = std::map<SeriesKey, std::vector<const records::BenchRow*>>;
SeriesKey without_implementation(SeriesKey key);

struct HeldRow {
  const records::BenchRow* row = nullptr;
  double ratio = -1;   // the fastest peer's time over ours, where the floor asks for one
  std::string missed;  // why it is below; empty where it is not
};

struct Held {
  std::vector<HeldRow> rows;
  double mean_ratio = -1;   // geometric, where the floor asks for one
  std::string mean_missed;  // why that is below; empty where it is not
  std::size_t reached() const;
};

// `ours`: FLAME's rows. A row without a peer to compare with is not held to a ratio; a peer that
// passes on a view where FLAME writes, or the other way round, did other work and is none.
Held hold(const Floor& floor, const std::vector<const records::BenchRow*>& ours,
          const Peers& peers);

// The rows of `run` that are FLAME's, and the others.
std::vector<const records::BenchRow*> rows_of_flame(const records::BenchRun& run);
Peers peers_of(const records::BenchRun& run);

}  // namespace flame::history
