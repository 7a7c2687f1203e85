//! Copies live databases, each at one point in time.

pub(super) mod copy;
pub(super) mod copy_with_sidecars;
mod kept_out;
pub(super) mod pin;
mod pinned;
mod set;
