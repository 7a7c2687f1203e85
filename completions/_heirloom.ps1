
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
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this configuration file, and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'Keep and find the archives in this folder [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('backup', 'backup', [CompletionResultType]::ParameterValue, 'Back up databases into one verified archive')
            [CompletionResult]::new('restore', 'restore', [CompletionResultType]::ParameterValue, 'Put databases back from an archive')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List the archives of the store, newest first')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show everything that an archive says about itself')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Prove that archives can be restored')
            [CompletionResult]::new('health', 'health', [CompletionResultType]::ParameterValue, 'Check the health of databases and backups')
            [CompletionResult]::new('rotate', 'rotate', [CompletionResultType]::ParameterValue, 'Remove archives that the rotation does not keep: grandfather, father, son')
            [CompletionResult]::new('cleanup', 'cleanup', [CompletionResultType]::ParameterValue, 'Remove archives beyond a number, an age or a total size, and what dead runs left')
            [CompletionResult]::new('delete', 'delete', [CompletionResultType]::ParameterValue, 'Delete archives for good')
            [CompletionResult]::new('pin', 'pin', [CompletionResultType]::ParameterValue, 'Keep an archive whatever the retention policy says')
            [CompletionResult]::new('unpin', 'unpin', [CompletionResultType]::ParameterValue, 'Let the retention policy decide about an archive again')
            [CompletionResult]::new('accept', 'accept', [CompletionResultType]::ParameterValue, 'Accept that an archive holds far less than the ones before it')
            [CompletionResult]::new('log', 'log', [CompletionResultType]::ParameterValue, 'Show what was done when')
            [CompletionResult]::new('guard', 'guard', [CompletionResultType]::ParameterValue, 'Run a command, and put the databases back where it fails')
            [CompletionResult]::new('config', 'config', [CompletionResultType]::ParameterValue, 'Create, show or check the configuration')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print the completion script of a shell')
            break
        }
        'heirloom;backup' {
            [CompletionResult]::new('--set', '--set', [CompletionResultType]::ParameterName, 'The set: which of the configured ones, or what several files are called together')
            [CompletionResult]::new('--only', '--only', [CompletionResultType]::ParameterName, 'Only this database of the set; may be repeated')
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'Name the archive, instead of by set and time')
            [CompletionResult]::new('--note', '--note', [CompletionResultType]::ParameterName, 'Store a note in the archive')
            [CompletionResult]::new('--kind', '--kind', [CompletionResultType]::ParameterName, 'Why the archive is made')
            [CompletionResult]::new('--check', '--check', [CompletionResultType]::ParameterName, 'How thoroughly the copy is checked')
            [CompletionResult]::new('--if-older-than', '--if-older-than', [CompletionResultType]::ParameterName, 'Do nothing if every database has a good archive of this set, host and path that is younger, such as 20h')
            [CompletionResult]::new('--compression-level', '--compression-level', [CompletionResultType]::ParameterName, 'Level of compression, 1 (fast) to 12 (small)')
            [CompletionResult]::new('--threads', '--threads', [CompletionResultType]::ParameterName, 'Threads that compress; all cores if not given')
            [CompletionResult]::new('--keep', '--keep', [CompletionResultType]::ParameterName, 'With --cleanup: keep the newest N archives')
            [CompletionResult]::new('--busy-timeout', '--busy-timeout', [CompletionResultType]::ParameterName, 'How long to wait for a lock of another process')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this configuration file, and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'Keep and find the archives in this folder [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--vacuum', '--vacuum', [CompletionResultType]::ParameterName, 'Leave free pages out of the copy (VACUUM)')
            [CompletionResult]::new('--no-vacuum', '--no-vacuum', [CompletionResultType]::ParameterName, 'Copy the database page by page as it is')
            [CompletionResult]::new('--keep-damaged', '--keep-damaged', [CompletionResultType]::ParameterName, 'Keep a damaged database, marked as damaged, instead of refusing it')
            [CompletionResult]::new('--if-exists', '--if-exists', [CompletionResultType]::ParameterName, 'Succeed where a database does not exist yet, for a first deployment')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print what would be backed up, and stop')
            [CompletionResult]::new('--no-compress', '--no-compress', [CompletionResultType]::ParameterName, 'Write a plain tar')
            [CompletionResult]::new('--rotate', '--rotate', [CompletionResultType]::ParameterName, 'After a good backup, remove what the rotation policy of the configuration does not keep (see `heirloom rotate`)')
            [CompletionResult]::new('--cleanup', '--cleanup', [CompletionResultType]::ParameterName, 'After a good backup, remove what is beyond the limits (see `heirloom cleanup`)')
            [CompletionResult]::new('--new-store', '--new-store', [CompletionResultType]::ParameterName, 'Accept what lies at the path of the store: a new store, or one more that is known there')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
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
            [CompletionResult]::new('--check', '--check', [CompletionResultType]::ParameterName, 'How thoroughly the unpacked databases are checked')
            [CompletionResult]::new('--time-zone', '--time-zone', [CompletionResultType]::ParameterName, 'The zone of times that carry none, such as Europe/Berlin')
            [CompletionResult]::new('--busy-timeout', '--busy-timeout', [CompletionResultType]::ParameterName, 'How long to wait for a lock of another process')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this configuration file, and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'Keep and find the archives in this folder [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--fresh', '--fresh', [CompletionResultType]::ParameterName, 'This is a first deployment: archives of other hosts and paths do not count, and without own ones nothing is restored')
            [CompletionResult]::new('--accept-older', '--accept-older', [CompletionResultType]::ParameterName, 'Restore the newest archive that is there although this host remembers making a newer one')
            [CompletionResult]::new('--to-original', '--to-original', [CompletionResultType]::ParameterName, 'Restore to the paths recorded in the archive, whatever the configuration says and wherever it was made')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Replace what exists without asking')
            [CompletionResult]::new('--allow-damaged', '--allow-damaged', [CompletionResultType]::ParameterName, 'Restore a damaged archive as far as it can be read; pages that cannot be read become zeros')
            [CompletionResult]::new('--rebuild-indexes', '--rebuild-indexes', [CompletionResultType]::ParameterName, 'Rebuild the indexes that need it, in the copy, before it is put in place')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print what would be done, and stop')
            [CompletionResult]::new('--no-safety-backup', '--no-safety-backup', [CompletionResultType]::ParameterName, 'Do not back up what is replaced; such a restore cannot be undone')
            [CompletionResult]::new('--offline', '--offline', [CompletionResultType]::ParameterName, 'Replace the file itself, after proof that nobody has it open')
            [CompletionResult]::new('--assume-unused', '--assume-unused', [CompletionResultType]::ParameterName, 'With `--offline`: go on although not every process could be seen')
            [CompletionResult]::new('--if-missing', '--if-missing', [CompletionResultType]::ParameterName, 'Restore only what does not exist')
            [CompletionResult]::new('--if-backup-exists', '--if-backup-exists', [CompletionResultType]::ParameterName, 'Succeed where there is no backup yet')
            [CompletionResult]::new('--undo', '--undo', [CompletionResultType]::ParameterName, 'Take back the newest restore or rollback; with a safety backup as ARCHIVE, that one')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;list' {
            [CompletionResult]::new('--set', '--set', [CompletionResultType]::ParameterName, 'Only archives of this set')
            [CompletionResult]::new('--limit', '--limit', [CompletionResultType]::ParameterName, 'Show at most N archives')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this configuration file, and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'Keep and find the archives in this folder [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;show' {
            [CompletionResult]::new('--set', '--set', [CompletionResultType]::ParameterName, 'Only archives of this set')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this configuration file, and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'Keep and find the archives in this folder [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;verify' {
            [CompletionResult]::new('--depth', '--depth', [CompletionResultType]::ParameterName, 'How deep to look')
            [CompletionResult]::new('--set', '--set', [CompletionResultType]::ParameterName, 'Only archives of this set')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this configuration file, and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'Keep and find the archives in this folder [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'Every archive of the store')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;health' {
            [CompletionResult]::new('--set', '--set', [CompletionResultType]::ParameterName, 'The set: which of the configured ones, or what several files are called together')
            [CompletionResult]::new('--only', '--only', [CompletionResultType]::ParameterName, 'Only this database of the set; may be repeated')
            [CompletionResult]::new('--check', '--check', [CompletionResultType]::ParameterName, 'How thoroughly a copy of each database is checked; `none` makes no copy')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'With --prometheus: write the metrics to this file, all at once, for the textfile collector')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this configuration file, and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'Keep and find the archives in this folder [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--databases-only', '--databases-only', [CompletionResultType]::ParameterName, 'Only the databases, not their backups and the store: what an application needs to know before it starts')
            [CompletionResult]::new('--nagios', '--nagios', [CompletionResultType]::ParameterName, 'Print one line with performance data for Nagios and compatible monitors, with their exit codes')
            [CompletionResult]::new('--prometheus', '--prometheus', [CompletionResultType]::ParameterName, 'Print metrics in the text format of Prometheus')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;rotate' {
            [CompletionResult]::new('--keep-last', '--keep-last', [CompletionResultType]::ParameterName, 'Keep the newest N archives')
            [CompletionResult]::new('--keep-hourly', '--keep-hourly', [CompletionResultType]::ParameterName, 'Keep one archive an hour, of N hours')
            [CompletionResult]::new('--keep-daily', '--keep-daily', [CompletionResultType]::ParameterName, 'Keep one archive a day, of N days')
            [CompletionResult]::new('--keep-weekly', '--keep-weekly', [CompletionResultType]::ParameterName, 'Keep one archive a week, of N weeks')
            [CompletionResult]::new('--keep-monthly', '--keep-monthly', [CompletionResultType]::ParameterName, 'Keep one archive a month, of N months')
            [CompletionResult]::new('--keep-yearly', '--keep-yearly', [CompletionResultType]::ParameterName, 'Keep one archive a year, of N years')
            [CompletionResult]::new('--set', '--set', [CompletionResultType]::ParameterName, 'Only archives of this set; without it those of the configured sets, or all')
            [CompletionResult]::new('--gone', '--gone', [CompletionResultType]::ParameterName, 'Of databases that are not there any more and got no archive for this long, such as 90d, keep only the newest archive')
            [CompletionResult]::new('--time-zone', '--time-zone', [CompletionResultType]::ParameterName, 'Where days, weeks, months and years begin, such as Europe/Berlin')
            [CompletionResult]::new('--simulate', '--simulate', [CompletionResultType]::ParameterName, 'Print what would exist after this long, and touch no store')
            [CompletionResult]::new('--every', '--every', [CompletionResultType]::ParameterName, 'How often a backup is made in the simulation')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this configuration file, and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'Keep and find the archives in this folder [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--all-hosts', '--all-hosts', [CompletionResultType]::ParameterName, 'Include archives of other hosts; without it they are counted and left alone')
            [CompletionResult]::new('--include-plain', '--include-plain', [CompletionResultType]::ParameterName, 'Count and remove plain databases and archives of other tools, too')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'With --gone: remove the newest archive, too; asks, or needs --force')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print the plan, and stop')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Do not ask')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;cleanup' {
            [CompletionResult]::new('--keep', '--keep', [CompletionResultType]::ParameterName, 'Keep the newest N good archives of each stream')
            [CompletionResult]::new('--max-age', '--max-age', [CompletionResultType]::ParameterName, 'Remove archives that are older, such as 90d')
            [CompletionResult]::new('--max-size', '--max-size', [CompletionResultType]::ParameterName, 'Keep the newest archives of each stream that together are no larger, such as 20GB')
            [CompletionResult]::new('--set', '--set', [CompletionResultType]::ParameterName, 'Only archives of this set; without it those of the configured sets, or all')
            [CompletionResult]::new('--gone', '--gone', [CompletionResultType]::ParameterName, 'Of databases that are not there any more and got no archive for this long, such as 90d, keep only the newest archive')
            [CompletionResult]::new('--time-zone', '--time-zone', [CompletionResultType]::ParameterName, 'Where days, weeks, months and years begin, such as Europe/Berlin')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this configuration file, and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'Keep and find the archives in this folder [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--damaged', '--damaged', [CompletionResultType]::ParameterName, 'Read archives that are marked as damaged once more, and remove those that are')
            [CompletionResult]::new('--all-hosts', '--all-hosts', [CompletionResultType]::ParameterName, 'Include archives of other hosts; without it they are counted and left alone')
            [CompletionResult]::new('--include-plain', '--include-plain', [CompletionResultType]::ParameterName, 'Count and remove plain databases and archives of other tools, too')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'With --gone: remove the newest archive, too; asks, or needs --force')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print the plan, and stop')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Do not ask')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;delete' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this configuration file, and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'Keep and find the archives in this folder [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Answer the question with yes')
            [CompletionResult]::new('--even-last', '--even-last', [CompletionResultType]::ParameterName, 'Delete the last good archive of a database, too')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print what would be deleted, and stop')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;pin' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this configuration file, and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'Keep and find the archives in this folder [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;unpin' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this configuration file, and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'Keep and find the archives in this folder [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;accept' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this configuration file, and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'Keep and find the archives in this folder [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;log' {
            [CompletionResult]::new('--since', '--since', [CompletionResultType]::ParameterName, 'Only what is not older than this: a span (7d) or a time (2026-03-01T03:00:00Z)')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this configuration file, and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'Keep and find the archives in this folder [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--failed', '--failed', [CompletionResultType]::ParameterName, 'Only what did not end well')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;guard' {
            [CompletionResult]::new('--set', '--set', [CompletionResultType]::ParameterName, 'The set: which of the configured ones, or what several files are called together')
            [CompletionResult]::new('--only', '--only', [CompletionResultType]::ParameterName, 'Only this database of the set; may be repeated')
            [CompletionResult]::new('--health-command', '--health-command', [CompletionResultType]::ParameterName, 'Must succeed after the command; run by `sh -c`')
            [CompletionResult]::new('--health-url', '--health-url', [CompletionResultType]::ParameterName, 'Must answer with a status from 200 to 399 after the command (http only)')
            [CompletionResult]::new('--health-timeout', '--health-timeout', [CompletionResultType]::ParameterName, 'How long the health checks are tried again until they pass')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'End the command after this time, such as 10m; that is a failure')
            [CompletionResult]::new('--kill-after', '--kill-after', [CompletionResultType]::ParameterName, 'How long a command that was told to end may take before it is killed')
            [CompletionResult]::new('--note', '--note', [CompletionResultType]::ParameterName, 'Remember this text with the backup')
            [CompletionResult]::new('--busy-timeout', '--busy-timeout', [CompletionResultType]::ParameterName, 'How long to wait for a lock of another process')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this configuration file, and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'Keep and find the archives in this folder [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--no-rollback', '--no-rollback', [CompletionResultType]::ParameterName, 'Do not put anything back; say what would be, and how')
            [CompletionResult]::new('--if-exists', '--if-exists', [CompletionResultType]::ParameterName, 'Go on where a database does not exist yet, for a first deployment; what the command makes is not taken back')
            [CompletionResult]::new('--new-store', '--new-store', [CompletionResultType]::ParameterName, 'Accept what lies at the path of the store: a new store, or one more that is known there')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;config' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this configuration file, and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'Keep and find the archives in this folder [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Print the settings in force, and where each comes from')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Test the settings: keys, values, databases and store')
            [CompletionResult]::new('init', 'init', [CompletionResultType]::ParameterValue, 'Write a commented configuration file')
            break
        }
        'heirloom;config;show' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this configuration file, and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'Keep and find the archives in this folder [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;config;check' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this configuration file, and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'Keep and find the archives in this folder [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;config;init' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this configuration file, and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'Keep and find the archives in this folder [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'heirloom;completions' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this configuration file, and no other [env: HEIRLOOM_CONFIG]')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'Keep and find the archives in this folder [env: HEIRLOOM_DIR, BACKUP_DIR]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour the output')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show a progress bar on stderr')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document on stdout, errors as JSON on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more about what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
