#!/usr/bin/env bash
# Runs libFuzzer on the checks of tests/library/hostile, and prints a table: runs, coverage, findings.
#   scripts/fuzz.sh [--seconds N] [--target T] [--seed S]     default: 60 seconds for each target
# Targets: archive legacy metadata config database. Needs only cargo and a C++ compiler. Findings are stored in
# target/fuzz/findings, the learned inputs in target/fuzz/corpus, from where the next run continues.
# To reproduce a finding: `cargo run --manifest-path tests/fuzz/Cargo.toml --bin TARGET FILE`.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
seconds=60 seed=1
targets=(archive legacy metadata config database)
while [ $# -gt 0 ]; do
    case "$1" in
    --seconds) seconds=$2; shift 2 ;;
    --target) targets=("$2"); shift 2 ;;
    --seed) seed=$2; shift 2 ;;
    *) sed -n '2,6s/^# //p' "$0"; exit 2 ;;
    esac
done
command -v c++ >/dev/null || { echo "scripts/fuzz.sh: libFuzzer needs a C++ compiler (c++), which is missing" >&2; exit 2; }

work=${CARGO_TARGET_DIR:-$here/target}/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')
# The flags that cargo-fuzz would set. With --target they affect neither build scripts nor macros.
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
cargo build --quiet --release --locked --manifest-path "$here/tests/fuzz/Cargo.toml" --target-dir "$work" --target "$host"
bin=$work/$host/release

findings=0
table=$(printf '%-10s %12s %10s %8s %9s' target runs 'runs/s' edges findings)
for target in "${targets[@]}"; do
    corpus=$work/corpus/$target found=$work/findings/$target log=$work/$target.log
    mkdir -p "$corpus" "$found"
    echo "## $target, $seconds seconds"
    # A run of 10 seconds counts as a hang. The checks count their allocations; this limit is for everything outside that count.
    status=0
    FUZZ_SEEDS=$corpus "$bin/$target" "$corpus" -artifact_prefix="$found/" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=512 \
        -max_len=65536 -len_control=20 -seed="$seed" -print_final_stats=1 >"$log" 2>&1 || status=$?
    number() { grep -aoE "$1" "$log" | tail -1 | grep -oE '[0-9]+$' || echo 0; }
    if [ "$status" -ne 0 ]; then
        findings=$((findings + 1))
        grep -aA2 -E 'panicked|ERROR: libFuzzer' "$log" | head -12 || true
        echo "$target: $(grep -aoE 'Test unit written to .*' "$log" | tail -1)"
    fi
    runs=$(number '(executed_units: |^#)[0-9]+')
    table+=$(printf '\n%-10s %12s %10s %8s %9s' "$target" "$runs" "$((runs / (seconds > 0 ? seconds : 1)))" "$(number 'cov: [0-9]+')" "$((status != 0))")
done
printf '\n%s\n# fuzz: runs %s, findings %s\n' "$table" "$(awk 'NR > 1 { sum += $2 } END { print sum + 0 }' <<<"$table")" "$findings"
[ "$findings" -eq 0 ]
