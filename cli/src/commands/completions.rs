//! `macula completions`: what a shell needs to complete the program's arguments.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::Cli;
use crate::failure::Failure;

/// Print a script that has a shell complete the arguments of macula
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  macula completions bash > ~/.local/share/bash-completion/completions/macula
  macula completions zsh > ~/.zfunc/_macula
  macula completions fish > ~/.config/fish/completions/macula.fish")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs the command.
pub fn completions(args: &CompletionsArgs, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    // The generator panics where it cannot write.
    let mut script = vec![];
    clap_complete::generate(args.shell, &mut Cli::command(), "macula", &mut script);
    out.write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
