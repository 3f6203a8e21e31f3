//! `macula`: classify pictures, and run, verify and inspect networks, on any GPU.

#![cfg_attr(not(test), warn(unused_crate_dependencies))]

mod commands;
mod explain;
mod failure;
mod files;
mod images;
mod inputs;
mod labels;
mod model;
mod npy;
mod paint;
mod pictures;
mod preprocess;
mod resample;
mod terminal;
mod times;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use commands::{bench, classify, completions, detect, devices, inspect, look, man, profile, run, verify};

/// Convolutional networks on any GPU, every kernel checked against a CPU reference.
#[derive(Parser)]
#[command(name = "macula", version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// No progress bars: beside the results, warnings and errors only
    #[arg(short, long, global = true, display_order = 1000)]
    quiet: bool,
}

#[derive(Subcommand)]
enum Command {
    Classify(classify::ClassifyArgs),
    Detect(detect::DetectArgs),
    Devices(devices::DevicesArgs),
    Look(look::LookArgs),
    Run(run::RunArgs),
    Verify(verify::VerifyArgs),
    Inspect(inspect::InspectArgs),
    Profile(profile::ProfileArgs),
    Bench(bench::BenchArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

fn main() -> ExitCode {
    silence_mesa();
    let cli = Cli::parse();
    let mut logger = env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn"));
    if cli.quiet {
        terminal::be_quiet();
        logger.filter(None, log::LevelFilter::Warn);
    }
    let target = env_logger::Target::Pipe(Box::new(terminal::StandardError));
    logger.target(target).write_style(env_logger::WriteStyle::Always).format_timestamp(None).init();
    // Colours reach a terminal only, and not with NO_COLOR.
    let mut out = terminal::Printable(anstream::stdout().lock());
    let done = match &cli.command {
        Command::Classify(args) => classify::classify(args, &mut out),
        Command::Detect(args) => detect::detect(args, &mut out),
        Command::Devices(args) => devices::devices(args, &mut out),
        Command::Look(args) => look::look(args, &mut out),
        Command::Run(args) => run::run(args, &mut out),
        Command::Verify(args) => verify::verify(args, &mut out),
        Command::Inspect(args) => inspect::inspect(args, &mut out),
        Command::Profile(args) => profile::profile(args, &mut out),
        Command::Bench(args) => bench::bench(args, &mut out),
        Command::Completions(args) => completions::completions(args, &mut out),
        Command::Man(args) => man::man(args, &mut out),
    };
    done.unwrap_or_else(|failure| failure.report())
}

/// Without this variable, Mesa's Vulkan layers print an error of their own on headless machines, where all is well.
fn silence_mesa() {
    const VARIABLE: &str = "XDG_RUNTIME_DIR";
    if cfg!(target_os = "linux") && std::env::var_os(VARIABLE).is_none() {
        // SAFETY: no other thread exists yet.
        unsafe { std::env::set_var(VARIABLE, "/nonexistent") };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_subcommand_has_an_example() {
        let mut program = Cli::command();
        program.build();
        let mut lacking = vec![];
        for command in program.get_subcommands_mut() {
            let example = format!("Examples:\n  macula {}", command.get_name());
            let helps = [command.render_help().to_string(), command.render_long_help().to_string()];
            if !helps.iter().all(|help| help.contains(&example)) {
                lacking.push(command.get_name().to_owned());
            }
        }
        // Clap's own `help` has none, which shows that the search finds what it looks for.
        assert_eq!(lacking, ["help"]);
    }
}
