//! The address of a store: a folder, or the URL of a remote store.
//!
//! `s3://bucket/prefix?region=eu-central-1`: options of the service follow the `?`, so that a configuration, a flag and
//! a variable all say the same. A URL never holds a secret: those come from the usual variables and files.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::names::HostLabel;

/// What is replaced by the host label in the prefix of a URL.
const HOST: &str = "{host}";

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A local folder.
    Folder(PathBuf),
    /// A remote store.
    Remote(StoreUrl),
}

impl Location {
    /// Returns the folder of a local store.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Remote(_) => None,
        }
    }

    /// Puts the host label into the prefix of a URL.
    pub fn of_host(&self, host: &HostLabel) -> Self {
        match self {
            Self::Folder(_) => self.clone(),
            Self::Remote(url) => Self::Remote(url.of_host(host)),
        }
    }

    /// Parses what a command or a record names.
    pub fn parse(text: &str) -> Result<Self, String> {
        StoreUrl::parse(text).map_or_else(|| Ok(Self::Folder(text.into())), |url| url.map(Self::Remote))
    }

    /// Returns the URL of a remote store.
    pub fn url(&self) -> Option<&StoreUrl> {
        match self {
            Self::Folder(_) => None,
            Self::Remote(url) => Some(url),
        }
    }
}

/// As a command takes it.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
            Self::Remote(url) => f.write_str(&url.text()),
        }
    }
}

/// The services that can keep a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Amazon S3 and everything that speaks it.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
    /// A pin on a Posit Connect server.
    Connect,
    /// Whatever the `rclone` program reaches.
    Rclone,
}

impl Service {
    const ALL: [Self; 5] = [Self::S3, Self::Gcs, Self::Azure, Self::Connect, Self::Rclone];

    /// Returns what a URL of it begins with.
    fn start(self) -> &'static str {
        match self {
            Self::S3 => "s3://",
            Self::Gcs => "gs://",
            Self::Azure => "az://",
            Self::Connect => "connect://",
            Self::Rclone => "rclone:",
        }
    }

    /// Returns how a URL of it looks.
    fn form(self) -> &'static str {
        match self {
            Self::S3 => "s3://BUCKET/PREFIX",
            Self::Gcs => "gs://BUCKET/PREFIX",
            Self::Azure => "az://CONTAINER/PREFIX",
            Self::Connect => "connect://SERVER/USER/NAME",
            Self::Rclone => "rclone:REMOTE:PATH",
        }
    }

    /// Returns the options that a URL of it may have.
    pub fn options(self) -> &'static [&'static str] {
        match self {
            Self::S3 => &["endpoint", "region", "profile", "virtual_host", "instance_role"],
            Self::Gcs => &["endpoint", "credentials_file", "anonymous", "instance_role"],
            Self::Azure => &["endpoint", "account"],
            Self::Connect => &["endpoint"],
            Self::Rclone => &[],
        }
    }
}

/// The URL of a remote store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreUrl {
    /// The service.
    pub service: Service,
    /// The bucket, container, server, or remote of rclone.
    pub place: String,
    /// What the names of the store start with, without slashes around it; may be empty.
    pub prefix: String,
    /// The options behind the `?`.
    pub options: BTreeMap<String, String>,
}

impl StoreUrl {
    /// Parses a URL; `None` if the text is a path. Fails if it is the URL of no store.
    pub fn parse(text: &str) -> Option<Result<Self, String>> {
        if let Some(service) = Service::ALL.into_iter().find(|service| text.starts_with(service.start())) {
            return Some(Self::of(service, &text[service.start().len()..]));
        }
        let (scheme, _) = text.split_once("://")?;
        let is_scheme = !scheme.is_empty() && scheme.chars().all(|char| char.is_ascii_alphanumeric() || char == '+');
        is_scheme.then(|| {
            let forms: Vec<&str> = Service::ALL.into_iter().map(Service::form).collect();
            Err(format!("no store speaks \"{scheme}://\"; there are {}", forms.join(", ")))
        })
    }

    fn of(service: Service, rest: &str) -> Result<Self, String> {
        let wrong = || format!("must look like {}", service.form());
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) if service != Service::Rclone => (rest, query),
            _ => (rest, ""),
        };
        let (place, prefix) = match service {
            Service::Rclone => rest.split_once(':').ok_or_else(wrong)?,
            _ => rest.split_once('/').unwrap_or((rest, "")),
        };
        // Whatever stands before an @ could be a password.
        if place.is_empty()
            || place.contains(['@', '\\'])
            || place.starts_with('-')
            || rest.chars().any(char::is_control)
        {
            return Err(wrong());
        }
        let prefix = match service {
            Service::Rclone => prefix.trim_end_matches('/'),
            _ => prefix.trim_matches('/'),
        };
        let parts = || prefix.trim_start_matches('/').split('/');
        if !prefix.is_empty() && parts().any(|part| matches!(part, "" | "." | "..")) {
            return Err("must not have empty parts, \".\" or \"..\" in its path".into());
        }
        if service == Service::Connect && parts().filter(|part| !part.is_empty()).count() != 2 {
            return Err(wrong());
        }
        let mut options = BTreeMap::new();
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            if !service.options().contains(&name) {
                let known = match service.options() {
                    [] => "none".into(),
                    known => known.join(", "),
                };
                // The value may be a secret in the wrong place.
                return Err(format!("has an unknown option \"{name}\"; a URL {} has: {known}", service.form()));
            }
            let value = decoded(value).filter(|value| !value.is_empty());
            let value = value.ok_or_else(|| format!("has an option \"{name}\" without a valid value"))?;
            if options.insert(name.to_owned(), value).is_some() {
                return Err(format!("has the option \"{name}\" twice"));
            }
        }
        Ok(Self { service, place: place.to_owned(), prefix: prefix.to_owned(), options })
    }

    /// Puts the host label where the prefix says `{host}`.
    #[must_use]
    pub fn of_host(&self, host: &HostLabel) -> Self {
        Self { prefix: self.prefix.replace(HOST, host.as_str()), ..self.clone() }
    }

    /// Returns an option.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// Returns whether an option is switched on.
    pub fn is_on(&self, name: &str) -> bool {
        self.option(name).is_some_and(|value| matches!(value, "true" | "1" | "yes" | "on"))
    }

    /// Returns the whole URL, as a command takes it.
    pub fn text(&self) -> String {
        let mut text = self.to_string();
        for (index, (name, value)) in self.options.iter().enumerate() {
            text.push(if index == 0 { '?' } else { '&' });
            text.push_str(name);
            text.push('=');
            text.push_str(&encoded(value));
        }
        text
    }
}

/// For messages: without options.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, place, prefix, .. } = self;
        match service {
            Service::Rclone => write!(f, "rclone:{place}:{prefix}"),
            _ if prefix.is_empty() => write!(f, "{}{place}", service.start()),
            _ => write!(f, "{}{place}/{prefix}", service.start()),
        }
    }
}

/// Decodes percent escapes; `None` if one is wrong.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? << 4 | digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' | b'&' | b'#' | b'?' | b'+' | b' ' | ..0x20 | 0x7f.. => encoded.push_str(&format!("%{byte:02X}")),
            byte => encoded.push(char::from(byte)),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> StoreUrl {
        StoreUrl::parse(text).unwrap().unwrap()
    }

    #[test]
    fn urls_name_a_service_a_place_and_a_prefix() {
        for (text, service, place, prefix) in [
            ("s3://backups", Service::S3, "backups", ""),
            ("s3://backups/", Service::S3, "backups", ""),
            ("s3://backups/heirloom/web/", Service::S3, "backups", "heirloom/web"),
            ("gs://b/p", Service::Gcs, "b", "p"),
            ("az://c/p", Service::Azure, "c", "p"),
            (
                "connect://connect.posit.it/ada/python-api-database",
                Service::Connect,
                "connect.posit.it",
                "ada/python-api-database",
            ),
            ("rclone:drive:backups/app", Service::Rclone, "drive", "backups/app"),
            ("rclone:nas:/srv/x?y", Service::Rclone, "nas", "/srv/x?y"),
            ("rclone:nas:", Service::Rclone, "nas", ""),
        ] {
            let url = parsed(text);
            assert_eq!((url.service, url.place.as_str(), url.prefix.as_str()), (service, place, prefix), "{text}");
            assert_eq!(parsed(&url.text()), url);
        }
        let url = parsed("s3://b/p?region=eu&endpoint=http%3A//127.0.0.1:9000&virtual_host=true");
        assert_eq!(url.option("endpoint"), Some("http://127.0.0.1:9000"));
        assert!(url.is_on("virtual_host") && !url.is_on("region"));
        assert_eq!(url.to_string(), "s3://b/p");
        assert_eq!(parsed(&url.text()), url);
        let host = HostLabel::new("web-1").unwrap();
        assert_eq!(parsed("s3://b/heirloom/{host}").of_host(&host).to_string(), "s3://b/heirloom/web-1");
    }

    #[test]
    fn what_is_no_url_is_a_path_or_an_error() {
        for path in ["backups", "/app/backups", "./s3", "C:/x", "a:b", "://x"] {
            assert_eq!(StoreUrl::parse(path), None, "{path}");
        }
        for wrong in [
            "s3://",
            "s3:///p",
            "ftp://host/x",
            "s3://b/a//b",
            "s3://b/../c",
            "connect://server/user",
            "rclone:drive",
            "s3://key:secret@b/p",
            "s3://b?secret=hunter2",
            "s3://b?region",
            "s3://b?region=%zz",
            "rclone:-x:y",
            "s3://b?region=a&region=b",
        ] {
            let error = StoreUrl::parse(wrong).expect(wrong).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
