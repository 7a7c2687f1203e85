//! Opens remote stores by their URL.

use std::io;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::examination::{Examination, try_out};
#[cfg(feature = "remote")]
use super::object::ObjectStore;
use super::{Store, StoreError};
#[cfg(feature = "remote")]
use crate::store_url::Service;
use crate::store_url::StoreUrl;

/// Looks up a variable by its name.
pub type Variable = dyn Fn(&str) -> Option<String> + Send + Sync;

/// What a remote store depends on besides its URL.
#[derive(Clone)]
pub struct Remote {
    /// Looks up a variable of the environment or of the `.env` file.
    pub variable: Arc<Variable>,
    /// How many bytes per second are sent at most.
    pub upload_limit: Option<NonZeroU64>,
    /// How long one request may go without progress.
    pub request: Duration,
    /// How long an upload may go without a byte that the service acknowledged.
    pub stalled: Duration,
    /// A folder for what was found out about a service; `None` to find it out again in each run.
    pub memory: Option<PathBuf>,
    /// Receives one line for each request that was repeated.
    pub repeated: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Remote {
    /// Uses the default limits: 60 s for a request, 10 minutes for an upload that stands still.
    pub fn new(variable: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self {
            variable: Arc::new(variable),
            upload_limit: None,
            request: Duration::from_secs(60),
            stalled: Duration::from_secs(600),
            memory: None,
            repeated: Arc::new(|_| {}),
        }
    }
}

/// Opens a remote store. Sends no request: what is wrong with the service shows at the first one.
///
/// Fails with [`StoreError::Unreachable`] if the URL or the surroundings lack something that the service needs.
#[cfg(feature = "remote")]
pub fn open(url: &StoreUrl, remote: &Remote) -> Result<Arc<dyn Store>, StoreError> {
    match url.service {
        Service::S3 | Service::Gcs | Service::Azure => Ok(Arc::new(ObjectStore::open(url, remote)?)),
        Service::Connect | Service::Rclone => Err(unsupported(url)),
    }
}

/// Opens a remote store. This build has none.
#[cfg(not(feature = "remote"))]
pub fn open(url: &StoreUrl, _remote: &Remote) -> Result<Arc<dyn Store>, StoreError> {
    Err(unsupported(url))
}

/// Tries everything that a remote store is needed for. `now` is the time of this host.
///
/// Fails as [`open`] does.
#[cfg(feature = "remote")]
pub fn examine(url: &StoreUrl, remote: &Remote, now: DateTime<Utc>) -> Result<Examination, StoreError> {
    match url.service {
        Service::S3 | Service::Gcs | Service::Azure => Ok(ObjectStore::open(url, remote)?.examine(now)),
        _ => Ok(try_out(&*open(url, remote)?)),
    }
}

/// Tries everything that a remote store is needed for. This build has none.
#[cfg(not(feature = "remote"))]
pub fn examine(url: &StoreUrl, remote: &Remote, _now: DateTime<Utc>) -> Result<Examination, StoreError> {
    Ok(try_out(&*open(url, remote)?))
}

fn unsupported(url: &StoreUrl) -> StoreError {
    let cause = io::Error::new(io::ErrorKind::Unsupported, "this build has no such stores");
    StoreError::Unreachable { location: url.to_string(), cause }
}
