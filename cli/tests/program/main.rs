//! The built program, run as people and scripts run it.

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
