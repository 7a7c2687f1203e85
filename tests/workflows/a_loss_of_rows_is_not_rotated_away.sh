# A migration deletes 99 % of the rows on Friday evening, and nobody looks until Monday. "cleanup --keep 10" runs every hour.
. "$LIB"
on shop
database app.db 5000
at 2026-02-27T08:00:00Z
hour=0
while [ "$hour" -lt 10 ]; do
    ends 0 heirloom backup app.db --dir store --kind scheduled --cleanup --keep 10
    later 3600
    hour=$((hour + 1))
done
keeps store 10
before=$(archives store)
sql app.db 'DELETE FROM t WHERE id > 50'
hour=0
while [ "$hour" -lt 60 ]; do
    ends 3 heirloom backup app.db --dir store --kind scheduled --cleanup --keep 10
    later 3600
    hour=$((hour + 1))
done
for archive in $before; do
    [ -e "store/$archive" ] || fail "$archive from before the loss was removed"
done
# Ten from before, the first one after the loss, and the newest ten: the store stays bounded.
keeps store 21
says 'rows fell from 5,000 to 50 (-99%)'
good=$(echo "$before" | tail -n 1)
ends 0 heirloom restore "$good" --dir store --to back.db
holds back.db 5000
# Somebody meant it after all.
shrunk=$(heirloom rotate --dir store --dry-run --json | python3 -c '
import json, sys
print(json.load(sys.stdin)["open_shrinks"][0]["archive"])')
ends 0 heirloom accept "$shrunk" --dir store
ends 0 heirloom backup app.db --dir store --kind scheduled --cleanup --keep 10
keeps store 10
