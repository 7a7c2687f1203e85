#!/bin/sh
# Backs up the databases of an application, on this host or inside its container, and can remove old archives afterwards.
set -eu

usage() {
    cat <<'END'
Back up the databases of an application into one verified archive.

Usage: backup-databases.sh [OPTIONS] [DATABASE...] [-- OPTIONS OF heirloom backup]

DATABASE is a file, or the name of a database of the configuration (heirloom.toml). The default is all configured
databases. In a container, set HEIRLOOM_HOST or `host` in the configuration.

  --name NAME         name the archive, instead of by set and time
  --note TEXT         store this text in the archive
  --set NAME          only this set of the configuration
  --only NAME         only this database of the set; may be repeated
  --NAME-db-only      the same: --user-db-only, --arrow-db-only
  --cleanup           remove old archives after a good backup
  --keep N            keep the newest N archives; default: the configuration
  --dir DIR           the folder with the archives
  --config FILE       the configuration file
  --container NAME    run inside this container; paths are those inside it
  --engine PROGRAM    docker (default) or podman
  --help              print this

Environment: HEIRLOOM (the binary, default heirloom; inside a container always heirloom), CONTAINER_ENGINE, NO_COLOR.

Examples:
  backup-databases.sh
  backup-databases.sh --user-db-only --name before-import
  backup-databases.sh --container archerytools --cleanup --keep 10
  backup-databases.sh -- --kind scheduled --if-older-than 20h

Exit codes: those of heirloom; 2 wrong usage, 127 no such program.
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
container=''

# Takes arguments from the front and appends those for `heirloom backup` at the end, so that blanks in them are preserved.
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
    --name | --note | --set | --only | --keep | --dir | --config | --container | --engine)
        [ "$left" -gt 0 ] || fail 2 "$argument needs a value; see --help"
        value=$1
        shift
        left=$((left - 1))
        case $argument in
        --container) container=$value ;;
        --engine) engine=$value ;;
        *) set -- "$@" "$argument=$value" ;;
        esac
        ;;
    --?*-db-only)
        value=${argument#--}
        set -- "$@" "--only=${value%-db-only}"
        ;;
    --cleanup) set -- "$@" --cleanup ;;
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
    -*) fail 2 "unknown option $argument; see --help" ;;
    *) set -- "$@" "$argument" ;;
    esac
done

if [ -t 2 ]; then
    # Only at a terminal, so that cron has nothing to mail.
    printf '%sbacking up%s%s\n' "$bold" "${container:+ inside $container}" "$plain" >&2
    set -- "$@" --verbose
fi
# heirloom checks the values, and its exit code becomes that of the script.
if [ -n "$container" ]; then
    exec "$engine" exec "$container" heirloom backup "$@"
fi
exec "${HEIRLOOM:-heirloom}" backup "$@"
