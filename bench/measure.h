// Timing several ways of doing one thing, interleaved in one run, so that whatever the machine does
// meanwhile it does to all of them.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/samples.h"
#include "bench/timer.h"

namespace flame::bench {

// What a judge said of a contender's result.
struct Judged {
  double r = -1;       // worst |got - want| / bound; -1: not judged
  std::string where;   // "output[3, 7]"
  std::string reason;  // why it failed, or was not judged
  std::string inputs;  // what it was judged on: "rows 0 to 3 of the same product"
};

// How one result was delivered: a view lies where something given lies, or is spread from less.
struct Delivery {
  double written = 0;  // bytes of its own
  bool view = false;
};

// One way of doing an item.
class Contender {
 public:
  virtual ~Contender() = default;
  virtual std::string name() const = 0;  // "flame", "cublaslt", "pytorch_compile"
  // `count` timings in ms. Throws Error: the contender is then left out, with the reason.
  virtual std::vector<double> time(Temperature temperature, int count) = 0;
  virtual Judged judge() { return {}; }
  // The outputs, or the gradients in the order of the inputs that get one; nothing: all written.
  virtual std::vector<Delivery> deliveries() const { return {}; }
};

// A contender in this process.
class LocalContender final : public Contender {
 public:
  LocalContender(std::string name, Timer& timer, std::function<void()> work,
                 std::function<Judged()> judge = {})
      : name_(std::move(name)), timer_(timer), work_(std::move(work)), judge_(std::move(judge)) {}
  std::string name() const override { return name_; }
  std::vector<double> time(Temperature temperature, int count) override;
  Judged judge() override { return judge_ ? judge_() : Judged{}; }

 private:
  std::string name_;
  Timer& timer_;
  std::function<void()> work_;
  std::function<Judged()> judge_;
};

struct Series {
  std::string name;
  std::vector<double> samples;  // ms, in the order taken
  std::vector<double> rounds;   // each round's median
  Summary summary;              // of the samples
  std::string problem;          // why it was left out; then there are no samples
};

// Rounds of A B ... and ... B A, `visit` samples at each stop, until every contender satisfies the
// rule and there were `least_rounds` (one contender alone needs no more than the rule). The rule's
// seconds are for all contenders together: where `least_rounds` of whole visits do not fit into
// them, visits get shorter after the first round. Times are taken after one visit that is thrown
// away. The first contender is ours: its errors are thrown, those of others end up in `problem`.
struct Interleaving {
  StopRule rule;
  int visit = 3;
  int least_rounds = 5;
  std::function<double()> seconds = {};  // a clock; the steady one when empty
};
std::vector<Series> interleave(const std::vector<Contender*>& contenders, Temperature temperature,
                               const Interleaving& how);

}  // namespace flame::bench
