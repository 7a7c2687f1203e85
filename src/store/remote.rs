//! Opens remote stores by their URL.

use std::io;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::examination::{Examination, try_out};
#[cfg(feature = "remote")]
use super::object::ObjectStore;
pub use super::surroundings::{Remote, Variable};
use super::{Store, StoreError};
#[cfg(feature = "remote")]
use crate::store_url::Service;
use crate::store_url::StoreUrl;

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
