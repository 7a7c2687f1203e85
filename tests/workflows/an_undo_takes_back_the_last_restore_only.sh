# Two restores, ten days apart: the second onto a file that was lost. Undo takes back the second one, or says why it cannot;
# it never brings the state of ten days ago.
. "$LIB"
on shop
database app.db 10
ends 0 heirloom backup app.db --dir store
sql app.db "INSERT INTO t(x) VALUES('ten days ago')"
later 60
ends 0 heirloom restore latest --dir store --to app.db --force
later 864000
ends 0 heirloom backup app.db --dir store
rm app.db
later 60
ends 0 heirloom restore latest --dir store --to app.db
holds app.db 10
sql app.db "INSERT INTO t(x) VALUES('today')"
code=0
heirloom restore --undo --dir store --to app.db --force >.out 2>.err || code=$?
[ -e app.db ] && [ "$(sql app.db "SELECT count(*) FROM t WHERE x = 'ten days ago'")" != 0 ] && fail "a state of ten days ago"
[ "$code" != 0 ] || [ ! -e app.db ] || fail "nothing was taken back, exit 0"
