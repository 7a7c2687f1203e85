//! The one-time code that signs an administrator in while no token is configured.
//!
//! Only the form of the page takes it: as a bearer token, it would be sent more than once.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::digest::Sha256;
use crate::serving::Code;

/// What the log calls somebody who came in with it. No token has this name: it contains a blank.
pub(super) const NAME: &str = "one-time code";

/// A code until it is redeemed.
#[derive(Debug)]
pub(super) struct OneTime(Mutex<Option<Code>>);

impl OneTime {
    pub(super) fn new(code: Code) -> Self {
        Self(Mutex::new(Some(code)))
    }

    /// Returns whether this is the code, in its time and for the first time. Of two requests at once, one gets true.
    pub(super) fn redeem(&self, digest: Sha256, now: Instant) -> bool {
        let mut code = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        code.take_if(|code| code.digest == digest && now < code.until).is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_code_is_worth_one_session_and_only_for_its_time() {
        let (digest, now) = (Sha256::of(b"secret"), Instant::now());
        let until = now + Duration::from_secs(600);
        let code = OneTime::new(Code { digest, until });
        assert!(!code.redeem(Sha256::of(b"a guess"), now), "another text");
        assert!(!code.redeem(digest, until) && !code.redeem(digest, until + Duration::from_secs(1)), "too late");
        assert!(code.redeem(digest, until - Duration::from_nanos(1)), "guesses have not used it up");
        assert!(!code.redeem(digest, now), "a second time");
    }
}
