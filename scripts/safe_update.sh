#!/bin/sh
# Updates an application without losing its data: backs up, updates, checks health, and rolls the data back if the update fails.
set -eu

usage() {
    cat <<'END'
Update an application: check the configuration, back up, run the update, check health, and roll the data back if the
update fails. Volumes are never removed.

Usage: safe_update.sh [OPTIONS] [-- COMMAND...]      COMMAND: default docker compose up -d --build

  --health-url URL        must answer with success after the update (http; https needs --health-command)
  --health-command CMD    must succeed after the update
  --health-timeout TIME   how long the application may take to become healthy (default 60s)
  --timeout TIME          how long the update may take
  --no-rollback           do not roll the data back; print the command that does
  --set NAME              only this set of the configuration
  --dir DIR               the folder with the archives
  --config FILE           the configuration file
  --service NAME          the databases are inside this compose service, which has heirloom in its image
  --no-prune              do not remove dangling images
  --help                  print this

Without --service the databases are on this host and `heirloom guard` does the work. With it, heirloom runs inside the
service. The archives of the state before the update are pinned until the update has succeeded or was rolled back, so
that no rotation removes them. The service is stopped before its data is restored, and stays stopped, because the new
version would change the data again; start the old version afterwards.

A rollback discards what others wrote since the backup. The failed state is kept as a safety backup.

Environment: HEIRLOOM (the binary, default heirloom), CONTAINER_ENGINE (docker or podman), NO_COLOR.

Examples:
  safe_update.sh --health-url http://localhost:8080/health
  safe_update.sh --service api --health-url http://localhost:8080/health
  safe_update.sh --health-command './manage.py check' -- ./manage.py migrate

Exit codes: 0 updated; the code of the command if it failed; 1 not healthy afterwards; 2 wrong usage or configuration, or
a command that removes volumes; 125 the backup or the rollback failed, and the message describes the state of the data;
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
    *) fail 2 "unexpected argument $1 (the command follows --); see --help" ;;
    esac
    shift
done
default=no
if [ $# -eq 0 ]; then
    default=yes
    set -- "$engine" compose up -d --build
fi

# One simple command per line, with blanks instead of punctuation, so that commands inside quotes (sh -c '...') are found, too.
words=$(printf '%s ' "$@" | tr -c 'A-Za-z0-9;&|\n-' ' ' | tr ';&|' '[\n*]' | tr -s ' ' | sed 's/.*/ & /')
if printf '%s\n' "$words" | grep -Eq ' (down|rm) (.* )?(-[A-Za-z]*v[A-Za-z]*|--volumes) | volume (rm|remove|prune) | prune (.* )?--volumes | up (.* )?(-[A-Za-z]*V[A-Za-z]*|--renew-anon-volumes) '; then
    fail 2 "this command would remove volumes, and the data in them: $*"
fi
command -v "$1" >/dev/null || fail 127 "no program \"$1\""

# Runs heirloom where the databases are: on this host, or inside the service.
run_heirloom() {
    if [ -n "$service" ]; then
        # Not `exec`: the service may be down, in particular after a failed update.
        "$engine" compose run --rm --no-deps -T --entrypoint heirloom "$service" "$@" ${dir:+"--dir=$dir"} ${config:+"--config=$config"}
    else
        "$heirloom" "$@" ${dir:+"--dir=$dir"} ${config:+"--config=$config"}
    fi
}

# Checks once a second until the application is healthy or the timeout expires.
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
    [ -z "$timeout" ] || fail 2 "--timeout cannot be used with --service"
    [ -z "$url" ] || command -v curl >/dev/null || fail 127 "--health-url needs curl; or use --health-command"
    step "backing up service $service"
    # One archive per set. They are used by name: "latest" could be a backup made by somebody else during the update.
    report=$(run_heirloom backup --kind pre-update --json ${set_name:+"--set=$set_name"}) ||
        fail 125 "the backup failed (exit code $?); nothing was updated"
    archives=$(printf '%s\n' "$report" | sed -n 's|^ *"archive": "\([^"]*/\)\{0,1\}\([^"/]*\)",*$|\2|p')
    [ -n "$archives" ] || fail 125 "heirloom reported no archive; nothing was updated"
    # A rotation during the update must not remove them. If the process dies after this, they stay pinned: nothing is lost.
    for archive in $archives; do
        run_heirloom pin "$archive" >/dev/null || fail 125 "the archive $archive could not be pinned (exit code $?); nothing was updated"
    done
    way_back=$(restore_commands "$archives")
    trap 'interrupted 129' HUP
    trap 'interrupted 130' INT
    trap 'interrupted 143' TERM
    step "updating: $*"
    code=0
    "$@" || code=$?
    if [ "$code" -eq 0 ]; then
        step "checking health"
        healthy || code=1
    fi
    if [ "$code" -eq 0 ]; then
        unpin
        trap - HUP INT TERM
        return 0
    fi
    if [ "$rollback" = no ]; then
        warn "the update failed; the data was not rolled back, and the archive from before the update is pinned (\`heirloom unpin\` when it is no longer needed). Restore it with: $way_back"
        return "$code"
    fi
    step "the update failed: stopping service $service and restoring its data"
    "$engine" compose stop "$service" || warn "the service could not be stopped"
    for archive in $archives; do
        run_heirloom restore "$archive" --to-original --force ||
            fail 125 "the update failed, and so did the rollback (exit code $?): some data may be as the update left it. Restore it with: $way_back"
    done
    # A backup of the failed state, made during the update, must not stay the newest one.
    run_heirloom backup --note "after the rollback of a failed update" ${set_name:+"--set=$set_name"} >/dev/null ||
        warn "no backup of the restored state (exit code $?); \`heirloom restore latest\` may restore the failed one"
    unpin
    warn "the data is as it was before the update, and service $service is stopped: start the old version"
    return "$code"
}

interrupted() {
    trap - HUP INT TERM
    warn "interrupted; the data may be as the update left it, and the archive from before the update is pinned (\`heirloom unpin\` when it is no longer needed). Restore it with: $way_back"
    exit "$1"
}

unpin() {
    for archive in $archives; do
        run_heirloom unpin "$archive" >/dev/null || warn "the archive $archive is still pinned; run \`heirloom unpin $archive\`"
    done
}

# Quotes a word for the shell.
quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

# Prints the commands that restore archives of the service.
restore_commands() {
    between=''
    for archive in $1; do
        printf '%s' "$between$engine compose run --rm --no-deps --entrypoint heirloom $service restore $archive --to-original --force"
        [ -z "$dir" ] || printf ' --dir %s' "$(quoted "$dir")"
        [ -z "$config" ] || printf ' --config %s' "$(quoted "$config")"
        between=' && '
    done
}

step "checking the configuration"
if [ "$default" = yes ]; then
    "$engine" compose config --quiet || fail 2 "the compose file is not valid"
fi
if ! found=$(run_heirloom config check); then
    printf '%s\n' "$found" >&2
    fail 2 "the configuration of heirloom is not valid; nothing was updated"
fi

code=0
if [ -n "$service" ]; then guarded_in_service "$@" || code=$?; else guarded_on_this_host "$@" || code=$?; fi
[ "$code" -eq 0 ] || exit "$code"

step "health of databases and backups"
run_heirloom health ${set_name:+"--set=$set_name"} || warn "updated, but \`heirloom health\` found problems (exit code $?), see above"
if [ "$prune" = yes ] && command -v "$engine" >/dev/null; then
    step "removing dangling images"
    # Only dangling images: never volumes, never images with a name.
    "$engine" image prune --force >/dev/null || warn "old images could not be removed"
fi
printf '%supdated%s\n' "$green" "$plain" >&2
