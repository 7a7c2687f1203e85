#!/bin/sh
# Puts the latest backup of a running application into the bundle that is about to be deployed.
set -eu

usage() {
    cat <<'END'
Ask the running application for a backup, fetch the latest one, verify it, and put the database where the bundle expects it.

Usage: deploy-with-data.sh --to FILE [OPTIONS] [-- COMMAND [ARGUMENTS...]]

COMMAND is run after that: it deploys the bundle. Without it, the script ends once the database is in place.

  --to FILE               where the bundle expects the database; its folder must exist
  --backup-url URL        send a POST to this address of the application, which makes a backup before it answers
  --backup-command TEXT   run this with sh instead
  --if-away               if the application does not make a backup, continue with the latest one that there is
  --set NAME              the set of the database
  --only NAME             the database, if an archive holds several
  --from ORIGIN           the host, or the path, that the archives come from: the application's, not this machine's
  --check DEPTH           check the database itself, too: quick, full, none; default: as heirloom restore does
  --config FILE           the configuration file
  --dir DIR               the folder or the URL of the store with the archives
  --help                  print this

Environment: BACKUP_AUTHORIZATION (the header Authorization of the request, such as "Bearer SECRET" or "Key SECRET"),
BACKUP_TIMEOUT (how long the request may take, in seconds, default 600), HEIRLOOM (the binary, default heirloom), and the
variables that heirloom reads.

Example:
  BACKUP_AUTHORIZATION="Key $CONNECT_API_KEY" deploy-with-data.sh --backup-url https://app.example/backup \
      --dir connect://connect.example/ada/app-database --to bundle/app.db -- rsconnect deploy fastapi bundle

Exit codes: those of COMMAND; without it those of heirloom; 1 the application made no backup, 2 wrong usage, 12 there is no
backup, 13 the archive or the database in it is damaged, 14 FILE is in use, 16 the store cannot be reached, 127 no such
program. Unless the database is in place, COMMAND is not run.
END
}

say() { printf 'deploy-with-data: %s\n' "$*" >&2; }
fail() {
    code=$1
    shift
    say "error: $*"
    exit "$code"
}

heirloom=${HEIRLOOM:-heirloom}
to='' url='' order='' away=no set_name='' only='' from='' check='' config='' dir=''
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
    --to | --backup-url | --backup-command | --set | --only | --from | --check | --config | --dir)
        [ -n "${2:-}" ] || fail 2 "$1 needs a value; see --help"
        case $1 in
        --to) to=$2 ;;
        --backup-url) url=$2 ;;
        --backup-command) order=$2 ;;
        --set) set_name=$2 ;;
        --only) only=$2 ;;
        --from) from=$2 ;;
        --check) check=$2 ;;
        --config) config=$2 ;;
        --dir) dir=$2 ;;
        esac
        shift
        ;;
    --if-away) away=yes ;;
    --help | -h)
        usage
        exit 0
        ;;
    *) fail 2 "unexpected argument $1 (the command follows --); see --help" ;;
    esac
    shift
done
[ -n "$to" ] || fail 2 "where does the bundle expect the database? name it with --to, see --help"
[ -z "$url" ] || [ -z "$order" ] || fail 2 "--backup-url and --backup-command exclude each other"
folder=$(dirname -- "$to")
[ -d "$folder" ] || fail 2 "the folder $folder does not exist"
[ ! -d "$to" ] || fail 2 "$to is a folder"
command -v "$heirloom" >/dev/null || fail 127 "no program \"$heirloom\""
[ -z "$url" ] || command -v curl >/dev/null || fail 127 "--backup-url needs curl; or use --backup-command"
[ $# = 0 ] || command -v "$1" >/dev/null || fail 127 "no program \"$1\""

# A database that is replaced while these exist would be read together with what belongs to the old one.
for sidecar in "$to-wal" "$to-journal"; do
    [ ! -s "$sidecar" ] || fail 14 "$sidecar exists: $to is in use, or was not closed"
done

# The header does not appear in the list of processes.
request() {
    if [ -n "${BACKUP_AUTHORIZATION:-}" ]; then
        printf 'header = "Authorization: %s"\n' "$(printf %s "$BACKUP_AUTHORIZATION" | sed 's/[\\"]/\\&/g')"
    fi | curl --config - --fail --silent --show-error --max-time "${BACKUP_TIMEOUT:-600}" --output /dev/null --request POST "$url"
}

made=yes
if [ -n "$url" ]; then
    say "asking $url for a backup"
    request || made=no
elif [ -n "$order" ]; then
    say "making a backup: $order"
    sh -c "$order" </dev/null >&2 || made=no
fi
if [ "$made" = no ]; then
    [ "$away" = yes ] || fail 1 "the application made no backup; to continue with the latest one that there is, add --if-away"
    say "warning: the application made no backup; continuing with the latest one that there is"
fi

# Killed from here on: a hidden file stays beside the database, which is untouched. The rename replaces it as a whole.
work=$(mktemp -d "$folder/.deploy-with-data.XXXXXX")
trap 'rm -rf -- "$work"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

code=0
# heirloom reads all of the archive before the file gets its name, compares digests, and checks what no digest proves.
"$heirloom" restore latest "--to=$work/database" ${dir:+"--dir=$dir"} ${config:+"--config=$config"} \
    ${set_name:+"--set=$set_name"} ${only:+"--only=$only"} ${from:+"--from=$from"} ${check:+"--check=$check"} >&2 || code=$?
[ "$code" = 0 ] || exit "$code"
[ -s "$work/database" ] || fail 12 "nothing was restored"
chmod --reference="$to" "$work/database" 2>/dev/null || true
mv -f -- "$work/database" "$to"
rm -rf -- "$work"
trap - EXIT HUP INT TERM
say "$to is in place"

[ $# -gt 0 ] || exit 0
exec "$@"
