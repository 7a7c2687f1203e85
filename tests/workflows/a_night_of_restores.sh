# Seven restores in one night, into production and beside it: the state before the first of them can still be restored.
. "$LIB"
on shop
database app.db 10
ends 0 heirloom backup app.db --dir store
sql app.db "INSERT INTO t(x) VALUES('only here')"
later 60
for number in 1 2 3 4 5 6 7; do
    ends 0 heirloom restore latest --dir store --to app.db --force
    sql app.db "INSERT INTO t(x) VALUES('try $number'), ('again $number')"
    for copy in a b c; do
        [ ! -e "look-$copy.db" ] || sql "look-$copy.db" "INSERT INTO t(x) VALUES('$number')"
        ends 0 heirloom restore latest --dir store --to "look-$copy.db" --force
    done
    later 60
done
first=$(for archive in $(archives store); do
    tar xzOf "store/$archive" backup_metadata.json | grep -q '"rows":11' && echo "$archive" || true
done | head -n 1)
[ -n "$first" ] || fail "the state before the first restore is gone: $(archives store)"
ends 0 heirloom restore "$first" --dir store --to app.db --force
equal "$(sql app.db "SELECT count(*) FROM t WHERE x = 'only here'")" 1
