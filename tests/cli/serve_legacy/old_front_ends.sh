#!/usr/bin/env bash
# Sends what the front ends and deploy scripts of the older applications send, and reads from the answers what they need.
#   old_front_ends.sh URL TOKEN DATABASE
# Needs curl, python3 and sqlite3. Ends with 0 if each request did what it says, and the database is restored.
set -euo pipefail
url=$1 token=$2 database=$3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Prints one field of a JSON document: `field FILE EXPRESSION`, with the document as `d`.
field() {
    python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"
}
# Sends a request and keeps the answer: `send STATUS SCHEME METHOD PATH [CURL OPTION...]`.
send() {
    local wanted=$1 scheme=$2 method=$3 path=$4 status
    shift 4
    status=$(curl -sS -o "$folder/answer" -D "$folder/headers" -w '%{http_code}' -X "$method" \
        -H "Authorization: $scheme $token" "$@" "$url$path")
    if [ "$status" != "$wanted" ]; then
        echo "$method $path: $status, not $wanted: $(head -c 500 "$folder/answer")" >&2
        exit 1
    fi
}
is() {
    if [ "$1" != "$2" ]; then
        echo "$3: \"$1\", not \"$2\"" >&2
        exit 1
    fi
}
rows() {
    sqlite3 "$database" 'SELECT count(*) FROM notes'
}
json=(-H 'Content-Type: application/json')

# The page of administrators of the web application in Docker: axios with a Bearer token and JSON.
before=$(rows)
send 200 Bearer POST /api/admin/database/backup "${json[@]}" -d '{}'
is "$(field "$folder/answer" 'd["success"]')" True "a backup"
send 200 Bearer GET /api/admin/database/backups
name=$(field "$folder/answer" 'd["archives"][0]["archive"]')
is "$(field "$folder/answer" 'd["archives"][0]["bytes"] > 0 and d["archives"][0]["created_at"][:2]')" 20 "size and time"
send 200 Bearer GET /api/admin/database/health
is "$(field "$folder/answer" 'len(d["checks"]) > 0')" True "health"
send 200 Bearer GET "/api/admin/database/backup/$name/download"
grep -qi "^content-disposition: attachment; filename=\"$name\"" "$folder/headers"
tar xzf "$folder/answer" -C "$folder"
is "$(sqlite3 "$folder/$(basename "$database")" 'SELECT count(*) FROM notes')" "$before" "the downloaded database"
sqlite3 "$database" 'DELETE FROM notes WHERE id > 10'
send 200 Bearer POST /api/admin/database/restore "${json[@]}" -d "{\"backup_name\": \"$name\"}"
is "$(field "$folder/answer" 'd["success"]')" True "a restore"
is "$(rows)" "$before" "rows after the restore"
send 404 Bearer POST /api/admin/database/restore "${json[@]}" -d '{"filename": "app_20200101T000000Z.tar.gz"}'
is "$(field "$folder/answer" 'd["success"]')" False "a restore of what is not there"
# The last good backup is never deleted.
send 409 Bearer DELETE "/api/admin/database/backup/$name"
send 200 Bearer POST /api/admin/database/backup "${json[@]}" -d '{}'
send 200 Bearer DELETE "/api/admin/database/backup/$name"
send 404 Bearer GET "/api/admin/database/backup/$name/download"

# The deploy script of the Python API on Posit Connect: its scheme is Key, and posts have no body.
send 200 Key POST /admin/backup-database
is "$(field "$folder/answer" 'd["success"]')" True "a backup before a deployment"
send 200 Key GET /admin/backup-info
is "$(field "$folder/answer" 'd["archive"].endswith(".tar.gz") and d["metadata"]["created_at"][:2]')" 20 "the latest backup"
send 200 Key GET /admin/backup-status
is "$(field "$folder/answer" 'd["sets"][0]["set"]')" app "the status"
sqlite3 "$database" 'DELETE FROM notes WHERE id > 10'
send 200 Key POST /admin/restore-database
is "$(field "$folder/answer" 'd["success"]')" True "a restore of the latest backup"
is "$(rows)" "$before" "rows at the end"
echo "all requests of the old front ends are answered"
