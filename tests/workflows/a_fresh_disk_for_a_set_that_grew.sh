# A database was added to the configuration and never backed up. A fresh disk still gets the others.
. "$LIB"
on shop
database users.db 10
printf '[sets.shop.databases]\nusers = "users.db"\n[store]\ndir = "store"\n' >heirloom.toml
HEIRLOOM_CONFIG=heirloom.toml
ends 0 heirloom backup
printf '[sets.shop.databases]\nusers = "users.db"\naudit = "audit.db"\n[store]\ndir = "store"\n' >heirloom.toml
rm users.db
ends 3 heirloom restore latest --if-missing
says audit
holds users.db 10
rm users.db
ends 0 heirloom restore latest --if-missing --if-backup-exists
says audit
holds users.db 10
