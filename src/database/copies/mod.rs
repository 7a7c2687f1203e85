//! Works on private copies: recovers, compacts and compares them.

pub(super) mod compare;
pub(super) mod recover;
pub(super) mod vacuum;
