//! Receptive fields, parameters and costs of networks, checked by hand and by changing pixels.

#[path = "../support/mod.rs"]
mod support;

mod receptive_field;
mod summary;
