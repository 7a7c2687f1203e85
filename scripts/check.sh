#!/usr/bin/env bash
# The gate: format, lints as errors, documentation, tests, generated files. Run it before every commit.
#   scripts/check.sh          everything
#   scripts/check.sh --fast   without the tests
set -euo pipefail
cd "$(dirname "$0")/.."

cargo fmt --check
cargo clippy --quiet --all-targets --locked -- -D warnings
RUSTDOCFLAGS='-D warnings' cargo doc --quiet --no-deps --locked
if [ "${1:-}" != --fast ]; then
    # Generated files (man/, completions/) are compared with what the build renders by tests/generated.rs.
    cargo test --locked
fi
if command -v shellcheck >/dev/null; then
    git ls-files -z 'scripts/*.sh' '.ci/run' | xargs -0 shellcheck
fi
