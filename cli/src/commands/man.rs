//! `macula man`: the manual, from the same words as `--help`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_mangen::Man;

use crate::Cli;
use crate::failure::Failure;
use crate::files;

/// Print the manual page of macula, or write a page for each subcommand too
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  macula man | man -l -
  macula man --out ~/.local/share/man/man1/")]
pub struct ManArgs {
    /// Where to write macula.1 and macula-SUBCOMMAND.1
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs the command.
pub fn man(args: &ManArgs, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    // `macula help` repeats what the pages say.
    let program = Cli::command().disable_help_subcommand(true);
    match &args.out {
        None => {
            let mut page = vec![];
            Man::new(program).render(&mut page)?;
            out.write_all(&page)?;
        }
        Some(directory) => {
            files::make_directory(directory)?;
            clap_mangen::generate_to(program, directory)
                .map_err(|e| Failure::failed(format!("{}: the pages cannot be written: {e}", directory.display())))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
