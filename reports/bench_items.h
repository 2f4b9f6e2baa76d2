// A bench run as its page sees it: every measurement of FLAME's beside the peers that did the same
// work in the same run. Points into the run, which must outlive it.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "reports/bench_record.h"

namespace flame::reports {

using records::BenchRow;
using records::BenchRun;

// One program and all the ways in which it did the work. The fastest way is the one compared with.
struct Peer {
  std::string name;                // "pytorch": what stands before the first '_' of the way's name
  const BenchRow* best = nullptr;  // null: no way was measured
  std::vector<const BenchRow*> ways;
  // Its output is outside of the judge's bound and FLAME's is not: part of its speed is its error.
  bool less_exact = false;
  // Its result is a view where FLAME's is written, or the other way round: other work was done, of
  // which times say nothing. Records that do not say so show it by a rate beyond the card's.
  bool other_work = false;
  // FLAME against its best way: "faster" or "slower" where every round says so, "even" where rounds
  // differ, "doubtful" where it did not do the same work. A CSS class.
  const char* standing() const;
  bool compared() const { return best && best->ratio > 0 && !other_work; }
};

// One op, case, direction and type.
struct BenchItem {
  const BenchRow* flame = nullptr;
  std::vector<Peer> peers;
  // The peer that a user would pick: of those compared, the fastest. Null without any.
  const Peer* fastest() const;
};

// What the device itself reached in this run; at most one of a name, the fastest that was measured.
struct Roof {
  std::string name;  // "copy", "read", "gemm_bf16", "gemm_tf32", "gemm_f32"
  const BenchRow* row = nullptr;
  bool arithmetic() const { return row->flops > 0; }
  double value() const { return arithmetic() ? row->tflops() : row->gbps(); }
};

// The roof that a row comes nearest to, and the least time that it allows over the row's time. What
// is written costs as much as in a copy, together with as many bytes that are read; what is read
// beyond that, as in reading alone. Where a record does not say what is written: all as in a copy.
struct Share {
  std::string roof;  // empty: the run has no roof that applies
  double value = -1;
};

struct BenchItems {
  std::vector<BenchItem> items;         // ops with bytes or operations to count
  std::vector<BenchItem> host;          // times of the host: nothing of the device to compare with
  std::vector<Roof> roofs;              // in the order of kRoofNames
  std::vector<const BenchRow*> probes;  // every row of the roofs
  // Copies, reads and fills of less, by bytes moved: of each size the fastest.
  std::map<double, std::map<std::string, const BenchRow*>> sizes;
  std::vector<const BenchRow*> failed;          // not measured, and why
  std::vector<std::string> ops;                 // of `items`, in the manifest's order
  std::map<std::string, std::string> families;  // op: the kernels it runs ("reduce")
  std::vector<std::string> peers;               // in the order of the records
  const Roof* roof(const std::string& name) const;
  Share share_of(const BenchRow& row) const;
};

inline constexpr const char* kRoofNames[] = {"copy", "read", "gemm_bf16", "gemm_tf32", "gemm_f32"};
using records::kProbeOp;

BenchItems collect_items(const BenchRun& run);

// What a peer that did other work did instead: " a view", or " writes" where FLAME passes a view.
const char* other_work_words(const BenchItem& item);
// Half of the middle half's width, over the median: "+- 0.12 %".
double spread_of(const BenchRow& row);
// "PyTorch" of "pytorch"; the name itself of one that is not known.
std::string peer_title(const std::string& name);
// "eager" of "pytorch_eager"; "" of "cublaslt".
std::string way_of(const BenchRow& row);
// "copy", "bf16", "tf32", "f32".
std::string roof_title(const std::string& name);
// "float32", or "tf32" where it multiplies in less than it stores.
const std::string& type_of(const BenchRow& row);

// Of ratios: the factor that is typical, and the range. count 0: none.
struct Ratios {
  double mean = -1, least = -1, most = -1;
  int count = 0;
  void add(double ratio);

 private:
  double log_sum_ = 0;
};
// FLAME against the fastest peer, over the items of `op` and `direction`.
Ratios ratios_of(const BenchItems& items, const std::string& op, const std::string& direction);

}  // namespace flame::reports
