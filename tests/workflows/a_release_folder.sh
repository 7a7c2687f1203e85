# Every deployment is a folder of its own, "current" points to the newest, and the database is in "shared". That is one
# database, whatever the release.
. "$LIB"
on web
mkdir -p srv/releases srv/shared/storage
database srv/shared/storage/db.sqlite3 10
release=0
while [ "$release" -lt 12 ]; do
    release=$((release + 1))
    mkdir "srv/releases/$release"
    ln -s ../../shared/storage "srv/releases/$release/storage"
    ln -sfn "releases/$release" srv/current
    cd srv/current
    ends 0 heirloom backup storage/db.sqlite3 --dir ../../../store --kind scheduled --cleanup --keep 5
    never_says 'first backup at this path'
    cd ../..
    later 86400
done
keeps store 5
