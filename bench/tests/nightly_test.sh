#!/usr/bin/env bash
# .ci/nightly on the simulated device, in parts: each takes up what the last one left, what nobody ran is
# a gap, and one failure is red whatever else passed.
#
#   nightly_test.sh FOLDER_OF_PROGRAMS
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export BIN=$1 DEVICE=sim SECONDS_OF_BENCH=2

# night CODE ARGUMENTS...
night() {
  local want=$1 got=0
  shift
  "$root/.ci/nightly" "$out/night" "$@" >"$out/said" 2>&1 || got=$?
  [ "$got" -eq "$want" ] && return
  echo "FAILED: .ci/nightly $* exits $got, not $want"
  cat "$out/said"
  exit 1
}
says() {
  grep -q "$1" "$out/night/summary.md" && return
  echo "FAILED: the summary does not say $1"
  cat "$out/night/summary.md"
  exit 1
}
small=(--op exp --case 16777216 --temperature cold --direction forward)

night 2 --only nonsense
night 2 --only
night 4 --only canary_backward
says '| canary_backward | pass |'
says '| bench | not run |'
says 'GREEN, WITH GAPS'
night 4 --only bench,record,pages -- "${small[@]}"
says '| canary_backward | pass |'
says '| bench | pass |'
says '| record | not shown |'
[ -s "$out/night/bench/performance.html" ] || { echo "FAILED: no page"; exit 1; }
night 1 --only bench -- --op no_such_op
says '| bench | FAIL |'
says 'RED'
night 1 --only canary_backward
says '| bench | FAIL |'
night 4 --only bench -- "${small[@]}"
says 'GREEN, WITH GAPS'
[ "$(grep -c '^| bench ' "$out/night/summary.md")" -eq 1 ] || { echo "FAILED: a step twice"; exit 1; }
echo "a night in parts is one night"
