//! Notices of downloads, sent on a thread of their own: no receiver delays a download or makes it fail.
//!
//! The activity log has the download before its first byte; the notice follows. If the process dies before the notice
//! is in the ledger, only the log tells of the download. After that, it is sent by this process or by the next command
//! that sends notices.

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

/// The thread that sends them.
pub(super) struct Downloads {
    notices: Sender<Notice>,
    warnings: mpsc::Receiver<String>,
    thread: JoinHandle<()>,
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
        Ok(Some(Self { notices, warnings, thread }))
    }

    /// Takes a download that begins.
    pub(super) fn note(&self, who: &str, archive: &str, context: &Context) {
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
        let Self { notices, warnings, thread } = self;
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
