//! The admin server: its page, for administrators without a shell.

pub mod pages;
