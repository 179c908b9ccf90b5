//! The Host Compute Service for Rust.
