#!/usr/bin/env bash
# Builds the release binary and compares it with what people use instead, interleaved, in one run.
#   scripts/bench.sh                 1 GB database, 5 rounds, all parts
#   scripts/bench.sh --size 100M --rounds 3 --parts backup,restore
# Tools that are not installed are left out. The databases stay in $HEIRLOOM_BENCH (default: a folder in $TMPDIR).
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in
-h | --help)
    sed -n '2,5s/^# \{0,1\}//p' scripts/bench.sh
    python3 benches/compare.py --help
    exit 0
    ;;
esac
cargo build --release --locked
size=1G
for ((i = 1; i < $#; i++)); do
    if [ "${!i}" = --size ]; then
        next=$((i + 1))
        size=${!next}
    fi
done
work=${HEIRLOOM_BENCH:-${TMPDIR:-/tmp}/heirloom-bench}/$size
python3 benches/compare.py --bin target/release/heirloom --work "$work" "$@"
