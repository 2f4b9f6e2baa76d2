#include "bench/session.h"

#include <algorithm>
#include <chrono>

#include "bench/host_cost.h"
#include "bench/judging.h"
#include "lib/core/error.h"
#include "lib/tensor/runtime.h"

namespace flame::bench {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The least and the most wall time an item may take of a run with a budget.
constexpr double kLeastSeconds = 0.05;
// What part of a run's seconds one probe may take at most.
constexpr std::size_t kProbeShare = 40;
// What a program beside us takes to get ready for one item: seen with PyTorch on an H200.
constexpr double kSecondsToGetReady = 0.08;
constexpr std::size_t kWaysOfAProgram = 2;

}  // namespace

double Row::gigabytes_per_second() const {
  return measured() ? traffic.bytes() / series.summary.median * 1e-6 : 0;
}
double Row::teraflops() const {
  return measured() ? traffic.flops / series.summary.median * 1e-9 : 0;
}

SessionOptions for_simulator(SessionOptions o) {
  o.displace_bytes = 4096;
  o.roof_sizes = {std::size_t(1) << 14, {16}, 16, {std::size_t(1) << 12, std::size_t(1) << 14}};
  o.host_calls = 5;
  return o;
}

Session::Session(const Device& device, const SessionOptions& options)
    : device_(device.on(device.new_stream())),  // so that libraries can be given its handle
      options_(options),
      probes_(device_, options.displace_bytes),
      timer_(device_, probes_),
      monitor_(open_monitor(device_.info(), &monitor_problem_)),
      datasheet_(simulated() ? nullptr : datasheet_of(device_.info().name)),
      began_(now()) {}

StopRule Session::rule_for(std::size_t items_left) const {
  StopRule rule = options_.rule;
  if (options_.seconds <= 0) return rule;
  const double left = options_.seconds - (now() - began_);
  double share = left / double(std::max<std::size_t>(items_left, 1));
  // What items take beside their timings goes off: as much as it was so far.
  if (items_run_ > 0) share -= (spent_.preparing + spent_.judging) / double(items_run_);
  rule.seconds =
      std::clamp(share / double(options_.temperatures.size()), kLeastSeconds, rule.seconds);
  return rule;
}

std::vector<Row> Session::begin() {
  std::vector<Row> out;
  add_roof_rows(out);
  add_host_rows(out);
  return out;
}

void Session::add_roof_rows(std::vector<Row>& out) {
  const auto before = monitor_->read();
  roofs_ = measure_roofs(device_, probes_, timer_, options_.roof_sizes, rule_for(kProbeShare));
  const auto after = monitor_->read();
  device_.empty_cache();
  for (const Roof& roof : roofs_.probes) {
    Row row{.op = roof.op, .case_name = roof.name, .dtype = roof.dtype};
    row.compute_mode = roof.compute_mode;
    row.direction = to_string(Direction::kForward);
    row.temperature = to_string(Temperature::kCold);
    row.sizes = roof.sizes;
    row.implementation = roof.implementation;
    row.series = roof.series;
    row.traffic = {.flops = roof.flops, .read = roof.bytes};
    row.before = before;
    row.after = after;
    out.push_back(std::move(row));
  }
}

void Session::add_host_rows(std::vector<Row>& out) {
  HostCost host(device_, probes_, options_.host_calls);
  for (const Direction direction : {Direction::kForward, Direction::kForwardBackward}) {
    const auto before = monitor_->read();
    std::vector<Contender*> all = host.contenders(direction != Direction::kForward);
    std::vector<std::unique_ptr<Contender>> peers;
    for (const auto& source : sources_)
      for (auto& peer : source->host_peers(direction, options_.host_calls))
        peers.push_back(std::move(peer));
    for (const auto& peer : peers) all.push_back(peer.get());
    const std::vector<Series> costs =
        interleave(all, Temperature::kHot, {.rule = rule_for(kProbeShare)});
    for (const Series& series : costs) {
      Row row{.op = kHostOp, .case_name = "add_of_one_element", .dtype = "float32"};
      row.compute_mode = row.dtype;
      row.direction = to_string(direction);
      row.temperature = to_string(Temperature::kHot);
      row.sizes = "(1); (1)";
      row.implementation = series.name;
      row.problem = series.problem;
      row.series = series;
      if (&series != &costs[0] && row.measured())
        row.ratio = ratio_of(costs[0].rounds, series.rounds);
      row.before = before;
      row.after = monitor_->read();
      out.push_back(std::move(row));
    }
  }
}

Row Session::row_of(const Item& item, Temperature temperature, const Traffic& traffic,
                    Series series) const {
  Row row{.op = std::string(item.op->name), .case_name = item.bench_case.name};
  row.dtype = name(item.dtype);
  row.compute_mode = item.compute_mode();
  row.direction = to_string(item.direction);
  row.temperature = to_string(temperature);
  row.sizes = item.sizes();
  row.implementation = series.name;
  row.problem = series.problem;
  row.traffic = traffic;
  row.series = std::move(series);
  if (!row.measured() || simulated()) return row;
  const double ms = row.series.summary.median;
  std::optional<Limits> sheet;
  if (datasheet_) sheet = datasheet_limits(*datasheet_, item.dtype, item.tf32);
  const Limits measured = measured_limits(roofs_, item.dtype, item.tf32);
  row.share_of_roof = share_of(measured, traffic, ms);
  if (sheet) row.share_of_datasheet = share_of(*sheet, traffic, ms);
  if (temperature == Temperature::kCold) {
    row.share_of_same_size = share_of_same_size(roofs_, traffic, ms);
    row.beaten = beaten_probe(measured, traffic, ms, row.series.summary.spread,
                              device_.info().l2_bytes, product_probe(item.dtype, item.tf32));
  }
  row.impossible = impossible(traffic, row.series.summary.min, temperature, device_.info().l2_bytes,
                              measured, sheet);
  return row;
}

void Session::measure(const Item& item, const Workload& workload,
                      const std::vector<Contender*>& all, const std::vector<Judged>& judged,
                      const StopRule& rule, std::vector<Row>& out) {
  for (const Temperature temperature : options_.temperatures) {
    const auto before = monitor_->read();
    std::vector<Series> series = interleave(all, temperature, {.rule = rule});
    const auto after = monitor_->read();
    const std::vector<double> ours = series[0].rounds;
    for (std::size_t i = 0; i < series.size(); ++i) {
      const Traffic traffic =
          i == 0 ? workload.traffic() : workload.traffic_of(all[i]->deliveries());
      Row row = row_of(item, temperature, traffic, std::move(series[i]));
      if (i > 0 && row.measured()) row.ratio = ratio_of(ours, row.series.rounds);
      row.judged = judged[i];
      row.before = before;
      row.after = after;
      out.push_back(std::move(row));
    }
  }
}

std::function<void()> Session::work_of(Workload& workload) {
  const auto run = [&workload] { workload.run(); };
  if (options_.planted_slowness <= 0) return run;
  std::vector<double> ms;
  for (int i = 0; i < 9; ++i) ms.push_back(timer_.time(run, Temperature::kCold));
  const double extra_us = options_.planted_slowness * summarise(ms).median * 1e3;
  return [this, &workload, extra_us] {
    workload.run();
    probes_.spin(extra_us);
  };
}

double Session::seconds_a_sample() {
  constexpr int kSamples = 10;
  timer_.time([] {}, Temperature::kCold);
  const double begin = now();
  for (int i = 0; i < kSamples; ++i) timer_.time([] {}, Temperature::kCold);
  return (now() - begin) / kSamples;
}

double least_seconds(std::size_t items, std::size_t temperatures, std::size_t programs,
                     double seconds_a_sample, const StopRule& rule) {
  const std::size_t contenders = 1 + kWaysOfAProgram * programs;
  const double timing = double(temperatures * contenders) * double(rule.least) * seconds_a_sample;
  return double(items) * (timing + double(programs) * kSecondsToGetReady);
}

std::vector<Row> Session::run(const Item& item, std::size_t items_left) {
  const double begin = now();
  device_.set_allow_tf32(item.tf32);
  Workload workload(device_, item);
  LocalContender ours("flame", timer_, work_of(workload));
  std::vector<std::unique_ptr<Contender>> peers;
  for (const auto& source : sources_)
    for (auto& peer : source->peers(workload, timer_)) peers.push_back(std::move(peer));
  std::vector<Contender*> all{&ours};
  std::vector<Judged> judged(1);
  const double prepared = now();
  // Who is faster by being less exact is shown as such: then FLAME is judged beside it.
  if (!peers.empty()) judged[0] = judge_flame(device_, item);
  for (const auto& peer : peers) {
    all.push_back(peer.get());
    judged.push_back(peer->judge());
  }
  const double ready = now();
  ++items_run_;
  spent_.preparing += prepared - begin;
  spent_.judging += ready - prepared;
  std::vector<Row> out;
  measure(item, workload, all, judged, rule_for(items_left), out);
  spent_.timing += now() - ready;
  device_.set_allow_tf32(false);
  return out;
}

}  // namespace flame::bench
