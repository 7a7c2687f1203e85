# The clock of the host is two years ahead for one night. The archive of that night stays and counts for nothing, and
# retention goes on afterwards.
. "$LIB"
on web
database app.db 10
at 2026-01-01T03:00:00Z
day=0
while [ "$day" -lt 60 ]; do
    if [ "$day" = 20 ]; then
        later 63072000
        ends 0 heirloom backup app.db --dir store --kind scheduled
        later -63072000
    else
        code=0
        heirloom backup app.db --dir store --kind scheduled --rotate >.out 2>.err || code=$?
        # Dated before the newest archive of its stream: said every night until that archive is deleted.
        [ "$day" -lt 20 ] && equal "$code" 0 || true
        [ "$day" -lt 21 ] || equal "$code" 3
    fi
    later 86400
    day=$((day + 1))
done
# 7 days, 4 weeks, 1 month, and the one from the future.
found=$(archives store | wc -l)
[ "$found" -ge 12 ] && [ "$found" -le 14 ] || fail "$found archives: $(archives store)"
ends 0 heirloom rotate --dir store
future=$(archives store | tail -n 1)
says "$future"
ends 0 heirloom delete "$future" --dir store --force
ends 0 heirloom backup app.db --dir store --kind scheduled --rotate
