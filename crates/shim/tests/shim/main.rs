//! The shim as its daemon meets it: a program that is started, asked over its socket, killed and cleaned up behind. Real
//! containers in folders and control groups that each test makes and removes.

mod pods;
mod tasks;
mod world;
