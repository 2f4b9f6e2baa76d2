// One bench run on one device: probes first, then items as they are asked for, every figure with
// the state of the clock it was taken under.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/measure.h"
#include "bench/monitor.h"
#include "bench/plan.h"
#include "bench/roofs.h"
#include "bench/workload.h"
#include "reports/bench_record.h"

namespace flame::bench {

// One implementation's figures for one item at one temperature; or a probe's (op kRoofOp), or what
// a small op costs the host (op kHostOp).
struct Row {
  std::string op, case_name, dtype, compute_mode, direction, temperature, sizes;
  std::string implementation;  // "flame", "cublaslt", "pytorch_eager", ...
  std::string problem;         // why there are no figures
  std::string impossible;      // what makes them untrue
  Series series;               // ms
  Traffic traffic;
  // Of the least time that this run's probes, or the datasheet, allow.
  std::optional<double> share_of_roof, share_of_datasheet;
  std::optional<double> share_of_same_size;  // of a copy, read or fill of as many bytes; cold rows
  std::optional<Beaten> beaten;              // cold rows
  std::optional<Ratio> ratio;  // this peer's time over FLAME's; nothing for FLAME itself
  Judged judged;
  std::optional<Reading> before, after;

  bool measured() const { return series.summary.count > 0; }
  double gigabytes_per_second() const;
  double teraflops() const;
};

using records::kHostOp;

// Makes what an item is compared with. Implementations: bench/peers.
class PeerSource {
 public:
  virtual ~PeerSource() = default;
  // The peers that can do the item; none is an answer. `workload` and `timer` outlive them.
  virtual std::vector<std::unique_ptr<Contender>> peers(const Workload& workload, Timer& timer) = 0;
  // What the host pays for an add of one element, per call; times are not the device's.
  virtual std::vector<std::unique_ptr<Contender>> host_peers(Direction, int /*calls*/) {
    return {};
  }
};

// Where a run's wall time went.
struct Spent {
  double preparing = 0;  // inputs, peers' inputs and compilers, search among algorithms
  double judging = 0;
  double timing = 0;
};

struct SessionOptions {
  StopRule rule;
  double seconds = 0;  // for the whole run; 0: what the rule gives every item
  std::vector<Temperature> temperatures{Temperature::kCold, Temperature::kHot};
  std::size_t displace_bytes = 0;  // 0: more than three times the L2
  RoofSizes roof_sizes;
  int host_calls = 500;
  // A canary for the detector of regressions: FLAME's work is followed by a wait of this share of
  // its time, on the device. 0.1: a kernel a tenth slower.
  double planted_slowness = 0;
};
// Small enough for the simulated device.
SessionOptions for_simulator(SessionOptions options);

class Session {
 public:
  Session(const Device& device, const SessionOptions& options);

  void add_peers(std::unique_ptr<PeerSource> source) { sources_.push_back(std::move(source)); }

  // The probes and the host's costs. Once, first.
  std::vector<Row> begin();
  // FLAME's rows and its peers' for one item. Throws Error where FLAME itself fails. `items_left`:
  // how many are still to come, this one included: what is left of the run's seconds is shared out.
  std::vector<Row> run(const Item& item, std::size_t items_left);

  const Spent& spent() const { return spent_; }
  // What a cold sample of nothing takes of wall time: the least that any sample does.
  double seconds_a_sample();
  const Roofs& roofs() const { return roofs_; }
  const std::string& monitor_problem() const { return monitor_problem_; }
  const Datasheet* datasheet() const { return datasheet_; }
  const Device& device() const { return device_; }
  bool simulated() const { return device_.info().kind == driver::Kind::kSimulated; }

 private:
  std::function<void()> work_of(Workload& workload);
  StopRule rule_for(std::size_t items_left) const;
  void add_roof_rows(std::vector<Row>& out);
  void add_host_rows(std::vector<Row>& out);
  Row row_of(const Item& item, Temperature temperature, const Traffic& traffic,
             Series series) const;
  void measure(const Item& item, const Workload& workload, const std::vector<Contender*>& all,
               const std::vector<Judged>& judged, const StopRule& rule, std::vector<Row>& out);

  Device device_;
  SessionOptions options_;
  Probes probes_;
  DeviceTimer timer_;
  std::string monitor_problem_;
  std::unique_ptr<Monitor> monitor_;
  const Datasheet* datasheet_;
  Roofs roofs_;
  std::vector<std::unique_ptr<PeerSource>> sources_;
  Spent spent_;
  std::size_t items_run_ = 0;
  double began_;
};

// The least that a run of so many items takes, about: ten samples of every figure, of FLAME's and
// of two ways of each program beside it; and what such a program takes to get ready.
double least_seconds(std::size_t items, std::size_t temperatures, std::size_t programs,
                     double seconds_a_sample, const StopRule& rule);

}  // namespace flame::bench
