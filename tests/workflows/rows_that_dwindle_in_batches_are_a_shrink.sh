# A wrong job removes 30 % of the rows every five minutes: no step is half, and all of them together are.
. "$LIB"
on shop
database app.db 10000
ends 0 heirloom backup app.db --dir store
code=0
for batch in 1 2 3 4; do
    sql app.db 'DELETE FROM t WHERE id IN (SELECT id FROM t ORDER BY id LIMIT (SELECT count(*) * 3 / 10 FROM t))'
    later 300
    code=0
    heirloom backup app.db --dir store --cleanup --keep 1 >.out 2>.err || code=$?
    [ "$code" != 3 ] || break
done
equal "$code" 3
equal "$batch" 2
says 'rows fell from 10,000 to'
holds app.db 4900
