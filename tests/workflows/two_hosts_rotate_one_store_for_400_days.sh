# Two hosts with one configuration keep their backups in one store. Each runs "backup && rotate" every night.
# Both must keep the 23 archives of the policy: 7 days, 4 weeks, 12 months.
. "$LIB"
mkdir a b
database a/app.db 10
database b/app.db 20
at 2025-01-25T03:00:00Z
day=0
while [ "$day" -lt 400 ]; do
    for host in a b; do
        on "$host"
        ends 0 heirloom backup "$host/app.db" --dir store --kind scheduled --rotate
    done
    later 86400
    day=$((day + 1))
done
equal "$(made_by store 'm["host_label"] == "a"')" 23
equal "$(made_by store 'm["host_label"] == "b"')" 23
