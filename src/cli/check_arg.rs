//! `--check`.

use crate::config::Check;
use crate::database::Depth;
use crate::ops::restore::CheckPolicy;

/// How thoroughly a copy is checked, as a flag.
#[derive(clap::ValueEnum, Debug, Clone, Copy)]
pub enum CheckArg {
    /// Everything SQLite can check
    Full,
    /// Pages and rows, not indexes against tables
    Quick,
    /// Nothing; the archive is still read back
    None,
}

impl CheckArg {
    /// Returns the word on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            CheckArg::Full => "full",
            CheckArg::Quick => "quick",
            CheckArg::None => "none",
        }
    }

    /// Returns which databases a restore checks. What is not proved is checked in full, whatever the depth for backups:
    /// the extra time is acceptable here.
    pub fn policy(flag: Option<Self>) -> CheckPolicy {
        match flag {
            None => CheckPolicy::Unproved(Depth::Full),
            Some(CheckArg::Full) => CheckPolicy::Always(Depth::Full),
            Some(CheckArg::Quick) => CheckPolicy::Always(Depth::Quick),
            Some(CheckArg::None) => CheckPolicy::Unproved(Depth::None),
        }
    }

    /// Returns the depth that a flag asks for, else that of the configuration.
    pub fn depth(flag: Option<Self>, configured: Check) -> Depth {
        match (flag, configured) {
            (Some(CheckArg::Full), _) | (None, Check::Full) => Depth::Full,
            (Some(CheckArg::Quick), _) | (None, Check::Quick) => Depth::Quick,
            (Some(CheckArg::None), _) | (None, Check::None) => Depth::None,
        }
    }
}
