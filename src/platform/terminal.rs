//! Terminals.

use std::os::fd::AsFd;

/// Returns the width of a terminal, in columns; `None` if it is unknown.
pub fn columns(terminal: impl AsFd) -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(terminal)?;
    Some(usize::from(width.0)).filter(|width| *width > 0)
}
