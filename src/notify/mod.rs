//! Sends notices to receivers: ntfy, webhooks, healthchecks, mail, a program.
//!
//! Every receiver has a thread, and all of them together have a limit of time: a receiver that is away or slow delays
//! nobody by more. What could not be sent is the caller's to keep. Secrets are read here, when they are needed, and
//! taken out of every answer.

mod command;
#[cfg(feature = "remote")]
mod http;
#[cfg(feature = "remote")]
mod mail;
mod secrets;
#[cfg(feature = "remote")]
mod signature;

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::config::{Receiver, Way};
use crate::names::printable;
use crate::report::notice::Notice;

use secrets::Secrets;

/// How often a notice is tried in a run.
const TRIES: u32 = 3;
/// The pause before another try; doubled each time.
const PAUSE: Duration = Duration::from_millis(300);
/// How long one try may take.
const TRY: Duration = Duration::from_secs(5);
/// How much of an answer is kept.
const SHOWN: usize = 200;

/// Something to send.
#[derive(Debug, Clone)]
pub struct Message {
    /// The notice.
    pub notice: Notice,
    /// What a dead man's switch is told. Others get the notice.
    pub ping: Ping,
    /// Pairs the pings of one run: a UUID.
    pub run: String,
}

/// What a dead man's switch is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ping {
    /// The work begins.
    Start,
    /// It is done.
    Success,
    /// It failed.
    Fail,
}

/// A receiver and what it gets, in this order.
#[derive(Debug, Clone)]
pub struct Job {
    /// The receiver.
    pub receiver: Receiver,
    /// What it gets.
    pub messages: Vec<Message>,
}

/// What became of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The name of the receiver.
    pub receiver: String,
    /// The id of the notice.
    pub notice: String,
    /// What was pinged, at a dead man's switch.
    pub ping: Option<Ping>,
    /// How often it was tried.
    pub tries: u32,
    /// What the other side answered, or why it was not sent.
    pub result: Result<String, String>,
}

/// Why a try failed.
#[derive(Debug)]
struct Refused {
    why: String,
    /// Whether another try can help.
    again: bool,
}

impl Refused {
    fn for_good(why: impl Into<String>) -> Self {
        Self { why: why.into(), again: false }
    }

    fn for_now(why: impl Into<String>) -> Self {
        Self { why: why.into(), again: true }
    }
}

/// Sends everything, side by side, within `limit`. Returns one answer for each message.
pub fn deliver(jobs: Vec<Job>, limit: Duration, now: DateTime<Utc>) -> Vec<Answer> {
    let deadline = Instant::now() + limit;
    let (sender, answers) = channel();
    let mut left: Vec<(String, String, Option<Ping>)> = Vec::new();
    for job in jobs {
        let name = job.receiver.name.to_string();
        let pinged = |message: &Message| is_switch(&job.receiver).then_some(message.ping);
        left.extend(job.messages.iter().map(|message| (name.clone(), message.notice.id.clone(), pinged(message))));
        let sender = sender.clone();
        // Ends with the process if it hangs.
        thread::spawn(move || {
            for message in &job.messages {
                let answer = send(&job.receiver, message, deadline, now);
                let failed = answer.result.is_err();
                // Nobody receives after the limit.
                if sender.send(answer).is_err() || failed {
                    return;
                }
            }
        });
    }
    drop(sender);
    let mut found: Vec<Answer> = Vec::new();
    loop {
        // A thread that notices the limit itself gets a moment to report why.
        let rest = (deadline + PAUSE).saturating_duration_since(Instant::now());
        match answers.recv_timeout(rest) {
            Ok(answer) => {
                if let Some(at) = left.iter().position(|one| one.0 == answer.receiver && one.1 == answer.notice) {
                    left.remove(at);
                }
                found.push(answer);
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    let slow = |(receiver, notice, ping): (String, String, Option<Ping>)| {
        let after_failure = found.iter().any(|answer| answer.receiver == receiver && answer.result.is_err());
        let why = if after_failure { "an earlier one was not delivered" } else { "no answer in time" };
        let tries = u32::from(!after_failure);
        Answer { receiver, notice, ping, tries, result: Err(why.to_owned()) }
    };
    let lacking: Vec<Answer> = left.into_iter().map(slow).collect();
    found.extend(lacking);
    found
}

/// Returns whether it is a dead man's switch. A ping is never kept: it says that something happened just now.
pub fn is_switch(receiver: &Receiver) -> bool {
    matches!(receiver.way, Way::Healthchecks { .. })
}

/// Sends one message, with further tries where that can help.
fn send(receiver: &Receiver, message: &Message, deadline: Instant, now: DateTime<Utc>) -> Answer {
    let answer = |tries, result| Answer {
        receiver: receiver.name.to_string(),
        notice: message.notice.id.clone(),
        ping: is_switch(receiver).then_some(message.ping),
        tries,
        result,
    };
    let secrets = match Secrets::read(&receiver.way, deadline) {
        Ok(secrets) => secrets,
        Err(why) => return answer(0, Err(why)),
    };
    let mut pause = PAUSE;
    for tries in 1.. {
        let limit = deadline.saturating_duration_since(Instant::now()).min(TRY);
        match once(receiver, message, &secrets, limit, now) {
            Ok(text) => return answer(tries, Ok(secrets.removed_from(&shortened(&text)))),
            Err(refused) => {
                let has_time = Instant::now() + pause < deadline;
                if !refused.again || tries >= TRIES || !has_time {
                    return answer(tries, Err(secrets.removed_from(&shortened(&refused.why))));
                }
            }
        }
        thread::sleep(pause);
        pause *= 2;
    }
    unreachable!("the tries end")
}

fn once(
    receiver: &Receiver,
    message: &Message,
    secrets: &Secrets,
    limit: Duration,
    now: DateTime<Utc>,
) -> Result<String, Refused> {
    let detail = receiver.detail;
    match &receiver.way {
        Way::Command(words) => command::run(words, &message.notice, detail, limit),
        #[cfg(feature = "remote")]
        Way::Ntfy { priority, .. } => http::ntfy(&message.notice, detail, *priority, secrets, limit),
        #[cfg(feature = "remote")]
        Way::Webhook { .. } => http::webhook(&message.notice, detail, secrets, limit, now),
        #[cfg(feature = "remote")]
        Way::Healthchecks { .. } => http::healthchecks(message, detail, secrets, limit),
        #[cfg(feature = "remote")]
        Way::Mail { server, from, to, .. } => {
            let envelope = mail::Envelope { server, from, to };
            mail::send(&envelope, &message.notice, detail, secrets, limit, now)
        }
        #[cfg(not(feature = "remote"))]
        _ => {
            let _ = (detail, secrets, limit, now);
            Err(Refused::for_good("this heirloom was built without TLS; only a command can be used"))
        }
    }
}

/// Returns the beginning of an answer in one line, safe for a terminal.
fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = line.chars().take(SHOWN).collect();
    let rest = if short.len() < line.len() { "…" } else { "" };
    printable(&format!("{short}{rest}")).into_owned()
}
