//! Processes under supervision: the application of `run` and its jobs, and the signals that concern them.

mod events;
mod first_process;
mod launch;
mod notify_socket;
mod program;
mod supervised;

pub use events::{Event, is_stop, watch_process, watch_signals};
pub use first_process::be_first_process;
pub use launch::{LAUNCH, launch};
pub use notify_socket::notify;
pub use program::{NoProgram, find_program};
pub use supervised::{Start, Supervised};
