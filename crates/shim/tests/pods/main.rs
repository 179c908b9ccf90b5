//! The shim as its daemon meets it: a program that is started, asked over its socket, killed and cleaned up behind. Real
//! containers in folders and control groups that each test makes and removes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod crashes;
mod figures;
mod sandboxes;
mod streams;
mod tasks;
mod world;
