# The configuration of one tenant is copied for a second one, with the same store. The second never gets the first one's data
# without asking.
. "$LIB"
on tenant-1
mkdir data
database data/app.db 10
printf '[sets.app.databases]\napp = "data/app.db"\n[store]\ndir = "store"\n' >heirloom.toml
HEIRLOOM_CONFIG=heirloom.toml
ends 0 heirloom backup
mv data/app.db first.db
on tenant-2
ends 12 heirloom restore latest --if-missing --if-backup-exists
says '--from tenant-1'
says '--fresh'
[ ! -e data/app.db ] || fail "the other tenant's database came"
ends 0 heirloom restore latest --if-missing --if-backup-exists --fresh
[ ! -e data/app.db ] || fail "the other tenant's database came"
database data/app.db 20
later 60
ends 0 heirloom backup
rm data/app.db
ends 0 heirloom restore latest --if-missing --if-backup-exists
holds data/app.db 20
# Whoever asks for it gets it.
ends 0 heirloom restore latest --from tenant-1 --to look.db
says tenant-1
holds look.db 10
# Undo on one host never brings the other's.
ends 0 heirloom restore latest --from tenant-1 --to data/app.db --force
on tenant-1
mv first.db data/other.db
code=0
heirloom restore --undo --force >.out 2>.err || code=$?
[ "$code" != 0 ] || fail "tenant-1 undid the restore of tenant-2"
on tenant-2
ends 0 heirloom restore --undo --force
holds data/app.db 20
