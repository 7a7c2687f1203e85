# The entry point of a container runs a migration under guard. It fails, the container starts again every 30 minutes for 3 days.
. "$LIB"
on app
database app.db 10
try=0
while [ "$try" -lt 144 ]; do
    ends 3 heirloom guard app.db --dir store -- sh -c "sqlite3 app.db \"INSERT INTO t(x) VALUES('half')\"; exit 3"
    holds app.db 10
    later 1800
    try=$((try + 1))
done
# The content before is the same each time: one archive of it. What the migration left is thinned out.
equal "$(made_by store 'm["kind"] == "pre-update"')" 1
found=$(made_by store 'm["kind"] == "safety"')
[ "$found" -le 77 ] || fail "$found safety archives after three days"
