#!/bin/sh
# Entry point of a container: makes sure that the databases are there and sound, then becomes the application.
set -eu

usage() {
    cat <<'END'
Start an application on sound databases: restore what is missing, check what is there, refuse to start on a damaged one.
Nothing that exists is ever overwritten.

Usage: start-with-restore.sh [OPTIONS] -- APPLICATION [ARGUMENTS...]

  --database PATH   a database of the application; may be repeated. Without it $DATABASE_PATH, else the configured ones
  --set NAME        restore archives of this set
  --fresh           this is a first deployment on this host: archives of other hosts do not count
  --allow-empty     where there is neither a database nor a backup, make an empty file and start: for the very first
                    start. Needs --database or DATABASE_PATH
  --check DEPTH     how thoroughly databases are checked: quick (default), full, none
  --config FILE     the configuration file
  --dir DIR         the folder with the archives
  --help            print this

Environment: DATABASE_PATH, BACKUP_DIR and the rest that heirloom reads; HEIRLOOM (the binary, default heirloom).

Example, in a Dockerfile:
  ENTRYPOINT ["start-with-restore", "--"]
  CMD ["./server"]

Exit codes: those of the application; 2 wrong usage, 3 only a part was restored, 10 a database is missing and there is no
backup of it, 12 there is one that is not taken unasked, as another host's (see --fresh), 13 a database or the archive is
damaged, 16 a database is missing and the store cannot be reached, 127 no such program.
END
}

say() { printf 'start-with-restore: %s\n' "$*" >&2; }
fail() {
    code=$1
    shift
    say "error: $*"
    exit "$code"
}

heirloom=${HEIRLOOM:-heirloom}
databases='' count=0 set_name='' fresh='' allow_empty=no check=quick config='' dir=''
newline='
'
while [ $# -gt 0 ]; do
    case $1 in
    --)
        shift
        break
        ;;
    --*=*)
        argument=$1
        shift
        set -- "${argument%%=*}" "${argument#*=}" "$@"
        ;;
    esac
    case $1 in
    --database | --set | --check | --config | --dir)
        [ $# -gt 1 ] || fail 2 "$1 needs a value; see --help"
        case $1 in
        --database)
            case $2 in
            '' | *"$newline"*) fail 2 "\"$2\" is no path of a database" ;;
            esac
            databases=$databases$2$newline
            count=$((count + 1))
            ;;
        --set) set_name=$2 ;;
        --check) check=$2 ;;
        --config) config=$2 ;;
        --dir) dir=$2 ;;
        esac
        shift
        ;;
    --allow-empty) allow_empty=yes ;;
    --fresh) fresh=--fresh ;;
    --help | -h)
        usage
        exit 0
        ;;
    *) fail 2 "unexpected argument $1 (the application goes behind --); see --help" ;;
    esac
    shift
done
[ $# -gt 0 ] || fail 2 "no application: name it behind --; see --help"
case $check in
quick | full | none) ;;
*) fail 2 "--check is quick, full or none" ;;
esac
command -v "$heirloom" >/dev/null || fail 127 "no program \"$heirloom\"; it belongs into the image of the application"
if [ "$count" -eq 0 ] && [ -n "${DATABASE_PATH:-}" ]; then
    databases=$DATABASE_PATH$newline
    count=1
fi
if [ "$allow_empty" = yes ] && [ "$count" -eq 0 ]; then
    fail 2 "--allow-empty needs to know the databases: name them with --database or DATABASE_PATH"
fi

run_heirloom() {
    "$heirloom" "$@" ${dir:+"--dir=$dir"} ${config:+"--config=$config"} ${set_name:+"--set=$set_name"}
}

# 1. What is missing comes back from the newest good backup. Where nothing is missing, the store is not even looked at.
code=0
if [ "$count" -eq 1 ]; then
    # One database: whatever its archive calls it, it goes where the application wants it.
    run_heirloom restore latest --if-missing --if-backup-exists $fresh --to "${databases%"$newline"}" || code=$?
else
    run_heirloom restore latest --if-missing --if-backup-exists $fresh || code=$?
fi
[ "$code" -eq 0 ] || fail "$code" "a database is missing and could not be restored; the application was not started"

# 2. Every database is there, and sound.
set_aside=$IFS
IFS=$newline
for database in $databases; do
    IFS=$set_aside
    if [ -s "$database" ]; then
        continue
    elif [ "$allow_empty" = no ]; then
        [ -e "$database" ] && fail 10 "$database is empty; the application was not started. To restore it: heirloom restore latest --to '$database'"
        fail 10 "$database is missing and there is no backup of it; --allow-empty starts without, the first time"
    elif [ ! -e "$database" ] && [ ! -L "$database" ]; then
        # With noclobber: a database that appears at this moment is not emptied. An empty file is an empty database to SQLite.
        (set -C && : >"$database") || fail 1 "$database could not be made"
        say "made an empty database $database: there was none, and no backup"
    fi
done
IFS=$newline
for database in $databases; do
    IFS=$set_aside
    [ -s "$database" ] || continue
    run_heirloom health --quiet --databases-only --check "$check" "$database" >&2 || code=$?
    # 20 is a warning, which was printed.
    case $code in
    0 | 20) code=0 ;;
    21) fail 13 "$database is not sound; the application was not started. Older states: heirloom list" ;;
    *) fail "$code" "$database could not be checked; the application was not started" ;;
    esac
done
if [ "$count" -eq 0 ]; then
    run_heirloom health --quiet --databases-only --check "$check" >&2 || code=$?
    case $code in
    0 | 20) ;;
    21) fail 13 "a database is missing or not sound; the application was not started. Older states: heirloom list" ;;
    *) fail "$code" "the databases could not be checked; the application was not started" ;;
    esac
fi

exec "$@"
