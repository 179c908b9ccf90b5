//! The shim as its daemon meets it: a program that is started, asked over its socket, killed and cleaned up behind. Real
//! containers in folders and control groups that each test makes and removes.

mod crashes;
mod figures;
mod pods;
mod streams;
mod tasks;
mod world;
