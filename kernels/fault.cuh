// How a kernel says that data was wrong: the host reads the word at its next synchronisation.
#pragma once
#include "prelude.cuh"

namespace dev {

inline constexpr unsigned long long kIndexOutOfRange = 1, kFaultLocked = 2;

// Records an index outside [0, limit) at a position of the index tensor. Of many, the one at the
// lowest position stays, whatever the order of threads: `code` doubles as a lock on the other
// words.
__device__ __forceinline__ void report_fault(flame_params::FaultWord* word, long long value,
                                             long long limit, long long position) {
  using Word = unsigned long long;
  Word* const at = reinterpret_cast<Word*>(&word->position);
  bool done = false;
  while (!done) {
    const Word before = atomicExch(&word->code, kFaultLocked);
    if (before == kFaultLocked) continue;
    if (before == 0 || position < (long long)atomicAdd(at, Word(0))) {
      atomicExch(reinterpret_cast<Word*>(&word->value), Word(value));
      atomicExch(reinterpret_cast<Word*>(&word->limit), Word(limit));
      atomicExch(at, Word(position));
    }
    __threadfence();
    atomicExch(&word->code, kIndexOutOfRange);
    done = true;
  }
}

}  // namespace dev
