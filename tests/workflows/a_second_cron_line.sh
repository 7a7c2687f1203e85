# Somebody adds a second line to the crontab, for another database of the same name: both databases are backed up.
. "$LIB"
on web
mkdir one two
database one/app.db 10
database two/app.db 20
ends 0 heirloom backup one/app.db --dir store --if-older-than 20h --rotate
ends 0 heirloom backup two/app.db --dir store --if-older-than 20h --rotate
keeps store 2
later 3600
ends 0 heirloom backup one/app.db --dir store --if-older-than 20h --rotate
ends 0 heirloom backup two/app.db --dir store --if-older-than 20h --rotate
keeps store 2
later 86400
ends 0 heirloom backup two/app.db --dir store --if-older-than 20h --rotate
ends 0 heirloom backup one/app.db --dir store --if-older-than 20h --rotate
keeps store 4
