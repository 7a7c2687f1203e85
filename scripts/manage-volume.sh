#!/bin/sh
# Creates, inspects, lists, backs up, restores and deletes container volumes that hold databases. Works with docker and podman.
set -eu

usage() {
    cat <<'END'
Manage a container volume that holds SQLite databases.

Usage: manage-volume.sh [OPTIONS] COMMAND [VOLUME] [ARCHIVE]

  create VOLUME               create the volume; an existing one is left as it is
  inspect VOLUME              show the volume, the databases in it and their archives
  list                        list all volumes
  backup VOLUME               back up every database in the volume into one archive
  restore VOLUME [ARCHIVE]    restore from an archive, default the newest; a safety backup of what is replaced is taken first
  delete VOLUME               take a last backup (kind final), then delete the volume; asks first

  --dir DIR           folder of this host for the archives (default ./backups); the set has the name of the volume
  --host LABEL        the host label of the archives (default $HEIRLOOM_HOST, else the name of this machine); restore takes
                      archives of this host
  --image IMAGE       image with heirloom in it, see scripts/Dockerfile (default heirloom)
  --engine PROGRAM    docker (default) or podman
  --user UID:GID      user inside the helper container (default 0:0, which may read any volume)
  --force             do not ask; required without a terminal
  --without-backup    delete without the last backup
  --help              print this

Environment: HEIRLOOM_HOST, HEIRLOOM_IMAGE, CONTAINER_ENGINE, NO_COLOR.

Examples:
  manage-volume.sh backup app-data
  manage-volume.sh restore app-data latest
  manage-volume.sh --engine podman delete app-data

A database is any file that starts with the SQLite header, at any depth and whatever its name. A file named *.db,
*.sqlite or *.sqlite3 without that header counts as a damaged database. Encrypted databases have no such header and are
not found. Backup and delete fail if anything in the volume cannot be read, and if there is a -wal or -journal file
whose database is empty or missing. Delete also fails if the volume holds archives of heirloom.

Databases that the application has open are backed up and restored while it runs. Delete requires that no container
uses the volume. Set --host where several machines keep their archives in one folder: the volumes of one name are then
distinguished by it.

Exit codes: those of heirloom (10 no database in the volume, 13 a damaged database, 14 not confirmed or in use); 1 the
engine failed or something cannot be read, 2 wrong usage, 127 no such program.
END
}

if [ -t 2 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    red=$(printf '\033[31m') bold=$(printf '\033[1m') plain=$(printf '\033[0m')
else
    red='' bold='' plain=''
fi

fail() {
    code=$1
    shift
    printf '%serror:%s %s\n' "$red" "$plain" "$*" >&2
    exit "$code"
}

engine=${CONTAINER_ENGINE:-docker}
host=${HEIRLOOM_HOST:-$(uname -n)}
image=${HEIRLOOM_IMAGE:-heirloom}
dir=./backups user=0:0 force='' last_backup=yes
command='' volume='' archive=''
while [ $# -gt 0 ]; do
    case $1 in
    --*=*)
        argument=$1
        shift
        set -- "${argument%%=*}" "${argument#*=}" "$@"
        ;;
    esac
    case $1 in
    --dir | --host | --image | --engine | --user)
        [ $# -gt 1 ] || fail 2 "$1 needs a value; see --help"
        case $1 in
        --dir) dir=$2 ;;
        --host) host=$2 ;;
        --image) image=$2 ;;
        --engine) engine=$2 ;;
        --user) user=$2 ;;
        esac
        shift
        ;;
    --force | --yes) force=--force ;;
    --without-backup) last_backup=no ;;
    --help | -h)
        usage
        exit 0
        ;;
    -*) fail 2 "unknown option $1; see --help" ;;
    *)
        if [ -z "$command" ]; then
            command=$1
        elif [ -z "$volume" ]; then
            volume=$1
        elif [ -z "$archive" ] && [ "$command" = restore ]; then
            archive=$1
        else
            fail 2 "unexpected argument $1; see --help"
        fi
        ;;
    esac
    shift
done
case $command in
list) [ -z "$volume" ] || fail 2 "list takes no volume" ;;
create | inspect | backup | restore | delete)
    [ -n "$volume" ] || fail 2 "$command needs the name of a volume"
    case $volume in
    -* | .* | *[!A-Za-z0-9_.-]*) fail 2 "\"$volume\" cannot be the name of a volume" ;;
    esac
    ;;
'')
    usage >&2
    exit 2
    ;;
*) fail 2 "unknown command $command; see --help" ;;
esac
command -v "$engine" >/dev/null || fail 127 "no program \"$engine\"; install it, or choose another with --engine"

# An engine silently creates a missing volume; a misspelled name must not look like an empty volume.
must_exist() {
    "$engine" volume inspect "$volume" >/dev/null 2>&1 || fail 10 "no volume \"$volume\" (see: manage-volume.sh list)"
}

# Runs a program of the image with the volume at /heirloom-volume and the archives at /heirloom-archives.
in_volume() {
    program=$1
    shift
    mkdir -p "$dir"
    archives=$(CDPATH='' cd "$dir" && pwd)
    # A terminal is passed on, so that heirloom can prompt.
    terminal=''
    if [ -t 0 ] && [ -t 1 ] && [ -t 2 ]; then terminal=--tty; fi
    # Without a label, the archives would have the name of the helper container, which differs every time.
    "$engine" run --rm --interactive ${terminal:+"$terminal"} --network none --user "$user" --env "HEIRLOOM_HOST=$host" \
        --volume "$volume:/heirloom-volume" --volume "$archives:/heirloom-archives" --entrypoint "$program" "$image" "$@"
}

# Prints the script that finds the databases inside. Arguments: list; or manual or final (the kind of the archive) and the set.
search() {
    cat <<'END'
set -efu
export LC_ALL=C
purpose=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    code=$1
    shift
    printf 'error: %s\n' "$*" >&2
    exit "$code"
}
# Names can contain control characters, which must not reach a terminal.
shown() { printf '%s' "$1" | tr '[:cntrl:]' '?'; }
# Applications create and delete files during the search. "Gone" needs ENOENT; any other error means that a database may be
# missed.
only_vanished() { [ -s "$work/errors" ] && ! grep -v ': No such file or directory$' "$work/errors" >&2; }

find /heirloom-volume -type f -size +0c -print0 >"$work/files" 2>"$work/errors" || only_vanished ||
    fail 1 "not everything in the volume can be read; nothing was backed up"
# One name per line: a newline in a name becomes the byte 2 and is restored below.
tr -d '\002' <"$work/files" | cmp -s - "$work/files" || fail 1 "a file name in the volume holds the control character 2; rename the file"
tr '\000\n' '\n\002' <"$work/files" | sort >"$work/names"
newline='
'
stand_in=$(printf '\002')
problems='' archive=''
if [ "$purpose" != list ]; then set_name=$2; fi
set --
while IFS= read -r file; do
    while case $file in *"$stand_in"*) ;; *) false ;; esac do
        file=${file%%"$stand_in"*}$newline${file#*"$stand_in"}
    done
    if ! header=$(od -An -v -tx1 -N16 "$file" 2>"$work/errors"); then
        only_vanished || fail 1 "cannot read $(shown "$file"); nothing was backed up"
        continue
    fi
    case $header in
    *'53 51 4c 69 74 65 20 66 6f 72 6d 61 74 20 33 00'*)
        # The activity log of a store belongs to heirloom.
        case $file in */.heirloom/activity.db) ;; *) set -- "$@" "$file" ;; esac
        continue
        ;;
    # A gzip member with the size of the member in it, a Zstandard frame that starts with a raw block of the tar, or
    # a tar that starts with backup_metadata.json.
    *'1f 8b 08 04 '*' 08 00 49 47 04 00'* | *'28 b5 2f fd a4 '*' 62 61 63 6b'* | *'62 61 63 6b 75 70 5f 6d 65 74 61 64 61 74 61 2e'*)
        archive=$file
        continue
        ;;
    esac
    case $file in
    *-wal) main=${file%-wal} ;;
    *-journal) main=${file%-journal} ;;
    *) main='' ;;
    esac
    if [ -n "$main" ] && [ -f "$main" ] && [ ! -s "$main" ]; then
        problems=yes
        printf 'error: %s holds changes of a database that is empty\n' "$(shown "$file")" >&2
    elif [ -n "$main" ] && [ ! -e "$main" ]; then
        case $header in
        *'37 7f 06 82'* | *'37 7f 06 83'* | *'d9 d5 05 f9 20 a1 63 d7'*)
            problems=yes
            printf 'error: %s holds changes of a database that is missing\n' "$(shown "$file")" >&2
            ;;
        esac
    fi
    # These are databases by their name or by the files beside them; heirloom decides whether they are usable.
    case $file in
    *.[dD][bB] | *.[sS][qQ][lL][iI][tT][eE] | *.[sS][qQ][lL][iI][tT][eE]3) set -- "$@" "$file" ;;
    *) if [ -s "$file-wal" ] || [ -s "$file-journal" ]; then set -- "$@" "$file"; fi ;;
    esac
done <"$work/names"

if [ "$purpose" = list ]; then
    for file in "$@"; do printf '%s\n' "$(shown "$file")"; done
    exit 0
fi
[ -z "$problems" ] || fail 13 "a part of a database is lost; nothing was backed up"
if [ "$purpose" = final ] && [ -n "$archive" ]; then
    fail 14 "the volume holds backups ($(shown "$archive")); copy them to another place first"
fi
[ $# -gt 0 ] || fail 10 "no SQLite database in the volume"
rm -rf "$work"
exec heirloom backup --dir /heirloom-archives --set "$set_name" --kind "$purpose" "$@"
END
}

# Prints the script that restores inside. Arguments: set, archive, and options for heirloom.
restore() {
    cat <<'END'
set -efu
set_name=$1 archive=$2
shift 2
# A new volume has no folders. New ones get the owner of the volume, or the application could not write beside its database.
owner=$(stat -c %u:%g /heirloom-volume)
make_folder() {
    [ ! -d "$1" ] || return 0
    make_folder "${1%/*}" && mkdir "$1" && chown "$owner" "$1"
}
# The path comes from an archive: if it leaves the volume or is escaped, heirloom handles it and reports the missing folder.
paths=$(heirloom show "$archive" --dir /heirloom-archives --set "$set_name" --json 2>/dev/null |
    sed -n 's|^ *"source": "\(/heirloom-volume/[^"\\]*\)/[^/"\\]*",*$|\1|p' | sort -u)
IFS='
'
for path in $paths; do
    case $path/ in
    */../*) ;;
    # If the process dies here, empty folders are left in the volume.
    *) make_folder "$path" ;;
    esac
done
unset IFS
exec heirloom restore "$archive" --dir /heirloom-archives --set "$set_name" --to-original "$@"
END
}

case $command in
list) exec "$engine" volume ls ;;
create)
    if "$engine" volume inspect "$volume" >/dev/null 2>&1; then
        printf 'volume %s already exists\n' "$volume"
    else
        "$engine" volume create "$volume" >/dev/null || fail 1 "$engine could not create the volume"
        printf 'created volume %s\n' "$volume"
    fi
    ;;
inspect)
    must_exist
    "$engine" volume inspect "$volume"
    printf '%sfiles%s\n' "$bold" "$plain"
    in_volume ls -l /heirloom-volume || fail 1 "$engine could not list the files of the volume"
    printf '%sdatabases%s\n' "$bold" "$plain"
    in_volume sh -c "$(search)" sh list || fail 1 "could not search the volume for databases"
    printf '%sarchives%s\n' "$bold" "$plain"
    in_volume heirloom list --dir /heirloom-archives --set "$volume"
    ;;
backup)
    must_exist
    code=0
    in_volume sh -c "$(search)" sh manual "$volume" || code=$?
    [ "$code" -eq 0 ] || fail "$code" "the backup of volume $volume failed (exit code $code)"
    ;;
restore)
    must_exist
    code=0
    in_volume sh -c "$(restore)" sh "$volume" "${archive:-latest}" ${force:+"$force"} || code=$?
    [ "$code" -eq 0 ] || fail "$code" "the restore into volume $volume failed (exit code $code)"
    ;;
delete)
    must_exist
    users=$("$engine" ps --all --quiet --filter "volume=$volume") || fail 1 "$engine could not list the containers that use the volume"
    # shellcheck disable=SC2086 # identifiers, one a line
    [ -z "$users" ] || fail 14 "volume $volume is used by containers (remove them first):" $users
    if [ -z "$force" ]; then
        if [ ! -t 0 ] || [ ! -t 2 ]; then fail 14 "no terminal to ask at; add --force to delete volume $volume"; fi
        printf '%sDelete volume %s and everything in it?%s [y/N] ' "$bold" "$volume" "$plain" >&2
        read -r answer || answer=''
        case $answer in
        y | Y | yes | Yes) ;;
        *) fail 14 "nothing was deleted" ;;
        esac
    fi
    if [ "$last_backup" = yes ]; then
        code=0
        in_volume sh -c "$(search)" sh final "$volume" || code=$?
        [ "$code" -eq 0 ] || fail "$code" "no last backup (exit code $code), so the volume was not deleted (--without-backup deletes it without one)"
    fi
    # If the process dies here, the archive and the volume both exist.
    "$engine" volume rm "$volume" >/dev/null || fail 1 "$engine could not delete the volume"
    printf 'deleted volume %s\n' "$volume"
    if [ "$last_backup" = yes ]; then printf 'its last backup is in %s\n' "$dir"; fi
    ;;
esac
