//! Hints of the command line: sentences with commands that can be pasted.

use crate::failure::{Remedy, Unplaced};
use crate::report::health::{Advice, Remover};
use crate::text::shell_word;

use super::invocation::Invocation;

/// Returns a remedy as the text of a hint.
pub(super) fn hint(remedy: &Remedy, typed: &Invocation) -> String {
    let list = || typed.quoted(&["list"]);
    let again = |flag: &str| typed.again(flag);
    let command = |words: &[&str]| format!("`{}`", typed.command(words));
    match remedy {
        Remedy::Advice(advice) => advice.clone(),

        Remedy::CheckPath if typed.is_one_of(&["backup", "guard"]) => {
            format!("check the path; if the database does not exist yet, run: {}", again("--if-exists"))
        }
        Remedy::CheckPath => "check the path".into(),
        Remedy::RestoreCutOff => {
            format!(
                "a copy that was interrupted, or a full disk, leaves such a file; restore the last good backup ({})",
                list()
            )
        }
        Remedy::CopyAwayAndRestore => {
            format!("copy the file and its -wal away first; {} shows the last good backup", list())
        }
        Remedy::RestoreOrKeepDamaged if typed.is_one_of(&["backup"]) => {
            format!(
                "keep the file; restore the last good backup ({}), or keep a damaged copy: {}",
                list(),
                again("--keep-damaged")
            )
        }
        Remedy::RestoreOrKeepDamaged => {
            let (list, keep) = (list(), typed.quoted(&["backup", "--keep-damaged"]));
            format!("keep the file; restore the last good backup ({list}), or keep a damaged copy with {keep}")
        }
        Remedy::CompareOrRebuild { rebuild } => format!(
            "one of the two is wrong, and a rebuild would hide which: compare these rows with the last good backup \
             ({}) and restore \
             it, or, if you know that the table is right, run: {rebuild}",
            list()
        ),

        Remedy::NameConfiguration { file } => format!(
            "if you trust it, name it with `--config {}` or in HEIRLOOM_CONFIG",
            shell_word(&file.to_string_lossy())
        ),
        Remedy::AcceptOlder => {
            format!("try again when that store answers, or take this one: {}", again("--accept-older"))
        }
        Remedy::ReplaceOffline => format!("stop what uses it, then replace the file itself: {}", again("--offline")),
        Remedy::RunAsOwner { owner } => {
            format!(
                "run the same command as its owner, with `setpriv --reuid={owner} --clear-groups` before it, or as \
                 root with CAP_CHOWN"
            )
        }
        Remedy::ProveUnused => format!(
            "restore without `--offline`, run it as root on the host, or, if you are sure that nobody has it open, \
             run: {}",
            again("--assume-unused")
        ),

        Remedy::Decompress => {
            "decompress it with `zstd -d --long=31 ARCHIVE` and name the file that this writes".into()
        }
        Remedy::NameKey => "name the file with the secret key of one of its recipients: `--identity FILE`, \
                            HEIRLOOM_IDENTITY_FILE or encryption.identity_file"
            .into(),
        Remedy::NamePlain { archive } => {
            format!("if you know where it comes from: {}", typed.quoted(&["restore", archive, "--allow-plain"]))
        }
        Remedy::UpdateHeirloom => "install a newer heirloom".into(),
        Remedy::ListArchives => format!("run {} to list the archives", list()),
        Remedy::ChooseAnotherArchive { unchanged } => {
            format!("{}choose another archive ({})", nothing(*unchanged), list())
        }
        Remedy::ChooseAnotherOrDamaged { unchanged } => {
            format!(
                "{}choose another archive ({}), or take this one: {}",
                nothing(*unchanged),
                list(),
                again("--allow-damaged")
            )
        }
        Remedy::ChooseFrom(names) => format!("there are: {}", names.join(", ")),
        Remedy::ChooseSet(sets) => {
            let flags: Vec<String> = sets.iter().map(|set| format!("--set {set}")).collect();
            format!("choose one: {}", flags.join(", "))
        }
        Remedy::TypeMore(choices) => format!("type a longer prefix: {}", choices.join(", ")),
        Remedy::NameInFull { archive } => format!(
            "verify it with {}, choose another archive ({}), or type its full name: {}",
            command(&["verify", archive]),
            list(),
            shell_word(archive)
        ),
        Remedy::TryAgainOrNameInFull => {
            format!("try again; or choose an archive from {} and type its full name", list())
        }

        Remedy::NameAnotherStore => "it holds no archives; name another store with `--dir`".into(),
        Remedy::MountOrNameStore => "mount it, or name another folder with `--dir`".into(),
        Remedy::MountOrNewStore | Remedy::CheckUrlOrNewStore => {
            let first = match remedy {
                Remedy::MountOrNewStore => "mount the disk it is on",
                _ => "look there whether somebody removed it, and check its URL",
            };
            let accept = if typed.is_one_of(&["backup", "guard"]) {
                again("--new-store")
            } else {
                typed.command(&["backup", "--new-store"])
            };
            format!("{first}; if this is a new store, run once: {accept}")
        }
        Remedy::NotAFolder { file } => {
            format!("{} is a file: name a folder with `--dir`", shell_word(&file.to_string_lossy()))
        }
        Remedy::StoreRights { folder } => {
            format!("see who may use it with `ls -ld {}`, or name another folder with `--dir`", shell_word(folder))
        }
        Remedy::ListWhetherCommitted => format!("run {} to see whether the store has it", list()),
        Remedy::ChooseAnotherName => "choose another `--name`".into(),

        Remedy::NameTarget(unplaced) => {
            let Unplaced { archive, database, example, recorded } = unplaced.as_ref();
            let mut words = vec!["restore", archive, "--only", database.as_str()];
            words.extend(typed.has("--force").then_some("--force"));
            let mut commands = vec![typed.command(&[words.as_slice(), &["--to", example]].concat())];
            if *recorded {
                commands.push(typed.command(&[words.as_slice(), &["--to-original"]].concat()));
            }
            choose_one(&commands)
        }
        Remedy::RestoreLost(lost) => {
            let words = ["restore", &lost.archive, "--only", lost.database.as_str(), "--to", &lost.target];
            format!("restore it with: {}", typed.command(&words))
        }
        Remedy::ChooseDatabaseOrFolder { database } => {
            format!("choose one with `--only {database}`, or name a folder for all with `--to-dir DIR`")
        }
        Remedy::RestoreOneByOne => "restore them one by one with `--only NAME --to FILE`".into(),
        Remedy::NameAnotherTarget => format!("name an archive (see {}), or another target with `--to FILE`", list()),
        Remedy::ConfirmReplacing if typed.has("--no-safety-backup") => {
            format!("replace it, which cannot be undone: {}", again("--force"))
        }
        Remedy::ConfirmReplacing => {
            format!("replace it, after a safety backup, with: {}", again("--force"))
        }
        Remedy::FreeTargetSpace { folder, missing } => format!(
            "free {} on the disk of \"{folder}\" (`df -h {}`), or restore to another disk with `--to FILE`; nothing \
             was changed",
            bytesize::ByteSize(*missing),
            shell_word(folder)
        ),
        Remedy::FreeSpace => {
            "free some space on the disk of that file (`df -h`), or use a folder on another disk with `--dir`; \
                              nothing that was there before was changed"
                .into()
        }
        Remedy::NameStoreOrNoSafety => {
            format!(
                "name a folder that can be written with `--dir`, or restore without a safety backup: {}",
                again("--no-safety-backup")
            )
        }
        Remedy::LeaveIndexes => "leave out `--rebuild-indexes` to restore it as it is".into(),
        Remedy::RestoreIt { archive } => format!("restore it: {}", typed.command(&["restore", archive])),
        Remedy::UndoToOriginal { archive } => {
            format!(
                "to restore to its paths on this host: \
            {}",
                typed.command(&["restore", "--undo", archive, "--to-original"])
            )
        }
        Remedy::UndoToFile { archive, database } => {
            let words = ["restore", "--undo", archive, "--only", database.as_str(), "--to", "FILE"];
            format!("name the file: {}", typed.command(&words))
        }
        Remedy::NothingToUndo => {
            format!(
                "a safety backup is made when a restore replaces a database; see {}, or name the store with `--dir`",
                list()
            )
        }
        Remedy::SetVariableOrNameStore { variable } => format!("set {variable}, or name the store with `--dir`"),
        Remedy::CheckConfiguration => format!("run {} to see all of them", command(&["config", "check"])),
        Remedy::WriteConfiguration { file } => {
            format!("write one: heirloom config init {}", shell_word(&file.to_string_lossy()))
        }
        Remedy::OneSetAtATime => "back up one set at a time, with `--set NAME`".into(),
        Remedy::NameDatabase => format!(
            "name a file ({}), set DATABASE_PATH, or write a configuration with `heirloom config init`",
            typed.quoted(&["backup", "app.db"])
        ),
        Remedy::WaitAndTryAgain => "wait for the other run to end and try again".into(),
    }
}

/// Returns what to do about a check of `health`.
pub(super) fn advice(advice: &Advice, typed: &Invocation) -> String {
    let command = |words: &[&str]| format!("`{}`", typed.command(words));
    let backup = || typed.quoted(&["backup"]);
    let restore = || typed.quoted(&["restore"]);
    match advice {
        Advice::Words(words) => words.clone(),
        Advice::Remedy(remedy) => hint(remedy, typed),
        Advice::All(all) => all.iter().map(|one| self::advice(one, typed)).collect::<Vec<_>>().join("; "),

        Advice::RestoreMissing => format!("restore it ({}), or name the right path", restore()),
        Advice::RestoreUnusable(remedy) => {
            let first = remedy.as_ref().map(|remedy| hint(remedy, typed));
            let first = first.unwrap_or_else(|| "inspect the file before anything writes to it".to_owned());
            format!("{first}; {} restores the newest backup", restore())
        }
        Advice::RestoreToOtherDisk => format!(
            "check the disk before anything writes to it; {} to another disk restores the newest backup",
            typed.quoted(&["restore", "--to"])
        ),
        Advice::CopyAwayAndRestore { newest } => {
            let newest = newest.as_ref().map(|archive| format!("; the newest good backup is {archive}"));
            let newest = newest.unwrap_or_else(|| "; there is no good backup of it".into());
            format!("copy the file and its -wal away before anything writes to it, then {}{newest}", restore())
        }
        Advice::LeaveCheckOut => format!("skip the check with `--check none`; {} checks too", backup()),
        Advice::RebuildIndexes => {
            "run the statement when load is low; backups are good, and a restore can rebuild with \
             `--rebuild-indexes`"
                .into()
        }
        Advice::PinLatest { archive } => {
            format!("if this is unexpected: {} keeps the backup that still has it", command(&["pin", archive.as_str()]))
        }
        Advice::PinBeforeLoss { archive } => format!(
            "if this is unexpected: {}, so that rotation keeps the previous contents, then inspect the database",
            command(&["pin", archive.as_str()])
        ),
        Advice::AcceptShrink { archive } => {
            format!(
                "if this is expected: {}; until then all earlier archives are \
            kept",
                command(&["accept", archive.as_str()])
            )
        }

        Advice::FirstBackupOfSet => format!(
            "make one with {}; if this set is no longer used, name others with \
        `--set`",
            backup()
        ),
        Advice::BackUpNow => format!("make a new one now with {}", backup()),
        Advice::BackUpDatabase => format!("back it up with {}", backup()),
        Advice::BackUpLate => {
            format!(
                "see why it was not made ({}, the scheduler), and make one with \
            {}",
                command(&["log", "--failed"]),
                backup()
            )
        }
        Advice::BackUpAndLookAtDisk => {
            format!("make a new backup now with {}, then check the disk (`dmesg`, `smartctl`)", backup())
        }
        Advice::RemoveDamaged => format!(
            "a newer good backup exists; check the disk; {} verifies them again and removes damaged ones",
            command(&["cleanup", "--damaged"])
        ),
        Advice::RemoveUnreadable => {
            "a newer good backup exists; check the disk; no command removes a file that cannot be read as an archive: \
             remove it yourself"
                .into()
        }
        Advice::Verify => format!("run {}, for example once a week", typed.quoted(&["verify"])),

        Advice::TryKey => format!(
            "run {} where the key is, and write the day into encryption.key_checked here",
            typed.quoted(&["key", "check"])
        ),
        Advice::ProveLabels => format!(
            "run {} once on this host, or rotate them where the key is",
            typed.quoted(&["key", "check", "--identity", "FILE"])
        ),
        Advice::VerifyWithKey => format!("verify them where the key is: {}", typed.quoted(&["verify", "--all"])),
        Advice::FirstBackup => {
            format!("make the first backup with {}, or name the database to check", command(&["backup", "app.db"]))
        }
        Advice::MountStore => {
            format!("mount it, or name the right folder with `--dir`; the first {} creates a new store", backup())
        }
        Advice::ReachStore => "check the network, the address in its URL and its credentials".into(),
        Advice::MakeRoom => {
            format!(
                "make room: {}, {}, or another \
            disk",
                command(&["cleanup", "--max-size", "SIZE"]),
                command(&["rotate"])
            )
        }
        Advice::RunThere => "run `heirloom health` there, or with HEIRLOOM_HOST set".into(),
        Advice::RemoveGone { set, by } => {
            let verb = if *by == Remover::Cleanup { "cleanup" } else { "rotate" };
            let remove = command(&[verb, "--gone", "90d", "--set", set.as_str()]);
            format!("its database is gone; {remove} keeps only its newest archive")
        }
        Advice::BackUpStale { path, set } => {
            let backup = command(&["backup", &path.to_string_lossy(), "--set", set.as_str()]);
            format!("its database still exists; {backup} backs it up")
        }
        Advice::CopyMissing => {
            format!("{} copies what is missing, and shows what is in the way", typed.quoted(&["copy"]))
        }
        Advice::CopyDamaged(name) => {
            let verify = command(&["verify", "--all", "--store", name.as_str()]);
            format!("{verify} shows which; {} copies them again", typed.quoted(&["copy"]))
        }
        Advice::SendPending => {
            format!("the next backup or restore sends them; see why that failed with {}", command(&["log", "--failed"]))
        }
        Advice::ListAndVerify => {
            format!("{} lists them, {} shows what is wrong", command(&["list"]), command(&["verify", "NAME"]))
        }
        Advice::UndoOrRestore => format!("undo it with {}, or restore again", typed.quoted(&["restore", "--undo"])),
        Advice::SeeFailures => format!("{} shows earlier failures", command(&["log", "--failed"])),
    }
}

/// Returns a problem and its hint on one line.
pub(super) fn with_hint(why: &str, remedy: Option<&Remedy>, typed: &Invocation) -> String {
    remedy.map_or_else(|| why.to_owned(), |remedy| format!("{why}; {}", hint(remedy, typed)))
}

/// Returns a hint that offers several commands.
pub(super) fn choose_one(commands: &[String]) -> String {
    match commands {
        [only] => format!("run: {only}"),
        several => format!("run one of:\n  {}", several.join("\n  ")),
    }
}

fn nothing(unchanged: bool) -> &'static str {
    if unchanged { "nothing was changed; " } else { "" }
}
