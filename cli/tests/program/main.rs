//! The built program, run as people and scripts run it.

#[cfg(unix)]
mod abuse;
mod bad_input;
mod bench;
mod classify;
mod inspect;
mod manual;
mod networks;
mod pictures;
mod profile;
mod support;
mod verify;
