# Orders moves to another server and leaves the set. Ten backups of the rest later its last backup is still there.
. "$LIB"
on shop
database users.db 10
database orders.db 20
printf '[sets.shop.databases]\nusers = "users.db"\norders = "orders.db"\n[store]\ndir = "store"\n' >heirloom.toml
HEIRLOOM_CONFIG=heirloom.toml
ends 0 heirloom backup
later 86400
ends 0 heirloom backup
printf '[sets.shop.databases]\nusers = "users.db"\n[store]\ndir = "store"\n' >heirloom.toml
for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
    later 86400
    ends 0 heirloom backup --cleanup --keep 10
done
keeps store 12
equal "$(made_by store 'len(m["databases"]) == 2')" 2
ends 0 heirloom restore "$(archives store | head -n 1)" --only orders --to back.db
holds back.db 20
