#!/bin/sh
# Creates, inspects, lists, backs up, restores and deletes container volumes that hold databases. Works with docker and podman.
set -eu

usage() {
    cat <<'END'
Look after a container volume that holds SQLite databases.

Usage: manage-volume.sh [OPTIONS] COMMAND [VOLUME] [ARCHIVE]

  create VOLUME               make the volume; one that is there stays as it is
  inspect VOLUME              show the volume, the databases in it and their archives
  list                        list all volumes
  backup VOLUME               back up every database in it (*.db, *.sqlite, *.sqlite3, two folders deep)
  restore VOLUME [ARCHIVE]    restore from an archive, default the newest; what is replaced gets a safety backup
  delete VOLUME               take a last backup (kind final), then delete the volume; asks

  --dir DIR           folder of this host for the archives (default ./backups); the set is named like the volume
  --image IMAGE       image with heirloom in it, see scripts/Dockerfile (default heirloom)
  --engine PROGRAM    docker (default) or podman
  --user UID:GID      who reads and writes inside the helper container (default 0:0, which may read any volume)
  --force             do not ask; needed where nobody can be asked
  --without-backup    delete without the last backup
  --help              print this

Environment: HEIRLOOM_IMAGE, CONTAINER_ENGINE, NO_COLOR.

Examples:
  manage-volume.sh backup app-data
  manage-volume.sh restore app-data latest
  manage-volume.sh --engine podman delete app-data

A database that the application has open is backed up and restored while it runs. Delete wants the volume unused.

Exit codes: those of heirloom (10 no database in the volume, 14 not confirmed); 1 the engine failed, 2 wrong usage, 127 no such program.
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
    --dir | --image | --engine | --user)
        [ $# -gt 1 ] || fail 2 "$1 needs a value; see --help"
        case $1 in
        --dir) dir=$2 ;;
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
    -* | .* | *[!A-Za-z0-9_.-]*) fail 2 "\"$volume\" is no name of a volume" ;;
    esac
    ;;
'')
    usage >&2
    exit 2
    ;;
*) fail 2 "unknown command $command; see --help" ;;
esac
command -v "$engine" >/dev/null || fail 127 "no program \"$engine\"; install it, or choose another with --engine"

# An engine makes a volume that is named and missing, without a word; a typing error must not look like an empty volume.
must_exist() {
    "$engine" volume inspect "$volume" >/dev/null 2>&1 || fail 10 "no volume \"$volume\" (see: manage-volume.sh list)"
}

# Runs a program of the image with the volume at /heirloom-volume and the archives at /heirloom-archives.
in_volume() {
    program=$1
    shift
    mkdir -p "$dir"
    archives=$(cd "$dir" && pwd)
    # A terminal is passed on, so that heirloom can ask.
    terminal=''
    if [ -t 0 ] && [ -t 1 ] && [ -t 2 ]; then terminal=--tty; fi
    "$engine" run --rm --interactive ${terminal:+"$terminal"} --network none --user "$user" \
        --volume "$volume:/heirloom-volume" --volume "$archives:/heirloom-archives" --entrypoint "$program" "$image" "$@"
}

# Backs up every database in the volume; "$1" is the kind. Exits 10 where there is none.
back_up() {
    # shellcheck disable=SC2016 # expanded by the shell inside
    in_volume sh -c '
        set_name=$1 kind=$2
        set --
        for file in /heirloom-volume/*.db /heirloom-volume/*.sqlite /heirloom-volume/*.sqlite3 \
            /heirloom-volume/*/*.db /heirloom-volume/*/*.sqlite /heirloom-volume/*/*.sqlite3; do
            if [ -f "$file" ] && [ ! -L "$file" ]; then set -- "$@" "$file"; fi
        done
        if [ $# -eq 0 ]; then
            echo "no database (*.db, *.sqlite, *.sqlite3) in the volume" >&2
            exit 10
        fi
        exec heirloom backup --dir /heirloom-archives --set "$set_name" --kind "$kind" "$@"
    ' sh "$volume" "$1"
}

case $command in
list) exec "$engine" volume ls ;;
create)
    if "$engine" volume inspect "$volume" >/dev/null 2>&1; then
        printf 'volume %s is already there\n' "$volume"
    else
        "$engine" volume create "$volume" >/dev/null || fail 1 "$engine could not make the volume"
        printf 'made volume %s\n' "$volume"
    fi
    ;;
inspect)
    must_exist
    "$engine" volume inspect "$volume"
    printf '%sfiles%s\n' "$bold" "$plain"
    in_volume ls -l /heirloom-volume || fail 1 "$engine could not look into the volume"
    printf '%sarchives%s\n' "$bold" "$plain"
    in_volume heirloom list --dir /heirloom-archives --set "$volume"
    ;;
backup)
    must_exist
    code=0
    back_up manual || code=$?
    [ "$code" -eq 0 ] || fail "$code" "the backup of volume $volume did not end well (exit code $code)"
    ;;
restore)
    must_exist
    code=0
    in_volume heirloom restore "${archive:-latest}" --dir /heirloom-archives --set "$volume" --to-original ${force:+"$force"} || code=$?
    [ "$code" -eq 0 ] || fail "$code" "the restore into volume $volume did not end well (exit code $code)"
    ;;
delete)
    must_exist
    users=$("$engine" ps --all --quiet --filter "volume=$volume") || fail 1 "$engine could not say who uses the volume"
    # shellcheck disable=SC2086 # identifiers, one a line
    [ -z "$users" ] || fail 14 "volume $volume is used by containers (remove them first):" $users
    if [ -z "$force" ]; then
        if [ ! -t 0 ] || [ ! -t 2 ]; then fail 14 "nobody can be asked; add --force to delete volume $volume"; fi
        printf '%sDelete volume %s and everything in it?%s [y/N] ' "$bold" "$volume" "$plain" >&2
        read -r answer || answer=''
        case $answer in
        y | Y | yes | Yes) ;;
        *) fail 14 "nothing was deleted" ;;
        esac
    fi
    if [ "$last_backup" = yes ]; then
        code=0
        back_up final || code=$?
        [ "$code" -eq 0 ] || fail "$code" "the last backup failed, so the volume was not deleted (--without-backup deletes it all the same)"
    fi
    # Dies here: the archive and the volume are both there.
    "$engine" volume rm "$volume" >/dev/null || fail 1 "$engine could not delete the volume"
    printf 'deleted volume %s\n' "$volume"
    if [ "$last_backup" = yes ]; then printf 'its last backup is in %s\n' "$dir"; fi
    ;;
esac
