#include "reports/history/thresholds.h"

#include <toml++/toml.h>
#include <algorithm>
#include <array>

#include "lib/core/error.h"
#include "lib/core/glob.h"

namespace flame::history {
namespace {

using Pattern = std::pair<const char*, std::string Floor::*>;
constexpr std::array<Pattern, 7> kPatterns{{{"op", &Floor::op},
                                            {"case", &Floor::case_name},
                                            {"direction", &Floor::direction},
                                            {"dtype", &Floor::dtype},
                                            {"compute_mode", &Floor::compute_mode},
                                            {"temperature", &Floor::temperature},
                                            {"gpu", &Floor::gpu}}};
using Text = std::pair<const char*, std::string Floor::*>;
constexpr std::array<Text, 2> kTexts{{{"peer", &Floor::peer}, {"because", &Floor::because}}};
using Limit = std::pair<const char*, double Floor::*>;
constexpr std::array<Limit, 9> kLimits{{{"min_share_copy", &Floor::min_share_copy},
                                        {"min_share_read", &Floor::min_share_read},
                                        {"min_share_gemm_bf16", &Floor::min_share_gemm_bf16},
                                        {"min_share_gemm_f32", &Floor::min_share_gemm_f32},
                                        {"min_gbps", &Floor::min_gbps},
                                        {"min_tflops", &Floor::min_tflops},
                                        {"max_us", &Floor::max_us},
                                        {"min_ratio", &Floor::min_ratio},
                                        {"min_mean_ratio", &Floor::min_mean_ratio}}};

[[noreturn]] void refuse(const std::string& path, const toml::source_region& at,
                         const std::string& why) {
  throw FileError(str_cat(path, ":", at.begin.line, ": ", why));
}

template <class List>
auto* find(const List& list, const std::string& name) {
  for (const auto& item : list)
    if (name == item.first) return &item;
  return static_cast<decltype(&*list.begin())>(nullptr);
}

double positive(const std::string& path, const std::string& name, const toml::node& node) {
  const auto value = node.value<double>();
  if (!node.is_number() || !(*value > 0)) refuse(path, node.source(), name + " is not positive");
  return *value;
}

std::string text_of(const std::string& path, const std::string& name, const toml::node& node) {
  const auto text = node.value_exact<std::string>();
  if (!text) refuse(path, node.source(), name + " is not a string");
  return *text;
}

Explanation read_explanation(const std::string& path, const toml::table& table) {
  Explanation out;
  for (const auto& [key, node] : table) {
    const std::string name(key.str());
    if (const Pattern* pattern = find(kPatterns, name))
      out.rows.*pattern->second = text_of(path, name, node);
    else if (name == "because")
      out.because = text_of(path, name, node);
    else
      refuse(path, node.source(), "unknown key \"" + name + "\"");
  }
  if (out.because.empty()) refuse(path, table.source(), "an explanation without \"because\"");
  if (out.rows.op.empty()) refuse(path, table.source(), "an explanation without \"op\"");
  return out;
}

Floor read_floor(const std::string& path, const toml::table& table, bool target) {
  Floor floor;
  floor.target = target;
  bool limited = false;
  for (const auto& [key, node] : table) {
    const std::string name(key.str());
    if (const Pattern* pattern = find(kPatterns, name)) {
      floor.*pattern->second = text_of(path, name, node);
    } else if (const Text* text = find(kTexts, name)) {
      floor.*text->second = text_of(path, name, node);
    } else if (const Limit* limit = find(kLimits, name)) {
      floor.*limit->second = positive(path, name, node);
      limited = true;
    } else if (name == "least_bytes") {
      floor.least_bytes = positive(path, name, node);
    } else {
      refuse(path, node.source(), "unknown key \"" + name + "\"");
    }
  }
  if (!limited) refuse(path, table.source(), "a floor without a limit");
  if (floor.because.empty()) refuse(path, table.source(), "a floor without \"because\"");
  if (floor.wants_peer() == floor.peer.empty())
    refuse(path, table.source(), "\"peer\" goes with \"min_ratio\" or \"min_mean_ratio\"");
  return floor;
}

}  // namespace

bool Floor::names(const records::BenchRow& row) const {
  const std::pair<const std::string*, const std::string*> pairs[] = {
      {&op, &row.op},       {&case_name, &row.case_name},       {&direction, &row.direction},
      {&dtype, &row.dtype}, {&compute_mode, &row.compute_mode}, {&temperature, &row.temperature},
      {&gpu, &row.gpu}};
  for (const auto& [pattern, text] : pairs)
    if (!pattern->empty() && !glob_match(*pattern, *text)) return false;
  return true;
}

bool Floor::matches(const records::BenchRow& row) const {
  if (!names(row)) return false;
  // What was not measured is held; what moves nothing, being a view, is held to no rate.
  if (row.samples == 0) return true;
  return (least_bytes == 0 || row.bytes >= least_bytes) && !(row.view && row.bytes == 0);
}

namespace {

// What a launch and its tail cost every kernel of this size is no kernel's fault.
std::string of_same_size(const records::BenchRow& row) {
  if (row.share_same_size <= 0) return "";
  return str_cat("; ", row.share_same_size, " of a ", row.written == 0 ? "read" : "copy",
                 " of as many bytes");
}

}  // namespace

std::string Floor::missed_by(const records::BenchRow& row, double ratio) const {
  if (row.samples == 0) return "not measured: " + row.reason;
  const std::tuple<const char*, double, double> lower[] = {
      {"share of copy", min_share_copy, row.share_copy},
      {"share of read", min_share_read, row.share_read},
      {"share of the bf16 GEMM", min_share_gemm_bf16, row.share_gemm_bf16},
      {"share of the f32 GEMM", min_share_gemm_f32, row.share_gemm_f32},
      {"GB/s", min_gbps, row.gbps()},
      {"TFLOP/s", min_tflops, row.tflops()}};
  for (const auto& [what, limit, value] : lower)
    if (limit > 0 && !(value >= limit))
      return str_cat(what, " is ", value, ", at least ", limit, of_same_size(row));
  if (min_ratio > 0 && !(ratio >= min_ratio))
    return str_cat("the fastest of ", peer, " takes ", ratio, " times as long, at least ",
                   min_ratio);
  if (max_us > 0 && !(row.median_us <= max_us))
    return str_cat(row.median_us, " us, at most ", max_us);
  return "";
}

std::string Floor::name() const {
  std::string out;
  for (const auto& [key, member] : kPatterns)
    if (!(this->*member).empty()) out += (out.empty() ? "" : " ") + this->*member;
  if (!peer.empty()) out += (out.empty() ? "" : " ") + peer;
  return out.empty() ? "everything" : out;
}

const Explanation* Thresholds::explanation_of(const records::BenchRow& row) const {
  const auto found = std::find_if(explanations.begin(), explanations.end(),
                                  [&](const Explanation& e) { return e.rows.names(row); });
  return found == explanations.end() ? nullptr : &*found;
}

Thresholds read_thresholds(const std::string& path) {
  Thresholds out;
  try {
    const toml::table file = toml::parse_file(path);
    for (const auto& [key, node] : file) {
      const toml::array* list = node.as_array();
      const bool target = key.str() == "target", explanation = key.str() == "explanation";
      if ((key.str() != "floor" && !target && !explanation) || !list)
        refuse(path, node.source(),
               "only [[floor]], [[target]] and [[explanation]] tables are known, not \"" +
                   std::string(key.str()) + "\"");
      for (const toml::node& item : *list) {
        if (!item.is_table())
          refuse(path, item.source(), "a " + std::string(key.str()) + " is not a table");
        if (explanation)
          out.explanations.push_back(read_explanation(path, *item.as_table()));
        else
          out.floors.push_back(read_floor(path, *item.as_table(), target));
      }
    }
  } catch (const toml::parse_error& e) {
    throw FileError(str_cat(path, ":", e.source().begin.line, ": ", e.description()));
  }
  return out;
}

}  // namespace flame::history
