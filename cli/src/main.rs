//! `macula`: classify pictures, and run, verify and inspect networks, on any GPU.

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

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use commands::{classify, detect, devices, inspect, look, profile, run, verify};

/// Convolutional networks on any GPU, every kernel checked against a CPU reference.
#[derive(Parser)]
#[command(version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
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
}

fn main() -> ExitCode {
    silence_mesa();
    let cli = Cli::parse();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).format_timestamp(None).init();
    // Colours reach a terminal only, and not with NO_COLOR.
    let mut out = anstream::stdout().lock();
    let done = match &cli.command {
        Command::Classify(args) => classify::classify(args, &mut out),
        Command::Detect(args) => detect::detect(args, &mut out),
        Command::Devices(args) => devices::devices(args, &mut out),
        Command::Look(args) => look::look(args, &mut out),
        Command::Run(args) => run::run(args, &mut out),
        Command::Verify(args) => verify::verify(args, &mut out),
        Command::Inspect(args) => inspect::inspect(args, &mut out),
        Command::Profile(args) => profile::profile(args, &mut out),
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
