//! Small pieces of every view: times, sizes, states, advice.

use chrono::{DateTime, SecondsFormat, Utc};
use maud::{Markup, html};
use serde_json::Value;

use super::read::{NOT_KNOWN, instant, number};
use crate::text;

/// How good something is. Each has a colour, a sign and, where it is shown, a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    Good,
    Unknown,
    Warning,
    Bad,
}

impl Mark {
    /// Returns the mark of a state of a health check.
    pub(super) fn of_state(state: Option<&str>) -> Self {
        match state {
            Some("ok") => Self::Good,
            Some("warning") => Self::Warning,
            Some("critical") => Self::Bad,
            _ => Self::Unknown,
        }
    }

    /// Returns the class of the style.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }

    /// Returns the word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Good => "Good",
            Self::Unknown => "Not known",
            Self::Warning => "Warning",
            Self::Bad => "Critical",
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Good => "✓",
            Self::Unknown => "?",
            Self::Warning => "!",
            Self::Bad => "✕",
        }
    }

    /// Renders it with another word than its own.
    pub(super) fn named(self, word: &str) -> Markup {
        html! { span class={ "mark " (self.class()) } { span.sign aria-hidden="true" { (self.sign()) } (word) } }
    }
}

/// Renders a time, in UTC; the script changes it to the browser's zone.
pub(super) fn time(at: DateTime<Utc>) -> Markup {
    html! { time datetime=(at.to_rfc3339_opts(SecondsFormat::Secs, true)) { (at.format("%Y-%m-%d %H:%M UTC")) } }
}

/// Renders how long ago a time was, and the time.
pub(super) fn when(at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Markup {
    match at {
        Some(at) => html! { span.ago { (text::age(at, now)) } " " span.quiet { "(" (time(at)) ")" } },
        None => html! { (NOT_KNOWN) },
    }
}

/// Renders the time in a field.
pub(super) fn when_of(value: &Value, key: &str, now: DateTime<Utc>) -> Markup {
    when(instant(value, key), now)
}

/// Formats the size in a field.
pub(super) fn size(value: &Value, key: &str) -> String {
    number(value, key).map_or_else(|| NOT_KNOWN.to_owned(), text::bytes)
}

/// Formats the count in a field.
pub(super) fn count(value: &Value, key: &str) -> String {
    number(value, key).map_or_else(|| NOT_KNOWN.to_owned(), text::thousands)
}

/// Returns the words before advice. A command needs a shell, which who reads the page may not have.
pub(super) fn what_to_do(words: &str) -> &'static str {
    if words.contains("heirloom ") { "What to do, at a shell on the server: " } else { "What to do: " }
}

/// Renders advice; what stands in backticks is a command.
pub(super) fn advice(words: &str) -> Markup {
    let parts: Vec<&str> = words.split('`').collect();
    // An odd number of backticks quotes nothing that could be told apart.
    if parts.len().is_multiple_of(2) {
        return html! { (words) };
    }
    html! {
        @for (index, part) in parts.iter().enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// Returns a word of a document, such as `backup_age`, as the start of a sentence: `Backup age`.
pub(super) fn sentence(word: &str) -> String {
    let word = word.replace('_', " ");
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
