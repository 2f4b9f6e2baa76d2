// The newest night's rows, as floors and targets see them.
#pragma once
#include <map>
#include <vector>

#include "reports/history/store.h"
#include "reports/history/thresholds.h"

namespace flame::history {

class Tonight {
 public:
  void add(const records::BenchRow& row);  // must outlive this

  // One of FLAME's rows that a floor holds, and the time of the fastest of the floor's peers over
  // FLAME's (-1: the floor asks for none).
  struct Held {
    const records::BenchRow* row;
    double ratio;
  };
  // Without those that nobody of the floor's peers did.
  std::vector<Held> held_by(const Floor& floor) const;

 private:
  double fastest_ratio(const Floor& floor, const records::BenchRow& row) const;

  std::vector<const records::BenchRow*> ours_;
  // Every other implementation of one measurement.
  std::map<SeriesKey, std::vector<const records::BenchRow*>> peers_;
};

// The geometric mean of the ratios.
double mean_ratio(const std::vector<Tonight::Held>& held);
// "exp large forward float32 cold".
std::string name_of(const records::BenchRow& row);

// The floors of `thresholds` as a TOML text with other numbers: what the newest night of `series`
// showed at the least, less a tenth. A floor that holds nothing stays as it is.
std::string suggest_floors(const std::vector<Series>& series, const Thresholds& thresholds);

}  // namespace flame::history
