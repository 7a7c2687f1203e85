//! `heirloom verify`.

use super::log::Record;
use super::ui::Tone;
use super::{Context, Outcome};
use crate::archive::ArchiveError;
use crate::failure::is_interruption;
use crate::names::{ArchiveName, Name, printable};
use crate::ops::Repository;
use crate::ops::inventory::{Foreign, inventory};
use crate::ops::jobs::meant;
use crate::ops::resolve::{Place, Selected, in_store};
use crate::ops::verify::{State, Verified, VerifyDepth, verify};
use crate::report::archives::{Verification, VerifiedArchive};
use crate::store::StoreError;

/// Prove that archives can be restored
///
/// Reads every byte, checks every digest, unpacks the databases into scratch, checks them, and compares them with what the archive says
/// of them. An archive that is damaged gets a `.damaged` mark beside it: retention gives it no slot and restore refuses it. A later clean
/// verify takes the mark away. An I/O error is no evidence and marks nothing.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom verify                      the newest archive
  heirloom verify --all --depth quick  structure and digests of every archive
  heirloom verify /mnt/usb/shop_20260301T030000Z.tar.gz

Exit codes: 0 all good; 12 no such backup; 13 at least one is damaged; 15 not enough space; 16 store unreachable;
17 encrypted, and no key for it")]
pub struct VerifyArgs {
    /// Paths, names, beginnings of names, or `latest` (which is the default)
    #[arg(value_name = "ARCHIVE", add = super::complete::archives())]
    archives: Vec<String>,
    /// Every archive of the store
    #[arg(long, conflicts_with = "archives")]
    all: bool,
    /// How deep to look
    #[arg(long, value_enum, value_name = "DEPTH", default_value = "standard")]
    depth: DepthArg,
    /// Only archives of this set
    #[arg(long, value_name = "NAME")]
    set: Option<Name>,
}

#[derive(clap::ValueEnum, Debug, Clone, Copy)]
enum DepthArg {
    /// Structure and digests
    Quick,
    /// Also unpacked, integrity checked, and compared with the metadata
    Standard,
    /// Also every row read
    Deep,
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

/// An archive that was looked at.
struct Looked {
    shown: String,
    /// The store and the name, where a mark can be set.
    home: Option<(Repository, ArchiveName)>,
    result: anyhow::Result<Verified>,
}

pub(super) fn run(args: &VerifyArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    let looked = if args.all { look_at_all(args, context)? } else { look_at_named(args, context)? };
    let depth = VerifyDepth::from(args.depth);
    let mut documents = Vec::new();
    let (mut damaged, mut failed) = (0, None);
    for looked in looked {
        match looked.result {
            Ok(verified) => {
                let outcome = if verified.state == State::Good { Outcome::Done } else { Outcome::Found(13) };
                context.records.push(Record { archive: Some(looked.shown.clone()), outcome: Some(outcome), ..Record::default() });
                damaged += usize::from(verified.state == State::Damaged);
                remember(context, looked.home.as_ref(), &verified, depth);
                tell(context, &looked.shown, &verified);
                documents.push(document(&looked.shown, &verified));
            }
            Err(error) if is_interruption(&error) => return Err(error),
            Err(error) => {
                let error = error.context(format!("cannot verify \"{}\"", printable(&looked.shown)));
                documents.push(VerifiedArchive { archive: looked.shown, state: "unknown", findings: vec![format!("{error:#}")] });
                if let Some(earlier) = failed.replace(error) {
                    super::exit::report(&earlier, &context.typed, &mut context.ui);
                }
            }
        }
    }
    if context.ui.is_json() {
        context.ui.document(&Verification { depth: depth.as_str(), archives: documents });
    }
    match failed {
        _ if damaged > 0 => Ok(Outcome::Found(13)),
        Some(error) => Err(error),
        None => Ok(Outcome::Done),
    }
}

fn look_at_named(args: &VerifyArgs, context: &Context) -> anyhow::Result<Vec<Looked>> {
    let latest = ["latest".to_owned()];
    let texts = if args.archives.is_empty() { &latest[..] } else { &args.archives };
    if args.archives.is_empty() {
        warn_of_unreadable(context)?;
    }
    let mut looked = Vec::new();
    for text in texts {
        let selected = super::latest::find(text, args.set.as_ref(), "verify", context);
        looked.push(match selected {
            Ok(selected) => look(args, context, selected)?,
            Err(error) => Looked { shown: text.clone(), home: home_of(context, text), result: refused(error)? },
        });
    }
    Ok(looked)
}

/// Reports which archives cannot be the newest because they cannot even be described: "ok" about an older one must not hide them.
fn warn_of_unreadable(context: &Context) -> anyhow::Result<()> {
    let found = inventory(&context.store()?, &context.reading(), &context.ui.progress())?;
    for foreign in found.foreign.iter().filter(|foreign| foreign.is_damaged()) {
        context.ui.warning(format!("{}: {}; see {}", foreign.name, foreign.why, context.typed.quoted(&["verify", "--all"])));
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
    let of_set = found.snapshots.iter().filter(|snapshot| args.set.as_ref().is_none_or(|set| *set == snapshot.set));
    // An archive that cannot even be described belongs to no set; it is looked at with all of them.
    let is_broken = |foreign: &&Foreign| foreign.is_damaged() || foreign.is_unread() || foreign.lacks_key();
    let broken = found.foreign.iter().filter(is_broken).filter(|_| args.set.is_none());
    for name in of_set.map(|snapshot| snapshot.name.as_str()).chain(broken.map(|foreign| foreign.name.as_str())) {
        looked.push(match in_store(&store, name, &reading) {
            Ok(selected) => look(args, context, selected)?,
            // A rotation removed it since the store was listed: there is nothing left to verify.
            Err(error) if matches!(error.downcast_ref(), Some(StoreError::NotFound { .. })) => continue,
            Err(error) => Looked { shown: name.to_owned(), home: home_of(context, name), result: refused(error)? },
        });
    }
    Ok(looked)
}

/// Returns where a mark for an archive goes that could not even be opened.
fn home_of(context: &Context, text: &str) -> Option<(Repository, ArchiveName)> {
    let store = context.store().ok()?;
    let name = ArchiveName::new(text).ok()?;
    matches!(store.store().stat(name.as_str()), Ok(Some(_))).then_some((store, name))
}

/// Turns what an archive is refused for into a verdict. An archive that cannot be read fails alone; every other error is passed on.
fn refused(error: anyhow::Error) -> anyhow::Result<anyhow::Result<Verified>> {
    match Verified::refused(error) {
        Err(error) if error.downcast_ref().is_none_or(|error| matches!(error, ArchiveError::Interrupted(_))) => Err(error),
        alone => Ok(alone),
    }
}

fn look(args: &VerifyArgs, context: &Context, selected: Selected) -> anyhow::Result<Looked> {
    let store = context.store().ok();
    let scratch = super::latest::scratch(store.as_ref(), context)?;
    let verified = verify(&selected.archive, args.depth.into(), scratch.path(), context.threads(), &context.ui.progress());
    let name = selected.snapshot.name;
    let (shown, home) = match selected.place {
        Place::Store => (name.as_str().to_owned(), store.map(|store| (store, name))),
        Place::Path(path) => (path.to_string_lossy().into_owned(), None),
    };
    Ok(Looked { shown, home, result: verified })
}

/// Sets or takes away the mark beside the archive. A mark that cannot be written is a warning: the verdict stands without it.
fn remember(context: &Context, home: Option<&(Repository, ArchiveName)>, verified: &Verified, depth: VerifyDepth) {
    let Some((store, name)) = home else { return };
    let marked = || -> anyhow::Result<bool> {
        let is_marked = store.store().stat(&format!("{name}{}", crate::ops::inventory::DAMAGED))?.is_some();
        if is_marked == (verified.state == State::Damaged) {
            return Ok(false);
        }
        let locked = store.lock(std::time::Duration::from_secs(10), &context.ui.progress())?;
        Ok(match verified.state {
            State::Damaged => locked.mark_damaged(name, depth.as_str(), &verified.findings)?,
            State::Good => locked.clear_damaged(name, &depth.and_shallower())?,
        })
    };
    match marked() {
        Ok(true) if verified.state == State::Good => context.ui.note(format!("{name}: the mark as damaged was taken away")),
        Ok(_) => {}
        Err(error) => context.ui.warning(format!("{name}: the mark could not be changed: {error:#}")),
    }
}

fn tell(context: &mut Context, shown: &str, verified: &Verified) {
    let ui = &mut context.ui;
    let shown = printable(shown).into_owned();
    match verified.state {
        State::Good => {
            let state = ui.paint(Tone::Good, "ok");
            ui.line(format!("{state}       {shown}"));
            verified.findings.iter().for_each(|finding| ui.warning(format!("{shown}: {finding}")));
        }
        State::Damaged => {
            let findings = verified.findings.join("; ");
            let hint = "restore another archive (`heirloom list`); keep this one until you have a newer good backup";
            ui.error(&printable(&format!("\"{shown}\" is damaged: {findings}")), Some(hint));
        }
    }
}

fn document(shown: &str, verified: &Verified) -> VerifiedArchive {
    VerifiedArchive { archive: shown.to_owned(), state: verified.state.as_str(), findings: verified.findings.clone() }
}
