//! Parses the arguments, runs the command, and exits with its documented code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(heirloom::cli::main())
}
