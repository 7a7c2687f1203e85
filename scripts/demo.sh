#!/bin/sh
# Builds heirloom, then backs up, lists, verifies and restores a real database in a folder that is removed at the end.
#   scripts/demo.sh [DATABASE]     default: the Chinook sample in tests/corpus/real
set -eu
# In a container the label must be set, because its host name changes.
export HEIRLOOM_HOST=demo
case "${1:-}" in
-h | --help)
    sed -n '2,3s/^# //p' "$0"
    exit 0
    ;;
esac
here=$(cd "$(dirname "$0")/.." && pwd)
database=$(realpath "${1:-$here/tests/corpus/real/chinook.sqlite}")
cargo build --release --locked --manifest-path "$here/Cargo.toml"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export HEIRLOOM_STATE_DIR="$work/state"
unset HEIRLOOM_CONFIG HEIRLOOM_DIR BACKUP_DIR DATABASE_PATH DATABASE_URL

say() { printf '\n$ %s\n' "$*"; }
heirloom() {
    say heirloom "$@"
    "$here/target/release/heirloom" "$@"
}

cp "$database" app.db
heirloom backup app.db --verbose
heirloom list
heirloom verify latest --verbose
say rm app.db
rm app.db
heirloom restore latest --verbose
heirloom health app.db
