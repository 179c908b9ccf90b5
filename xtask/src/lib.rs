//! What the tasks of the project stand on, also for its tests.
#![expect(clippy::print_stderr, reason = "tells the person at the terminal what takes so long")]

pub mod machine;
pub mod trees;
