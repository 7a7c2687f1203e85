# A synchroniser leaves copies of archives under other names. They take no slot and are removed with what they are copies of.
. "$LIB"
on web
database app.db 10
day=0
while [ "$day" -lt 9 ]; do
    ends 0 heirloom backup app.db --dir store --kind scheduled
    for archive in $(archives store); do
        case $archive in *copy*) ;; *) cp -n "store/$archive" "store/${archive%.tar.gz}-copy.tar.gz" ;; esac
    done
    later 86400
    day=$((day + 1))
done
keeps store 18
ends 0 heirloom cleanup --keep 5 --dir store
keeps store 10
