//! What an operation reports: owned values without any reference to a store or a database. The JSON of a command is such a value,
//! and so is what a page shows.

pub mod health;
pub mod quantity;
