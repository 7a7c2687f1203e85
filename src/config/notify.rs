//! `[notify]`: who hears of what.
//!
//! A value that grants access is a [`Secret`]: it is read when a notice is sent, and never printed, by `Debug` neither.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::names::{Name, printable};

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// A command failed. Damage is a failure, too.
    Failure,
    /// It succeeds again.
    Recovery,
    /// The newest backup is too old.
    Late,
    /// A backup was made.
    Success,
    /// It was done, with problems.
    Problems,
    /// A database or an archive is damaged.
    Damage,
    /// A database was restored.
    Restore,
    /// Archives were copied to a further store, or could not be.
    Copy,
    /// An archive was downloaded.
    Download,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Failure,
        Self::Recovery,
        Self::Late,
        Self::Success,
        Self::Problems,
        Self::Damage,
        Self::Restore,
        Self::Copy,
        Self::Download,
    ];
    /// What a receiver gets that chooses nothing.
    pub const USUAL: [Self; 3] = [Self::Failure, Self::Recovery, Self::Late];

    /// Returns the word of the configuration and of JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Recovery => "recovery",
            Self::Late => "late",
            Self::Success => "success",
            Self::Problems => "problems",
            Self::Damage => "damage",
            Self::Restore => "restore",
            Self::Copy => "copy",
            Self::Download => "download",
        }
    }

    /// Returns the event with this word.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == word)
    }

    /// Returns whether something is wrong.
    pub fn is_trouble(self) -> bool {
        matches!(self, Self::Failure | Self::Damage | Self::Late | Self::Problems)
    }
}

/// A receiver of notices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    /// Its name in the configuration.
    pub name: Name,
    /// What it hears of. A dead man's switch hears of every backup instead.
    pub on: Vec<Event>,
    /// How much it hears.
    pub detail: Detail,
    /// How it is reached.
    pub way: Way,
}

/// How much a notice says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Detail {
    /// Everything.
    #[default]
    Full,
    /// What happened, without a name, a path or a message: for a topic that anybody can read.
    Short,
}

/// How a receiver is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// A topic of an ntfy server.
    Ntfy {
        /// The address of the topic.
        url: Secret,
        /// The access token.
        token: Option<Secret>,
        /// The priority of trouble, from 1 to 5.
        priority: Option<u8>,
    },
    /// A webhook (Standard Webhooks).
    Webhook {
        /// Its address.
        url: Secret,
        /// What signs.
        secret: Option<Secret>,
        /// A bearer token.
        token: Option<Secret>,
    },
    /// A dead man's switch with the protocol of healthchecks.io.
    Healthchecks {
        /// The address to ping.
        url: Secret,
    },
    /// Mail.
    Mail {
        /// The server.
        server: MailServer,
        /// The password of the user.
        password: Option<Secret>,
        /// The sender.
        from: String,
        /// The recipients.
        to: Vec<String>,
    },
    /// A program, which gets JSON on its standard input.
    Command(Vec<String>),
}

impl Way {
    /// Returns the key of the configuration that chooses it.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Ntfy { .. } => "ntfy",
            Self::Webhook { .. } => "webhook",
            Self::Healthchecks { .. } => "healthchecks",
            Self::Mail { .. } => "smtp",
            Self::Command(_) => "command",
        }
    }

    /// Returns everything secret that it needs, with the key of each.
    pub fn secrets(&self) -> Vec<(&'static str, &Secret)> {
        let all = match self {
            Self::Ntfy { url, token, .. } => vec![("ntfy", Some(url)), ("token", token.as_ref())],
            Self::Webhook { url, secret, token } => {
                vec![("webhook", Some(url)), ("secret", secret.as_ref()), ("token", token.as_ref())]
            }
            Self::Healthchecks { url } => vec![("healthchecks", Some(url))],
            Self::Mail { password, .. } => vec![("password", password.as_ref())],
            Self::Command(_) => Vec::new(),
        };
        all.into_iter().filter_map(|(key, secret)| Some((key, secret?))).collect()
    }
}

/// Without anything secret: the server of an address, the program of a command.
impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ntfy { url, .. } | Self::Webhook { url, .. } | Self::Healthchecks { url } => {
                write!(f, "{} {url}", self.key())
            }
            Self::Mail { server, to, .. } => write!(f, "mail to {} by {server}", printable(&to.join(", "))),
            Self::Command(words) => {
                write!(f, "command {}", printable(words.first().map_or("", String::as_str)))
            }
        }
    }
}

/// Where a value that grants access comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// The value.
    Value(Hidden),
    /// A file whose first line it is.
    File(PathBuf),
    /// A program that prints it.
    Command(Vec<String>),
}

/// Without the value: of an address its server.
impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => f.write_str(&server_of(value.reveal()).unwrap_or_else(|| "…".into())),
            Self::File(path) => write!(f, "of the file {}", printable(&path.to_string_lossy())),
            Self::Command(words) => write!(f, "of {}", printable(words.first().map_or("", String::as_str))),
        }
    }
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(String);

impl Hidden {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text, to be sent to whom it is for.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// A server that takes mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    /// How the connection is secured.
    pub security: MailSecurity,
    /// The user who signs in.
    pub user: Option<String>,
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// How a connection to a mail server is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailSecurity {
    /// TLS from the first byte.
    Tls,
    /// STARTTLS, without which nothing is sent.
    StartTls,
    /// None: only to this machine, without a user.
    None,
}

impl fmt::Display for MailServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.security == MailSecurity::Tls { "smtps" } else { "smtp" };
        write!(f, "{scheme}://{}:{}", printable(&self.host), self.port)
    }
}

impl MailServer {
    /// Reads `smtps://USER@HOST[:PORT]` or `smtp://…`. The error quotes nothing of it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = "must look like smtps://USER@HOST or smtp://USER@HOST:587";
        let (scheme, rest) = text.split_once("://").ok_or(wrong)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) if !user.is_empty() => (Some(user), place),
            Some(_) => return Err(wrong.into()),
            None => (None, rest),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return Err("must not hold a password: name its file with password_file".into());
        }
        let user = user.map(|user| decoded(user).ok_or(wrong)).transpose()?;
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, Some(port.parse::<u16>().map_err(|_| "has a port that is not a number".to_owned())?))
            }
            _ => (place, None),
        };
        let is_host = |char: char| char.is_ascii_alphanumeric() || "-.:[]".contains(char);
        if host.is_empty() || !host.chars().all(is_host) {
            return Err(wrong.into());
        }
        let security = match scheme {
            "smtps" => MailSecurity::Tls,
            "smtp" if user.is_none() && is_loopback(host) => MailSecurity::None,
            "smtp" => MailSecurity::StartTls,
            _ => return Err(wrong.into()),
        };
        let usual = match security {
            MailSecurity::Tls => 465,
            MailSecurity::StartTls => 587,
            MailSecurity::None => 25,
        };
        Ok(Self { security, user, host: host.to_owned(), port: port.unwrap_or(usual) })
    }
}

/// Checks an address that notices are sent to; `secured` if something secret goes with them. The error quotes nothing
/// of it.
pub fn check_address(text: &str, secured: bool) -> Result<(), String> {
    let wrong = "must be an address such as https://HOST/PATH";
    let (scheme, rest) = text.split_once("://").ok_or(wrong)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if !matches!(scheme, "https" | "http")
        || authority.is_empty()
        || text.chars().any(|char| char.is_whitespace() || char.is_control())
    {
        return Err(wrong.into());
    }
    if authority.contains('@') {
        return Err("must not hold a user or a password: name the file of a token with token_file".into());
    }
    if secured && scheme == "http" && !is_loopback(host_of(authority)) {
        return Err("would send a token or a signature without TLS: use https".into());
    }
    Ok(())
}

/// Returns scheme and host of an address, which are no secret; `None` if it is none.
fn server_of(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://").filter(|(scheme, _)| matches!(*scheme, "https" | "http"))?;
    let authority = rest.split(['/', '?', '#']).next().filter(|authority| !authority.contains('@'))?;
    Some(format!("{scheme}://{}/…", printable(authority)))
}

fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    }
}

fn is_loopback(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

/// Decodes `%40` in the name of a user.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control))
}

/// One table of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileReceiver {
    pub(super) name: Name,
    pub(super) line: usize,
    pub(super) on: Option<Vec<Event>>,
    pub(super) detail: Detail,
    pub(super) priority: Option<u8>,
    /// Texts and their lines.
    pub(super) texts: BTreeMap<String, (String, usize)>,
    /// Lists and their lines.
    pub(super) lists: BTreeMap<String, (Vec<String>, usize)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_servers_are_taken_apart() {
        for (text, shown, user, security) in [
            ("smtps://ada@mail.example", "smtps://mail.example:465", Some("ada"), MailSecurity::Tls),
            (
                "smtp://ada%40example.org@mail.example:2525",
                "smtp://mail.example:2525",
                Some("ada@example.org"),
                MailSecurity::StartTls,
            ),
            ("smtp://ada@x.org@mail.example", "smtp://mail.example:587", Some("ada@x.org"), MailSecurity::StartTls),
            ("smtp://mail.example", "smtp://mail.example:587", None, MailSecurity::StartTls),
            ("smtp://localhost", "smtp://localhost:25", None, MailSecurity::None),
            ("smtp://ada@localhost", "smtp://localhost:587", Some("ada"), MailSecurity::StartTls),
        ] {
            let server = MailServer::parse(text).unwrap();
            assert_eq!((server.to_string().as_str(), server.user.as_deref(), server.security), (shown, user, security));
        }
        for wrong in
            ["mail.example", "smtps://", "http://a@b", "smtps://ada:hunter2@mail.example", "smtp://a@b:hunter2"]
        {
            let error = MailServer::parse(wrong).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn what_is_shown_of_an_address_is_its_server() {
        let way = |url: &str| Way::Webhook { url: Secret::Value(Hidden::new(url)), secret: None, token: None };
        let shown = way("https://hooks.example/services/T000/hunter2").to_string();
        assert_eq!(shown, "webhook https://hooks.example/…");
        let debug = format!("{:?}", way("https://hooks.example/hunter2"));
        assert!(!debug.contains("hunter2"), "{debug}");
        assert_eq!(way("hunter2").to_string(), "webhook …");
        assert_eq!(way("https://ada:hunter2@x").to_string(), "webhook …");
    }

    #[test]
    fn a_token_goes_over_tls_or_to_this_machine() {
        for (text, secured, fits) in [
            ("https://h/x", true, true),
            ("http://h/x", false, true),
            ("http://h/x", true, false),
            ("http://127.0.0.1:8/x", true, true),
            ("http://localhost.evil/x", true, false),
            ("https://a:hunter2@h/", true, false),
            ("ftp://h", false, false),
            ("https:///x", false, false),
            ("https://h/a b", false, false),
        ] {
            assert_eq!(check_address(text, secured).is_ok(), fits, "{text}");
        }
    }
}
