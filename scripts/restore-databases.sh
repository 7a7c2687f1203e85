#!/bin/sh
# Restores the databases of an application, on this host or inside its container.
set -eu

usage() {
    cat <<'END'
Restore the databases of an application from an archive. The archive is checked first, the plan is shown, and a safety
backup of what is replaced is taken. Asks before it replaces anything.

Usage: restore-databases.sh --list | --latest | --file ARCHIVE | --undo [OPTIONS] [-- OPTIONS OF heirloom restore]

  --list              list the archives
  --latest            use the newest good archive
  --file ARCHIVE      use this one: a name of the list, the beginning of one, or a path
  --undo              undo the last restore
  --verify            only check the archive, restore nothing
  --force             do not ask; required without a terminal
  --dry-run           show what would be done
  --set NAME          only this set of the configuration
  --only NAME         only this database; may be repeated
  --NAME-db-only      the same: --user-db-only, --arrow-db-only
  --to-dir DIR        restore into this folder instead of in place
  --dir DIR           the folder with the archives
  --config FILE       the configuration file
  --container NAME    run inside this container; paths are those inside it
  --engine PROGRAM    docker (default) or podman
  --help              print this

Environment: HEIRLOOM (the binary, default heirloom; inside a container always heirloom), CONTAINER_ENGINE, NO_COLOR.

Examples:
  restore-databases.sh --list
  restore-databases.sh --file archerytools_backup_20250804_163829 --verify
  restore-databases.sh --latest --user-db-only
  restore-databases.sh --container archerytools --latest --force
  restore-databases.sh --latest -- --to-original

Exit codes: those of heirloom (12 no such archive, 13 damaged, 14 not confirmed or in use); 2 wrong usage, 127 no such program.
END
}

if [ -t 2 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    red=$(printf '\033[31m') plain=$(printf '\033[0m')
else
    red='' plain=''
fi

fail() {
    code=$1
    shift
    printf '%serror:%s %s\n' "$red" "$plain" "$*" >&2
    exit "$code"
}

engine=${CONTAINER_ENGINE:-docker}
container='' action='' archive='' verify=no dir='' config=''

choose() {
    [ -z "$action" ] || fail 2 "choose one of --list, --latest, --file and --undo"
    action=$1
}

# Takes arguments from the front and appends those for heirloom at the end, so that blanks in them are preserved.
left=$#
while [ "$left" -gt 0 ]; do
    argument=$1
    shift
    left=$((left - 1))
    case $argument in
    --*=*)
        set -- "${argument#*=}" "$@"
        left=$((left + 1))
        argument=${argument%%=*}
        ;;
    esac
    case $argument in
    --file | --set | --only | --to-dir | --dir | --config | --container | --engine)
        [ "$left" -gt 0 ] || fail 2 "$argument needs a value; see --help"
        value=$1
        shift
        left=$((left - 1))
        case $argument in
        --file)
            choose file
            archive=$value
            ;;
        --dir) dir=$value ;;
        --config) config=$value ;;
        --container) container=$value ;;
        --engine) engine=$value ;;
        *) set -- "$@" "$argument=$value" ;;
        esac
        ;;
    --?*-db-only)
        value=${argument#--}
        set -- "$@" "--only=${value%-db-only}"
        ;;
    --list | --latest | --undo) choose "${argument#--}" ;;
    --verify) verify=yes ;;
    --force | --dry-run) set -- "$@" "$argument" ;;
    --help | -h)
        usage
        exit 0
        ;;
    --)
        while [ "$left" -gt 0 ]; do
            set -- "$@" "$1"
            shift
            left=$((left - 1))
        done
        ;;
    *) fail 2 "unknown argument $argument; see --help" ;;
    esac
done

run_heirloom() {
    set -- "$@" ${dir:+"--dir=$dir"} ${config:+"--config=$config"}
    if [ -z "$container" ]; then
        "${HEIRLOOM:-heirloom}" "$@"
    elif [ -t 0 ] && [ -t 1 ] && [ -t 2 ]; then
        # Allocates a terminal if both sides are one, so that heirloom can prompt inside.
        "$engine" exec --interactive --tty "$container" heirloom "$@"
    else
        "$engine" exec "$container" heirloom "$@"
    fi
}

# Prints the --set among the collected options: the only one that list and verify accept.
only_set() {
    for option in "$@"; do
        case $option in
        --set=*) printf '%s\n' "$option" ;;
        esac
    done
}

case $action in
'')
    usage >&2
    fail 2 "choose one of --list, --latest, --file and --undo"
    ;;
list)
    chosen=$(only_set "$@")
    run_heirloom list ${chosen:+"$chosen"}
    exit 0
    ;;
latest) archive=latest ;;
undo)
    [ "$verify" = no ] || fail 2 "--verify checks an archive; name one with --file"
    code=0
    run_heirloom restore --undo "$@" || code=$?
    exit "$code"
    ;;
esac
# The argument is always an archive name, whatever it looks like.
case $archive in
'') fail 2 "--file needs the name of an archive; see --list" ;;
-*) archive=./$archive ;;
esac

code=0
if [ "$verify" = yes ]; then
    chosen=$(only_set "$@")
    run_heirloom verify "$archive" ${chosen:+"$chosen"} || code=$?
    if [ "$code" -eq 0 ]; then printf '%s can be restored\n' "$archive"; fi
else
    run_heirloom restore "$archive" "$@" || code=$?
fi
exit "$code"
