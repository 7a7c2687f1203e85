//! Copies live databases, each at one point in time.

pub(super) mod copy;
pub(super) mod copy_with_sidecars;
pub(super) mod pin;
