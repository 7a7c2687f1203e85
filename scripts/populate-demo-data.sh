#!/bin/sh
# Creates two small databases and a configuration for trying heirloom. Never overwrites anything.
set -eu

usage() {
    cat <<'END'
Make demo data: a folder with two databases (arrow specifications, user data) and a heirloom.toml for them.

Usage: populate-demo-data.sh [OPTIONS] [FOLDER]        default: ./demo

  --rows N    rows in each table (default 1000)
  --wal       databases in WAL mode instead of rollback mode
  --help      print this

Needs the sqlite3 shell or python3. Then:
  cd demo
  heirloom backup
  heirloom list

Exit codes: 0 done; 1 failed; 2 wrong usage; 14 something is already there, and was not touched; 127 neither sqlite3 nor python3
END
}

fail() {
    code=$1
    shift
    printf 'error: %s\n' "$*" >&2
    exit "$code"
}

rows=1000 mode=DELETE folder=''
while [ $# -gt 0 ]; do
    case $1 in
    --rows)
        [ $# -gt 1 ] || fail 2 "--rows needs a number"
        rows=$2
        shift
        ;;
    --rows=*) rows=${1#*=} ;;
    --wal) mode=WAL ;;
    --help | -h)
        usage
        exit 0
        ;;
    -*) fail 2 "unknown option $1; see --help" ;;
    *)
        [ -z "$folder" ] || fail 2 "one folder only; see --help"
        folder=$1
        ;;
    esac
    shift
done
case $rows in
'' | *[!0-9]* | ?????????*) fail 2 "--rows needs a number below 100000000" ;;
esac
folder=${folder:-demo}

if command -v sqlite3 >/dev/null; then
    run_sql() { sqlite3 -bail "$1" >/dev/null; }
elif command -v python3 >/dev/null; then
    run_sql() { python3 -c 'import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.executescript(sys.stdin.read()); c.close()' "$1"; }
else
    fail 127 "neither sqlite3 nor python3 is installed"
fi

for file in arrow_database.db user_data.db heirloom.toml; do
    if [ -e "$folder/$file" ] || [ -L "$folder/$file" ]; then
        fail 14 "$folder/$file already exists; choose another folder"
    fi
done
mkdir -p "$folder"

run_sql "$folder/arrow_database.db" <<END
PRAGMA journal_mode=$mode;
BEGIN;
CREATE TABLE arrows(id INTEGER PRIMARY KEY, maker TEXT NOT NULL, model TEXT NOT NULL, spine INTEGER NOT NULL, grains_per_inch REAL NOT NULL);
CREATE INDEX arrows_by_spine ON arrows(spine);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $rows)
INSERT INTO arrows SELECT i, 'maker ' || (i % 17), 'model ' || i, 300 + 50 * (i % 15), 5.0 + (i * 37 % 60) / 10.0 FROM n;
COMMIT;
END
run_sql "$folder/user_data.db" <<END
PRAGMA journal_mode=$mode;
BEGIN;
CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE bows(id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users(id), draw_weight REAL NOT NULL, note TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $rows)
INSERT INTO users SELECT i, 'archer ' || i FROM n;
INSERT INTO bows SELECT id, id, 25 + id * 13 % 40, 'set up on day ' || id FROM users;
COMMIT;
END
cat >"$folder/heirloom.toml" <<'END'
[sets.archerytools.databases]
arrow = ["$ARROW_DATABASE_PATH", "arrow_database.db"]
user = ["$USER_DATABASE_PATH", "user_data.db"]

[store]
dir = "backups"
END
printf 'made %s: arrow_database.db and user_data.db with %s rows in each table, heirloom.toml\n' "$folder" "$rows"
