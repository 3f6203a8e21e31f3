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
    let mut program = Cli::command().disable_help_subcommand(true);
    match &args.out {
        None => out.write_all(&page(&Man::new(program))?)?,
        Some(directory) => {
            files::make_directory(directory)?;
            // Gives the subcommands their full names.
            program.build();
            for command in std::iter::once(&program).chain(program.get_subcommands()) {
                let man = Man::new(command.clone());
                files::write(&directory.join(man.get_filename()), &page(&man)?)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn page(man: &Man) -> Result<Vec<u8>, Failure> {
    let mut page = vec![];
    man.render(&mut page)?;
    Ok(page)
}
