
use builtin;
use str;

set edit:completion:arg-completer[heirloom] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'heirloom'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'heirloom'= {
            cand --config 'Read this configuration file, and no other'
            cand --dir 'Keep and find the archives in this folder'
            cand --color 'Colour the output'
            cand --progress 'Show a progress bar on stderr'
            cand --json 'Print one JSON document on stdout, errors as JSON on stderr'
            cand -q 'Print errors only'
            cand --quiet 'Print errors only'
            cand -v 'Tell more about what is being done'
            cand --verbose 'Tell more about what is being done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
            cand backup 'Back up databases into one verified archive'
            cand list 'List the archives of the store, newest first'
            cand show 'Show everything that an archive says about itself'
            cand verify 'Prove that archives can be restored'
            cand delete 'Delete archives for good'
            cand pin 'Keep an archive whatever the retention policy says'
            cand unpin 'Let the retention policy decide about an archive again'
            cand log 'Show what was done when'
            cand completions 'Print the completion script of a shell'
        }
        &'heirloom;backup'= {
            cand --set 'The set: which of the configured ones, or what several files are called together'
            cand --only 'Only this database of the set; may be repeated'
            cand --name 'Name the archive, instead of by set and time'
            cand --note 'Remember this text with the archive'
            cand --kind 'Why the archive is made'
            cand --check 'How thoroughly the copy is checked'
            cand --compression-level 'Level of compression, 1 (fast) to 12 (small)'
            cand --threads 'Threads that compress; all cores if not given'
            cand --busy-timeout 'How long to wait for a lock of another process'
            cand --config 'Read this configuration file, and no other'
            cand --dir 'Keep and find the archives in this folder'
            cand --color 'Colour the output'
            cand --progress 'Show a progress bar on stderr'
            cand --vacuum 'Leave free pages out of the copy (VACUUM)'
            cand --no-vacuum 'Copy the database page by page as it is'
            cand --keep-damaged 'Keep a damaged database, marked as damaged, instead of refusing it'
            cand --if-exists 'Succeed where a database does not exist yet, for a first deployment'
            cand --dry-run 'Print what would be backed up, and stop'
            cand --no-compress 'Write a plain tar'
            cand --json 'Print one JSON document on stdout, errors as JSON on stderr'
            cand -q 'Print errors only'
            cand --quiet 'Print errors only'
            cand -v 'Tell more about what is being done'
            cand --verbose 'Tell more about what is being done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'heirloom;list'= {
            cand --set 'Only archives of this set'
            cand --limit 'At most so many'
            cand --config 'Read this configuration file, and no other'
            cand --dir 'Keep and find the archives in this folder'
            cand --color 'Colour the output'
            cand --progress 'Show a progress bar on stderr'
            cand --json 'Print one JSON document on stdout, errors as JSON on stderr'
            cand -q 'Print errors only'
            cand --quiet 'Print errors only'
            cand -v 'Tell more about what is being done'
            cand --verbose 'Tell more about what is being done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'heirloom;show'= {
            cand --set 'Only archives of this set'
            cand --config 'Read this configuration file, and no other'
            cand --dir 'Keep and find the archives in this folder'
            cand --color 'Colour the output'
            cand --progress 'Show a progress bar on stderr'
            cand --json 'Print one JSON document on stdout, errors as JSON on stderr'
            cand -q 'Print errors only'
            cand --quiet 'Print errors only'
            cand -v 'Tell more about what is being done'
            cand --verbose 'Tell more about what is being done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'heirloom;verify'= {
            cand --depth 'How deep to look'
            cand --set 'Only archives of this set'
            cand --config 'Read this configuration file, and no other'
            cand --dir 'Keep and find the archives in this folder'
            cand --color 'Colour the output'
            cand --progress 'Show a progress bar on stderr'
            cand --all 'Every archive of the store'
            cand --json 'Print one JSON document on stdout, errors as JSON on stderr'
            cand -q 'Print errors only'
            cand --quiet 'Print errors only'
            cand -v 'Tell more about what is being done'
            cand --verbose 'Tell more about what is being done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'heirloom;delete'= {
            cand --config 'Read this configuration file, and no other'
            cand --dir 'Keep and find the archives in this folder'
            cand --color 'Colour the output'
            cand --progress 'Show a progress bar on stderr'
            cand --force 'Answer the question with yes'
            cand --even-last 'Delete the last good archive of a set, too'
            cand --dry-run 'Print what would be deleted, and stop'
            cand --json 'Print one JSON document on stdout, errors as JSON on stderr'
            cand -q 'Print errors only'
            cand --quiet 'Print errors only'
            cand -v 'Tell more about what is being done'
            cand --verbose 'Tell more about what is being done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'heirloom;pin'= {
            cand --config 'Read this configuration file, and no other'
            cand --dir 'Keep and find the archives in this folder'
            cand --color 'Colour the output'
            cand --progress 'Show a progress bar on stderr'
            cand --json 'Print one JSON document on stdout, errors as JSON on stderr'
            cand -q 'Print errors only'
            cand --quiet 'Print errors only'
            cand -v 'Tell more about what is being done'
            cand --verbose 'Tell more about what is being done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'heirloom;unpin'= {
            cand --config 'Read this configuration file, and no other'
            cand --dir 'Keep and find the archives in this folder'
            cand --color 'Colour the output'
            cand --progress 'Show a progress bar on stderr'
            cand --json 'Print one JSON document on stdout, errors as JSON on stderr'
            cand -q 'Print errors only'
            cand --quiet 'Print errors only'
            cand -v 'Tell more about what is being done'
            cand --verbose 'Tell more about what is being done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'heirloom;log'= {
            cand --since 'Only what is not older than this: a span (7d) or a time (2026-03-01T03:00:00Z)'
            cand --config 'Read this configuration file, and no other'
            cand --dir 'Keep and find the archives in this folder'
            cand --color 'Colour the output'
            cand --progress 'Show a progress bar on stderr'
            cand --failed 'Only what did not end well'
            cand --json 'Print one JSON document on stdout, errors as JSON on stderr'
            cand -q 'Print errors only'
            cand --quiet 'Print errors only'
            cand -v 'Tell more about what is being done'
            cand --verbose 'Tell more about what is being done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'heirloom;completions'= {
            cand --config 'Read this configuration file, and no other'
            cand --dir 'Keep and find the archives in this folder'
            cand --color 'Colour the output'
            cand --progress 'Show a progress bar on stderr'
            cand --json 'Print one JSON document on stdout, errors as JSON on stderr'
            cand -q 'Print errors only'
            cand --quiet 'Print errors only'
            cand -v 'Tell more about what is being done'
            cand --verbose 'Tell more about what is being done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
    ]
    $completions[$command]
}
