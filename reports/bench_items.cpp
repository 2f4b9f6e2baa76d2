#include "reports/bench_items.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace flame::reports {
namespace {

using Key = std::tuple<std::string, std::string, std::string, std::string, std::string, std::string,
                       std::string>;

Key key_of(const BenchRow& r) {
  return {r.op, r.case_name, r.direction, r.dtype, r.sizes, r.compute_mode, r.temperature};
}

std::string name_of(const BenchRow& row) {
  return row.implementation.substr(0, row.implementation.find('_'));
}

bool is_probe(const BenchRow& row) { return row.op == records::kRoofOp || row.op == kProbeOp; }

// What the L2 may still hold is small beside the bytes of a cold row: above the datasheet's rate
// the work was not done.
bool beyond_the_card(const BenchRow& row) {
  return row.temperature == "cold" &&
         (row.share_datasheet_bandwidth > 1 || row.share_datasheet_flops > 1);
}

bool other_work(const BenchRow& way, const BenchRow& ours) {
  return way.view != ours.view || (!way.view && beyond_the_card(way));
}

void settle(BenchItem& item) {
  const BenchRow& ours = *item.flame;
  const auto faster = [&](const BenchRow* a, const BenchRow* b) {
    const auto rank = [&](const BenchRow& r) {
      return std::tuple(other_work(r, ours), r.ratio < 0, r.ratio, r.median_us);
    };
    return rank(*a) < rank(*b);
  };
  // Written so that NaN is no proof of being exact.
  const auto exact = [](double r) { return r <= 1; };
  for (Peer& peer : item.peers) {
    for (const BenchRow* way : peer.ways)
      if (way->samples > 0 && (!peer.best || faster(way, peer.best))) peer.best = way;
    if (!peer.best) continue;
    peer.less_exact = !exact(peer.best->r) && exact(ours.r);
    peer.other_work = other_work(*peer.best, ours);
  }
}

// "unary" of "unary_forward<Exp,*>": the family of kernels that does the op's work.
std::string family_of(const records::OpInfo& op) {
  for (const std::string& kernel : op.kernels) {
    const std::string name = kernel.substr(0, kernel.find_first_of("_<*"));
    if (!name.empty()) return name;
  }
  return op.kind;
}

void add_roof(BenchItems& out, const BenchRow& row) {
  if (row.op == kProbeOp && row.flops <= 0) {
    if (row.samples == 0) return;
    const BenchRow*& best = out.sizes[row.bytes][row.case_name];
    if (!best || row.median_us < best->median_us) best = &row;
    return;
  }
  out.probes.push_back(&row);
  if (row.samples == 0 || (row.flops <= 0 && row.bytes <= 0)) return;
  const Roof candidate{row.case_name, &row};
  for (Roof& roof : out.roofs) {
    if (roof.name != candidate.name) continue;
    if (candidate.value() > roof.value()) roof = candidate;
    return;
  }
  out.roofs.push_back(candidate);
}

int order_of(const std::string& roof) {
  const auto* found = std::find(std::begin(kRoofNames), std::end(kRoofNames), roof);
  return int(found - std::begin(kRoofNames));
}

// In the manifest's order; what only rows mention follows.
void order_ops(BenchItems& out, const BenchRun& run) {
  std::vector<std::string> order;
  for (const records::OpInfo& op : run.manifest.ops) {
    order.push_back(op.name);
    out.families[op.name] = family_of(op);
  }
  for (const BenchItem& item : out.items) order.push_back(item.flame->op);
  for (const std::string& op : order) {
    const bool there = std::any_of(out.items.begin(), out.items.end(),
                                   [&](const BenchItem& i) { return i.flame->op == op; });
    if (there && std::find(out.ops.begin(), out.ops.end(), op) == out.ops.end())
      out.ops.push_back(op);
  }
  std::stable_sort(out.items.begin(), out.items.end(), [&](const BenchItem& a, const BenchItem& b) {
    const auto place = [&](const BenchItem& i) {
      return std::find(out.ops.begin(), out.ops.end(), i.flame->op) - out.ops.begin();
    };
    return place(a) < place(b);
  });
}

}  // namespace

const char* Peer::standing() const {
  if (!best || other_work || less_exact) return "doubtful";
  if (best->ratio_max < 1) return "slower";
  return best->ratio_min > 1 ? "faster" : "even";
}

const Peer* BenchItem::fastest() const {
  const Peer* out = nullptr;
  for (const Peer& peer : peers)
    if (peer.compared() && (!out || peer.best->ratio < out->best->ratio)) out = &peer;
  return out;
}

const Roof* BenchItems::roof(const std::string& name) const {
  for (const Roof& r : roofs)
    if (r.name == name) return &r;
  return nullptr;
}

Share BenchItems::share_of(const BenchRow& row) const {
  Share out;
  const auto consider = [&](const char* name, double least_us) {
    if (least_us / row.median_us > out.value) out = {name, least_us / row.median_us};
  };
  const Roof *copy = roof(records::kRoofCopy), *read = roof(records::kRoofRead);
  if (row.bytes > 0 && copy) {
    const double alone = row.bytes - 2 * row.written;  // read beyond what is written
    if (read && row.written >= 0 && alone > 0) {
      consider(alone > 2 * row.written ? records::kRoofRead : records::kRoofCopy,
               2 * row.written / copy->value() * 1e-3 + alone / read->value() * 1e-3);
    } else {
      consider(records::kRoofCopy, row.bytes / copy->value() * 1e-3);
    }
  }
  const char* gemm = row.compute_mode == "tf32"                          ? "gemm_tf32"
                     : row.dtype == "bfloat16" || row.dtype == "float16" ? records::kRoofGemmBf16
                     : row.dtype == "float32"                            ? records::kRoofGemmF32
                                                                         : "";
  if (const Roof* r = roof(gemm); r && row.flops > 0) consider(gemm, row.flops / r->value() * 1e-6);
  return out;
}

BenchItems collect_items(const BenchRun& run) {
  BenchItems out;
  std::map<Key, BenchItem> by_key;
  std::vector<Key> order;
  for (const BenchRow& row : run.rows) {
    if (is_probe(row)) {
      add_roof(out, row);
      continue;
    }
    if (row.samples == 0) out.failed.push_back(&row);
    const auto [it, fresh] = by_key.try_emplace(key_of(row));
    if (fresh) order.push_back(it->first);
    if (row.implementation == "flame") {
      it->second.flame = &row;
      continue;
    }
    const std::string name = name_of(row);
    if (std::find(out.peers.begin(), out.peers.end(), name) == out.peers.end())
      out.peers.push_back(name);
    std::vector<Peer>& peers = it->second.peers;
    auto peer =
        std::find_if(peers.begin(), peers.end(), [&](const Peer& p) { return p.name == name; });
    if (peer == peers.end()) peer = peers.insert(peers.end(), Peer{name, nullptr, {}});
    peer->ways.push_back(&row);
  }
  std::vector<std::string> of_ops;
  for (const Key& key : order) {
    BenchItem item = by_key[key];
    // A peer's row without ours compares nothing.
    if (!item.flame || item.flame->samples == 0) continue;
    settle(item);
    // A view moves 0 bytes; what is not counted at all is the host's.
    const bool on_host = item.flame->bytes < 0 && item.flame->flops < 0;
    if (!on_host)
      for (const Peer& p : item.peers)
        if (std::find(of_ops.begin(), of_ops.end(), p.name) == of_ops.end())
          of_ops.push_back(p.name);
    (on_host ? out.host : out.items).push_back(std::move(item));
  }
  out.peers = of_ops;
  std::stable_sort(out.roofs.begin(), out.roofs.end(), [](const Roof& a, const Roof& b) {
    return order_of(a.name) < order_of(b.name);
  });
  order_ops(out, run);
  return out;
}

const char* other_work_words(const BenchItem& item) {
  return item.flame->view ? " writes" : " a view";
}

double spread_of(const BenchRow& row) { return (row.q3_us - row.q1_us) / 2 / row.median_us; }

std::string peer_title(const std::string& name) {
  static const std::map<std::string, std::string> titles{
      {"pytorch", "PyTorch"}, {"cublaslt", "cuBLASLt"}, {"cub", "CUB"}, {"cudnn", "cuDNN"}};
  const auto found = titles.find(name);
  return found == titles.end() ? name : found->second;
}

std::string way_of(const BenchRow& row) {
  const std::size_t cut = row.implementation.find('_');
  return cut == std::string::npos ? "" : row.implementation.substr(cut + 1);
}

std::string roof_title(const std::string& name) {
  return name.starts_with("gemm_") ? name.substr(5) : name;
}

const std::string& type_of(const BenchRow& row) {
  return row.compute_mode == "tf32" ? row.compute_mode : row.dtype;
}

void Ratios::add(double ratio) {
  least = count == 0 ? ratio : std::min(least, ratio);
  most = count == 0 ? ratio : std::max(most, ratio);
  log_sum_ += std::log(ratio);
  ++count;
  mean = std::exp(log_sum_ / count);
}

Ratios ratios_of(const BenchItems& items, const std::string& op, const std::string& direction) {
  Ratios out;
  for (const BenchItem& item : items.items) {
    if (item.flame->op != op || item.flame->direction != direction) continue;
    if (const Peer* peer = item.fastest()) out.add(peer->best->ratio);
  }
  return out;
}

}  // namespace flame::reports
