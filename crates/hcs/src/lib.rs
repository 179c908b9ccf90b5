//! The Host Compute Service for Rust.
//!
//! [`documents`] has the JSON documents of the service as types; [`document`] says what all of them have in common.

pub mod document;
pub mod documents;
