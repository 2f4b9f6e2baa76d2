// Another program that times the same items: one JSON object a line, asked on its stdin, answered
// on its stdout. It lives for the whole run, so that its rounds alternate with ours within seconds.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "bench/session.h"

namespace flame::bench {

// Starts `command` (searched in PATH). Its ways that match one of the globs `ways`, which commas
// separate, take part.
//
// What is asked, and what is answered ("error" instead, where it cannot):
//   {"do": "hello", "compile_seconds": 60}            {"name": "pytorch", "version": "2.11.0"}
//   {"do": "prepare", "item": {...}, "ways": "*", "bytes", "flops"}
//                                  {"ways": ["pytorch_eager"], "left_out": {"pytorch_compile":
//                                  why},
//                                   "deliveries": {"pytorch_eager": [{"written", "view"}, ...]}}
//   {"do": "time", "way", "temperature", "count"}     {"ms": [0.12, ...]}
//   {"do": "judge", "way", "item", "inputs": [path or null], "grad_outputs": [path], "folder"}
//                                  {"results": [{"file", "dtype", "shape"} or null, ...]}
//   {"do": "host", "direction", "calls", "count"}     {"ms": [0.004, ...]}
// bytes, flops: what FLAME moves and does for it. deliveries, which may be left out: of every
// result the bytes that were written for it alone, and whether it is a view of something else.
// compile_seconds: what the whole run leaves for a peer's compiler; 0: no limit.
// Tensors travel as files of their row-major bytes. A program that dies or does not answer within
// `timeout_seconds` is out for the rest of the run; rows say so.
struct ProcessOptions {
  std::vector<std::string> command;
  std::string ways = "*";
  double timeout_seconds = 300;
  double compile_seconds = 0;
};

class PeerProcess;

class ExternalPeers final : public PeerSource {
 public:
  // Throws Error where the program cannot be started, or does not say hello.
  explicit ExternalPeers(const ProcessOptions& options);
  ~ExternalPeers() override;

  std::string describe() const;  // "pytorch 2.11.0"
  std::vector<std::unique_ptr<Contender>> peers(const Workload& workload, Timer& timer) override;
  std::vector<std::unique_ptr<Contender>> host_peers(Direction direction, int calls) override;

 private:
  std::shared_ptr<PeerProcess> process_;
  std::string ways_, name_, version_;
};

}  // namespace flame::bench
