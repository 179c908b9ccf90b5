//! The documents against what Microsoft's clients sent, against the published schema, and against anything at
//! all.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod arbitrary;
mod captured;
mod golden;
mod meaning;
mod requests;
mod schema;
