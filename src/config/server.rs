//! The section `[server]`: who may use the admin server, and where it listens.

use core::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::value::{age, age_text, not, switch};
use super::{Key, Value};
use crate::digest::Sha256;
use crate::names::Name;

/// The admin server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// Where it listens: `ADDRESS:PORT` or `unix:PATH`.
    pub listen: Option<String>,
    /// The address under which browsers reach it, with the path in front of all of its own.
    pub public_url: Option<String>,
    /// The proxies whose `X-Forwarded-For` counts.
    pub trusted_proxy: Vec<IpAddr>,
    /// Whether whole backups may be downloaded.
    pub download: bool,
    /// Whether the paths of the applications that this tool replaces answer, too.
    pub legacy_paths: bool,
    /// Whether `/metrics` answers without a token.
    pub metrics_open: bool,
    /// How long a running job may go on after a stop signal.
    pub stop_timeout: Duration,
    /// The tokens, in the order of the file.
    pub tokens: Vec<ServerToken>,
}

/// A token and what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerToken {
    /// Its name, for the log.
    pub name: Name,
    /// What it may do.
    pub role: Role,
    /// Where its digest comes from.
    pub source: TokenSource,
}

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look: status, health, lists, details, log, metrics.
    Viewer,
    /// Everything.
    Admin,
}

/// Where the digest of a token comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// It stands in the configuration.
    Digest(Sha256),
    /// The token itself stands in this file.
    File(PathBuf),
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: None,
            public_url: None,
            trusted_proxy: Vec::new(),
            download: true,
            legacy_paths: false,
            metrics_open: false,
            stop_timeout: Duration::from_secs(30),
            tokens: Vec::new(),
        }
    }
}

impl ServerSettings {
    pub(super) fn set(&mut self, key: Key, value: &Value) -> Result<(), String> {
        match key {
            Key::ServerListen => match value {
                Value::Text(text) if is_address(text) => self.listen = Some(text.clone()),
                _ => return Err(not("an address like \"127.0.0.1:8419\" or \"unix:/run/heirloom.sock\"", value)),
            },
            Key::PublicUrl => match value {
                Value::Text(text) if is_public_url(text) => self.public_url = Some(text.clone()),
                _ => return Err(not("the URL that browsers use, such as \"https://backups.example/\"", value)),
            },
            Key::TrustedProxy => match value {
                Value::Texts(texts) => {
                    let addresses = texts.iter().map(|text| text.parse());
                    let wrong = |_| not("a list of addresses like [\"127.0.0.1\"]", value);
                    self.trusted_proxy = addresses.collect::<Result<_, _>>().map_err(wrong)?;
                }
                _ => return Err(not("a list of addresses like [\"127.0.0.1\"]", value)),
            },
            Key::ServerDownload => self.download = switch(value)?,
            Key::LegacyPaths => self.legacy_paths = switch(value)?,
            Key::MetricsOpen => self.metrics_open = switch(value)?,
            Key::StopTimeout => self.stop_timeout = age(value)?,
            _ => {}
        }
        Ok(())
    }

    pub(super) fn get(&self, key: Key) -> Option<Value> {
        match key {
            Key::ServerListen => self.listen.clone().map(Value::Text),
            Key::PublicUrl => self.public_url.clone().map(Value::Text),
            Key::TrustedProxy => {
                let addresses: Vec<String> = self.trusted_proxy.iter().map(ToString::to_string).collect();
                Some(addresses).filter(|addresses| !addresses.is_empty()).map(Value::Texts)
            }
            Key::ServerDownload => Some(Value::Switch(self.download)),
            Key::LegacyPaths => Some(Value::Switch(self.legacy_paths)),
            Key::MetricsOpen => Some(Value::Switch(self.metrics_open)),
            Key::StopTimeout => Some(Value::Text(age_text(self.stop_timeout))),
            _ => None,
        }
    }
}

/// Returns whether a text says where to listen.
pub fn is_address(text: &str) -> bool {
    match text.strip_prefix("unix:") {
        Some(path) => !path.is_empty(),
        None => text.parse::<SocketAddr>().is_ok(),
    }
}

/// Returns whether only this machine can reach an address.
pub fn is_local(address: &str) -> bool {
    address.starts_with("unix:")
        || address.parse::<SocketAddr>().is_ok_and(|address| address.ip().to_canonical().is_loopback())
}

fn is_public_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_plain = |char: char| char.is_ascii_graphic() && !matches!(char, '@' | '?' | '#' | '\\' | '"' | '<' | '>');
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', ':']) && rest.chars().all(is_plain))
}
