//! Opens remote stores by their URL.

use std::io;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use super::{Store, StoreError};
use crate::store_url::StoreUrl;

/// Looks up a variable by its name.
pub type Lookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What a remote store depends on besides its URL.
#[derive(Clone)]
pub struct Remote {
    /// Looks up a variable of the environment or of the `.env` file.
    pub variable: Lookup,
    /// How many bytes per second are sent at most.
    pub upload_limit: Option<NonZeroU64>,
    /// How long one request may go without progress.
    pub request: Duration,
    /// How long an upload may go without a byte that the service acknowledged.
    pub stalled: Duration,
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
            repeated: Arc::new(|_| {}),
        }
    }
}

/// Opens a remote store. Sends no request: what is wrong with the service shows at the first one.
///
/// Fails with [`StoreError::Unreachable`] if the URL or the surroundings lack something that the service needs.
pub fn open(url: &StoreUrl, _remote: &Remote) -> Result<Arc<dyn Store>, StoreError> {
    let cause = io::Error::new(io::ErrorKind::Unsupported, "this build has no remote stores");
    Err(StoreError::Unreachable { location: url.to_string(), cause })
}
