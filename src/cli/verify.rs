//! `heirloom verify`.

use super::bar::Overall;
use super::record::Record;
use super::store_names::MAIN;
use super::table::shortened;
use super::ui::Tone;
use super::{Context, Outcome, text};
use crate::archive::ArchiveError;
use crate::config::Settings;
use crate::failure::{Failure, is_interruption};
use crate::metadata::Integrity;
use crate::names::{ArchiveName, Name, printable};
use crate::ops::Repository;
use crate::ops::inventory::{Foreign, inventory};
use crate::ops::jobs::each::means;
use crate::ops::jobs::meant;
use crate::ops::jobs::verify::{self as job, Mark};
use crate::ops::resolve::{Place, Selected, in_store};
use crate::ops::verify::{ArchiveState, Examined, Verified, VerifyDepth, verify};
use crate::ops::verify_digest::{NO_DIGEST, verify_digest};
use crate::ops::verify_part::Part;
use crate::report::archives::{Verification, Verifications, VerifiedArchive, VerifiedStore};
use crate::store::StoreError;
use crate::store_url::Location;
use crate::workspace::verified::Counts;

/// Verify that archives can be restored
///
/// Reads every byte, compares every digest, unpacks the databases into a scratch folder, checks them, and compares them
/// with the metadata of the archive. A damaged archive gets a `.damaged` mark beside it: retention does not count it
/// and restore refuses it. A later clean verify removes the mark. An I/O error proves no damage and marks nothing.
///
/// With `--store NAME` the archives of a copy, with `--store all` every archive in every store; the exit code is that
/// of the worst. `health` says when a copy was last verified.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom verify
  heirloom verify --all --depth quick
  heirloom verify --part 1/4          from cron, every week
  heirloom verify --store all         every archive in every store
  heirloom verify /mnt/usb/shop_20260301T030000Z.tar.gz

Exit codes: 0 all good; 12 no such backup; 13 at least one is damaged; 15 not enough space; 16 store unreachable; 17 \
encrypted, and no key")]
pub struct VerifyArgs {
    /// Paths, names, beginnings of names, or `latest` (the default)
    #[arg(value_name = "ARCHIVE", add = super::complete::archives())]
    archives: Vec<String>,
    /// Every archive of the store
    #[arg(long, conflicts_with = "archives")]
    all: bool,
    /// A part of the store: as many archives as 1/N of them, those that were verified longest ago
    ///
    /// Once a week with 1/4: every archive that stays is verified once in four weeks. A new archive was read back by
    /// its backup. When each was verified is in the activity log of the store (`heirloom log`).
    #[arg(long, value_name = "1/N", conflicts_with_all = ["archives", "all"])]
    part: Option<Part>,
    /// How thoroughly archives are verified
    #[arg(long, value_enum, value_name = "DEPTH", default_value = "standard")]
    depth: DepthArg,
    /// Only archives of this set
    #[arg(long, value_name = "NAME")]
    set: Option<Name>,
}

#[derive(clap::ValueEnum, Debug, Clone, Copy)]
enum DepthArg {
    /// Structure and digests; without a key, the digest of an encrypted file
    Quick,
    /// Also unpacked, integrity checked, and compared with the metadata
    Standard,
    /// Also every row read
    Deep,
}

impl DepthArg {
    fn is_deeper_than_digests(self) -> bool {
        !matches!(self, Self::Quick)
    }
}

impl From<DepthArg> for VerifyDepth {
    fn from(depth: DepthArg) -> Self {
        match depth {
            DepthArg::Quick => Self::Quick,
            DepthArg::Standard => Self::Standard,
            DepthArg::Deep => Self::Deep,
        }
    }
}

/// A verified archive.
struct Looked {
    shown: String,
    /// The store and the name, where a mark can be set.
    home: Option<(Repository, ArchiveName)>,
    result: anyhow::Result<Verified>,
}

/// What was found in one store.
struct InStore {
    archives: Vec<VerifiedArchive>,
    result: anyhow::Result<Outcome>,
}

/// Returns the command line that verifies by schedule: a part or all of a local store. A remote one is not read from
/// end to end: its newest archives are verified.
pub(super) fn by_schedule(settings: &Settings) -> Vec<String> {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    match (&settings.store, settings.schedule.verify_parts.get()) {
        (Location::Remote(_), _) => words(&["verify"]),
        (Location::Folder(_), 1) => words(&["verify", "--all"]),
        (Location::Folder(_), parts) => words(&["verify", "--part", &format!("1/{parts}")]),
    }
}

pub(super) fn run(args: &VerifyArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    let depth = VerifyDepth::from(args.depth).as_str();
    if context.all_stores {
        return in_all_stores(args, depth, context);
    }
    let InStore { archives, result } = verify_store(args, args.all || args.part.is_some(), context)?;
    if context.ui.is_json() {
        context.ui.document(&Verification { depth, archives });
    }
    result
}

/// Verifies every archive in every store. A store that fails does not stop the others; the worst exit code counts.
fn in_all_stores(args: &VerifyArgs, depth: &'static str, context: &mut Context) -> anyhow::Result<Outcome> {
    if !args.archives.is_empty() || args.part.is_some() {
        let hint = "name one store for single archives or a part, or leave them out";
        return Err(Failure::usage("all stores are verified with all their archives", hint).into());
    }
    let main = context.settings.store.clone();
    let copies = std::mem::take(&mut context.settings.copies);
    let places = copies.iter().map(|copy| (copy.name.as_str(), &copy.location));
    let (mut documents, mut worst) = (Vec::new(), 0);
    for (index, (name, location)) in std::iter::once((MAIN, &main)).chain(places).enumerate() {
        if !context.ui.is_json() {
            let heading = context.ui.paint(Tone::Strong, name);
            context.ui.result(if index > 0 { format!("\n{heading}") } else { heading });
        }
        context.settings.store = location.clone();
        // The log of the main store has the archives of the main store alone.
        let of_main = context.records.len();
        let (archives, result) = match verify_store(args, true, context) {
            Ok(found) => (found.archives, found.result),
            Err(error) if is_interruption(&error) => {
                context.settings.store = main;
                return Err(error);
            }
            Err(error) => (Vec::new(), Err(error)),
        };
        if index > 0 {
            context.records.truncate(of_main);
        }
        let error = result.as_ref().err().map(|error| printable(&format!("{error:#}")).into_owned());
        let code = match result {
            Ok(Outcome::Done) => 0,
            Ok(Outcome::Problems) => 3,
            Ok(Outcome::Found(code) | Outcome::Ended(code)) => code,
            Err(error) => {
                let error = error.context(format!("{name}: not all archives were verified"));
                super::exit::report(&error, &context.typed, &mut context.ui)
            }
        };
        worst = worse(worst, code);
        documents.push(VerifiedStore { name: name.to_owned(), store: location.to_string(), archives, error });
    }
    context.settings.store = main;
    context.settings.copies = copies;
    if context.ui.is_json() {
        context.ui.document(&Verifications { depth, stores: documents });
    }
    Ok(if worst == 0 { Outcome::Done } else { Outcome::Found(worst) })
}

/// Returns the worse of two exit codes: damage first, then what says nothing about the archives, then the rest.
fn worse(one: u8, other: u8) -> u8 {
    const WORST: [u8; 5] = [13, 16, 17, 15, 12];
    let rank = |code: u8| match code {
        0 => usize::MAX,
        code => WORST.iter().position(|known| *known == code).unwrap_or(WORST.len()),
    };
    if rank(other) < rank(one) { other } else { one }
}

/// Verifies archives of the store of the settings, prints each, and remembers when.
fn verify_store(args: &VerifyArgs, all: bool, context: &mut Context) -> anyhow::Result<InStore> {
    let looked = if all { look_at_all(args, context)? } else { look_at_named(args, context)? };
    let depth = VerifyDepth::from(args.depth);
    let mut documents = Vec::new();
    let (mut damaged, mut failed) = (0, None);
    let mut counts = Counts::default();
    for looked in looked {
        let is_in_store = looked.home.is_some();
        match looked.result {
            Ok(verified) => {
                let outcome = if verified.state == ArchiveState::Good { Outcome::Done } else { Outcome::Found(13) };
                context.records.push(Record {
                    archive: Some(looked.shown.clone()),
                    outcome: Some(outcome),
                    ..Record::default()
                });
                damaged += usize::from(verified.state == ArchiveState::Damaged);
                counts.good += usize::from(is_in_store && verified.state == ArchiveState::Good);
                counts.damaged += usize::from(is_in_store && verified.state == ArchiveState::Damaged);
                remember(context, looked.home.as_ref(), &verified, depth);
                print(context, &looked.shown, &verified);
                documents.push(document(&looked.shown, &verified));
            }
            Err(error) if is_interruption(&error) => return Err(error),
            Err(error) => {
                counts.unknown += usize::from(is_in_store);
                let error = error.context(format!("cannot verify \"{}\"", printable(&looked.shown)));
                documents.push(VerifiedArchive {
                    archive: looked.shown,
                    state: "unknown",
                    findings: vec![format!("{error:#}")],
                });
                if let Some(earlier) = failed.replace(error) {
                    super::exit::report(&earlier, &context.typed, &mut context.ui);
                }
            }
        }
    }
    if let (true, Ok(store)) = (counts.good + counts.damaged > 0, context.store()) {
        context.stores.note_verified(&context.settings.store, &store, counts, context.clock.now());
    }
    let result = match failed {
        _ if damaged > 0 => Ok(Outcome::Found(13)),
        Some(error) => Err(error),
        None => Ok(Outcome::Done),
    };
    Ok(InStore { archives: documents, result })
}

fn look_at_named(args: &VerifyArgs, context: &Context) -> anyhow::Result<Vec<Looked>> {
    let latest = ["latest".to_owned()];
    let texts = if args.archives.is_empty() { &latest[..] } else { &args.archives };
    if args.archives.is_empty() {
        warn_of_unreadable(context)?;
    }
    let mut looked = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let overall = Overall::Archive { number: index + 1, of: texts.len() };
        let selected = super::latest::find(text, args.set.as_ref(), "verify", context);
        looked.push(match selected {
            Ok(selected) => look(args, context, selected, overall)?,
            Err(error) => match by_digest(args, context, text, &error, overall)? {
                Some(looked) => looked,
                None => Looked { shown: text.clone(), home: home_of(context, text), result: job::refused(error)? },
            },
        });
    }
    Ok(looked)
}

/// Verifies an archive that no key opens by its digest, if structure and digests are all that was asked for.
fn by_digest(
    args: &VerifyArgs,
    context: &Context,
    text: &str,
    error: &anyhow::Error,
    overall: Overall,
) -> anyhow::Result<Option<Looked>> {
    let Some(ArchiveError::KeyMissing(locked)) = error.downcast_ref() else { return Ok(None) };
    if args.depth.is_deeper_than_digests() {
        return Ok(None);
    }
    let store = context.store()?;
    let name = match ArchiveName::new(text) {
        // Its label may be what was changed, so that nothing describes it.
        Ok(name) if store.store().stat(text)?.is_some() => name,
        _ => match super::latest::find_to_mark(text, "verify", context) {
            Ok((snapshot, Place::Store)) => snapshot.name,
            _ => return Ok(None),
        },
    };
    let verified = verify_digest(&store, &name, locked, &context.ui.progress_in(overall)).transpose();
    Ok(verified.map(|result| Looked { shown: name.as_str().to_owned(), home: Some((store, name)), result }))
}

/// Reports archives that cannot be described and so were not considered as the newest: "ok" for an older one must not
/// hide them.
fn warn_of_unreadable(context: &Context) -> anyhow::Result<()> {
    let found = inventory(&context.store()?, &context.reading(), &context.ui.progress())?;
    for foreign in found.foreign.iter().filter(|foreign| foreign.is_damaged()) {
        context.ui.warning(format!(
            "{}: {}; see {}",
            foreign.name,
            foreign.why,
            context.typed.quoted(&["verify", "--all"])
        ));
    }
    Ok(())
}

fn look_at_all(args: &VerifyArgs, context: &Context) -> anyhow::Result<Vec<Looked>> {
    let store = context.store()?;
    let reading = context.reading();
    let found = inventory(&store, &reading, &context.ui.progress())?;
    for newer in found.foreign.iter().filter(|foreign| foreign.newer().is_some()) {
        context.ui.warning(format!("{}: written by a newer heirloom, not verified; update heirloom", newer.name));
    }
    meant::refuse_unknown_set(args.set.as_ref(), &found, &context.surroundings())?;
    let mut looked = Vec::new();
    let of_set =
        found.snapshots.iter().filter(|one| args.set.as_ref().is_none_or(|set| means(set, one, &context.settings)));
    let mut of_set: Vec<_> = of_set.collect();
    if let Some(part) = args.part {
        let log = store.workspace().activities(None, false)?;
        let all = of_set.len();
        of_set = part.choose(&of_set, &log, context.now);
        context.ui.detail(format!("{} of {}: verified longest ago", of_set.len(), text::count(all as u64, "archive")));
    }
    // An archive that cannot be described has no set; it is verified when no set is given.
    let is_broken = |foreign: &&Foreign| foreign.is_damaged() || foreign.is_unread() || foreign.lacks_key();
    let broken = found.foreign.iter().filter(is_broken).filter(|_| args.set.is_none());
    let names: Vec<&str> = of_set
        .iter()
        .map(|snapshot| snapshot.name.as_str())
        .chain(broken.map(|foreign| foreign.name.as_str()))
        .collect();
    for (index, name) in names.iter().copied().enumerate() {
        let overall = Overall::Archive { number: index + 1, of: names.len() };
        looked.push(match in_store(&store, name, &reading) {
            Ok(selected) => look(args, context, selected, overall)?,
            // A rotation removed it since the store was listed: there is nothing left to verify.
            Err(error) if matches!(error.downcast_ref(), Some(StoreError::NotFound { .. })) => continue,
            Err(error) => match by_digest(args, context, name, &error, overall)? {
                Some(looked) => looked,
                None => Looked { shown: name.to_owned(), home: home_of(context, name), result: job::refused(error)? },
            },
        });
    }
    Ok(looked)
}

/// Returns where to mark an archive that could not be opened.
fn home_of(context: &Context, text: &str) -> Option<(Repository, ArchiveName)> {
    let store = context.store().ok()?;
    let name = ArchiveName::new(text).ok()?;
    matches!(store.store().stat(name.as_str()), Ok(Some(_))).then_some((store, name))
}

fn look(args: &VerifyArgs, context: &Context, selected: Selected, overall: Overall) -> anyhow::Result<Looked> {
    let store = context.store().ok();
    let scratch = super::latest::scratch(store.as_ref(), context)?;
    let verified = verify(
        &selected.archive,
        args.depth.into(),
        scratch.path(),
        context.threads(),
        &context.ui.progress_in(overall),
    );
    let mut verified = verified;
    if let (Ok(verified), true) = (&mut verified, selected.archive.envelope().is_some()) {
        // Only an identity counts: the key of this run opens what it made itself.
        if let (Some(store), false) = (&store, context.encryption.keys.is_empty()) {
            let _ = store.workspace().note_key_use(context.now);
        }
        let is_in_store = selected.place == Place::Store;
        verified.findings.extend((is_in_store && !selected.snapshot.has_digest).then(|| NO_DIGEST.to_owned()));
    }
    let name = selected.snapshot.name;
    let (shown, home) = match selected.place {
        Place::Store => (name.as_str().to_owned(), store.map(|store| (store, name))),
        Place::Path(path) => (path.to_string_lossy().into_owned(), None),
    };
    Ok(Looked { shown, home, result: verified })
}

/// Sets or removes the mark beside the archive. A failure is only a warning: the verdict does not depend on
/// it.
fn remember(context: &Context, home: Option<&(Repository, ArchiveName)>, verified: &Verified, depth: VerifyDepth) {
    let Some((store, name)) = home else { return };
    match job::remember(store, name, verified, depth, &context.ui.progress()) {
        Ok(Mark::Removed) => context.ui.note(format!("{name}: no longer marked as damaged")),
        Ok(Mark::Set | Mark::Unchanged) => {}
        Err(error) => context.ui.warning(format!("{name}: the mark could not be changed: {error:#}")),
    }
}

fn print(context: &mut Context, shown: &str, verified: &Verified) {
    let ui = &mut context.ui;
    let shown = printable(shown).into_owned();
    match verified.state {
        ArchiveState::Good => {
            let state = ui.paint(Tone::Good, "ok");
            let proofs = match verified.by_digest_only {
                Some(bytes) => vec![text::bytes(bytes), "digest of the encrypted file ok".into()],
                None => proofs(&verified.examined),
            };
            ui.line(format!("{state}  {shown} · {}", proofs.join(" · ")));
            if ui.is_verbose() {
                verified.examined.iter().for_each(|one| ui.line(format!("    {}", details(one))));
            }
            verified.findings.iter().for_each(|finding| ui.warning(format!("{shown}: {finding}")));
        }
        ArchiveState::Damaged => {
            // The sentence already names the archive.
            let finding = |finding: &String| finding.trim_start_matches("the archive is damaged: ").to_owned();
            let findings = verified.findings.iter().map(finding).collect::<Vec<_>>().join("; ");
            let hint = "restore another archive (`heirloom list`); keep this one until you have a newer good backup";
            ui.error(&printable(&format!("\"{shown}\" is damaged: {findings}")), Some(hint));
        }
    }
}

/// Summarizes on one line what was read and checked of an archive.
fn proofs(examined: &[Examined]) -> Vec<String> {
    let (all, compared) = (examined.len(), examined.iter().filter(|one| one.is_compared).count());
    let read = text::bytes(examined.iter().map(|one| one.bytes).sum());
    let mut proofs = vec![if all == 1 { read } else { format!("{}, {read}", text::count(all as u64, "database")) }];
    proofs.push(match (all, compared) {
        (_, 0) => "no digest recorded".into(),
        (1, _) => "digest ok".into(),
        _ if compared == all => format!("{} ok", text::count(compared as u64, "digest")),
        _ => format!("{compared} of {all} digests recorded, ok"),
    });
    // The worst one; it cannot be damage here.
    let checked: Vec<Integrity> = examined.iter().filter_map(|one| one.integrity).collect();
    let integrity = checked.iter().find(|integrity| **integrity != Integrity::Ok).or(checked.first());
    proofs.extend(integrity.map(|integrity| format!("integrity {integrity}")));
    let rows: Option<u64> = examined.iter().map(|one| Some(one.counted?.1)).sum();
    proofs.extend(rows.filter(|_| all > 0).map(|rows| text::count(rows, "row")));
    proofs
}

/// Returns what was checked of one database.
fn details(one: &Examined) -> String {
    let compared = if one.is_compared { "as recorded" } else { "not recorded" };
    let mut words =
        vec![text::bytes(one.bytes), format!("sha256 {} {compared}", shortened(&one.sha256.to_string(), 17))];
    words.extend(one.integrity.map(|integrity| format!("integrity {integrity}")));
    words.extend(
        one.counted.map(|(tables, rows)| {
            format!("{} in {} as recorded", text::count(rows, "row"), text::count(tables, "table"))
        }),
    );
    format!("{}: {}", one.name, words.join(", "))
}

fn document(shown: &str, verified: &Verified) -> VerifiedArchive {
    VerifiedArchive { archive: shown.to_owned(), state: verified.state.as_str(), findings: verified.findings.clone() }
}
