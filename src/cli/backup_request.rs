//! How an archive of `heirloom backup` is made: its flags, or else the configuration.

use super::Context;
use super::backup_args::BackupArgs;
use super::check_arg::CheckArg;
use crate::compression::Compression;
use crate::failure::Failure;
use crate::names::{ArchiveName, Name};
use crate::ops::pack::{self, Request};

pub(super) fn request(args: &BackupArgs, context: &Context, set: Name, absent: Vec<Name>) -> anyhow::Result<Request> {
    let settings = &context.settings.backup;
    let compression = compression(args, settings.compression);
    let sealing = context.encryption.store.clone();
    Ok(Request {
        digits: None,
        set,
        kind: args.kind.into(),
        name: args.name.as_deref().map(|name| chosen_name(name, compression, sealing.is_some())).transpose()?,
        note: args.note.clone(),
        host: context.host_names(),
        created_at: context.clock.now(),
        replaces: None,
        consistent: true,
        absent,
        check: CheckArg::depth(args.check, settings.check),
        keep_damaged: args.keep_damaged,
        vacuum: args.vacuum || settings.vacuum && !args.no_vacuum,
        compression,
        sealing,
        threads: args.threads.unwrap_or_else(|| context.threads()),
        lock_wait: args.busy_timeout,
    })
}

/// Returns what the flags say about the compression, or else the configuration.
fn compression(args: &BackupArgs, configured: Compression) -> Compression {
    if args.no_compress {
        return Compression::None;
    }
    // A level asks for compression, even if none is configured; each codec has the levels that the flag accepts.
    let at = |level| configured.at_level(level).unwrap_or(Compression::Gzip(level));
    args.compression.or(args.compression_level.map(at)).unwrap_or(configured)
}

/// Builds the archive's file name from what the user typed, with or without the extension.
fn chosen_name(name: &str, compression: Compression, is_encrypted: bool) -> Result<ArchiveName, Failure> {
    let ending = pack::ending(compression, is_encrypted);
    let stem = name.strip_suffix(&ending).or(name.strip_suffix(compression.ending())).unwrap_or(name);
    let file = format!("{stem}{ending}");
    ArchiveName::new(file).map_err(|error| {
        Failure::usage(error.to_string(), "use letters, digits, dots, dashes and underscores, and no slash")
    })
}
