//! Sends notices at the end of a round: after the data is safe and the result is printed.
//!
//! A command that was started by another one, such as the schedule of a run, does the same. Nothing here changes an
//! exit code: what goes wrong is a warning, and what was not delivered is sent by the next run.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::exit::{Outcome, exit_code};
use super::round::Summary;
use super::stores::state_directory;
use super::{Context, remedy};
use crate::config::{Event, Receiver};
use crate::digest::Sha256;
use crate::failure::is_interruption;
use crate::notices::decide;
use crate::notify::{Answer, Job, Message, Ping, deliver, is_switch};
use crate::ops::explain::explain;
use crate::report::notice::{Notice, Safe};
use crate::workspace::notices::{Delivery, Ledger, Waiting};

/// How long all receivers together may take.
const LIMIT: Duration = Duration::from_secs(10);
/// The same at the end of an application, which its platform waits for.
const LIMIT_AT_THE_END: Duration = Duration::from_secs(2);
/// How long the first ping of a dead man's switch may take.
const START: Duration = Duration::from_secs(5);

/// The commands that send notices when they end, besides `health`.
pub(super) const COMMANDS: [&str; 6] = ["backup", "restore", "copy", "verify", "rotate", "cleanup"];

/// Tells dead man's switches that a backup begins, without waiting for them.
pub(super) fn begin(context: &mut Context) {
    let receivers: Vec<Receiver> = switches(context).into_iter().cloned().collect();
    if receivers.is_empty() {
        return;
    }
    context.notices.run = uuid();
    let message = Message { notice: Notice::default(), ping: Ping::Start, run: context.notices.run.clone() };
    let job = |receiver: Receiver| Job { receiver, messages: vec![message.clone()] };
    let (jobs, now): (Vec<Job>, _) = (receivers.into_iter().map(job).collect(), context.now);
    context.notices.started = Some(std::thread::spawn(move || deliver(jobs, START, now)));
}

/// Takes what happened for [`send`].
pub(super) fn note(command: &str, result: &anyhow::Result<Outcome>, started: Instant, context: &mut Context) {
    let round = std::mem::take(&mut context.round);
    if context.settings.receivers.is_empty() || round.is_silent || context.ui.was_declined() {
        return;
    }
    context.notices.at_the_end = round.is_final;
    let code = match result {
        Ok(Outcome::Done) => 0,
        Ok(Outcome::Problems) => 3,
        Ok(Outcome::Found(code) | Outcome::Ended(code)) => *code,
        Err(error) if is_interruption(error) => return,
        Err(error) => exit_code(error, context.ui.signal()),
    };
    // Somebody who types a wrong command sees it, and a health check that could not run says nothing about backups.
    if code == 2 && context.ui.can_ask() || command == "health" && result.is_err() {
        return;
    }
    let failure = result.as_ref().err().map(explain);
    let hint = failure.as_ref().and_then(|failure| failure.remedy.as_ref());
    let hint = hint.map(|remedy| remedy::hint(remedy, &context.typed));
    let mut summary = round.summary(command, code, failure.as_ref().map(|failure| (failure, hint)), &context.records);
    let notice = &mut summary.notice;
    notice.at = context.now;
    notice.seconds = started.elapsed().as_secs_f64();
    notice.host = context.host.label.to_string();
    notice.store = store_text(context);
    if !summary.trouble.is_empty() && notice.hint.is_none() {
        let next: &[&str] = if summary.trouble.contains(&Event::Damage) { &["list"] } else { &["health"] };
        notice.hint = Some(format!("run {}", context.typed.quoted(next)));
    }
    let is_bad = summary.trouble.contains(&Event::Failure);
    let ping = (command == "backup").then_some(if is_bad { Ping::Fail } else { Ping::Success });
    context.notices.summary = Some((summary, ping));
}

/// Returns the store as notices name it: the reader is not in the folder that this started in.
pub(super) fn store_text(context: &Context) -> String {
    let folder = context.settings.store.folder().and_then(|folder| std::path::absolute(folder).ok());
    folder.map_or_else(|| context.settings.store.to_string(), |folder| folder.to_string_lossy().into_owned())
}

/// Returns a new id of a notice.
pub(super) fn message_id() -> String {
    format!("msg_{}", uuid().replace('-', ""))
}

/// Sends what there is to tell, and what earlier runs could not send. Returns when everything was sent or the time is
/// over.
pub(super) fn send(context: &mut Context) {
    let notices = std::mem::take(&mut context.notices);
    let Some((summary, ping)) = notices.summary else { return };
    let begun = Instant::now();
    let limit = if notices.at_the_end { LIMIT_AT_THE_END } else { LIMIT };
    let mut ledger = match open(context) {
        Ok(ledger) => Some(ledger),
        Err(error) => {
            context.ui.detail(format!("notices are sent without memory of earlier ones: {error:#}"));
            None
        }
    };
    let mut direct = Vec::new();
    let mut last = summary.notice.clone();
    match (settle(summary, ledger.as_mut(), context), &ledger) {
        (Ok(()), _) => {}
        (Err(Some(unwritten)), _) => direct = vec![*unwritten],
        (Err(None), _) => {}
    }
    let names: Vec<String> = receivers(context).map(|receiver| receiver.name.to_string()).collect();
    let waiting = ledger.as_mut().map(|ledger| ledger.claim(&names, context.clock.now()));
    let waiting = match waiting {
        Some(Ok(waiting)) => waiting,
        Some(Err(error)) => {
            context.ui.detail(format!("what was not delivered before is not sent: {:#}", anyhow::Error::from(error)));
            Vec::new()
        }
        None => Vec::new(),
    };
    let mut jobs = jobs(receivers(context), &waiting, &direct);
    if let Some(ping) = ping {
        // In their order: a start that arrives last would look like a run without an end.
        wait_for(notices.started, limit, begun, context);
        last.id = uuid();
        let run = if notices.run.is_empty() { uuid() } else { notices.run };
        let message = Message { notice: last, ping, run };
        jobs.extend(
            switches(context)
                .into_iter()
                .map(|receiver| Job { receiver: receiver.clone(), messages: vec![message.clone()] }),
        );
    }
    if jobs.is_empty() {
        return;
    }
    let now = context.clock.now();
    for answer in deliver(jobs, limit.saturating_sub(begun.elapsed()), now) {
        report(&answer, ledger.is_some() && direct.is_empty(), context);
        let (state, text) = match &answer.result {
            Ok(text) => (Delivery::Sent, text),
            Err(why) => (Delivery::Pending, why),
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

/// Returns what each receiver gets: what waits for it in the ledger, and what could not be written there.
pub(super) fn jobs<'a>(
    receivers: impl Iterator<Item = &'a Receiver>,
    waiting: &[Waiting],
    direct: &[Notice],
) -> Vec<Job> {
    let message = |notice: Notice| Message { notice, ping: Ping::Success, run: String::new() };
    let mut jobs: Vec<Job> = Vec::new();
    for receiver in receivers {
        let of_receiver = waiting.iter().filter(|one| one.receiver == receiver.name.as_str());
        let mut messages: Vec<Message> = of_receiver.map(|one| message(one.notice.clone())).collect();
        messages.extend(direct.iter().filter(|notice| notice.is_for(&receiver.on)).cloned().map(message));
        if !messages.is_empty() {
            jobs.push(Job { receiver: receiver.clone(), messages });
        }
    }
    jobs
}

/// Decides what is reported and writes it down. Fails with the notice that could not be written, if there is one.
fn settle(summary: Summary, ledger: Option<&mut Ledger>, context: &Context) -> Result<(), Option<Box<Notice>>> {
    let Summary { mut notice, ended, plain, trouble, good, verified } = summary;
    let now = context.now;
    let is_late_only = trouble == [Event::Late];
    let on: Vec<(String, Vec<Event>)> =
        receivers(context).map(|receiver| (receiver.name.to_string(), receiver.on.clone())).collect();
    if let Some(ledger) = &ledger {
        for set in &mut notice.sets {
            let name = set.set.as_deref().filter(|_| matches!(set.outcome.as_str(), "failed" | "late" | "damaged"));
            set.safe = name.and_then(|name| {
                ledger.good(name).filter(|safe| may_be_there(safe, context)).or_else(|| safe_by_log(name, context))
            });
        }
    }
    let mut unwritten = None;
    let mut decided = |known: &[crate::notices::Trouble], recent: usize| {
        let decision = decide(known, &ended, recent, now);
        let mut events = plain.clone();
        if decision.report {
            events.splice(0..0, trouble.iter().copied());
        }
        if decision.recovered.is_some() {
            let at = if decision.report { events.len() } else { 0 };
            events.insert(at, Event::Recovery);
        }
        notice.since = if decision.report { decision.since.filter(|since| *since < now) } else { decision.recovered };
        notice.held_back = if decision.report { decision.held_back } else { 0 };
        events.dedup();
        notice.events = events.into_iter().map(|event| event.as_str().to_owned()).collect();
        notice.id = message_id();
        let to: Vec<String> =
            on.iter().filter(|(_, on)| notice.is_for(on)).map(|(receiver, _)| receiver.clone()).collect();
        let notice = (!to.is_empty()).then(|| notice.clone());
        unwritten.clone_from(&notice);
        (decision, notice.map(|notice| (notice, to)))
    };
    let Some(ledger) = ledger else {
        let _ = decided(&[], 0);
        // Without memory, a check that runs every minute would report the same late backup every minute.
        return Err(unwritten.filter(|_| !is_late_only).map(Box::new));
    };
    if let Err(error) = ledger.settle(now, &mut decided) {
        context.ui.detail(format!("the notice is sent without a record: {:#}", anyhow::Error::from(error)));
        return Err(unwritten.filter(|_| !is_late_only).map(Box::new));
    }
    // A record of what is safe that is lost makes a notice poorer, nothing else.
    for (set, safe) in good {
        let _ = ledger.note_good(&set, &safe);
    }
    for (archive, is_good) in verified {
        let _ = ledger.note_verified(&archive, is_good, now);
    }
    Ok(())
}

/// Returns whether a backup may still be in the store. One in a folder that somebody deleted by hand must not be called
/// safe. A remote store is not asked: it may be the reason for the notice.
fn may_be_there(safe: &Safe, context: &Context) -> bool {
    let Some(folder) = context.settings.store.folder() else { return true };
    // Without the folder, it may be on a disk that is not mounted.
    !matches!((folder.try_exists(), folder.join(&safe.archive).try_exists()), (Ok(true), Ok(false)))
}

/// Returns the last good backup of a set by the activity log, for a host that had no notices before, or whose last one
/// was deleted.
fn safe_by_log(set: &str, context: &Context) -> Option<Safe> {
    let log = context.store().ok()?.workspace().activities(None, false).ok()?;
    let of_set = |entry: &&crate::workspace::Activity| {
        entry.command == "backup" && entry.outcome == "done" && entry.set.as_deref() == Some(set)
    };
    let safe = |made: &crate::workspace::Activity| {
        let verified = log.iter().find(|entry| entry.command == "verify" && entry.archive == made.archive);
        let verified_at = verified.filter(|entry| entry.outcome == "done").map_or(made.at, |entry| entry.at);
        Some(Safe { archive: made.archive.clone()?, at: made.at, verified_at: Some(verified_at) })
    };
    log.iter().filter(of_set).filter_map(safe).find(|safe| may_be_there(safe, context))
}

/// Prints what became of a delivery.
fn report(answer: &Answer, is_kept: bool, context: &Context) {
    let name = &answer.receiver;
    match (&answer.result, answer.ping) {
        (Ok(text), _) => context.ui.detail(format!("notice sent to {name}: {text}")),
        (Err(why), None) if is_kept => {
            context.ui.warning(format!("notice to {name} not delivered, the next run sends it again: {why}"));
        }
        (Err(why), _) => context.ui.warning(format!("notice to {name} not delivered: {why}")),
    }
}

/// Waits for the first ping of this run.
fn wait_for(started: Option<JoinHandle<Vec<Answer>>>, limit: Duration, begun: Instant, context: &Context) {
    let Some(started) = started else { return };
    while !started.is_finished() && begun.elapsed() < limit / 2 {
        std::thread::sleep(Duration::from_millis(10));
    }
    if !started.is_finished() {
        return;
    }
    for answer in started.join().unwrap_or_default() {
        report(&answer, false, context);
    }
}

/// Opens the ledger of this configuration, host and store.
pub(super) fn open(context: &Context) -> anyhow::Result<Ledger> {
    let (folder, scope) = place(context)?;
    Ok(Ledger::open(&folder, &scope)?)
}

/// Returns the folder of the ledger, and whose part of it this is.
pub(super) fn place(context: &Context) -> anyhow::Result<(PathBuf, String)> {
    let folder = match state_directory() {
        Some(folder) => folder,
        None => context.store()?.workspace().folder().to_owned(),
    };
    let file = context.configuration.file.as_deref().map(std::path::absolute).transpose()?.unwrap_or_else(PathBuf::new);
    let whose = format!("{}\0{}\0{}", file.display(), context.host.label, context.settings.store);
    let scope = Sha256::of(whose.as_bytes()).to_string();
    Ok((folder, scope[..32].to_owned()))
}

/// Returns those that get notices.
pub(super) fn receivers(context: &Context) -> impl Iterator<Item = &Receiver> {
    context.settings.receivers.iter().filter(|receiver| !is_switch(receiver))
}

/// Returns the dead man's switches, which are pinged instead.
fn switches(context: &Context) -> Vec<&Receiver> {
    context.settings.receivers.iter().filter(|receiver| is_switch(receiver)).collect()
}

/// Returns a random UUID (version 4).
pub(super) fn uuid() -> String {
    let random = || RandomState::new().build_hasher().finish();
    let (high, low) = (random(), random());
    let (high, low) = ((high & !0xf000) | 0x4000, (low & !(0b11 << 62)) | (0b10 << 62));
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}
