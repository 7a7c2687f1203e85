//! `heirloom completions`.

use std::io::{self, Write as _};

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, Context, Outcome};

/// Print the completion script of a shell
///
/// The scripts complete commands, options and values. Archive names of the store are completed by the shells that ask
/// the program itself: `source <(COMPLETE=bash heirloom)`, likewise with zsh, fish, elvish and powershell.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom completions bash > /etc/bash_completion.d/heirloom
  heirloom completions zsh > ~/.zfunc/_heirloom
  echo 'source <(COMPLETE=bash heirloom)' >> ~/.bashrc

Exit codes: 0 done; 3 it could not be written")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    let script = script(args.shell);
    match io::stdout().lock().write_all(&script) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            context.ui.error(&format!("the script could not be written to standard output: {error}"), None);
            Ok(Outcome::Problems)
        }
        _ => Ok(Outcome::Done),
    }
}

/// Returns the completion script of a shell.
pub fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "heirloom", &mut script);
    script
}
