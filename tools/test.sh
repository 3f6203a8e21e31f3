#!/usr/bin/env bash
# Runs every test of the workspace: units, shaders, plans, operators on the GPU, models, examples, documentation.
# Arguments go to `cargo test`, for instance `tools/test.sh --test ops conv`. MACULA_DEVICE picks the GPU.
# The last line is the sum over all test binaries: "N passed, N failed".
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh

export RUST_BACKTRACE="${RUST_BACKTRACE:-1}"
[ -z "${CI:-}" ] || export CARGO_TERM_COLOR=never

# A driver that hangs must not hang the tests for ever.
watchdog=()
if command -v timeout >/dev/null; then
    watchdog=(timeout --kill-after=30 "${TEST_TIMEOUT:-30m}")
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
code=0
"${watchdog[@]+"${watchdog[@]}"}" cargo test --locked --workspace --no-fail-fast "$@" 2>&1 | tee "$log" || code=$?
[ "$code" -ne 124 ] || echo "tools/test.sh: stopped after ${TEST_TIMEOUT:-30m} (TEST_TIMEOUT)"

# test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.10s
awk '/^test result:/ { for (i = 2; i <= NF; i++) { if ($i == "passed;") passed += $(i - 1); if ($i == "failed;") failed += $(i - 1) } }
     END { printf "%d passed, %d failed\n", passed, failed }' "$log"
exit "$code"
