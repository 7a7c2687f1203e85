//! Parses the arguments, runs the command, and exits with its documented code.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(feature = "server")]
    let serve: Option<heirloom::cli::Serve> = Some(heirloom::server::serve);
    #[cfg(not(feature = "server"))]
    let serve = None;
    ExitCode::from(heirloom::cli::main(serve))
}
