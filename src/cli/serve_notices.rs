//! Notices of downloads, sent on a thread of their own: no receiver delays a download or makes it fail.
//!
//! The activity log has each request before its first byte; the notice follows. Whoever resumes a download sends
//! several requests for it, so there is one notice an hour for an archive and a client. If the process dies before the
//! notice is in the ledger, only the log records the download. After that, it is sent by this process or by the next
//! command that sends notices.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Context, notices};
use crate::clock::Clock;
use crate::config::{Event, Receiver};
use crate::notices::decide;
use crate::notify::deliver;
use crate::report::notice::{Notice, SetNotice};
use crate::workspace::notices::{Delivery, Ledger};

/// How long all receivers together may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How long the end of the server waits for them. What was not delivered is sent by the next command.
const LIMIT_AT_THE_END: Duration = Duration::from_secs(2);

/// How long further requests of a client for an archive count as the same download.
const SAME: Duration = Duration::from_secs(3600);

/// The thread that sends them.
pub(super) struct Downloads {
    recent: Recent,
    notices: Sender<Notice>,
    warnings: mpsc::Receiver<String>,
    thread: JoinHandle<()>,
}

/// Who began to download which archive within the last hour.
#[derive(Default)]
struct Recent(HashMap<(String, String), Instant>);

impl Recent {
    /// Returns whether this is a new download.
    fn is_new(&mut self, who: &str, archive: &str, now: Instant) -> bool {
        self.0.retain(|_, begun| now.duration_since(*begun) < SAME);
        let key = (who.to_owned(), archive.to_owned());
        let is_new = !self.0.contains_key(&key);
        self.0.entry(key).or_insert(now);
        is_new
    }
}

/// What the thread knows.
struct Post {
    /// Folder and scope of the ledger.
    place: Option<(PathBuf, String)>,
    receivers: Vec<Receiver>,
    clock: Clock,
    warnings: Sender<String>,
}

impl Downloads {
    /// Starts the thread, if a receiver has chosen the event.
    pub(super) fn start(context: &Context) -> anyhow::Result<Option<Self>> {
        let receivers: Vec<Receiver> = notices::receivers(context).cloned().collect();
        if !receivers.iter().any(|receiver| receiver.on.contains(&Event::Download)) {
            return Ok(None);
        }
        let (notices, coming) = mpsc::channel();
        let (sender, warnings) = mpsc::channel();
        let place = notices::place(context).ok();
        let mut post = Post { place, receivers, clock: context.clock.clone(), warnings: sender };
        let body = move || {
            while let Ok(first) = coming.recv() {
                post.send(std::iter::once(first).chain(coming.try_iter()).collect());
            }
        };
        let thread = thread::Builder::new().name("notices".into()).spawn(body)?;
        Ok(Some(Self { recent: Recent::default(), notices, warnings, thread }))
    }

    /// Takes a request for an archive. `who` is the token with the address.
    pub(super) fn note(&mut self, who: &str, archive: &str, context: &Context) {
        if !self.recent.is_new(who, archive, Instant::now()) {
            return;
        }
        let set = SetNotice { outcome: "download".into(), archive: Some(archive.to_owned()), ..SetNotice::default() };
        let notice = Notice {
            id: notices::message_id(),
            events: vec![Event::Download.as_str().to_owned()],
            at: context.clock.now(),
            command: "download".into(),
            host: context.host.label.to_string(),
            store: notices::store_text(context),
            sets: vec![set],
            by: Some(who.to_owned()),
            ..Notice::default()
        };
        // Without the thread nobody is left to send it.
        let _ = self.notices.send(notice);
    }

    /// Prints what could not be delivered.
    pub(super) fn warn(&self, context: &Context) {
        self.warnings.try_iter().for_each(|text| context.ui.warning(text));
    }

    /// Waits a moment for what is being sent.
    pub(super) fn end(self, context: &Context) {
        let Self { notices, warnings, thread, .. } = self;
        drop(notices);
        let begun = Instant::now();
        while !thread.is_finished() && begun.elapsed() < LIMIT_AT_THE_END {
            thread::sleep(Duration::from_millis(10));
        }
        warnings.try_iter().for_each(|text| context.ui.warning(text));
    }
}

impl Post {
    fn send(&mut self, new: Vec<Notice>) {
        let now = self.clock.now();
        let mut ledger = self.place.as_ref().and_then(|(folder, scope)| Ledger::open(folder, scope).ok());
        let mut direct = Vec::new();
        for notice in new {
            let wanted = self.receivers.iter().filter(|receiver| notice.is_for(&receiver.on));
            let to: Vec<String> = wanted.map(|receiver| receiver.name.to_string()).collect();
            let decision = |known: &[_], recent| (decide(known, &[], recent, now), Some((notice.clone(), to)));
            if ledger.as_mut().is_none_or(|ledger| ledger.settle(now, decision).is_err()) {
                direct.push(notice);
            }
        }
        let names: Vec<String> = self.receivers.iter().map(|receiver| receiver.name.to_string()).collect();
        let waiting = ledger.as_mut().and_then(|ledger| ledger.claim(&names, now).ok()).unwrap_or_default();
        let jobs = notices::jobs(self.receivers.iter(), &waiting, &direct);
        for answer in deliver(jobs, LIMIT, now) {
            let (state, text) = match &answer.result {
                Ok(text) => (Delivery::Sent, text),
                Err(why) => {
                    let _ = self.warnings.send(format!("notice to {} not delivered: {why}", answer.receiver));
                    (Delivery::Pending, why)
                }
            };
            if let Some(ledger) = &mut ledger {
                // Not noted: it is sent once more.
                let _ = ledger.note(&answer.notice, &answer.receiver, state, answer.tries, text, now);
            }
        }
        if let Some(ledger) = &mut ledger {
            ledger.prune(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_is_the_same_for_an_hour() {
        let (mut recent, begun) = (Recent::default(), Instant::now());
        let mut at = |who, archive, seconds| recent.is_new(who, archive, begun + Duration::from_secs(seconds));
        assert!(at("ops from 10.0.0.1", "a.tar.gz", 0) && !at("ops from 10.0.0.1", "a.tar.gz", 3599));
        assert!(at("ops from 10.0.0.2", "a.tar.gz", 3599) && at("ops from 10.0.0.1", "b.tar.gz", 3599));
        assert!(at("ops from 10.0.0.1", "a.tar.gz", 3600), "from the first request, however many came since");
        assert_eq!(recent.0.len(), 3);
    }
}
