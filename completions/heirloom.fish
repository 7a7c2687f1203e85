# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_heirloom_global_optspecs
    string join \n config= dir= store= identity= json q/quiet v/verbose color= progress= h/help V/version
end

function __fish_heirloom_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_heirloom_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_heirloom_using_subcommand
    set -l cmd (__fish_heirloom_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c heirloom -n "__fish_heirloom_needs_command" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_needs_command" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_needs_command" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_needs_command" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_needs_command" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_needs_command" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_needs_command" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_needs_command" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_needs_command" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_needs_command" -s V -l version -d 'Print version'
complete -c heirloom -n "__fish_heirloom_needs_command" -f -a "backup" -d 'Back up databases into one verified archive'
complete -c heirloom -n "__fish_heirloom_needs_command" -f -a "restore" -d 'Restore databases from an archive'
complete -c heirloom -n "__fish_heirloom_needs_command" -f -a "copy" -d 'Copy archives to the other stores of the configuration, or back'
complete -c heirloom -n "__fish_heirloom_needs_command" -f -a "store" -d 'Try what a store is needed for'
complete -c heirloom -n "__fish_heirloom_needs_command" -f -a "list" -d 'List the archives of the store, newest first'
complete -c heirloom -n "__fish_heirloom_needs_command" -f -a "show" -d 'Show the metadata of an archive'
complete -c heirloom -n "__fish_heirloom_needs_command" -f -a "verify" -d 'Verify that archives can be restored'
complete -c heirloom -n "__fish_heirloom_needs_command" -f -a "status" -d 'Show when each set was backed up, and whether it needs to be'
complete -c heirloom -n "__fish_heirloom_needs_command" -f -a "health" -d 'Check the health of databases and backups'
complete -c heirloom -n "__fish_heirloom_needs_command" -f -a "rotate" -d 'Remove archives that the rotation does not keep (grandfather-father-son)'
complete -c heirloom -n "__fish_heirloom_needs_command" -f -a "cleanup" -d 'Remove archives beyond a number, an age or a total size, and leftovers of interrupted runs'
complete -c heirloom -n "__fish_heirloom_needs_command" -f -a "delete" -d 'Delete archives permanently'
complete -c heirloom -n "__fish_heirloom_needs_command" -f -a "pin" -d 'Protect an archive from retention'
complete -c heirloom -n "__fish_heirloom_needs_command" -f -a "unpin" -d 'Let retention remove an archive again'
complete -c heirloom -n "__fish_heirloom_needs_command" -f -a "accept" -d 'Accept that an archive holds far fewer rows than the ones before it'
complete -c heirloom -n "__fish_heirloom_needs_command" -f -a "log" -d 'Show the activity log'
complete -c heirloom -n "__fish_heirloom_needs_command" -f -a "guard" -d 'Run a command, and roll the databases back if it fails'
complete -c heirloom -n "__fish_heirloom_needs_command" -f -a "run" -d 'Run an application, and restore and back up its databases around it'
complete -c heirloom -n "__fish_heirloom_needs_command" -f -a "key" -d 'Create a key for encrypted archives, or try the keys of this host'
complete -c heirloom -n "__fish_heirloom_needs_command" -f -a "schedule" -d 'Print what the schedule runs next, or the same schedule for systemd or cron'
complete -c heirloom -n "__fish_heirloom_needs_command" -f -a "serve" -d 'Serve a page and an HTTP API to administrators'
complete -c heirloom -n "__fish_heirloom_needs_command" -f -a "notify" -d 'Test the receivers of notices'
complete -c heirloom -n "__fish_heirloom_needs_command" -f -a "config" -d 'Create, show or check the configuration'
complete -c heirloom -n "__fish_heirloom_needs_command" -f -a "completions" -d 'Print the completion script of a shell'
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l set -d 'The configured set, or a name for several files together' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l only -d 'Only this database of the set; may be repeated' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l name -d 'Name of the archive; by default made of set and time' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l note -d 'Store a note in the archive' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l kind -d 'Why the archive is made' -r -f -a "manual\t''
scheduled\t''
pre-update\t''
final\t''"
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l check -d 'How thoroughly the copy is checked' -r -f -a "full\t'Everything SQLite can check'
quick\t'Pages and rows, not indexes against tables'
none\t'Nothing; the archive is still read back'"
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l if-older-than -d 'Do nothing if every database has a good archive younger than this, such as 20h' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l compression -d 'How to compress: gzip, zstd or none, with a level if wanted: zstd:9' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l compression-level -d 'Level of the configured compression, 1 (fast) to 12 (small)' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l threads -d 'Threads that compress; by default one for each core' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l keep -d 'With --cleanup: keep the newest N archives' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l busy-timeout -d 'How long to wait for a lock of another process' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l vacuum -d 'Leave free pages out of the copy (VACUUM)'
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l no-vacuum -d 'Copy the database page by page as it is'
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l keep-damaged -d 'Keep a damaged database, marked as damaged, instead of refusing it'
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l if-exists -d 'Succeed if a database does not exist yet, for a first deployment'
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l if-changed -d 'Do nothing if no database changed since its last backup'
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l dry-run -d 'Print what would be backed up, and stop'
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l no-compress -d 'Write a plain tar, like `--compression none`'
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l rotate -d 'After a good backup, remove what the rotation policy of the configuration does not keep (see `heirloom rotate`)'
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l cleanup -d 'After a good backup, remove what is beyond the limits (see `heirloom cleanup`)'
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l no-copies -d 'Leave the other stores of the configuration out: copy nothing to them'
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l new-store -d 'Accept a new or another store at the path of the store'
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand backup" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l at -d 'The newest archive at or before this time: 2026-03-01T03:00:00Z, \'2026-03-01 03:00\', or 2026-03-01 for the end of that day' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l from -d 'With `latest` or --at: archives of another host, of a database at another path, or both: HOST, PATH or HOST:PATH' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l only -d 'Only this database; may be repeated' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l to -d 'Restore one database into this file' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l to-dir -d 'Restore each database under its file name into this folder' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l set -d 'Only archives of this set' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l check -d 'Check every unpacked database to this depth, even if its SHA-256 proves it' -r -f -a "full\t'Everything SQLite can check'
quick\t'Pages and rows, not indexes against tables'
none\t'Nothing; the archive is still read back'"
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l time-zone -d 'Time zone of times without one, such as Europe/Berlin' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l busy-timeout -d 'How long to wait for a lock of another process' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l fresh -d 'First deployment: ignore archives of other hosts and paths, and restore nothing if there are no others'
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l accept-older -d 'Restore the newest archive of the store although this host has made a newer one'
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l to-original -d 'Restore to the paths recorded in the archive, not the configured ones'
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l force -d 'Replace what exists without asking'
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l allow-damaged -d 'Restore a damaged archive as far as it can be read; pages that cannot be read become zeros'
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l allow-plain -d 'Restore a plain archive of a store whose archives are encrypted; anybody who can write to the store can have put it there'
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l rebuild-indexes -d 'Rebuild damaged indexes in the copy before it replaces the database'
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l dry-run -d 'Print what would be done, and stop'
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l no-safety-backup -d 'Take no safety backup; such a restore cannot be undone'
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l offline -d 'Replace the file itself after checking that no process has it open'
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l assume-unused -d 'With `--offline`: continue although not every process could be checked'
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l if-missing -d 'Restore only what does not exist'
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l if-backup-exists -d 'Succeed if there is no backup yet'
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l undo -d 'Undo the newest restore or rollback, or the one that ARCHIVE, a safety backup, was taken before'
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand restore" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand copy" -l to -d 'Copy to this store of the configuration (repeatable); by default to all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand copy" -l from -d 'Copy from this store of the configuration instead of the main one' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand copy" -l set -d 'Only archives of this set' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand copy" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand copy" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand copy" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand copy" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand copy" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand copy" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand copy" -l missing -d 'Only what is missing, which is the default'
complete -c heirloom -n "__fish_heirloom_using_subcommand copy" -l dry-run -d 'Print what would be copied, and stop'
complete -c heirloom -n "__fish_heirloom_using_subcommand copy" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand copy" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand copy" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand copy" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand store; and not __fish_seen_subcommand_from check" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand store; and not __fish_seen_subcommand_from check" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand store; and not __fish_seen_subcommand_from check" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand store; and not __fish_seen_subcommand_from check" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand store; and not __fish_seen_subcommand_from check" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand store; and not __fish_seen_subcommand_from check" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand store; and not __fish_seen_subcommand_from check" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand store; and not __fish_seen_subcommand_from check" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand store; and not __fish_seen_subcommand_from check" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand store; and not __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand store; and not __fish_seen_subcommand_from check" -f -a "check" -d 'Write, read, list and remove a small hidden file, and say what is missing'
complete -c heirloom -n "__fish_heirloom_using_subcommand store; and __fish_seen_subcommand_from check" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand store; and __fish_seen_subcommand_from check" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand store; and __fish_seen_subcommand_from check" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand store; and __fish_seen_subcommand_from check" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand store; and __fish_seen_subcommand_from check" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand store; and __fish_seen_subcommand_from check" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand store; and __fish_seen_subcommand_from check" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand store; and __fish_seen_subcommand_from check" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand store; and __fish_seen_subcommand_from check" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand store; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand list" -l set -d 'Only archives of this set' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand list" -l limit -d 'Show at most N archives' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand list" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand list" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand list" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand list" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand list" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand list" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand list" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand list" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand list" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand show" -l set -d 'Only archives of this set' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand show" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand show" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand show" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand show" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand show" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand show" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand show" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand show" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand show" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand verify" -l part -d 'A part of the store: as many archives as 1/N of them, those that were verified longest ago' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand verify" -l depth -d 'How thoroughly archives are verified' -r -f -a "quick\t'Structure and digests; without a key, the digest of an encrypted file'
standard\t'Also unpacked, integrity checked, and compared with the metadata'
deep\t'Also every row read'"
complete -c heirloom -n "__fish_heirloom_using_subcommand verify" -l set -d 'Only archives of this set' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand verify" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand verify" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand verify" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand verify" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand verify" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand verify" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand verify" -l all -d 'Every archive of the store'
complete -c heirloom -n "__fish_heirloom_using_subcommand verify" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand verify" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand verify" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand status" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand status" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand status" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand status" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand status" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand status" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand status" -l check-stores -d 'Ask the store and its copies, instead of showing what this host recorded'
complete -c heirloom -n "__fish_heirloom_using_subcommand status" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand status" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand status" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand health" -l set -d 'The configured set, or a name for several files together' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand health" -l only -d 'Only this database of the set; may be repeated' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand health" -l check -d 'How thoroughly a copy of each database is checked; `none` makes no copy' -r -f -a "full\t'Everything SQLite can check'
quick\t'Pages and rows, not indexes against tables'
none\t'Nothing; the archive is still read back'"
complete -c heirloom -n "__fish_heirloom_using_subcommand health" -l output -d 'With --prometheus: write the metrics to this file atomically, for the textfile collector' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand health" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand health" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand health" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand health" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand health" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand health" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand health" -l databases-only -d 'Check only the databases, not backups and store, for example before an application starts'
complete -c heirloom -n "__fish_heirloom_using_subcommand health" -l nagios -d 'Print one line with performance data for Nagios and compatible monitors, with their exit codes'
complete -c heirloom -n "__fish_heirloom_using_subcommand health" -l prometheus -d 'Print metrics in the text format of Prometheus'
complete -c heirloom -n "__fish_heirloom_using_subcommand health" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand health" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand health" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand health" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand rotate" -l keep-last -d 'Keep the newest N archives' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand rotate" -l keep-hourly -d 'Keep one archive per hour for N hours' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand rotate" -l keep-daily -d 'Keep one archive per day for N days' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand rotate" -l keep-weekly -d 'Keep one archive per week for N weeks' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand rotate" -l keep-monthly -d 'Keep one archive per month for N months' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand rotate" -l keep-yearly -d 'Keep one archive per year for N years' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand rotate" -l set -d 'Only archives of this set; by default those of the configured sets, or all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand rotate" -l gone -d 'Keep only the newest archive of databases that are gone and got no archive for this long, such as 90d' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand rotate" -l time-zone -d 'Time zone in which days, weeks, months and years start, such as Europe/Berlin' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand rotate" -l simulate -d 'Print which archives would exist after this long; no store is read or changed' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand rotate" -l every -d 'How often a backup is made in the simulation' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand rotate" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand rotate" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand rotate" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand rotate" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand rotate" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand rotate" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand rotate" -l all-hosts -d 'Include archives of other hosts; by default they are only counted'
complete -c heirloom -n "__fish_heirloom_using_subcommand rotate" -l include-plain -d 'Also count and remove plain databases and archives of other tools'
complete -c heirloom -n "__fish_heirloom_using_subcommand rotate" -l all -d 'With --gone: also remove the newest archive; asks, or needs --force'
complete -c heirloom -n "__fish_heirloom_using_subcommand rotate" -l dry-run -d 'Print the plan, and stop'
complete -c heirloom -n "__fish_heirloom_using_subcommand rotate" -l force -d 'Do not ask'
complete -c heirloom -n "__fish_heirloom_using_subcommand rotate" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand rotate" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand rotate" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand rotate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand cleanup" -l keep -d 'Keep the newest N good archives of each stream' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand cleanup" -l max-age -d 'Remove archives that are older, such as 90d' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand cleanup" -l max-size -d 'Keep the newest archives of each stream up to this total size, such as 20GB' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand cleanup" -l set -d 'Only archives of this set; by default those of the configured sets, or all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand cleanup" -l gone -d 'Keep only the newest archive of databases that are gone and got no archive for this long, such as 90d' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand cleanup" -l time-zone -d 'Time zone in which days, weeks, months and years start, such as Europe/Berlin' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand cleanup" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand cleanup" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand cleanup" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand cleanup" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand cleanup" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand cleanup" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand cleanup" -l damaged -d 'Verify archives that are marked as damaged again, and remove those that are damaged'
complete -c heirloom -n "__fish_heirloom_using_subcommand cleanup" -l all-hosts -d 'Include archives of other hosts; by default they are only counted'
complete -c heirloom -n "__fish_heirloom_using_subcommand cleanup" -l include-plain -d 'Also count and remove plain databases and archives of other tools'
complete -c heirloom -n "__fish_heirloom_using_subcommand cleanup" -l all -d 'With --gone: also remove the newest archive; asks, or needs --force'
complete -c heirloom -n "__fish_heirloom_using_subcommand cleanup" -l dry-run -d 'Print the plan, and stop'
complete -c heirloom -n "__fish_heirloom_using_subcommand cleanup" -l force -d 'Do not ask'
complete -c heirloom -n "__fish_heirloom_using_subcommand cleanup" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand cleanup" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand cleanup" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand cleanup" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand delete" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand delete" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand delete" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand delete" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand delete" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand delete" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand delete" -l force -d 'Do not ask'
complete -c heirloom -n "__fish_heirloom_using_subcommand delete" -l even-last -d 'Also delete the last good archive of a database'
complete -c heirloom -n "__fish_heirloom_using_subcommand delete" -l dry-run -d 'Print what would be deleted, and stop'
complete -c heirloom -n "__fish_heirloom_using_subcommand delete" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand delete" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand delete" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand delete" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand pin" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand pin" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand pin" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand pin" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand pin" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand pin" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand pin" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand pin" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand pin" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand pin" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand unpin" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand unpin" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand unpin" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand unpin" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand unpin" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand unpin" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand unpin" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand unpin" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand unpin" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand unpin" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand accept" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand accept" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand accept" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand accept" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand accept" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand accept" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand accept" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand accept" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand accept" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand accept" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand log" -l since -d 'Only entries since then: a span (7d) or a time (2026-03-01T03:00:00Z)' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand log" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand log" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand log" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand log" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand log" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand log" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand log" -l failed -d 'Only entries that failed or found problems'
complete -c heirloom -n "__fish_heirloom_using_subcommand log" -l notices -d 'What was sent to the receivers of notices instead, and what waits to be sent'
complete -c heirloom -n "__fish_heirloom_using_subcommand log" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand log" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand log" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand log" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand guard" -l set -d 'The configured set, or a name for several files together' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand guard" -l only -d 'Only this database of the set; may be repeated' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand guard" -l health-command -d 'Must succeed after the command; run by `sh -c`' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand guard" -l health-url -d 'Must answer with a status from 200 to 399 after the command (http only)' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand guard" -l health-timeout -d 'How long to retry the health checks until they pass' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand guard" -l timeout -d 'End the command after this time, such as 10m; that is a failure' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand guard" -l kill-after -d 'Time between SIGTERM and SIGKILL' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand guard" -l note -d 'Store a note in the backup' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand guard" -l busy-timeout -d 'How long to wait for a lock of another process' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand guard" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand guard" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand guard" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand guard" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand guard" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand guard" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand guard" -l no-rollback -d 'Do not roll back; print what would be restored, and how'
complete -c heirloom -n "__fish_heirloom_using_subcommand guard" -l if-exists -d 'Continue if a database does not exist yet, for a first deployment; what the command creates is not rolled back'
complete -c heirloom -n "__fish_heirloom_using_subcommand guard" -l new-store -d 'Accept a new or another store at the path of the store'
complete -c heirloom -n "__fish_heirloom_using_subcommand guard" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand guard" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand guard" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand guard" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand run" -l set -d 'Only this configured set' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand run" -l every -d 'Back up at this interval instead of the configured times, such as 15m' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand run" -l beside -d 'The application is process PID, which something else started; its end is the stop signal' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand run" -l listen -d 'Also serve the page and the API for administrators at this address, as `heirloom serve` does' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand run" -l log-format -d 'How each line on standard error is written: as text, or as JSON with time, level and message' -r -f -a "text\t'Lines for people'
json\t'One JSON document in each line, for collectors'"
complete -c heirloom -n "__fish_heirloom_using_subcommand run" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand run" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand run" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand run" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand run" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand run" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand run" -l as-root -d 'With --listen: serve over TCP as root all the same'
complete -c heirloom -n "__fish_heirloom_using_subcommand run" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand run" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand run" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and not __fish_seen_subcommand_from new check" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and not __fish_seen_subcommand_from new check" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and not __fish_seen_subcommand_from new check" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and not __fish_seen_subcommand_from new check" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and not __fish_seen_subcommand_from new check" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and not __fish_seen_subcommand_from new check" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and not __fish_seen_subcommand_from new check" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and not __fish_seen_subcommand_from new check" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and not __fish_seen_subcommand_from new check" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and not __fish_seen_subcommand_from new check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and not __fish_seen_subcommand_from new check" -f -a "new" -d 'Create a secret key, and print its recipient'
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and not __fish_seen_subcommand_from new check" -f -a "check" -d 'Open every encrypted archive with the keys of this host'
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and __fish_seen_subcommand_from new" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and __fish_seen_subcommand_from new" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and __fish_seen_subcommand_from new" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and __fish_seen_subcommand_from new" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and __fish_seen_subcommand_from new" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and __fish_seen_subcommand_from new" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and __fish_seen_subcommand_from new" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and __fish_seen_subcommand_from new" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and __fish_seen_subcommand_from new" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and __fish_seen_subcommand_from new" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and __fish_seen_subcommand_from check" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and __fish_seen_subcommand_from check" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and __fish_seen_subcommand_from check" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and __fish_seen_subcommand_from check" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and __fish_seen_subcommand_from check" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and __fish_seen_subcommand_from check" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and __fish_seen_subcommand_from check" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and __fish_seen_subcommand_from check" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and __fish_seen_subcommand_from check" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand key; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand schedule" -l set -d 'The configured set, or a name for several files together' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand schedule" -l only -d 'Only this database of the set; may be repeated' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand schedule" -l next -d 'Print the next N times of each job' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand schedule" -l name -d 'Name the units heirloom-NAME-backup and so on: each configuration of a host needs units of its own' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand schedule" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand schedule" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand schedule" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand schedule" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand schedule" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand schedule" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand schedule" -l systemd -d 'Print the units of systemd that do the same'
complete -c heirloom -n "__fish_heirloom_using_subcommand schedule" -l cron -d 'Print the crontab that does the same'
complete -c heirloom -n "__fish_heirloom_using_subcommand schedule" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand schedule" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand schedule" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand schedule" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand serve; and not __fish_seen_subcommand_from token" -l listen -d 'Where to listen: an address with its port, or unix:PATH' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand serve; and not __fish_seen_subcommand_from token" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand serve; and not __fish_seen_subcommand_from token" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand serve; and not __fish_seen_subcommand_from token" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand serve; and not __fish_seen_subcommand_from token" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand serve; and not __fish_seen_subcommand_from token" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand serve; and not __fish_seen_subcommand_from token" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand serve; and not __fish_seen_subcommand_from token" -l as-root -d 'Serve over TCP as root all the same'
complete -c heirloom -n "__fish_heirloom_using_subcommand serve; and not __fish_seen_subcommand_from token" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand serve; and not __fish_seen_subcommand_from token" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand serve; and not __fish_seen_subcommand_from token" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand serve; and not __fish_seen_subcommand_from token" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand serve; and not __fish_seen_subcommand_from token" -f -a "token" -d 'Make a token'
complete -c heirloom -n "__fish_heirloom_using_subcommand serve; and __fish_seen_subcommand_from token" -l role -d 'What it may do' -r -f -a "viewer\t'Look: status, health, lists, log, metrics'
admin\t'Everything'"
complete -c heirloom -n "__fish_heirloom_using_subcommand serve; and __fish_seen_subcommand_from token" -l name -d 'Its name, for the log' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand serve; and __fish_seen_subcommand_from token" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand serve; and __fish_seen_subcommand_from token" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand serve; and __fish_seen_subcommand_from token" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand serve; and __fish_seen_subcommand_from token" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand serve; and __fish_seen_subcommand_from token" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand serve; and __fish_seen_subcommand_from token" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand serve; and __fish_seen_subcommand_from token" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand serve; and __fish_seen_subcommand_from token" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand serve; and __fish_seen_subcommand_from token" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand serve; and __fish_seen_subcommand_from token" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand notify; and not __fish_seen_subcommand_from test" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand notify; and not __fish_seen_subcommand_from test" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand notify; and not __fish_seen_subcommand_from test" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand notify; and not __fish_seen_subcommand_from test" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand notify; and not __fish_seen_subcommand_from test" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand notify; and not __fish_seen_subcommand_from test" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand notify; and not __fish_seen_subcommand_from test" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand notify; and not __fish_seen_subcommand_from test" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand notify; and not __fish_seen_subcommand_from test" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand notify; and not __fish_seen_subcommand_from test" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand notify; and not __fish_seen_subcommand_from test" -f -a "test" -d 'Send a notice of each kind that a receiver gets, and print what the other side answered'
complete -c heirloom -n "__fish_heirloom_using_subcommand notify; and __fish_seen_subcommand_from test" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand notify; and __fish_seen_subcommand_from test" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand notify; and __fish_seen_subcommand_from test" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand notify; and __fish_seen_subcommand_from test" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand notify; and __fish_seen_subcommand_from test" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand notify; and __fish_seen_subcommand_from test" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand notify; and __fish_seen_subcommand_from test" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand notify; and __fish_seen_subcommand_from test" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand notify; and __fish_seen_subcommand_from test" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand notify; and __fish_seen_subcommand_from test" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and not __fish_seen_subcommand_from show check init" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and not __fish_seen_subcommand_from show check init" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and not __fish_seen_subcommand_from show check init" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and not __fish_seen_subcommand_from show check init" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and not __fish_seen_subcommand_from show check init" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and not __fish_seen_subcommand_from show check init" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and not __fish_seen_subcommand_from show check init" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and not __fish_seen_subcommand_from show check init" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and not __fish_seen_subcommand_from show check init" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and not __fish_seen_subcommand_from show check init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and not __fish_seen_subcommand_from show check init" -f -a "show" -d 'Print the settings in force, and where each comes from'
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and not __fish_seen_subcommand_from show check init" -f -a "check" -d 'Check the settings: keys, values, databases and store'
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and not __fish_seen_subcommand_from show check init" -f -a "init" -d 'Write a commented configuration file'
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from show" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from show" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from show" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from show" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from show" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from show" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from show" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from check" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from check" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from check" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from check" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from check" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from check" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from check" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from check" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from check" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from init" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from init" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from init" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from init" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from init" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from init" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from init" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from init" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from init" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand config; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heirloom -n "__fish_heirloom_using_subcommand completions" -l config -d 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand completions" -l dir -d 'The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env: HEIRLOOM_DIR, BACKUP_DIR]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand completions" -l store -d 'Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all' -r
complete -c heirloom -n "__fish_heirloom_using_subcommand completions" -l identity -d 'A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]' -r -F
complete -c heirloom -n "__fish_heirloom_using_subcommand completions" -l color -d 'Colour the output' -r -f -a "auto\t'At a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c heirloom -n "__fish_heirloom_using_subcommand completions" -l progress -d 'Show a progress bar on stderr' -r -f -a "auto\t'At a terminal'
always\t'Always'
never\t'Never'
json\t'Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done'"
complete -c heirloom -n "__fish_heirloom_using_subcommand completions" -l json -d 'Print one JSON document on stdout, errors as JSON on stderr'
complete -c heirloom -n "__fish_heirloom_using_subcommand completions" -s q -l quiet -d 'Print errors only'
complete -c heirloom -n "__fish_heirloom_using_subcommand completions" -s v -l verbose -d 'Print more detail'
complete -c heirloom -n "__fish_heirloom_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
