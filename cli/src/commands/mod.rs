//! The subcommands, one a file.

pub mod bench;
pub mod classify;
pub mod completions;
pub mod detect;
pub mod devices;
pub mod inspect;
pub mod look;
pub mod man;
pub mod profile;
pub mod run;
pub mod verify;
