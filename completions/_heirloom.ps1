
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'heirloom' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'heirloom'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'heirloom' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder with the archives [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('backup', 'backup', [CompletionResultType]::ParameterValue, 'Back up databases into one verified archive')
            [CompletionResult]::new('restore', 'restore', [CompletionResultType]::ParameterValue, 'Restore databases from an archive')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List the archives of the store, newest first')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show the metadata of an archive')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Verify that archives can be restored')
            [CompletionResult]::new('health', 'health', [CompletionResultType]::ParameterValue, 'Check the health of databases and backups')
            [CompletionResult]::new('rotate', 'rotate', [CompletionResultType]::ParameterValue, 'Remove archives that the rotation does not keep (grandfather-father-son)')
            [CompletionResult]::new('cleanup', 'cleanup', [CompletionResultType]::ParameterValue, 'Remove archives beyond a number, an age or a total size, and leftovers of interrupted runs')
            [CompletionResult]::new('delete', 'delete', [CompletionResultType]::ParameterValue, 'Delete archives permanently')
            [CompletionResult]::new('pin', 'pin', [CompletionResultType]::ParameterValue, 'Protect an archive from retention')
            [CompletionResult]::new('unpin', 'unpin', [CompletionResultType]::ParameterValue, 'Let retention remove an archive again')
            [CompletionResult]::new('accept', 'accept', [CompletionResultType]::ParameterValue, 'Accept that an archive holds far fewer rows than the ones before it')
            [CompletionResult]::new('log', 'log', [CompletionResultType]::ParameterValue, 'Show the activity log')
            [CompletionResult]::new('guard', 'guard', [CompletionResultType]::ParameterValue, 'Run a command, and roll the databases back if it fails')
            [CompletionResult]::new('config', 'config', [CompletionResultType]::ParameterValue, 'Create, show or check the configuration')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print the completion script of a shell')
            break
        }
        'heirloom;backup' {
            [CompletionResult]::new('--set', '--set', [CompletionResultType]::ParameterName, 'The configured set, or a name for several files together')
            [CompletionResult]::new('--only', '--only', [CompletionResultType]::ParameterName, 'Only this database of the set; may be repeated')
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'Name of the archive; by default made of set and time')
            [CompletionResult]::new('--note', '--note', [CompletionResultType]::ParameterName, 'Store a note in the archive')
            [CompletionResult]::new('--kind', '--kind', [CompletionResultType]::ParameterName, 'Why the archive is made')
            [CompletionResult]::new('--check', '--check', [CompletionResultType]::ParameterName, 'How thoroughly the copy is checked')
            [CompletionResult]::new('--if-older-than', '--if-older-than', [CompletionResultType]::ParameterName, 'Do nothing if every database has a good archive younger than this, such as 20h')
            [CompletionResult]::new('--compression', '--compression', [CompletionResultType]::ParameterName, 'How to compress: gzip, zstd or none, with a level if wanted: zstd:9')
            [CompletionResult]::new('--compression-level', '--compression-level', [CompletionResultType]::ParameterName, 'Level of the configured compression, 1 (fast) to 12 (small)')
            [CompletionResult]::new('--threads', '--threads', [CompletionResultType]::ParameterName, 'Threads that compress; by default one for each core')
            [CompletionResult]::new('--keep', '--keep', [CompletionResultType]::ParameterName, 'With --cleanup: keep the newest N archives')
            [CompletionResult]::new('--busy-timeout', '--busy-timeout', [CompletionResultType]::ParameterName, 'How long to wait for a lock of another process')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder with the archives [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--vacuum', '--vacuum', [CompletionResultType]::ParameterName, 'Leave free pages out of the copy (VACUUM)')
            [CompletionResult]::new('--no-vacuum', '--no-vacuum', [CompletionResultType]::ParameterName, 'Copy the database page by page as it is')
            [CompletionResult]::new('--keep-damaged', '--keep-damaged', [CompletionResultType]::ParameterName, 'Keep a damaged database, marked as damaged, instead of refusing it')
            [CompletionResult]::new('--if-exists', '--if-exists', [CompletionResultType]::ParameterName, 'Succeed if a database does not exist yet, for a first deployment')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print what would be backed up, and stop')
            [CompletionResult]::new('--no-compress', '--no-compress', [CompletionResultType]::ParameterName, 'Write a plain tar, like `--compression none`')
            [CompletionResult]::new('--rotate', '--rotate', [CompletionResultType]::ParameterName, 'After a good backup, remove what the rotation policy of the configuration does not keep (see `heirloom rotate`)')
            [CompletionResult]::new('--cleanup', '--cleanup', [CompletionResultType]::ParameterName, 'After a good backup, remove what is beyond the limits (see `heirloom cleanup`)')
            [CompletionResult]::new('--new-store', '--new-store', [CompletionResultType]::ParameterName, 'Accept a new or another store at the path of the store')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;restore' {
            [CompletionResult]::new('--at', '--at', [CompletionResultType]::ParameterName, 'The newest archive at or before this time: 2026-03-01T03:00:00Z, ''2026-03-01 03:00'', or 2026-03-01 for the end of that day')
            [CompletionResult]::new('--from', '--from', [CompletionResultType]::ParameterName, 'With `latest` or --at: archives of another host, of a database at another path, or both: HOST, PATH or HOST:PATH')
            [CompletionResult]::new('--only', '--only', [CompletionResultType]::ParameterName, 'Only this database; may be repeated')
            [CompletionResult]::new('--to', '--to', [CompletionResultType]::ParameterName, 'Restore one database into this file')
            [CompletionResult]::new('--to-dir', '--to-dir', [CompletionResultType]::ParameterName, 'Restore each database under its file name into this folder')
            [CompletionResult]::new('--set', '--set', [CompletionResultType]::ParameterName, 'Only archives of this set')
            [CompletionResult]::new('--check', '--check', [CompletionResultType]::ParameterName, 'Check every unpacked database to this depth, even if its SHA-256 proves it')
            [CompletionResult]::new('--time-zone', '--time-zone', [CompletionResultType]::ParameterName, 'Time zone of times without one, such as Europe/Berlin')
            [CompletionResult]::new('--busy-timeout', '--busy-timeout', [CompletionResultType]::ParameterName, 'How long to wait for a lock of another process')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder with the archives [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--fresh', '--fresh', [CompletionResultType]::ParameterName, 'First deployment: ignore archives of other hosts and paths, and restore nothing if there are no others')
            [CompletionResult]::new('--accept-older', '--accept-older', [CompletionResultType]::ParameterName, 'Restore the newest archive of the store although this host has made a newer one')
            [CompletionResult]::new('--to-original', '--to-original', [CompletionResultType]::ParameterName, 'Restore to the paths recorded in the archive, not the configured ones')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Replace what exists without asking')
            [CompletionResult]::new('--allow-damaged', '--allow-damaged', [CompletionResultType]::ParameterName, 'Restore a damaged archive as far as it can be read; pages that cannot be read become zeros')
            [CompletionResult]::new('--rebuild-indexes', '--rebuild-indexes', [CompletionResultType]::ParameterName, 'Rebuild damaged indexes in the copy before it replaces the database')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print what would be done, and stop')
            [CompletionResult]::new('--no-safety-backup', '--no-safety-backup', [CompletionResultType]::ParameterName, 'Take no safety backup; such a restore cannot be undone')
            [CompletionResult]::new('--offline', '--offline', [CompletionResultType]::ParameterName, 'Replace the file itself after checking that no process has it open')
            [CompletionResult]::new('--assume-unused', '--assume-unused', [CompletionResultType]::ParameterName, 'With `--offline`: continue although not every process could be checked')
            [CompletionResult]::new('--if-missing', '--if-missing', [CompletionResultType]::ParameterName, 'Restore only what does not exist')
            [CompletionResult]::new('--if-backup-exists', '--if-backup-exists', [CompletionResultType]::ParameterName, 'Succeed if there is no backup yet')
            [CompletionResult]::new('--undo', '--undo', [CompletionResultType]::ParameterName, 'Undo the newest restore or rollback, or the one that ARCHIVE, a safety backup, was taken before')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;list' {
            [CompletionResult]::new('--set', '--set', [CompletionResultType]::ParameterName, 'Only archives of this set')
            [CompletionResult]::new('--limit', '--limit', [CompletionResultType]::ParameterName, 'Show at most N archives')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder with the archives [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;show' {
            [CompletionResult]::new('--set', '--set', [CompletionResultType]::ParameterName, 'Only archives of this set')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder with the archives [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;verify' {
            [CompletionResult]::new('--depth', '--depth', [CompletionResultType]::ParameterName, 'How thoroughly archives are verified')
            [CompletionResult]::new('--set', '--set', [CompletionResultType]::ParameterName, 'Only archives of this set')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder with the archives [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'Every archive of the store')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;health' {
            [CompletionResult]::new('--set', '--set', [CompletionResultType]::ParameterName, 'The configured set, or a name for several files together')
            [CompletionResult]::new('--only', '--only', [CompletionResultType]::ParameterName, 'Only this database of the set; may be repeated')
            [CompletionResult]::new('--check', '--check', [CompletionResultType]::ParameterName, 'How thoroughly a copy of each database is checked; `none` makes no copy')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'With --prometheus: write the metrics to this file atomically, for the textfile collector')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder with the archives [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--databases-only', '--databases-only', [CompletionResultType]::ParameterName, 'Check only the databases, not backups and store, for example before an application starts')
            [CompletionResult]::new('--nagios', '--nagios', [CompletionResultType]::ParameterName, 'Print one line with performance data for Nagios and compatible monitors, with their exit codes')
            [CompletionResult]::new('--prometheus', '--prometheus', [CompletionResultType]::ParameterName, 'Print metrics in the text format of Prometheus')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;rotate' {
            [CompletionResult]::new('--keep-last', '--keep-last', [CompletionResultType]::ParameterName, 'Keep the newest N archives')
            [CompletionResult]::new('--keep-hourly', '--keep-hourly', [CompletionResultType]::ParameterName, 'Keep one archive per hour for N hours')
            [CompletionResult]::new('--keep-daily', '--keep-daily', [CompletionResultType]::ParameterName, 'Keep one archive per day for N days')
            [CompletionResult]::new('--keep-weekly', '--keep-weekly', [CompletionResultType]::ParameterName, 'Keep one archive per week for N weeks')
            [CompletionResult]::new('--keep-monthly', '--keep-monthly', [CompletionResultType]::ParameterName, 'Keep one archive per month for N months')
            [CompletionResult]::new('--keep-yearly', '--keep-yearly', [CompletionResultType]::ParameterName, 'Keep one archive per year for N years')
            [CompletionResult]::new('--set', '--set', [CompletionResultType]::ParameterName, 'Only archives of this set; by default those of the configured sets, or all')
            [CompletionResult]::new('--gone', '--gone', [CompletionResultType]::ParameterName, 'Keep only the newest archive of databases that are gone and got no archive for this long, such as 90d')
            [CompletionResult]::new('--time-zone', '--time-zone', [CompletionResultType]::ParameterName, 'Time zone in which days, weeks, months and years start, such as Europe/Berlin')
            [CompletionResult]::new('--simulate', '--simulate', [CompletionResultType]::ParameterName, 'Print which archives would exist after this long; no store is read or changed')
            [CompletionResult]::new('--every', '--every', [CompletionResultType]::ParameterName, 'How often a backup is made in the simulation')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder with the archives [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--all-hosts', '--all-hosts', [CompletionResultType]::ParameterName, 'Include archives of other hosts; by default they are only counted')
            [CompletionResult]::new('--include-plain', '--include-plain', [CompletionResultType]::ParameterName, 'Also count and remove plain databases and archives of other tools')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'With --gone: also remove the newest archive; asks, or needs --force')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print the plan, and stop')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Do not ask')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;cleanup' {
            [CompletionResult]::new('--keep', '--keep', [CompletionResultType]::ParameterName, 'Keep the newest N good archives of each stream')
            [CompletionResult]::new('--max-age', '--max-age', [CompletionResultType]::ParameterName, 'Remove archives that are older, such as 90d')
            [CompletionResult]::new('--max-size', '--max-size', [CompletionResultType]::ParameterName, 'Keep the newest archives of each stream up to this total size, such as 20GB')
            [CompletionResult]::new('--set', '--set', [CompletionResultType]::ParameterName, 'Only archives of this set; by default those of the configured sets, or all')
            [CompletionResult]::new('--gone', '--gone', [CompletionResultType]::ParameterName, 'Keep only the newest archive of databases that are gone and got no archive for this long, such as 90d')
            [CompletionResult]::new('--time-zone', '--time-zone', [CompletionResultType]::ParameterName, 'Time zone in which days, weeks, months and years start, such as Europe/Berlin')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder with the archives [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--damaged', '--damaged', [CompletionResultType]::ParameterName, 'Verify archives that are marked as damaged again, and remove those that are damaged')
            [CompletionResult]::new('--all-hosts', '--all-hosts', [CompletionResultType]::ParameterName, 'Include archives of other hosts; by default they are only counted')
            [CompletionResult]::new('--include-plain', '--include-plain', [CompletionResultType]::ParameterName, 'Also count and remove plain databases and archives of other tools')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'With --gone: also remove the newest archive; asks, or needs --force')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print the plan, and stop')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Do not ask')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;delete' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder with the archives [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Do not ask')
            [CompletionResult]::new('--even-last', '--even-last', [CompletionResultType]::ParameterName, 'Also delete the last good archive of a database')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print what would be deleted, and stop')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;pin' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder with the archives [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;unpin' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder with the archives [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;accept' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder with the archives [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;log' {
            [CompletionResult]::new('--since', '--since', [CompletionResultType]::ParameterName, 'Only entries since then: a span (7d) or a time (2026-03-01T03:00:00Z)')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder with the archives [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--failed', '--failed', [CompletionResultType]::ParameterName, 'Only entries that failed or found problems')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;guard' {
            [CompletionResult]::new('--set', '--set', [CompletionResultType]::ParameterName, 'The configured set, or a name for several files together')
            [CompletionResult]::new('--only', '--only', [CompletionResultType]::ParameterName, 'Only this database of the set; may be repeated')
            [CompletionResult]::new('--health-command', '--health-command', [CompletionResultType]::ParameterName, 'Must succeed after the command; run by `sh -c`')
            [CompletionResult]::new('--health-url', '--health-url', [CompletionResultType]::ParameterName, 'Must answer with a status from 200 to 399 after the command (http only)')
            [CompletionResult]::new('--health-timeout', '--health-timeout', [CompletionResultType]::ParameterName, 'How long to retry the health checks until they pass')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'End the command after this time, such as 10m; that is a failure')
            [CompletionResult]::new('--kill-after', '--kill-after', [CompletionResultType]::ParameterName, 'Time between SIGTERM and SIGKILL')
            [CompletionResult]::new('--note', '--note', [CompletionResultType]::ParameterName, 'Store a note in the backup')
            [CompletionResult]::new('--busy-timeout', '--busy-timeout', [CompletionResultType]::ParameterName, 'How long to wait for a lock of another process')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder with the archives [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--no-rollback', '--no-rollback', [CompletionResultType]::ParameterName, 'Do not roll back; print what would be restored, and how')
            [CompletionResult]::new('--if-exists', '--if-exists', [CompletionResultType]::ParameterName, 'Continue if a database does not exist yet, for a first deployment; what the command creates is not rolled back')
            [CompletionResult]::new('--new-store', '--new-store', [CompletionResultType]::ParameterName, 'Accept a new or another store at the path of the store')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;config' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder with the archives [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Print the settings in force, and where each comes from')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Check the settings: keys, values, databases and store')
            [CompletionResult]::new('init', 'init', [CompletionResultType]::ParameterValue, 'Write a commented configuration file')
            break
        }
        'heirloom;config;show' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder with the archives [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;config;check' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder with the archives [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;config;init' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder with the archives [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;completions' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Use this configuration file and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder with the archives [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
