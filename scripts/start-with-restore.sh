#!/bin/sh
# Entry point of a container: the application under `heirloom run`, with a check of its databases before it starts.
set -eu

usage() {
    cat <<'END'
Start an application under `heirloom run`: missing databases are restored, all are checked, and backups are made when it
starts, by the schedule and when it ends. An existing database is never overwritten.

Usage: start-with-restore.sh [OPTIONS] -- APPLICATION [ARGUMENTS...]

  --database PATH   the database of the application, if the configuration lists none; stronger than DATABASE_PATH and
                    DATABASE_URL
  --set NAME        only this configured set
  --from ORIGIN     restore archives of this host, or of this path: for a database that was moved
  --accept-older    restore although the newest archive that this host made is not in the store
  --check DEPTH     how thoroughly databases are checked: quick (default), full, none
  --check-only      check and start the application, without `heirloom run` around it
  --config FILE     the configuration file
  --dir DIR         the folder with the archives, or the URL of a remote store
  --allow-empty     start also if there is neither a database nor a backup of it: for the very first start
  --help            print this

Settings are those of `heirloom run`: the sections [run] and [schedule] of the configuration. Instead of
--fresh set `first_deployment = true` in [run], instead of --allow-offline `start_without_restore = true`.

Environment: DATABASE_PATH, DATABASE_URL, BACKUP_DIR, HEIRLOOM_HOST, AUTO_BACKUP_ENABLED and the others that heirloom
reads; HEIRLOOM (the binary, default heirloom). In a container set HEIRLOOM_HOST, or `host` in the configuration: archives
are restored only where they come from, and the name of a container changes. AUTO_BACKUP_ENABLED=false restores and
checks, but makes no backups.

Example, in a Dockerfile:
  ENTRYPOINT ["start-with-restore", "--"]
  CMD ["./server"]

Exit codes: those of the application, and of `heirloom run`: 2 wrong usage, 3 some databases could not be restored, 10 a
database is missing and there is no backup of it, 11 another run uses the store, 12 there are backups, but none that may
be taken unasked, 13 a database or the archive is damaged, 16 a database is missing and the store does not answer, 127
no such program.
END
}

fail() {
    code=$1
    shift
    printf 'start-with-restore: error: %s\n' "$*" >&2
    exit "$code"
}

heirloom=${HEIRLOOM:-heirloom}
database='' set_name='' from='' older='' empty='' check=quick check_only=no config='' dir=''
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
    --database | --set | --from | --check | --config | --dir)
        [ -n "${2:-}" ] || fail 2 "$1 needs a value; see --help"
        case $1 in
        --database)
            [ -z "$database" ] || fail 2 "--database was given twice; list several databases in [sets.NAME.databases] of the configuration"
            database=$2
            ;;
        --set) set_name=$2 ;;
        --from) from=$2 ;;
        --check) check=$2 ;;
        --config) config=$2 ;;
        --dir) dir=$2 ;;
        esac
        shift
        ;;
    --check-only) check_only=yes ;;
    --accept-older) older=--accept-older ;;
    --allow-empty) empty=--allow-empty ;;
    --fresh) fail 2 "instead of --fresh, set first_deployment = true in [run] of the configuration" ;;
    --allow-offline) fail 2 "instead of --allow-offline, set start_without_restore = true in [run] of the configuration" ;;
    --help | -h)
        usage
        exit 0
        ;;
    *) fail 2 "unexpected argument $1 (the application follows --); see --help" ;;
    esac
    shift
done
[ $# -gt 0 ] || fail 2 "no application; name it after --, see --help"
case $check in
quick | full | none) ;;
*) fail 2 "--check takes quick, full or none" ;;
esac
command -v "$heirloom" >/dev/null || fail 127 "no program \"$heirloom\"; add it to the image of the application"

[ -z "$config" ] || export HEIRLOOM_CONFIG="$config"
[ -z "$dir" ] || export HEIRLOOM_DIR="$dir"
if [ -n "$database" ]; then
    if "$heirloom" config show --json 2>/dev/null | grep -q '"key": "sets\.'; then
        fail 2 "the configuration lists the databases already; leave out --database"
    fi
    export DATABASE_PATH="$database"
fi

if [ "$check_only" = no ]; then
    # What `run` does not take unasked.
    if [ -n "$from$older" ]; then
        "$heirloom" restore latest --if-missing --if-backup-exists ${from:+"--from=$from"} ${older:+"$older"} \
            ${set_name:+"--set=$set_name"} >&2 || fail $? "a database could not be restored; the application was not started"
    fi
    # The check runs when `run` has restored what was missing, and becomes the application.
    set -- sh "$0" --check-only --check "$check" ${empty:+"$empty"} ${set_name:+"--set=$set_name"} -- "$@"
    exec "$heirloom" run ${set_name:+"--set=$set_name"} -- "$@"
fi

# SQLite deletes the sidecars of an empty database.
for sidecar in "${DATABASE_PATH:-}-wal" "${DATABASE_PATH:-}-journal"; do
    if [ -n "${DATABASE_PATH:-}" ] && [ ! -s "$DATABASE_PATH" ] && [ -s "$sidecar" ]; then
        fail 13 "$sidecar holds changes, and its database is empty or missing; the application was not started"
    fi
done
code=0
found=$("$heirloom" health --databases-only --check "$check" ${set_name:+"--set=$set_name"} --json) || code=$?
# What is missing or empty after the restore has no backup. The state of the whole is in the JSON, too.
problems=$(printf '%s\n' "$found" | grep -c '"state": "critical"') || true
missing=$(printf '%s\n' "$found" | grep -c -e '"value": "no database at ' -e ' is empty (0 bytes)"') || true
case $code in
0 | 20) exec "$@" ;;
21) ;;
*) fail "$code" "the databases could not be checked; the application was not started" ;;
esac
[ "$problems" -eq $((missing + 1)) ] && [ -n "$empty" ] && exec "$@"
"$heirloom" health --quiet --databases-only --check "$check" ${set_name:+"--set=$set_name"} >&2 || true
if [ "$problems" -eq $((missing + 1)) ]; then
    fail 10 "a database is missing and there is no backup of it; for the very first start, add --allow-empty"
fi
fail 13 "a database is not sound; the application was not started. Earlier backups: heirloom list"
