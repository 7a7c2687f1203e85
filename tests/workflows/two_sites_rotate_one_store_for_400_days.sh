# Two sites on one host have databases of one name, and one store.
. "$LIB"
on web
mkdir site1 site2
database site1/db.sqlite3 10
database site2/db.sqlite3 20
at 2025-01-25T03:00:00Z
day=0
while [ "$day" -lt 400 ]; do
    ends 0 heirloom backup site1/db.sqlite3 --dir store --kind scheduled
    ends 0 heirloom backup site2/db.sqlite3 --dir store --kind scheduled
    ends 0 heirloom rotate --dir store
    later 86400
    day=$((day + 1))
done
equal "$(made_by store '"/site1/" in d["source_resolved"]')" 23
equal "$(made_by store '"/site2/" in d["source_resolved"]')" 23
