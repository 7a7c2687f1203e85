#!/bin/sh
# Shows that backups restore data: backup, loss, restore, compare; on demo data in a temporary folder.
set -eu

usage() {
    cat <<'END'
Walk through backup, loss and restore with demo data, and compare what came back. Touches nothing but its own folder.

Usage: test-persistence.sh [OPTIONS]

  --wal         databases in WAL mode instead of rollback mode
  --keep        leave the folder for a look
  --help        print this

Needs the sqlite3 shell or python3. Environment: HEIRLOOM (the binary, default heirloom), TMPDIR, NO_COLOR.

Exit codes: 0 everything came back; 1 something did not; 2 wrong usage; 127 a program is missing
END
}

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    red=$(printf '\033[31m') green=$(printf '\033[32m') bold=$(printf '\033[1m') plain=$(printf '\033[0m')
else
    red='' green='' bold='' plain=''
fi

fail() {
    code=$1
    shift
    printf '%sFAILED%s %s\n' "$red" "$plain" "$*" >&2
    exit "$code"
}
step() { printf '%s%s%s\n' "$bold" "$*" "$plain"; }
good() { printf '  %sok%s %s\n' "$green" "$plain" "$*"; }

wal='' keep=no
for argument in "$@"; do
    case $argument in
    --wal) wal=--wal ;;
    --keep) keep=yes ;;
    --help | -h)
        usage
        exit 0
        ;;
    *) fail 2 "unknown argument $argument; see --help" ;;
    esac
done

here=$(cd "$(dirname "$0")" && pwd)
heirloom=${HEIRLOOM:-heirloom}
command -v "$heirloom" >/dev/null || fail 127 "no program \"$heirloom\"; install heirloom or set HEIRLOOM"
heirloom=$(command -v "$heirloom")
case $heirloom in
/*) ;;
*) heirloom=$PWD/$heirloom ;;
esac
# The whole content as SQL: this compares what an application reads, not bytes.
if command -v sqlite3 >/dev/null; then
    dump() { sqlite3 -readonly "$1" .dump; }
    change() { sqlite3 -bail "$1" "$2"; }
elif command -v python3 >/dev/null; then
    dump() { python3 -c 'import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).iterdump(), sep="\n")' "$1"; }
    change() { python3 -c 'import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2]); c.close()' "$1" "$2"; }
else
    fail 127 "neither sqlite3 nor python3 is installed"
fi

work=$(mktemp -d)
leave() {
    if [ "$keep" = yes ]; then printf 'everything is in %s\n' "$work"; else rm -rf "$work"; fi
}
trap leave EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
# The configuration of real databases must not affect this.
unset HEIRLOOM_CONFIG HEIRLOOM_DIR BACKUP_DIR DATABASE_PATH DATABASE_URL ARROW_DATABASE_PATH USER_DATABASE_PATH

# Compares both databases with their original contents.
compare() {
    for name in arrow_database user_data; do
        dump "$name.db" >"$name.now" || fail 1 "$name.db cannot be read"
        cmp -s "$name.sql" "$name.now" || fail 1 "$name.db differs after the restore"
    done
    good "both databases hold what they held"
}

step "1. demo data"
sh "$here/populate-demo-data.sh" ${wal:+"$wal"} "$work/demo"
cd "$work/demo"
for name in arrow_database user_data; do
    dump "$name.db" >"$name.sql"
done

step "2. backup"
"$heirloom" backup --name before-the-loss || fail 1 "the backup failed"
"$heirloom" verify before-the-loss || fail 1 "the backup does not verify"
"$heirloom" list

step "3. both databases are deleted, and restored"
rm -f arrow_database.db* user_data.db*
"$heirloom" restore before-the-loss || fail 1 "the restore failed"
compare

step "4. rows are lost, and come back"
change user_data.db 'DELETE FROM bows; DELETE FROM users;'
"$heirloom" restore before-the-loss --force || fail 1 "the restore failed"
compare

step "5. that restore is taken back, and done again"
"$heirloom" restore --undo --force || fail 1 "the undo failed"
dump user_data.db >user_data.now
if cmp -s user_data.sql user_data.now; then fail 1 "the undo changed nothing"; fi
good "the rows are gone again"
"$heirloom" restore before-the-loss --force || fail 1 "the restore failed"
compare

step "6. a database is overwritten with rubbish, and restored"
printf 'this is no database any more' | dd of=arrow_database.db conv=notrunc 2>/dev/null
"$heirloom" restore before-the-loss --force || fail 1 "the restore failed"
compare
printf '%severything came back%s\n' "$green" "$plain"
