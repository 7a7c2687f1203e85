//! The commands, run as a user runs them: the real binary, real SQLite files, a hermetic world around them.

mod backup;
mod config;
mod world;
