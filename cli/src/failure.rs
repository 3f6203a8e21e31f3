//! Why a command ends early, and with which exit code.

use std::io;
use std::process::ExitCode;

use crate::terminal::StandardError;

/// What ends a command.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line asks for what cannot be.
    #[error("{0}")]
    Usage(String),
    /// The work failed.
    #[error("{0}")]
    Failed(String),
    /// Whoever read our output has gone, as `head` does; nothing to tell.
    #[error("the output was closed")]
    Closed,
}

impl Failure {
    /// A failure of the command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    /// A failure of the work.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }

    /// For commands whose exit code 1 is an answer: whatever ends them early exits with 2.
    pub fn without_answer(self) -> Self {
        match self {
            Failure::Failed(message) => Failure::Usage(message),
            other => other,
        }
    }

    /// Tells the user, and gives the exit code.
    pub fn report(&self) -> ExitCode {
        match self {
            Failure::Usage(message) => {
                complain(message);
                ExitCode::from(2)
            }
            Failure::Failed(message) => {
                complain(message);
                ExitCode::FAILURE
            }
            Failure::Closed => ExitCode::SUCCESS,
        }
    }
}

impl From<macula::Error> for Failure {
    fn from(error: macula::Error) -> Self {
        Failure::Failed(error.to_string())
    }
}

impl From<io::Error> for Failure {
    /// For writing to the standard output; errors of files carry the file's name and are made where it is known.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::Closed,
            _ => Failure::Failed(format!("cannot write the output: {error}")),
        }
    }
}

/// One line on the standard error.
pub fn complain(message: &str) {
    label("error", anstyle::AnsiColor::Red, message);
}

/// A note on the standard error that does not end the command.
pub fn warn(message: &str) {
    label("warning", anstyle::AnsiColor::Yellow, message);
}

fn label(what: &str, color: anstyle::AnsiColor, message: &str) {
    use std::io::Write;
    let style = color.on_default().bold();
    // In one piece; a closed standard error leaves nobody to tell.
    let _ = StandardError.write_all(format!("{style}{what}:{style:#} {message}\n").as_bytes());
}
