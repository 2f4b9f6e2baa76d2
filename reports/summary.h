// What the records of a run add up to. Every number of every page comes from here; nothing here is
// typed in, and nothing knows an op by name.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "reports/record.h"

namespace flame::reports {

using records::Kill;
using records::Record;
using records::Run;

// NaN is worse than anything; -1 (no such number) is better than anything.
bool worse(double r, double than);

// Verdicts counted, and the worst of them.
struct Tally {
  std::int64_t passed = 0, failed = 0, not_run = 0, compared = 0;
  double ms = 0;
  const Record* worst = nullptr;    // largest r among those that have one
  const Record* failure = nullptr;  // first that failed
  const Record* first_not_run = nullptr;

  void add(const Record& record);
  std::int64_t total() const { return passed + failed + not_run; }
  std::int64_t ran() const { return passed + failed; }
  double worst_r() const { return worst ? worst->r : -1; }
};

// How the run stands. kPass needs every planned check recorded and passed; kIncomplete: it had not
// ended when it was read, or was killed.
enum class State : unsigned char { kPass, kHoles, kEmpty, kFail, kIncomplete };
// "pass", "pass with holes", "empty", "fail", "incomplete"
const char* to_string(State state);
const char* style_of(State state);  // the page's class: "pass", "holes", "empty", "fail"

struct KillTally {
  std::int64_t killed = 0, survived = 0, not_worn = 0;
  // Of the four other judges, in the order of kJudges: how often each said "missed" and "caught".
  std::int64_t missed[4] = {}, caught[4] = {};
  void add(const Kill& kill);
  std::int64_t worn() const { return killed + survived; }
};
inline constexpr const char* kJudges[] = {"allclose", "ggml NMSE", "JAX scaled", "sum loss"};

// Kernels of one template: what could be launched and what was seen.
struct KernelFamily {
  std::string name;                    // "unary_forward"
  bool exported = false;               // false: a vendor library's, or a name nobody exported
  std::vector<std::string> witnessed;  // expressions
  std::vector<std::string> unseen;     // exported, never witnessed
  std::int64_t records = 0;            // checks in which one of them was seen
};

// Checks that were not run for one reason.
struct Hole {
  std::string reason;
  std::int64_t count = 0;
  std::vector<std::string> ops, checks;
};

// Points into the run it was made from, which must outlive it.
struct Summary {
  State state = State::kEmpty;
  Tally all;
  std::int64_t planned = 0, missing = 0;  // missing: planned - recorded, at least 0
  // In the manifest's order; what only records mention follows.
  std::vector<std::string> ops, checks, dtypes, fakes;
  std::map<std::string, Tally> by_op, by_check;
  std::map<std::string, Tally> forward, gradient;  // by op, of checks that measure an r
  std::map<std::tuple<std::string, std::string, std::string>, Tally> cells;  // op, check, dtype
  std::vector<const Record*> failures, worst_gradients;  // the latter: 20 at most
  KillTally kills;
  std::map<std::string, KillTally> kills_by_fake, kills_by_op;
  std::map<std::pair<std::string, std::string>, const Kill*> kill_cells;  // fake, op
  std::vector<const Kill*> survivors;
  std::vector<KernelFamily> kernels;
  std::int64_t exported = 0, exported_witnessed = 0;
  std::vector<Hole> holes;
  std::vector<std::string> ops_without_records;
  bool gpu = false;
  // A GPU, and at least one kernel seen on it by a witness that is not the library itself.
  bool gpu_proof = false;
};

// Checks whose r measures a forward value, or a gradient.
bool is_forward_check(std::string_view check);
bool is_gradient_check(std::string_view check);

Summary summarise(const Run& run);

// "0.31", "2.1e-05", "nan"; "-" for -1.
std::string format_r(double r);
// "12,345".
std::string format_count(std::int64_t n);
// "3.2 ms", "1.4 s", "2 min 5 s".
std::string format_ms(double ms);

}  // namespace flame::reports
