//! What can go wrong with a request to an object store, and what that means for the store above.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::store::StoreError;

/// Why a request failed. The text never holds a URL or a header: both may carry a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The connection failed, or the answer ended early.
    Broken(String),
    /// The certificate of the service is not trusted.
    Untrusted(String),
    /// Nothing arrived and nothing could be sent for this long.
    Silent(Duration),
    /// The service asked to try again later, or failed by itself.
    Busy {
        /// What it answered.
        answer: String,
        /// How long it asked to wait.
        wait: Option<Duration>,
    },
    /// The answer did not come from the service: a proxy, a login page, garbage.
    Foreign(String),
    /// Another request for the same name was under way.
    Conflict(String),
    /// A write found the name taken.
    Taken,
    /// A read found another version than the expected one.
    Changed,
    /// There is no object of this name, as the service reports.
    NoKey,
    /// "Not found", without a word about what: the object, the bucket, or the service.
    Unproved,
    /// There is no such bucket or container.
    NoBucket,
    /// The multipart upload is not there: finished by a request whose answer was lost, or aborted.
    NoUpload,
    /// The credentials are wrong, or lack a right.
    Denied(String),
    /// The clock of this host is off by this many seconds; positive if it is ahead.
    Clock(Option<i64>),
    /// The object was moved to an archive tier.
    Cold,
    /// The service received other bytes than were sent.
    Corrupt,
    /// Refused for good, for another reason.
    Refused(String),
    /// This run was asked to stop.
    Stopped,
}

impl Fault {
    /// Returns whether the same request may succeed a little later.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::Silent(_) | Self::Busy { .. } | Self::Foreign(_) | Self::Corrupt)
    }

    /// Returns whether a write with this outcome may have been carried out.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::Silent(_) | Self::Busy { .. } | Self::Foreign(_) | Self::NoUpload)
    }

    /// Finds the fault in an error of opendal.
    pub(super) fn of(error: &opendal::Error) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(fault) = error.downcast_ref::<Self>() {
                return fault.clone();
            }
            cause = error.source();
        }
        // Whatever opendal finds wrong by itself: it could not sign the request, or not read the answer.
        let text = error.to_string();
        if text.contains("sign") || text.contains("credential") {
            return Self::Denied(format!("no usable credentials: {}", root_cause(error)));
        }
        Self::Refused(root_cause(error))
    }

    /// Returns what it means for a store. `name` is the file; `None` if the request was about the whole store.
    pub(super) fn at(self, action: &'static str, name: Option<&str>, location: String) -> StoreError {
        let name = name.unwrap_or_default().to_owned();
        match self {
            Self::Broken(_)
            | Self::Untrusted(_)
            | Self::Silent(_)
            | Self::Busy { .. }
            | Self::Foreign(_)
            | Self::Unproved
            | Self::NoBucket
            | Self::Corrupt => StoreError::Unreachable { location, cause: self.into() },
            Self::Denied(_) => StoreError::Denied { action, name, location, cause: self.into() },
            Self::Clock(ahead) => StoreError::Clock { location, ahead },
            Self::NoKey | Self::Changed => StoreError::NotFound { name, location },
            Self::Taken => StoreError::Exists { name, location },
            Self::NoUpload => StoreError::Unanswered { name, location, cause: self.into() },
            Self::Stopped => StoreError::Interrupted(crate::progress::Interrupted),
            Self::Conflict(_) | Self::Cold | Self::Refused(_) => {
                StoreError::Io { action, name, location, cause: self.into() }
            }
        }
    }
}

/// The innermost message, in one line.
fn root_cause(error: &opendal::Error) -> String {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let text = match cause.downcast_ref::<opendal::Error>() {
        Some(error) => error.message().to_owned(),
        None => cause.to_string(),
    };
    short(&text)
}

/// Shortens a text of a service to one printable line.
pub(super) fn short(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = crate::names::printable(&line);
    match line.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.into_owned(),
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(text) => write!(f, "the connection failed: {text}"),
            Self::Untrusted(text) => write!(f, "its certificate is not trusted: {text}"),
            Self::Silent(time) => write!(f, "no progress for {} s", time.as_secs_f64().round().max(1.0)),
            Self::Busy { answer, .. } => write!(f, "the service answered {answer}"),
            Self::Foreign(text) => write!(f, "the answer is not from the service: {text}"),
            Self::Conflict(answer) => write!(f, "another request for the same name was under way ({answer})"),
            Self::Taken => f.write_str("the name is taken"),
            Self::Changed => f.write_str("the object was replaced or removed meanwhile"),
            Self::NoKey => f.write_str("no such object"),
            Self::Unproved => f.write_str("not found, and the service does not report what is missing"),
            Self::NoBucket => f.write_str("there is no such bucket or container"),
            Self::NoUpload => f.write_str("the service does not know the upload"),
            Self::Denied(text) => f.write_str(text),
            Self::Clock(Some(ahead)) => write!(f, "the clock of this host is {} s off", ahead.abs()),
            Self::Clock(None) => f.write_str("the clock of this host is off"),
            Self::Cold => f.write_str("in cold storage: the provider must restore the object first"),
            Self::Corrupt => f.write_str("the service received other bytes than were sent"),
            Self::Refused(text) => write!(f, "the service refused: {text}"),
            Self::Stopped => f.write_str("interrupted"),
        }
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        let kind = match &fault {
            Fault::Broken(_) => io::ErrorKind::ConnectionReset,
            Fault::Silent(_) => io::ErrorKind::TimedOut,
            Fault::NoKey | Fault::Changed => io::ErrorKind::NotFound,
            Fault::Denied(_) | Fault::Cold => io::ErrorKind::PermissionDenied,
            Fault::Taken => io::ErrorKind::AlreadyExists,
            // Not `NotFound`: a missing bucket must never look like a folder that was not made yet.
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, fault)
    }
}
