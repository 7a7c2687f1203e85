# web-1 becomes web. Its archives stay its own, each stream keeps its newest, and the next night rotates both.
. "$LIB"
on web-1
database app.db 10
for _ in 1 2 3 4 5 6 7 8 9 10; do
    ends 0 heirloom backup app.db --dir store --kind scheduled --cleanup --keep 5
    later 86400
done
keeps store 5
on web
printf 'former_hosts = ["web-1"]\n' >heirloom.toml
for _ in 1 2 3 4 5 6 7 8 9 10; do
    ends 0 heirloom backup app.db --dir store --kind scheduled --config heirloom.toml
    later 86400
done
ends 0 heirloom cleanup --keep 2 --dir store --config heirloom.toml
equal "$(made_by store 'm["host_label"] == "web-1"')" 2
equal "$(made_by store 'm["host_label"] == "web"')" 2
# Another machine leaves them alone.
on other
ends 0 heirloom cleanup --keep 1 --dir store
keeps store 4
ends 0 heirloom cleanup --keep 1 --dir store --all-hosts
keeps store 2
