//! `cargo xtask`: everything that is done to the project, one verb in one file.

fn main() {}
