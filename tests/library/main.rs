//! The library, called as the operations call it: archives, live databases, stores and retention, without the command line.

mod archive_format;
mod capture;
mod check;
mod hostile;
mod hostile_input;
mod replace;
mod retention;
mod store_contract;
