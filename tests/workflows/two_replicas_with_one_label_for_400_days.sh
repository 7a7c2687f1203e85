# Two replicas were set up with the same HEIRLOOM_HOST, the same path and one store, and each has a database of its own.
# From the second backup on they are distinguished by their files, both keep their 23 archives, and both are warned.
. "$LIB"
on replicas
mkdir 1 2
database 1/app.db 10
database 2/app.db 20
mkdir app
at 2025-01-25T03:00:00Z
day=0
while [ "$day" -lt 400 ]; do
    for replica in 1 2; do
        mount --bind "$replica" app
        expected=3
        # The first two see no archive of their own file yet.
        [ "$day" -gt 0 ] || expected=0
        ends "$expected" heirloom backup app/app.db --dir store --kind scheduled --rotate
        [ "$expected" = 0 ] || says 'host = "NAME"'
        umount app
    done
    later 86400
    day=$((day + 1))
done
equal "$(made_by store 'd["tables"][0]["rows"] == 10')" 23
equal "$(made_by store 'd["tables"][0]["rows"] == 20')" 23
