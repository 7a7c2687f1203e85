# Every third day the other colour takes over with a new file. That is one application.
. "$LIB"
on api
mkdir app
database app/app.db 10
at 2025-01-25T03:00:00Z
day=0
while [ "$day" -lt 400 ]; do
    if [ $((day % 3)) = 0 ]; then
        cp app/app.db app/new && mv app/new app/app.db
    fi
    ends 0 heirloom backup app/app.db --dir store --kind scheduled --rotate
    later 86400
    day=$((day + 1))
done
found=$(archives store | wc -l)
[ "$found" -ge 12 ] && [ "$found" -le 23 ] || fail "$found archives"
