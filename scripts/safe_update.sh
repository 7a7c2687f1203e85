#!/bin/sh
# Updates an application so that its data survives: backup, update, health check, and the old data back where it failed.
set -eu

usage() {
    cat <<'END'
Update an application: check the configuration, back up, run the update, check health, and put the data back where the
update failed. Volumes are never removed.

Usage: safe_update.sh [OPTIONS] [-- COMMAND...]      COMMAND: default docker compose up -d --build

  --health-url URL        must answer with success after the update (http; https needs --health-command)
  --health-command CMD    must succeed after the update
  --health-timeout TIME   how long the application may take until it is healthy (default 60s)
  --timeout TIME          how long the update may take
  --no-rollback           do not put the data back; say how to
  --set NAME              only this set of the configuration
  --dir DIR               the folder with the archives
  --config FILE           the configuration file
  --service NAME          the databases are inside this compose service, which has heirloom in its image
  --no-prune              leave old images that nothing uses
  --help                  print this

Without --service the databases are on this host and everything is done by `heirloom guard`. With it, heirloom runs
inside: the service is stopped before its data is put back, and stays stopped, or the new version would change the data
again; then start the old one.

What others write between the backup and the rollback is lost with the rollback; the state that failed is kept as a
safety backup.

Environment: HEIRLOOM (the binary, default heirloom), CONTAINER_ENGINE (docker or podman), NO_COLOR.

Examples:
  safe_update.sh --health-url http://localhost:8080/health
  safe_update.sh --service api --health-url http://localhost:8080/health
  safe_update.sh --health-command './manage.py check' -- ./manage.py migrate

Exit codes: 0 updated; the code of the command where it failed; 1 not healthy afterwards; 2 wrong usage or configuration, or
a command that removes volumes; 125 the backup or the rollback failed, and the message says what state things are in;
127 no such program; 128+N ended by signal N
END
}

if [ -t 2 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    red=$(printf '\033[31m') yellow=$(printf '\033[33m') green=$(printf '\033[32m') bold=$(printf '\033[1m') plain=$(printf '\033[0m')
else
    red='' yellow='' green='' bold='' plain=''
fi

step() { printf '%s==>%s %s\n' "$bold" "$plain" "$*" >&2; }
warn() { printf '%swarning:%s %s\n' "$yellow" "$plain" "$*" >&2; }
fail() {
    code=$1
    shift
    printf '%serror:%s %s\n' "$red" "$plain" "$*" >&2
    exit "$code"
}

engine=${CONTAINER_ENGINE:-docker}
heirloom=${HEIRLOOM:-heirloom}
url='' health='' health_timeout=60s timeout='' rollback=yes set_name='' dir='' config='' service='' prune=yes
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
    --health-url | --health-command | --health-timeout | --timeout | --set | --dir | --config | --service)
        [ $# -gt 1 ] || fail 2 "$1 needs a value; see --help"
        case $1 in
        --health-url) url=$2 ;;
        --health-command) health=$2 ;;
        --health-timeout) health_timeout=$2 ;;
        --timeout) timeout=$2 ;;
        --set) set_name=$2 ;;
        --dir) dir=$2 ;;
        --config) config=$2 ;;
        --service) service=$2 ;;
        esac
        shift
        ;;
    --no-rollback) rollback=no ;;
    --no-prune) prune=no ;;
    --help | -h)
        usage
        exit 0
        ;;
    *) fail 2 "unexpected argument $1 (the command goes behind --); see --help" ;;
    esac
    shift
done
default=no
if [ $# -eq 0 ]; then
    default=yes
    set -- "$engine" compose up -d --build
fi

# One simple command a line, everything but words a blank: so what stands inside quotes (sh -c '...') is seen too.
words=$(printf '%s ' "$@" | tr -c 'A-Za-z0-9;&|\n-' ' ' | tr ';&|' '[\n*]' | tr -s ' ' | sed 's/.*/ & /')
if printf '%s\n' "$words" | grep -Eq ' (down|rm) (.* )?(-[A-Za-z]*v[A-Za-z]*|--volumes) | volume (rm|remove|prune) | prune (.* )?--volumes | up (.* )?(-[A-Za-z]*V[A-Za-z]*|--renew-anon-volumes) '; then
    fail 2 "this command would remove volumes, and the data in them: $*"
fi
command -v "$1" >/dev/null || fail 127 "no program \"$1\""

# The options are tried out where they are used: on this host, or inside the service.
run_heirloom() {
    if [ -n "$service" ]; then
        # Not `exec`: the service need not be running, least of all after an update that failed.
        "$engine" compose run --rm --no-deps -T --entrypoint heirloom "$service" "$@" ${dir:+"--dir=$dir"} ${config:+"--config=$config"}
    else
        "$heirloom" "$@" ${dir:+"--dir=$dir"} ${config:+"--config=$config"}
    fi
}

# Asks once a second until it is healthy or time is up.
healthy() {
    [ -n "$url$health" ] || return 0
    tries=$seconds
    while :; do
        if { [ -z "$url" ] || curl --fail --silent --show-error --max-time 10 --output /dev/null "$url"; } &&
            { [ -z "$health" ] || sh -c "$health"; }; then
            return 0
        fi
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 1
    done
}

guarded_on_this_host() {
    command -v "$heirloom" >/dev/null || fail 127 "no program \"$heirloom\"; install heirloom or set HEIRLOOM"
    if [ "$rollback" = no ]; then set -- --no-rollback -- "$@"; else set -- -- "$@"; fi
    "$heirloom" guard ${dir:+"--dir=$dir"} ${config:+"--config=$config"} ${set_name:+"--set=$set_name"} ${timeout:+"--timeout=$timeout"} \
        ${url:+"--health-url=$url"} ${health:+"--health-command=$health"} "--health-timeout=$health_timeout" "$@"
}

guarded_in_service() {
    case $health_timeout in
    *[!0-9s]* | '' | s) fail 2 "--health-timeout needs seconds with --service, such as 60s" ;;
    *) seconds=${health_timeout%s} ;;
    esac
    [ -z "$timeout" ] || fail 2 "--timeout is not there with --service"
    [ -z "$url" ] || command -v curl >/dev/null || fail 127 "--health-url needs curl; or use --health-command"
    # The time makes the name, and the name makes the way back sure: "latest" could be somebody else's.
    archive=pre-update_$(date -u +%Y%m%dT%H%M%SZ)
    step "backing up service $service"
    run_heirloom backup --kind pre-update --name "$archive" ${set_name:+"--set=$set_name"} ||
        fail 125 "the backup failed (exit code $?); nothing was updated"
    step "updating: $*"
    code=0
    "$@" || code=$?
    if [ "$code" -eq 0 ]; then
        step "checking health"
        healthy || code=1
        [ "$code" -ne 0 ] || return 0
    fi
    way_back="$engine compose run --rm --no-deps --entrypoint heirloom $service restore $archive --force"
    if [ "$rollback" = no ]; then
        warn "the update failed; the data was left as it is. To put it back: $way_back"
        return "$code"
    fi
    step "the update failed: stopping service $service and putting its data back"
    "$engine" compose stop "$service" || warn "the service could not be stopped"
    if run_heirloom restore "$archive" --force; then
        warn "the data is as it was before the update, and service $service is stopped: start the old version"
        return "$code"
    fi
    fail 125 "the update failed, and so did the rollback: the data is as the update left it. To put it back: $way_back"
}

step "checking the configuration"
if [ "$default" = yes ]; then
    "$engine" compose config --quiet || fail 2 "the compose file is not usable"
fi
if ! found=$(run_heirloom config check); then
    printf '%s\n' "$found" >&2
    fail 2 "the configuration of heirloom is not usable; nothing was updated"
fi

code=0
if [ -n "$service" ]; then guarded_in_service "$@" || code=$?; else guarded_on_this_host "$@" || code=$?; fi
[ "$code" -eq 0 ] || exit "$code"

step "health of databases and backups"
run_heirloom health || warn "updated, but \`heirloom health\` is not content (exit code $?): see above"
if [ "$prune" = yes ] && command -v "$engine" >/dev/null; then
    step "removing images that nothing uses"
    # Dangling images only: never volumes, never images with a name.
    "$engine" image prune --force >/dev/null || warn "old images could not be removed"
fi
printf '%supdated%s\n' "$green" "$plain" >&2
