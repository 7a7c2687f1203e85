# The crontab of the README runs at 03:00, in the middle of an update that fails. The archive that guard needs stays, and the
# half-migrated state is not the latest backup afterwards.
. "$LIB"
on app
database app.db 10
printf '[sets.app.databases]\napp = "app.db"\n[store]\ndir = "store"\n[retention]\nlast = 1\ndaily = 0\nweekly = 0\nmonthly = 0\n' >heirloom.toml
HEIRLOOM_CONFIG=heirloom.toml
ends 0 heirloom backup
later 3600
ends 4 heirloom guard -- sh -c 'sqlite3 app.db "DELETE FROM t"; heirloom backup --kind scheduled --rotate >night.out 2>&1
    echo $? >night; heirloom rotate >>night.out 2>&1; exit 4'
equal "$(cat night)" 0
holds app.db 10
later 60
rm app.db
ends 0 heirloom restore latest
holds app.db 10
