#!/usr/bin/env bash
# The gate. Run it before every commit.
#   scripts/check.sh --fast     format, lints as errors, documentation, layers (30 s after a first build)
#   scripts/check.sh --quick    the same, and all tests but the long ones (2 minutes)
#   scripts/check.sh            everything (25 minutes on two processors)
# The programs that the tests need are installed first, or listed: scripts/install-test-tools.sh. Skipped tests are listed at the end;
# with CI=true they fail.
set -euo pipefail
cd "$(dirname "$0")/.."

gear=${1:-everything}
case "$gear" in
--fast | --quick | everything) ;;
*) sed -n '2,7s/^# //p' "$0"; exit 2 ;;
esac

# Only `everything` runs these: harnesses, thousands of histories, hundreds of simulated days, writers and readers for seconds.
long=(ephemeral:: retention::sealed:: remote_faults:: remote_kills:: remote_hosts::two_replicas faults:: corpus:: workflows::
    retention::properties:: retention::runs:: many_tables::a_hundred_thousand capture::a_set_shows capture::copies_beside
    replace::readers_of replace::a_process_killed
    archive_format::salvage::what_is_read hostile_input::found::the_largest zstd::a_bomb_ends
    remotes::rclone::an_upload_that remotes::rclone::the_leftovers remotes::connect::faults::whichever_request_of_a_commit
    run_kills:: serve_schema:: serve_browser::)

not_tested=$(mktemp)
output=$(mktemp)
trap 'rm -f "$not_tested" "$output"' EXIT
export HEIRLOOM_NOT_TESTED=$not_tested

# Runs tests. If some fail, their output is printed once more at the end.
with_summary() {
    "$@" 2>&1 | tee "$output" && return
    echo "# failed:"
    sed -n '/^---- .* stdout ----$/,/^failures:$/p' "$output" | cut -c -400 | tail -n 100
    return 1
}

# Runs a command and prints how long it took.
step() {
    local name=$1 start=$SECONDS
    shift
    "$@"
    echo "# $name: $((SECONDS - start)) s"
}

# The layer test uses nothing of the crate, so it runs without cargo, which would build the whole crate first.
layers() {
    CARGO_MANIFEST_DIR=$PWD rustc --edition 2024 --test -o target/layers-alone tests/layers/main.rs
    target/layers-alone --quiet
}

# Licences, sources and banned crates; known vulnerabilities where their database can be fetched.
dependencies() {
    local deny=(target/tools/bin/cargo-deny --log-level error --config scripts/deny.toml)
    if [ ! -x "${deny[0]}" ]; then
        echo "scripts/check.sh: not tested: dependencies (missing: cargo-deny)" >>"$not_tested"
        return
    fi
    # The check reads the crates of all platforms; a build fetches those of this one only.
    cargo fetch --quiet --locked
    "${deny[@]}" --offline check bans licenses sources
    if "${deny[@]}" fetch db >/dev/null 2>&1; then
        "${deny[@]}" --offline check advisories
    else
        echo "scripts/check.sh: cannot be tested here: known vulnerabilities (their database cannot be fetched)" >>"$not_tested"
    fi
}

# Beside the first build: most of it is waiting for the network.
tools=
if [ "$gear" != --fast ]; then
    step "tools of the tests" scripts/install-test-tools.sh &
    tools=$!
fi

step format cargo fmt --check
step lints cargo clippy --quiet --all-targets --locked -- -D warnings
RUSTDOCFLAGS='-D warnings' step documentation cargo doc --quiet --no-deps --locked
if [ -n "$tools" ]; then
    wait "$tools"
    if [ -x target/python/bin/python ]; then export HEIRLOOM_TEST_PYTHON=$PWD/target/python/bin/python; fi
fi
if command -v shellcheck >/dev/null; then
    step scripts shellcheck scripts/*.sh tests/cli/serve_legacy/*.sh .ci/run
fi
[ "$gear" = --fast ] || step dependencies dependencies
# Most tests wait for other processes most of the time.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$((2 * $(nproc)))}
# A shell starts background processes with SIGINT ignored, and children inherit that; the tests send SIGINT.
signals=--default-signal=INT,QUIT,HUP
case "$gear" in
--fast) step layers layers ;;
--quick) step tests env "$signals" cargo test --quiet --locked -- "${long[@]/#/--skip=}" ;;
everything)
    step tests with_summary env "$signals" cargo test --locked --no-fail-fast
    # Without remote stores: neither tokio nor TLS; the tests of what differs, and of what everything stands on.
    if cargo tree --quiet --locked --no-default-features --edges normal | grep -E ' (tokio|rustls|ring|reqwest|opendal) v'; then exit 1; fi
    # Few tests: a build without optimization is faster in all.
    step "tests without remote stores" with_summary env "$signals" CARGO_PROFILE_DEV_OPT_LEVEL=0 \
        cargo test --quiet --locked --no-fail-fast --no-default-features \
        --lib --test cli -- "${long[@]/#/--skip=}" tests:: config copies:: generated:: restore:: rotate:: store
    ;;
esac

echo "# all: $SECONDS s"
if [ "$gear" = --quick ]; then echo "Left out by --quick: ${long[*]}"; fi
if [ -s "$not_tested" ]; then
    echo "Not tested: $(wc -l <"$not_tested")"
    sort "$not_tested" | sed 's/^/  /'
    if [ "${CI:-}" = true ] && grep -q ': not tested: ' "$not_tested"; then exit 1; fi
fi
