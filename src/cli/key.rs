//! `heirloom key new` and `heirloom key check`.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use chrono::SecondsFormat;

use super::{Context, Outcome, text};
use crate::archive::cipher::Identity;
use crate::failure::{Failure, FailureKind, Remedy};
use crate::names::printable;
use crate::ops::key_check::{self, Tried};
use crate::platform::{self, parent, sync_folder};
use crate::report::key as report;
use crate::store_url::Location;
use crate::text::quoted;

/// Create a key for encrypted archives, or try the keys of this host
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom key new /media/usb/heirloom.key
  heirloom key check --identity /media/usb/heirloom.key

Exit codes: 0 done; 14 the file to write exists; 16 a store is unreachable; 17 no key here opens some archives")]
pub struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(clap::Subcommand, Debug)]
enum KeyCommand {
    New(NewArgs),
    Check(CheckArgs),
}

/// Create a secret key, and print its recipient
///
/// The file is readable by this user only, and an existing file is never replaced. `age-keygen` makes the same. Write
/// the recipient into encryption.recipients on every host that backs up. Keep the key where a fire at the host does not
/// reach it: without it, no archive can be restored.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom key new
  heirloom key new /media/usb/heirloom.key

Exit codes: 0 done; 2 no such folder; 14 the file exists")]
struct NewArgs {
    /// The file to write
    #[arg(value_name = "FILE", default_value = "heirloom.key")]
    file: PathBuf,
}

/// Open every encrypted archive with the keys of this host
///
/// Opens the header of every archive in the store and its copies, and counts those that no key here opens, by month: a
/// key that was replaced is still needed for them. Archives that a key opened are remembered, so that this host can
/// rotate them without the key.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom key check --identity /media/usb/heirloom.key
  heirloom key check --json | jq .stores

Exit codes: 0 every archive was opened; 16 store unreachable; 17 no key here opens some archives, or there is no key")]
struct CheckArgs {}

pub(super) fn run(args: &KeyArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    match &args.command {
        KeyCommand::New(args) => new(args, context),
        KeyCommand::Check(CheckArgs {}) => check(context),
    }
}

fn new(args: &NewArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    let file = args.file.as_path();
    // If we die in between, the file is empty, or has a part of the key. It was printed nowhere and encrypts nothing.
    let mut opened = match platform::private_file(file) {
        Ok(opened) => opened,
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
            let message = format!("{} already exists and was not changed", quoted(file));
            let remedy = "name another file; a key that was used once is needed as long as its archives";
            return Err(Failure::new(FailureKind::TargetExists, message).remedy(remedy).into());
        }
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            let message = format!("cannot write {}: folder {} does not exist", quoted(file), quoted(parent(file)));
            return Err(Failure::usage(message, "create the folder first").into());
        }
        Err(cause) => return Err(cause).with_context(|| format!("cannot write {}", quoted(file))),
    };
    let identity = Identity::generate();
    let secret = identity.file_text(&context.now.to_rfc3339_opts(SecondsFormat::Secs, true));
    let written =
        opened.write_all(secret.as_bytes()).and_then(|()| opened.sync_all()).and_then(|()| sync_folder(parent(file)));
    if let Err(cause) = written {
        // We have just created it, and nobody knows the key.
        let _ = fs::remove_file(file);
        return Err(cause).with_context(|| format!("cannot write {}", quoted(file)));
    }
    let recipient = identity.recipient().to_string();
    if context.ui.is_json() {
        context.ui.document(&report::NewKey { file: file.to_string_lossy().into_owned(), recipient });
        return Ok(Outcome::Done);
    }
    context.ui.line(&recipient);
    context.ui.note(format!(
        "wrote the secret key to {}; archives are encrypted for it with the line recipients = [\"{recipient}\"] in the \
         section [encryption]; keep it away from this host, and keep a second copy of it",
        quoted(file)
    ));
    Ok(Outcome::Done)
}

fn check(context: &mut Context) -> anyhow::Result<Outcome> {
    if context.encryption.keys.is_empty() {
        let failure = Failure::new(FailureKind::KeyMissing, "there is no key on this host to try");
        return Err(failure.remedy(Remedy::NameKey).into());
    }
    let copies = context.settings.copies.iter().map(|copy| copy.location.clone());
    let locations: Vec<Location> = std::iter::once(context.settings.store.clone()).chain(copies).collect();
    let mut stores = Vec::new();
    let mut failed = None;
    for location in &locations {
        let tried = context
            .open_store(location)
            .map_err(anyhow::Error::from)
            .and_then(|store| key_check::check(&store, &context.reading(), context.now, &context.ui.progress()));
        match tried {
            Ok(tried) => {
                print(location, &tried, context);
                stores.push(document(location, &tried));
            }
            // The others are tried all the same.
            Err(error) if locations.len() > 1 && !crate::failure::is_interruption(&error) => {
                context.ui.warning(format!("{}: {error:#}", printable(&location.to_string())));
                failed.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    let is_locked = stores.iter().any(|store| !store.locked.is_empty());
    if context.ui.is_json() {
        context.ui.document(&report::KeyCheck { stores });
    }
    match failed {
        Some(error) => Err(error),
        None if is_locked => Ok(Outcome::Found(FailureKind::KeyMissing.code())),
        None => Ok(Outcome::Done),
    }
}

fn print(location: &Location, tried: &Tried, context: &mut Context) {
    for (_, lie) in &tried.lying {
        context.ui.warning(lie);
    }
    let store = printable(&location.to_string()).into_owned();
    let (opened, locked) = (tried.opened, tried.locked_in_all());
    if opened + locked == 0 {
        context.ui.summary(format!("no encrypted archive in the store \"{store}\""));
        return;
    }
    let all = text::count(opened + locked, "encrypted archive");
    if locked == 0 {
        context.ui.summary(format!("a key here opens all of {all} in the store \"{store}\""));
    } else {
        context.ui.line(format!("no key here opens {} of {all} in the store \"{store}\":", text::thousands(locked)));
        for (month, count) in &tried.locked {
            context.ui.line(format!("  {month}  {}", text::count(*count, "archive")));
        }
        for (recipient, count) in &tried.recipients {
            context.ui.line(format!("  the key of {recipient} opens {}", text::thousands(*count)));
        }
    }
    if tried.plain > 0 {
        context.ui.note(format!("{} there not encrypted", are(tried.plain)));
    }
    if tried.learned > 0 {
        let learned = text::count(tried.learned, "archive");
        context.ui.detail(format!("{learned} can be rotated here without the key from now on"));
    }
}

fn are(count: u64) -> String {
    format!("{} {}", text::count(count, "archive"), if count == 1 { "is" } else { "are" })
}

fn document(location: &Location, tried: &Tried) -> report::TriedStore {
    report::TriedStore {
        store: location.to_string(),
        opened: tried.opened,
        locked: tried.locked.clone(),
        recipients: tried.recipients.clone(),
        plain: tried.plain,
        lying_labels: tried.lying.iter().map(|(_, lie)| lie.clone()).collect(),
    }
}
