#!/usr/bin/env bash
# Plants one bug after another (tests/faults/planted) in a copy of the sources, and requires that a harness catches each.
#   scripts/planted.sh [NAME...]     default: all
# The second line of a patch names the harness that must fail on it. Needs everything that harness needs.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git -C "$here" ls-files -z | (cd "$here" && xargs -0 cp --parents -t "$copy")
# Dependencies are built once for all patches.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$here/target}/planted
# The servers of the tests are beside the project, not beside the copy.
if [ -x "$here/target/python/bin/python" ]; then export HEIRLOOM_TEST_PYTHON=${HEIRLOOM_TEST_PYTHON:-$here/target/python/bin/python}; fi
missed=0 caught=0
for patch in "$here"/tests/faults/planted/*.patch; do
    name=$(basename "$patch" .patch)
    if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
    harness=$(sed -n '2s/^caught by: //p' "$patch")
    (cd "$copy" && patch -s -p1 <"$patch")
    # shellcheck disable=SC2206 # the line holds several words on purpose
    if [[ "$harness" == fuzz.sh* ]]; then
        run=("$copy"/scripts/$harness)
    elif [[ "$harness" == "cargo test "* ]]; then
        run=(cargo test --quiet --locked --manifest-path "$copy/Cargo.toml" ${harness#cargo test })
        "${run[@]}" --no-run 2>/dev/null || { echo "$name: does not compile"; exit 1; }
    else
        cargo build --quiet --locked --manifest-path "$copy/Cargo.toml" 2>/dev/null || { echo "$name: does not compile"; exit 1; }
        run=(python3 -B "$here"/tests/faults/$harness --bin "$CARGO_TARGET_DIR/debug/heirloom")
    fi
    if output=$("${run[@]}" 2>&1); then
        echo "MISSED  $name: $harness"
        missed=$((missed + 1))
    elif [[ "$harness" == fuzz.sh* ]] && ! grep -q '^# fuzz: runs' <<<"$output"; then
        echo "$name: the fuzzers do not run: $(tail -1 <<<"$output")"
        exit 1
    else
        echo "caught  $name: $(grep -m1 -E 'FAIL|hold|cannot|panicked' <<<"$output" | cut -c1-150)"
        caught=$((caught + 1))
    fi
    (cd "$copy" && patch -s -R -p1 <"$patch")
done
echo "# planted bugs: caught $caught, missed $missed"
[ "$missed" -eq 0 ]
