//! A notice: what a run tells people who do not watch it.

use std::fmt::Write as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::config::{Detail, Event};
use crate::names::printable;
use crate::text::{age, bytes, count, span, took};

/// How many sets a notice names; the rest is counted.
pub const NAMED: usize = 10;

/// What happened in one round, which is one command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Notice {
    /// Its id, the same however often it is sent.
    pub id: String,
    /// What it is about, the most urgent first: `failure`, `damage` …
    pub events: Vec<String>,
    /// Whether it only tests the way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub test: bool,
    /// When the round began.
    pub at: DateTime<Utc>,
    /// How long it took.
    pub seconds: f64,
    /// The command: `backup`, `verify` …
    pub command: String,
    /// The host label.
    pub host: String,
    /// The store.
    pub store: String,
    /// The sets, those with trouble first; at most [`NAMED`].
    pub sets: Vec<SetNotice>,
    /// How many more sets there are.
    pub more_sets: u64,
    /// How many of all sets failed.
    pub failed_sets: u64,
    /// The further stores.
    pub copies: Vec<CopyNotice>,
    /// How many archives the rotation removed.
    pub removed: u64,
    /// What went wrong, if it concerns no set.
    pub error: Option<String>,
    /// Since when something is wrong, or was until this round.
    pub since: Option<DateTime<Utc>>,
    /// How many more failures are held back, so that nobody gets hundreds of notices.
    pub held_back: u64,
    /// The one thing to do next.
    pub hint: Option<String>,
    /// Who did it over HTTP: the name of the token and the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// What happened to one set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct SetNotice {
    /// The set; `None` if an archive belongs to none that is known.
    pub set: Option<String>,
    /// `made`, `unchanged`, `failed`, `damaged`, `gone`, `verified`, `restored`, `download`, `late` or `ok`.
    pub outcome: String,
    /// The archive.
    pub archive: Option<String>,
    /// Its size in bytes.
    pub bytes: Option<u64>,
    /// Which share of the databases' size compression saved, from 0 to 1.
    pub saved: Option<f64>,
    /// What went wrong.
    pub error: Option<String>,
    /// The last good backup: what is still safe.
    pub safe: Option<Safe>,
}

/// A good backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Safe {
    /// The archive.
    pub archive: String,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// When it was read back last.
    pub verified_at: Option<DateTime<Utc>>,
}

/// What happened to the copies in a further store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct CopyNotice {
    /// Its name in the configuration.
    pub name: String,
    /// Where it is.
    pub store: String,
    /// How many archives it got.
    pub copied: u64,
    /// How many it lacks.
    pub missing: u64,
    /// What went wrong.
    pub errors: Vec<String>,
}

/// The envelope of a webhook, and what a program gets.
#[derive(Debug, Serialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: String,
    timestamp: String,
    title: String,
    text: String,
    data: Option<&'a Notice>,
}

impl Notice {
    /// Returns what it is mainly about.
    pub fn event(&self) -> &str {
        self.events.first().map_or("success", String::as_str)
    }

    /// Returns whether a receiver that chose these events gets it.
    pub fn is_for(&self, on: &[Event]) -> bool {
        on.iter().any(|event| self.events.iter().any(|word| word == event.as_str()))
    }

    /// Returns whether something is wrong.
    pub fn is_trouble(&self) -> bool {
        self.events.iter().filter_map(|word| Event::named(word)).any(Event::is_trouble)
    }

    /// Returns it in one line.
    pub fn title(&self, detail: Detail) -> String {
        let command = match self.command.as_str() {
            "health" => "backup",
            command => command,
        };
        let what = match self.event() {
            "failure" | "damage" if self.events.iter().any(|event| event == "damage") => "found damage",
            "failure" => "failed",
            "recovery" => "works again",
            "late" => "is late",
            "problems" => "had problems",
            "download" => "began",
            _ => "done",
        };
        let test = if self.test { "Test: " } else { "" };
        if detail == Detail::Short {
            return format!("{test}heirloom: {command} {what}");
        }
        let named: Vec<&str> = self.sets.iter().filter_map(|set| set.set.as_deref()).collect();
        let of = match named[..] {
            [] => String::new(),
            [only] if self.more_sets == 0 => format!(" of {}", printable(only)),
            _ if self.failed_sets > 0 => {
                let all = self.sets.len() as u64 + self.more_sets;
                format!(" ({} of {})", self.failed_sets, count(all, "set"))
            }
            _ => format!(" ({})", count(self.sets.len() as u64 + self.more_sets, "set")),
        };
        format!("{test}heirloom on {}: {command}{of} {what}", printable(&self.host))
    }

    /// Returns it as lines of text.
    pub fn text(&self, detail: Detail) -> String {
        if detail == Detail::Short {
            return format!("{}\n", when(self.at));
        }
        let mut text = String::new();
        let mut line = |line: String| {
            let _ = writeln!(text, "{}", printable(&line));
        };
        if self.test {
            line("This is a test. Nothing happened.".into());
        }
        let lasted = took(Duration::try_from_secs_f64(self.seconds).unwrap_or_default());
        // It has only begun.
        let lasted = if self.event() == "download" { String::new() } else { format!(", {lasted}") };
        line(format!("{} on {} at {}{lasted}", self.command, self.host, when(self.at)));
        if let Some(by) = &self.by {
            line(format!("by: {by}"));
        }
        if let Some(error) = &self.error {
            line(format!("error: {error}"));
        }
        for set in &self.sets {
            self.lines_of(set, &mut line);
        }
        if self.more_sets > 0 {
            line(format!("and {}", count(self.more_sets, "more set")));
        }
        if let Some(since) = self.since {
            let lasted = span(self.at - since);
            line(match self.event() {
                "recovery" => format!("it had failed since {} ({lasted})", when(since)),
                _ => format!("fails since {} ({lasted})", when(since)),
            });
        }
        line(format!("store: {}", self.store));
        for copy in &self.copies {
            let missing = if copy.missing > 0 { format!(", {} missing", copy.missing) } else { String::new() };
            line(format!("copy {}: {}{missing} ({})", copy.name, count(copy.copied, "archive"), copy.store));
            copy.errors.iter().for_each(|error| line(format!("  error: {error}")));
        }
        if self.removed > 0 {
            line(format!("rotated away: {}", count(self.removed, "archive")));
        }
        if self.held_back > 0 {
            line(format!("{} of other commands are not reported one by one", count(self.held_back, "more failure")));
        }
        if let Some(hint) = &self.hint {
            line(format!("next: {hint}"));
        }
        text
    }

    fn lines_of(&self, set: &SetNotice, line: &mut dyn FnMut(String)) {
        let mut words = vec![format!("{}: {}", set.set.as_deref().unwrap_or("archive"), set.outcome)];
        words.extend(set.archive.clone());
        words.extend(set.bytes.map(bytes));
        words.extend(set.saved.map(|saved| format!("{:.0} % saved", saved * 100.0)));
        line(words.join(" · "));
        if let Some(error) = &set.error {
            line(format!("  {error}"));
        }
        match &set.safe {
            Some(safe) => {
                let verified = safe.verified_at.map(|at| format!(", verified {}", age(at, self.at)));
                let verified = verified.unwrap_or_default();
                line(format!("  still safe: {}, made {}{verified}", safe.archive, age(safe.at, self.at)));
            }
            None if matches!(set.outcome.as_str(), "failed" | "late") => {
                line("  still safe: no good backup is known".into());
            }
            None => {}
        }
    }

    /// Returns it as JSON: `type`, `timestamp`, `title`, `text` and, unless only a little may be said, `data`.
    pub fn json(&self, detail: Detail) -> String {
        let envelope = Envelope {
            kind: format!("heirloom.{}.{}", self.command, self.event()),
            timestamp: when(self.at),
            title: self.title(detail),
            text: self.text(detail),
            data: Some(self).filter(|_| detail == Detail::Full),
        };
        serde_json::to_string(&envelope).unwrap_or_default()
    }
}

/// Writes a time to the second.
fn when(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What `notify test` reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NoticeTests {
    /// The receivers.
    pub receivers: Vec<NoticeTest>,
}

/// What one receiver answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NoticeTest {
    /// Its name in the configuration.
    pub receiver: String,
    /// How it is reached, without anything secret.
    pub way: String,
    /// What was sent.
    pub notices: Vec<TestedNotice>,
}

/// A notice that was sent as a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestedNotice {
    /// What it is about; of a dead man's switch the ping.
    pub event: String,
    /// Whether it was delivered.
    pub delivered: bool,
    /// How often it was tried.
    pub tries: u32,
    /// What the other side answered, or why it was not delivered.
    pub answer: String,
}

/// What `log` reports of notices.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NoticeLog {
    /// The notices, newest first, once for each receiver.
    pub notices: Vec<NoticeLogEntry>,
}

/// A notice and its way to one receiver.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NoticeLogEntry {
    /// The receiver.
    pub receiver: String,
    /// `sent`, `pending` or `given up`.
    pub state: String,
    /// How often it was tried.
    pub tries: u32,
    /// What the other side answered last.
    pub answer: Option<String>,
    /// The notice.
    pub notice: Notice,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(set: &str) -> SetNotice {
        SetNotice {
            set: Some(set.into()),
            outcome: "failed".into(),
            error: Some("disk full\u{1b}[2J".into()),
            ..SetNotice::default()
        }
    }

    #[test]
    fn a_notice_says_what_is_still_safe_and_what_to_do() {
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let hour = chrono::TimeDelta::hours(1);
        let safe = Safe { archive: "app_1.tar.gz".into(), at: at - hour * 5, verified_at: Some(at - hour * 2) };
        let notice = Notice {
            events: vec!["failure".into()],
            at,
            command: "backup".into(),
            host: "web".into(),
            store: "/srv/backups".into(),
            sets: vec![SetNotice { safe: Some(safe), ..failed("app") }],
            failed_sets: 1,
            since: Some(at - hour * 4),
            hint: Some("`heirloom health`".into()),
            ..Notice::default()
        };
        assert_eq!(notice.title(Detail::Full), "heirloom on web: backup of app failed");
        let text = notice.text(Detail::Full);
        for part in [
            "app: failed\n",
            "still safe: app_1.tar.gz, made 5 hours ago, verified 2 hours ago\n",
            "fails since 2027-01-15T04:00:00Z (4 hours)\n",
            "next: `heirloom health`\n",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert!(!text.contains('\u{1b}'), "{text}");
        // To a topic that anybody can read: no name, no path, no message.
        let short = format!("{}{}", notice.title(Detail::Short), notice.json(Detail::Short));
        for name in ["app", "web", "srv", "disk"] {
            assert!(!short.contains(name), "{short}");
        }
    }
}
