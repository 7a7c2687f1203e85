//! What `backup` says: its plan, its stages, its result.

use std::time::Duration;

use super::invocation::Invocation;
use super::ui::Tone;
use super::{Context, Ui, remedy, text};
use crate::compression::Compression;
use crate::database::Depth;
use crate::names::printable;
use crate::ops::Repository;
use crate::ops::backup::{LeftOut, Made, Note, Plan};
use crate::ops::pack::Request;
use crate::progress::Stage;
use crate::store_url::Location;

pub(super) fn print_plan(ui: &mut Ui, plan: &Plan, store: &Location, typed: &Invocation) {
    if ui.is_json() {
        return;
    }
    for source in &plan.sources {
        ui.result(format!("would back up {} as \"{}\"", crate::text::quoted(&source.path), source.name));
    }
    for source in &plan.empty {
        ui.warning(format!(
            "{}: {} is empty (0 bytes) and would be left out",
            source.name,
            crate::text::quoted(&source.path)
        ));
    }
    for LeftOut { source, why, remedy } in &plan.unreadable {
        ui.warning(format!("{}: would be left out: {}", source.name, remedy::with_hint(why, remedy.as_ref(), typed)));
    }
    ui.result(format!(
        "into the store \"{}\", set \"{}\" (dry run, nothing written)",
        printable(&store.to_string()),
        plan.request.set
    ));
}

/// Warns of databases that were left out although nothing was backed up. Returns whether there are any.
pub(super) fn print_left_out(ui: &Ui, plan: &Plan, typed: &Invocation) -> bool {
    for source in &plan.empty {
        let path = crate::text::quoted(&source.path);
        ui.warning(format!("{}: {path} is empty (0 bytes) and was left out", source.name));
    }
    for LeftOut { source, why, remedy } in &plan.unreadable {
        ui.warning(format!("{}: left out: {}", source.name, remedy::with_hint(why, remedy.as_ref(), typed)));
    }
    !plan.empty.is_empty() || !plan.unreadable.is_empty()
}

/// Prints the result of a backup with its warnings. That of one of many is printed only if details are wanted.
pub(super) fn report(context: &mut Context, store: &Repository, made: &Made, took: Duration, is_one_of_many: bool) {
    let packed = &made.packed;
    for note in &made.notes {
        if note.is_problem() {
            context.ui.warning(note_text(note, made, context));
        } else {
            context.ui.note(note_text(note, made, context));
        }
    }
    let ui = &mut context.ui;
    for finding in &made.findings {
        let line = format!("{}: {}", finding.database, finding.text);
        if finding.is_new {
            ui.warning(line);
        } else {
            ui.detail(format!("known: {line}"));
        }
    }
    if packed.is_damaged() {
        ui.warning("a damaged database was kept, marked as damaged; the archives before it are untouched");
    }
    if !packed.metadata.consistent_set {
        ui.warning("the databases were not locked together: their contents may be from slightly different times");
    }
    let unpacked: u64 = packed.metadata.databases.iter().map(|database| database.bytes).sum();
    let databases = packed.metadata.databases.len() as u64;
    let path = store.path_of(packed.archive.as_str());
    let done = ui.paint(Tone::Good, "backed up");
    let line = format!(
        "{done} {}{} in {}: {} packed into {} and read back",
        printable(packed.metadata.set.as_str()),
        if databases > 1 { format!(", {},", text::count(databases, "database")) } else { String::new() },
        text::took(took),
        text::bytes(unpacked),
        text::bytes(packed.bytes),
    );
    if is_one_of_many {
        ui.detail(format!("{line}: {path}"));
    } else {
        ui.summary(line);
        ui.summary(path);
    }
}

/// Describes a stage for `--verbose`.
pub(super) fn stage_text(request: &Request, stage: Stage, subject: &str, bytes: u64) -> String {
    let size = text::bytes(bytes);
    match stage {
        Stage::Archives => "read the store".into(),
        Stage::Lock => "wait for locks".into(),
        Stage::Copy => format!("copy {subject}, {size}"),
        Stage::Check if request.vacuum => format!("check and vacuum {subject}"),
        Stage::Check => format!("check {subject}"),
        // These run in parallel and share one measured time.
        Stage::Pack => {
            let mut words = vec!["hash"];
            words.extend((request.check != Depth::None).then_some("check"));
            words.extend((request.compression != Compression::None).then_some("compress"));
            format!("{}, {size}", words.join(" + "))
        }
        Stage::Encrypt => format!("encrypt, {size}"),
        Stage::ReadBack => format!("read back, {size}"),
        Stage::Commit => "commit".into(),
        Stage::Upload => format!("upload, {size}"),
        Stage::Download => format!("download {subject}, {size}"),
        Stage::Unpack => format!("unpack {subject}, {size}"),
        Stage::Replace => format!("replace {subject}, {size}"),
    }
}

fn note_text(note: &Note, made: &Made, context: &Context) -> String {
    match note {
        Note::Rival { database, archive } => format!(
            "{database}: another file is backed up under the same set, host and path (newest: {archive}); if these \
             are two \
             applications, give each its own label: add the line host = \"NAME\" to its configuration, or set \
             HEIRLOOM_HOST"
        ),
        Note::Behind { database, newest } => format!(
            "{database}: this backup is dated {}, before the newest archive ({}); check the clock of this machine",
            crate::metadata::rfc3339(made.packed.metadata.created_at),
            crate::metadata::rfc3339(*newest)
        ),
        Note::OtherPath { database, path } => {
            format!("{database}: the first backup at this path; archives of \"{}\" stay apart from it", printable(path))
        }
        Note::Shrink { database, before, after } => format!(
            "{database}: {}; earlier archives are kept until this is accepted: {}",
            super::text::fell(before, after),
            context.command_line(&["accept", made.packed.archive.as_str()])
        ),
        Note::Empty { database, path } => {
            format!(
                "{database}: {} is empty (0 bytes) and was left out; the others are backed up",
                crate::text::quoted(path)
            )
        }
        Note::Unreadable { database, why, remedy, .. } => {
            let why = remedy::with_hint(why, remedy.as_ref(), &context.typed);
            format!("{database}: left out, the others are backed up: {why}")
        }
        Note::Unrecorded { why } => format!("{}: {why}", made.packed.archive),
        Note::Stale { database, archive, newest } => format!(
            "{database}: holds what {archive} holds, although {newest} is newer: a deployment may have brought an old \
             database; to restore the newer one: {}; with restore = \"newest\" in [run], every start does that",
            context.command_line(&["restore", newest.as_str()])
        ),
        Note::Guarded { database } => {
            format!("{database}: a guarded command is running, so this backup is a safety backup and never `latest`")
        }
    }
}
