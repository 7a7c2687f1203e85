//! `--check`.

use crate::config::Check;
use crate::database::Depth;

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
    /// Returns the depth that a flag asks for, else that of the configuration.
    pub fn depth(flag: Option<Self>, configured: Check) -> Depth {
        match (flag, configured) {
            (Some(CheckArg::Full), _) | (None, Check::Full) => Depth::Full,
            (Some(CheckArg::Quick), _) | (None, Check::Quick) => Depth::Quick,
            (Some(CheckArg::None), _) | (None, Check::None) => Depth::None,
        }
    }
}
