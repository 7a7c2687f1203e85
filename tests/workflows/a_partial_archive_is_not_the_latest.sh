# Users and orders are backed up together, later users alone. Then the disk is lost.
. "$LIB"
on shop
database users.db 10
database orders.db 20
printf '[sets.shop.databases]\nusers = "users.db"\norders = "orders.db"\n[store]\ndir = "store"\n' >heirloom.toml
HEIRLOOM_CONFIG=heirloom.toml
ends 0 heirloom backup
later 3600
sql users.db "INSERT INTO t(x) VALUES('later')"
ends 0 heirloom backup --only users
rm users.db orders.db
ends 0 heirloom restore latest --if-missing --if-backup-exists
holds users.db 10
holds orders.db 20
# Two days later the partial one is much newer: old users are not restored silently.
later 172800
sql users.db "INSERT INTO t(x) VALUES('much later')"
ends 0 heirloom backup --only users
rm users.db orders.db
ends 12 heirloom restore latest --if-missing --if-backup-exists
says --at
[ ! -e users.db ] && [ ! -e orders.db ] || fail "something was restored"
# One at a time each gets its own newest.
ends 0 heirloom restore latest --only users
holds users.db 11
ends 0 heirloom restore latest --only orders
holds orders.db 20
