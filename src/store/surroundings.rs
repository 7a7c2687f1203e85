//! What a remote store depends on besides its URL.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

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
