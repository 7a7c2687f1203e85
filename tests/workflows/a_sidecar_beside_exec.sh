# A sidecar container backs up every night, and somebody runs "docker exec app heirloom backup" at noon: two containers
# without a host, one volume, one file.
. "$LIB"
on container
mkdir volume
database volume/app.db 10
at 2025-01-25T03:00:00Z
day=0
while [ "$day" -lt 200 ]; do
    ends 0 heirloom backup volume/app.db --dir store --kind scheduled --rotate
    later 32400
    ends 0 heirloom backup volume/app.db --dir store --rotate
    later 54000
    day=$((day + 1))
done
found=$(archives store | wc -l)
[ "$found" -ge 12 ] && [ "$found" -le 23 ] || fail "$found archives"
