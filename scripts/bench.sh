#!/usr/bin/env bash
# Builds the release binary and compares it with its alternatives, interleaved, in one run.
#   scripts/bench.sh                 databases of 1 GB, 100 MB and 10 MB, 5 rounds, all parts, and a writer during backups (an hour)
#   scripts/bench.sh --size 100M --rounds 3 --parts backup,restore
# Tools that are not installed are skipped. The databases stay in $HEIRLOOM_BENCH (default: a folder in $TMPDIR).
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
bin=target/release/heirloom
work=${HEIRLOOM_BENCH:-${TMPDIR:-/tmp}/heirloom-bench}
size=
for ((i = 1; i < $#; i++)); do
    if [ "${!i}" = --size ]; then
        next=$((i + 1))
        size=${!next}
    fi
done
if [ -n "$size" ]; then
    exec python3 benches/compare.py --bin "$bin" --work "$work/$size" "$@"
fi
python3 benches/compare.py --bin "$bin" --work "$work/1G" --size 1G "$@"
for size in 100M 10M; do
    python3 benches/compare.py --bin "$bin" --work "$work/$size" --size "$size" --parts backup,again,restore,verify "$@"
done
python3 benches/writers.py --bin "$bin" --work "$work/1G"
