//! What one test of `heirloom config check` found.

use super::ui::Tone;
use super::{Context, remedy};
use crate::failure::{Failure, Remedy};
use crate::ops::explain::explain;

/// What one test of `config check` found.
pub(super) struct Tested {
    pub(super) what: String,
    /// 0: all is well.
    pub(super) code: u8,
    pub(super) message: String,
    pub(super) remedy: Option<Remedy>,
    pub(super) warning: bool,
}

impl Tested {
    pub(super) fn good(what: impl Into<String>, message: String) -> Self {
        Self { what: what.into(), code: 0, message, remedy: None, warning: false }
    }

    pub(super) fn odd(what: impl Into<String>, message: String) -> Self {
        Self { warning: true, ..Self::good(what, message) }
    }

    pub(super) fn bad(what: impl Into<String>, error: anyhow::Error) -> Self {
        let Failure { kind, message, remedy } = explain(&error);
        Self { what: what.into(), code: kind.code(), message, remedy, warning: false }
    }

    pub(super) fn hint(&self, context: &Context) -> Option<String> {
        self.remedy.as_ref().map(|remedy| remedy::hint(remedy, &context.typed))
    }

    pub(super) fn state(&self) -> (&'static str, Tone) {
        match self {
            Self { code: 0, warning: false, .. } => ("ok", Tone::Good),
            Self { code: 0, .. } => ("warning", Tone::Warning),
            _ => ("error", Tone::Bad),
        }
    }
}
