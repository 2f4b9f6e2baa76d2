// How FLAME stands against each peer over a run: per item the faster of the peer's ways is the one
// that is compared with.
#pragma once
#include <iosfwd>
#include <map>
#include <string>
#include <vector>

#include "bench/session.h"

namespace flame::bench {

class Standing {
 public:
  // The rows of one item. Ways of one peer share their name up to the first '_' ("pytorch_eager",
  // "pytorch_compile"). Only cold rows count; who passes on a view has done other work than who
  // writes, and is counted apart.
  void take(const std::vector<Row>& rows);
  // A line a probe that a row was faster than: it is no roof then, whatever shares say.
  // A line a peer: items, the geometric mean of its time over FLAME's, where FLAME is slower.
  void print(std::ostream& out) const;

 private:
  struct Against {
    std::vector<std::pair<double, std::string>> ratios;  // with the item's name
    int views = 0;
  };
  struct Beating {
    int rows = 0;
    double most = 0;
    std::string by;
  };
  void take_beaten(const Row& row);
  std::map<std::string, Against> peers_;
  std::map<std::string, Beating> beaten_;
};

}  // namespace flame::bench
