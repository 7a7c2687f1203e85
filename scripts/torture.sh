#!/usr/bin/env bash
# Long-running fault tests: every harness of tests/faults on the release build, and the fuzzers. Prints a table of figures.
#   scripts/torture.sh [--minutes N] [--seed S] [--bin BIN] [--planted]
# Without --minutes every harness runs once in full: 10,000 faults, 5,000 kills, 300 power cuts for each scenario (an hour on two
# processors). With it, smaller rounds with increasing seeds run until the time is over. --planted first shows that each planted bug
# is caught. Not included: all 100,000 possible faults (`tests/faults/syscall_sweep.py --cases 0`).
# Needs root, strace, nbdkit, libnbd-bin, fuse3, c++.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
minutes=0 seed=1 bin='' planted=no
while [ $# -gt 0 ]; do
    case "$1" in
    --minutes) minutes=$2; shift 2 ;;
    --seed) seed=$2; shift 2 ;;
    --bin) bin=$(realpath "$2"); shift 2 ;;
    --planted) planted=yes; shift ;;
    *) sed -n '2,7s/^# //p' "$0"; exit 2 ;;
    esac
done
if [ -z "$bin" ]; then
    cargo build --release --locked --manifest-path "$here/Cargo.toml"
    bin=$here/target/release/heirloom
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
started=$SECONDS
failed=0
# With a time limit, each round is a sample of a full run.
if [ "$minutes" -gt 0 ]; then
    cases=2000 kills=500 cuts=60 flips=500 sizes=20 seconds=10 rounds=10 random=4000 fuzz=30 web=120
else
    cases=10000 kills=5000 cuts=300 flips=5000 sizes=60 seconds=60 rounds=50 random=20000 fuzz=120 web=600
fi

is_over() { [ "$minutes" -gt 0 ] && [ $((SECONDS - started)) -ge $((minutes * 60)) ]; }

harness() {
    local script=$1
    shift
    if is_over; then return; fi
    echo "## $script $*"
    python3 -B "$here/tests/faults/$script" --bin "$bin" --seed "$seed" "$@" 2>&1 | tee -a "$log" || failed=1
}

if [ "$planted" = yes ]; then "$here/scripts/planted.sh" || failed=1; fi
while :; do
    harness syscall_sweep.py --cases "$cases"
    harness powercut.py --cuts "$cuts"
    harness killloop.py --kills "$kills"
    harness syscall_sweep.py --pairs --cases $((cases / 4))
    harness limits.py --sizes "$sizes" --signals 10 --ext4
    harness runs.py --rounds "$rounds" --seconds "$seconds"
    harness hostile.py --flips "$flips"
    harness web.py --cases "$web"
    if ! is_over; then
        echo "## properties of hostile input"
        PROPTEST_CASES=$random cargo test --quiet --locked --manifest-path "$here/Cargo.toml" --test library hostile_input:: || failed=1
        echo "## fuzzers"
        "$here/scripts/fuzz.sh" --seconds "$fuzz" --seed "$seed" 2>&1 | tee -a "$log" || failed=1
    fi
    if command -v mkfs.xfs >/dev/null; then harness powercut.py --fs xfs --cuts $((cuts / 6)); fi
    if [ "$minutes" -eq 0 ] || is_over; then break; fi
    seed=$((seed + 1))
done
if [ "$minutes" -gt 0 ] && [ ! -s "$log" ]; then failed=1; fi

python3 - "$log" $(((SECONDS - started) / 60)) <<'PYTHON'
import re, sys
text = open(sys.argv[1]).read()
def total(pattern): return sum(int(n) for n in re.findall(pattern, text))
rows = [
    ('file system calls failed or killed at', total(r'# sweep: cases (\d+)'), total(r'# sweep: .*findings (\d+)')),
    ('the same, and a second fault in the next run', total(r'# sweep \(pairs\): cases (\d+)'), total(r'# sweep \(pairs\): .*findings (\d+)')),
    ('kills at random moments, in a row', total(r'# kill -9: .*killed (\d+)'), total(r'# kill -9: .*findings (\d+)')),
    ('power cuts, ext4', total(r'# power cuts on ext4: (\d+)'), total(r'# power cuts on ext4: .*findings (\d+)')),
    ('power cuts, xfs', total(r'# power cuts on xfs: (\d+)'), total(r'# power cuts on xfs: .*findings (\d+)')),
    ('signals, full disks, limits, folders, users, umasks', total(r'# limits: cases (\d+)'), total(r'# limits: cases .*findings (\d+)')),
    ('rounds of six runs at once', total(r'# together: (\d+)'), total(r'# together: findings (\d+)')),
    ('backups under writers that die', total(r'# hammer, \w+: (\d+)'), total(r'# hammer: findings (\d+)')),
    ('restores under readers', total(r'# online, \w+: (\d+)'), total(r'# online: findings (\d+)')),
    ('worlds in which names are swapped for links', total(r'# swap: (\d+)'), total(r'# swap: findings (\d+)')),
    ('backups and rotations under jumping clocks', total(r'# clock: (\d+)'), total(r'# clock: findings (\d+)')),
    ('faults of the admin server', total(r'# web: cases (\d+)'), total(r'# web: .*findings (\d+)')),
    ('hostile archives given to a command', total(r'# hostile archives: (\d+)'), total(r'# hostile archives: .*findings (\d+)')),
    ('inputs given by the fuzzers', total(r'# fuzz: runs (\d+)'), total(r'# fuzz: .*findings (\d+)')),
    ('changed bytes of an archive', total(r'# changed bytes: (\d+)'), total(r'# changed bytes: .*missed (\d+)')),
]
print(f'\n{"after " + sys.argv[2] + " minutes":<56} {"cases":>8} {"findings":>9}')
for name, cases, findings in rows: print(f'{name:<56} {cases:>8} {findings:>9}')
PYTHON
exit "$failed"
