//! The one-time code of `serve`: how an administrator gets in before a token is configured.
//!
//! It gives one session of the page, once, for a short time, and only on this machine. A terminal shows it; without
//! one, it is written to a file that its owner alone can read. Only this process knows the code: a file that a killed
//! server left behind holds one that nobody accepts any more.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::Context;
use super::stores::state_directory;
use super::ui::Tone;
use crate::digest::Sha256;
use crate::failure::Failure;
use crate::platform;
use crate::serving::Code;
use crate::text::quoted;

/// How long a code is valid.
const LIFE: Duration = Duration::from_secs(600);
/// What the names of the files begin with.
const START: &str = "sign-in-code-";

/// A code that was shown.
#[derive(Debug)]
pub(super) struct OneTimeCode {
    /// What the server accepts.
    pub(super) code: Code,
    /// The file with the code.
    file: Option<PathBuf>,
}

impl OneTimeCode {
    /// Makes a code, and prints it at a terminal or writes it to a file. Fails if neither is possible.
    pub(super) fn make(context: &Context) -> anyhow::Result<Self> {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let secret = hex(&platform::random_bytes()?);
        let code = Code { digest: Sha256::of(secret.as_bytes()), until: Instant::now() + LIFE };
        let minutes = LIFE.as_secs() / 60;
        if io::stderr().is_terminal() && context.ui.prints_results() {
            let serve = context.ui.paint_stderr(Tone::Strong, "serve:");
            let text = "no token is configured; this code signs one administrator in on the page, once, within";
            context.ui.note(format!("{serve} {text} {minutes} minutes:"));
            context.ui.note(&secret);
            return Ok(Self { code, file: None });
        }
        let Some(folder) = state_directory() else {
            let hint = "set HEIRLOOM_STATE_DIR to a folder that belongs to this user, or configure a token";
            return Err(Failure::usage("there is no terminal and no folder for a one-time code", hint).into());
        };
        let context_of = || format!("cannot write a one-time code in {}", quoted(&folder));
        platform::create_private_folders(&folder).with_context(context_of)?;
        remove_old(&folder);
        let path = folder.join(format!("{START}{}", &hex(&platform::random_bytes()?)[..16]));
        // Crash from here on: a file with a code, or a part of one, that no process accepts. The name is new.
        let mut file = platform::private_file(&path).with_context(context_of)?;
        let made = Self { code, file: Some(path) };
        // If the disk is full, `made` removes the file.
        writeln!(file, "{secret}").with_context(context_of)?;
        let text = "signs one administrator in on the page, once, within";
        let path = made.file.as_deref().map(quoted).unwrap_or_default();
        context.ui.warning(format!("no token is configured; the code in {path} {text} {minutes} minutes"));
        Ok(made)
    }

    /// Returns whether its time is over.
    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.code.until
    }
}

impl Drop for OneTimeCode {
    /// Removes the file: the code was redeemed, or is of no use any more. A file that cannot be removed holds nothing
    /// that is still accepted, and the next server that needs a code tries again.
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            let _ = std::fs::remove_file(file);
        }
    }
}

/// Removes files of killed servers. Whoever made one that is older than the life of a code accepts that code no longer.
/// A file whose age is unknown stays.
fn remove_old(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(START)) {
        let age = entry.metadata().and_then(|found| found.modified()).map(|at| at.elapsed().unwrap_or_default());
        if age.is_ok_and(|age| age > LIFE) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
