//! TBD
/// TBD
pub struct LocalStore;
