#!/bin/sh
# Entry point of a container: restores missing databases, checks all of them, then executes the application.
set -eu
# A path is never a pattern: app[1].db is the name of a file.
set -f

usage() {
    cat <<'END'
Start an application on sound databases: restore missing ones, check all, do not start on a damaged one.
An existing database is never overwritten.

Usage: start-with-restore.sh [OPTIONS] -- APPLICATION [ARGUMENTS...]

  --database PATH   a database of the application; may be repeated. Without it the one that DATABASE_PATH names, else the
                    configured ones, else the one that DATABASE_URL names
  --set NAME        restore archives of this set
  --from ORIGIN     restore archives of this host, or of this path: for a database that was moved
  --fresh           this is the first start of one more host: archives of others are not backups of its databases
  --accept-older    restore although the newest archive that this host made is not in the store
  --allow-empty     if there is neither a database nor a backup of it, create an empty file and start: for the very
                    first start. Requires --database, DATABASE_PATH or DATABASE_URL
  --allow-offline   start also if the store cannot be reached, or its key (CONNECT_API_KEY) is not set. A missing database
                    stays missing. If the application creates an empty one, that becomes the newest backup; the older
                    ones stay in the store until the rotation policy removes them
  --check DEPTH     how thoroughly databases are checked: quick (default), full, none
  --config FILE     the configuration file
  --dir DIR         the folder with the archives
  --help            print this

Environment: DATABASE_PATH, DATABASE_URL, BACKUP_DIR, HEIRLOOM_HOST and the others that heirloom reads; HEIRLOOM (the
binary, default heirloom). In a container set HEIRLOOM_HOST, or `host` in the configuration, if several applications or
machines share a store: archives are restored only where they come from.

Example, in a Dockerfile:
  ENTRYPOINT ["start-with-restore", "--"]
  CMD ["./server"]

Exit codes: those of the application; 2 wrong usage, 3 some databases could not be restored, or the key of the store
is not set, 10 a database is missing and
there is no backup of it, 12 a database is missing and heirloom does not know which archive to restore, 13 a database or
the archive is damaged, 16 a database is missing and the store cannot be reached, 127 no such program.
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
databases='' count=0 set_name='' from='' fresh='' older='' allow_empty=no allow_offline=no check=quick config='' dir=''
newline='
'
# Paths are stored one per line.
add_database() {
    case $1 in
    *"$newline"*) fail 2 "the path of a database cannot contain a newline: $1" ;;
    esac
    databases=$databases$1$newline
    count=$((count + 1))
}

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
        [ $# -gt 1 ] || fail 2 "$1 needs a value; see --help"
        case $1 in
        --database)
            [ -n "$2" ] || fail 2 "--database needs a path; see --help"
            add_database "$2"
            ;;
        --set) set_name=$2 ;;
        --from) from=$2 ;;
        --check) check=$2 ;;
        --config) config=$2 ;;
        --dir) dir=$2 ;;
        esac
        shift
        ;;
    --allow-empty) allow_empty=yes ;;
    --allow-offline) allow_offline=yes ;;
    --fresh) fresh=--fresh ;;
    --accept-older) older=--accept-older ;;
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

run_heirloom() {
    "$heirloom" "$@" ${dir:+"--dir=$dir"} ${config:+"--config=$config"} ${set_name:+"--set=$set_name"}
}

# Prints the settings that are strings: the key, a blank, the value as in JSON.
settings() {
    "$heirloom" config show --json ${config:+"--config=$config"} 2>/dev/null | while IFS= read -r line; do
        case $line in
        *'"key": "'*)
            key=${line#*'"key": "'}
            key=${key%%\"*}
            ;;
        *'"value": "'*)
            value=${line#*'"value": "'}
            printf '%s %s\n' "$key" "${value%\"*}"
            ;;
        esac
    done
}

# 1. Select the databases.
# Problems with the configuration are reported by the commands below.
configured=$newline$(settings || :)
if [ "$count" -eq 0 ] && [ -n "${DATABASE_PATH:-}" ]; then
    add_database "$DATABASE_PATH"
elif [ "$count" -eq 0 ]; then
    case $configured in
    *"${newline}sets."*) ;;
    *"${newline}default_database "*)
        path=${configured#*"${newline}default_database "}
        path=${path%%"$newline"*}
        # A value with a backslash is the JSON form of a path, not the path; heirloom itself resolves the file.
        case $path in *\\*) ;; *) add_database "$path" ;; esac
        ;;
    esac
fi
if [ "$allow_empty" = yes ] && [ "$count" -eq 0 ]; then
    fail 2 "--allow-empty needs to know the databases: name them with --database or DATABASE_PATH"
fi
missing=no
set_aside=$IFS
IFS=$newline
for database in $databases; do
    [ -s "$database" ] || missing=yes
done
IFS=$set_aside

# Prints the name that `heirloom backup` gives a single database, and its set.
default_name() {
    HEIRLOOM_HOST=${HEIRLOOM_HOST:-any} "$heirloom" backup --dry-run --if-exists --json "$1" --config=/dev/null 2>/dev/null | sed -n 's/^ *"set": "\([^"]*\)",*$/\1/p'
}
# Prints the name of a database: from the configuration, or else the default.
name_of() {
    name=$(printf '%s\n' "$configured" | while IFS= read -r line; do
        case $line in
        sets.*".databases."*" $1")
            line=${line% "$1"}
            printf '%s\n' "${line##*.databases.}"
            break
            ;;
        esac
    done)
    [ -n "$name" ] || name=$(default_name "$1")
    printf '%s\n' "$name"
}

# Runs `heirloom restore latest`.
restore_latest() {
    run_heirloom restore latest ${from:+"--from=$from"} ${fresh:+"$fresh"} ${older:+"$older"} "$@"
}
# The same for one database. It is named by the variable, not by --to: only archives of its own path and host qualify, whatever
# else the store contains, and another application's are never used unasked.
latest_of() (
    export DATABASE_PATH="$1"
    shift
    restore_latest "$@"
)
# The same for the databases of the application.
latest() {
    if [ "$count" -eq 1 ]; then latest_of "${databases%"$newline"}" "$@"; else restore_latest "$@"; fi
}
# Restores missing databases; further options may follow.
restore() {
    latest --if-missing --if-backup-exists ${choice:+"$choice"} "$@" >&2
}

# 2. Missing databases are restored from the newest good backup. If none is missing, the store is not needed.
choice='' offline=no
if [ "$count" -eq 0 ] || [ "$missing" = yes ]; then
    code=0
    said=''
    if [ "$count" -eq 1 ]; then said=$(restore --dry-run 2>&1) || code=$?; fi
    if [ "$code" -eq 2 ]; then
        # The store has several sets, or the archive several databases: uses those with the name of this database, if there is a
        # backup.
        name=$(default_name "${databases%"$newline"}")
        for option in "--set=$name" "--only=$name"; do
            if latest --dry-run "$option" >/dev/null 2>&1; then
                choice=$option
                break
            fi
        done
    fi
    if [ "$code" -eq 16 ]; then
        # A store that does not answer is not asked again: each time may take a minute.
        printf '%s\n' "$said" >&2
    else
        code=0
        restore || code=$?
    fi
    case $allow_offline:$code in
    yes:16) offline=yes ;;
    yes:3)
        # 3 has other reasons as well, for which an archive of a missing database exists.
        case $(latest --if-missing --dry-run --json 2>/dev/null) in *'"outcome": "skipped_no_key"'*) offline=yes ;; esac
        ;;
    esac
    if [ "$offline" = yes ]; then
        say "warning: a database is missing, and whether there is a backup of it is unknown; the application is started without it"
        code=0
    fi
    # Including 3 and 12: an archive of a missing database exists, so an empty one must not replace it.
    [ "$code" -eq 0 ] || fail "$code" "a database is missing and could not be restored; the application was not started"
fi

# Quotes a word for the shell.
quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }
# Prints the complete command that restores one database.
restore_command() {
    printf 'heirloom restore latest %s' "$2${2:+ }--to $(quoted "$1")"
    [ -z "$dir" ] || printf ' --dir %s' "$(quoted "$dir")"
    [ -z "$config" ] || printf ' --config %s' "$(quoted "$config")"
    [ -z "$set_name" ] || printf ' --set %s' "$(quoted "$set_name")"
}

# Creates an empty database, if heirloom confirms that there is no archive of it.
create_empty() {
    for sidecar in "$1-wal" "$1-journal"; do
        # SQLite would delete it beside an empty database.
        [ ! -s "$sidecar" ] || fail 13 "$sidecar holds changes, and its database is empty or missing; the application was not started"
    done
    # A configuration that lists databases overrides the variable: without --only the answer would be about all of them. A
    # database that is not listed is then refused, because an archive of another set may contain it.
    only=$choice
    case $configured in
    *"${newline}sets."*) only=--only=$(name_of "$1") ;;
    esac
    code=0
    stated=$(latest_of "$1" ${only:+"$only"} --if-backup-exists --dry-run --json) || code=$?
    [ "$code" -eq 0 ] || fail "$code" "cannot determine whether there is a backup of $1; the application was not started"
    case $stated in
    *'"outcome": "skipped_no_backup"'*) ;;
    *) fail 12 "$1 is missing or empty, and there is a backup of it; the application was not started. To restore it: $(restore_command "$1" "$only")" ;;
    esac
    if [ ! -e "$1" ] && [ ! -L "$1" ]; then
        # With noclobber: a database that appears at this moment is not truncated. An empty file is an empty database for SQLite.
        (set -C && : >"$1") || fail 1 "$1 could not be created"
        say "created an empty database $1: there was none, and no backup of it"
    fi
}

# 3. Every database exists and is sound.
IFS=$newline
for database in $databases; do
    IFS=$set_aside
    if [ -s "$database" ] || [ "$offline" = yes ]; then
        continue
    elif [ "$allow_empty" = yes ]; then
        create_empty "$database"
    elif [ -e "$database" ]; then
        fail 10 "$database is empty; the application was not started. To restore it: $(restore_command "$database" "$choice")"
    else
        fail 10 "$database is missing and there is no backup of it; for the very first start, add --allow-empty"
    fi
done
IFS=$newline
for database in $databases; do
    IFS=$set_aside
    [ -s "$database" ] || continue
    code=0
    run_heirloom health --quiet --databases-only --check "$check" "$database" >&2 || code=$?
    case $code in
    # 20 is a warning, which was printed.
    0 | 20) ;;
    21) fail 13 "$database is not sound; the application was not started. Earlier backups: heirloom list" ;;
    *) fail "$code" "$database could not be checked; the application was not started" ;;
    esac
done
if [ "$count" -eq 0 ] && [ "$offline" = no ]; then
    code=0
    run_heirloom health --quiet --databases-only --check "$check" >&2 || code=$?
    case $code in
    0 | 20) ;;
    21) fail 13 "a database is missing or not sound; the application was not started. Earlier backups: heirloom list" ;;
    *) fail "$code" "the databases could not be checked; the application was not started" ;;
    esac
fi

exec "$@"
