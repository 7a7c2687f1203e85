//! Tokens that are added to the configuration or removed from it while the server runs.
//!
//! A request looks whether the files changed. If the configuration can be read, its tokens replace the old ones, and
//! sessions of tokens that are gone or changed end. If it cannot, because somebody is in the middle of an edit, the old
//! tokens stay. All other settings need a restart.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::App;
use crate::digest::Sha256;
use crate::serving::{Ask, Reread};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The files that say who may do what.
#[derive(Debug)]
pub(super) struct Watch {
    reread: Reread,
    state: Mutex<Looked>,
}

#[derive(Debug)]
struct Looked {
    at: Option<Instant>,
    /// The files, the configuration first.
    files: Vec<PathBuf>,
    /// What they held when they were read last.
    stamps: Vec<Option<Sha256>>,
}

/// Returns the digest of a file. Its time and size may stay the same while it is edited, and it is small. One that
/// cannot be read has none; nor has what is no regular file, where reading may wait, or take what others wait for.
fn stamp(file: &PathBuf) -> Option<Sha256> {
    fs::metadata(file).ok().filter(fs::Metadata::is_file)?;
    fs::read(file).ok().map(|content| Sha256::of(&content))
}

impl Watch {
    pub(super) fn new(reread: Reread) -> Self {
        let files = vec![reread.file.clone()];
        // Without stamps: the first look reads what may have changed since the start.
        Self { reread, state: Mutex::new(Looked { at: None, files, stamps: Vec::new() }) }
    }
}

/// Looks at the files before a request is judged.
pub(super) async fn look(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if let Some(watch) = &app.watch {
        app.look(watch);
    }
    next.run(request).await
}

impl App {
    fn look(&self, watch: &Watch) {
        // Others wait: the next request must not use a token that this one finds removed.
        let mut looked = watch.state.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.at.is_some_and(|at| at.elapsed() < LOOK) {
            return;
        }
        looked.at = Some(Instant::now());
        // Taken before reading: a change in between is found by the next look.
        let stamps: Vec<Option<Sha256>> = looked.files.iter().map(stamp).collect();
        if looked.stamps == stamps {
            return;
        }
        looked.stamps = stamps;
        match (watch.reread.read)(&watch.reread.file) {
            Ok((tokens, token_files)) => {
                let files: Vec<PathBuf> = std::iter::once(watch.reread.file.clone()).chain(token_files).collect();
                // Other files have other stamps: the next look reads once more.
                looked.files = files;
                self.guard.replace(tokens.clone());
                self.sessions.keep(&tokens);
            }
            Err(why) => self.ask(Ask::Warning(format!("the tokens stay as they were: {why}"))),
        }
    }
}
