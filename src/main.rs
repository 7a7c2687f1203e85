//! Parses, runs, and exits with the code of the table.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(heirloom::cli::main())
}
