# Functions for the workflows in this folder. Each runs in its own empty folder, with the clock set.
# shellcheck shell=sh

# The set time, in seconds since 1970.
now=$(date -u -d '2026-03-01T03:00:00Z' +%s)

# Sets the clock: at 2026-03-01T03:00:00Z
at() {
    now=$(date -u -d "$1" +%s)
    clock
}

# Moves the clock: later 86400
later() {
    now=$((now + $1))
    clock
}

clock() {
    HEIRLOOM_NOW=$(date -u -d "@$now" +%Y-%m-%dT%H:%M:%SZ)
    export HEIRLOOM_NOW
}

# Sets the host label of the commands that follow.
on() {
    HEIRLOOM_HOST=$1
    export HEIRLOOM_HOST
}

fail() {
    echo "FAILED: $*" >&2
    if [ -e .out ]; then
        echo "--- standard output" >&2
        cat .out >&2
        echo "--- standard error" >&2
        cat .err >&2
    fi
    exit 1
}

# Runs a command that must end with this code: ends 3 heirloom rotate
ends() {
    expected=$1
    shift
    code=0
    "$@" >.out 2>.err </dev/null || code=$?
    [ "$code" = "$expected" ] || fail "exit code $code instead of $expected: $*"
}

# Demands that the last command printed this on standard output or standard error.
says() {
    grep -qF -- "$1" .out .err || fail "did not print: $1"
}

# Demands that it did not.
never_says() {
    ! grep -qF -- "$1" .out .err || fail "printed: $1"
}

# Demands that it printed nothing at all.
silent() {
    [ ! -s .out ] && [ ! -s .err ] || fail "was not silent"
}

# Makes a database: database app.db 100
database() {
    sqlite3 "$1" "CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1
        FROM n WHERE i < $2) INSERT INTO t SELECT i, 'row ' || i FROM n;"
}

# Runs SQL on a database.
sql() {
    sqlite3 -cmd '.timeout 10000' "$1" "$2"
}

# Demands a number of rows: holds app.db 100
holds() {
    [ -f "$1" ] || fail "$1 is not there"
    found=$(sql "$1" 'SELECT count(*) FROM t')
    [ "$found" = "$2" ] || fail "$1 holds $found rows instead of $2"
}

# Demands a value: equal "$(command)" value
equal() {
    [ "$1" = "$2" ] || fail "\"$1\" instead of \"$2\""
}

# Prints the archives of a store, oldest first: archives backups
archives() {
    for archive in "$1"/*.tar.gz; do
        [ ! -e "$archive" ] || basename "$archive"
    done | sort
}

# Demands a number of archives: keeps backups 23
keeps() {
    found=$(archives "$1" | wc -l)
    [ "$found" -eq "$2" ] || fail "$1 keeps $found archives instead of $2: $(archives "$1")"
}

# Prints what a store keeps, a line each: host, path and number of archives of every stream, safety backups left out.
streams() {
    heirloom list --dir "$1" --json 2>/dev/null | python3 -c '
import collections, json, sys
found = collections.Counter()
for archive in json.load(sys.stdin)["archives"]:
    if archive["kind"] != "safety":
        found[archive["archive"].split("_")[0]] += 1
for name, count in sorted(found.items()):
    print(name, count)'
}

# Prints the archives whose metadata fits a Python expression over m: made_by backups 'm["host_label"] == "a"'
made_by() {
    for archive in "$1"/*.tar.gz; do
        [ -e "$archive" ] || continue
        tar xzOf "$archive" backup_metadata.json | python3 -c "
import json, sys
m = json.load(sys.stdin)
d = m['databases'][0]
print('yes' if ($2) else 'no')"
    done | grep -c yes || true
}

clock
